"""What a server says first: where its data is, what of it is there, and what to do if there is none."""

import asyncio
import shlex
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from app.domain.outdated import WAYS_OUT, outdated
from app.errors import StoreError, StoreRefused
from app.observe.supervisor import LOADS
from app.options import Settings
from app.redis_urls import redis_parts
from app.store.protocol import RunInfo, Store

LOOK_S = 1.0
"""How long the start may be held up by a store that does not answer."""


def greeting(
    settings: Settings,
    store: Store,
    files: Mapping[str, Path],
    *,
    by_unit: bool = False,
    by_source: bool = False,
    now_ms: int | None = None,
    warn: Callable[[str], object] = print,
) -> str:
    """One line on what ``store`` holds; closes it. ``files`` are those that secrets come from (`settings.secret_files`);
    ``by_unit``: a unit of systemd's loads the store; ``by_source``: a source that runs beside it does. ``warn`` is told if all
    of it is too old at ``now_ms`` of the wall clock, and nobody brings newer data.

    Raises:
        StoreRefused: the store does not accept our credentials: a mistake to be told at once. An outage is to be lived with.
    """
    where = _where(settings)
    try:
        info = asyncio.run(_look(store))
    except StoreRefused:
        raise
    except (StoreError, TimeoutError) as error:
        return f"data in {where}: it does not answer now ({str(error) or f'nothing within {LOOK_S:g} s'})"
    if info is None or not info.symbols:
        brings = "the source brings it" if by_source else f"next{_load(settings, files, by_unit=by_unit)}"
        return f"data in {where}: none yet; {brings}"
    # The replay clock is the data's own.
    is_judged = settings.clock == "wall" and not by_source
    if is_judged and now_ms is not None and (old := _outdated(settings, info, now_ms)):
        warn(f"{old}: {WAYS_OUT}; next{_load(settings, files, by_unit=by_unit)}")
    newest = datetime.fromtimestamp(info.newest_as_of_ms / 1000, UTC)
    run = f", run {info.run}" if info.run else ""
    return f"data in {where}: {info.symbols:,} symbols up to {newest:%Y-%m-%d %H:%M} UTC{run}"


async def _look(store: Store) -> RunInfo | None:
    try:
        async with asyncio.timeout(LOOK_S):
            return await store.run_info()
    finally:
        await store.close()


def _where(settings: Settings) -> str:
    if settings.redis_url:
        return f"Redis at {_redis_place(settings.redis_url)}, keys {settings.key_prefix}:*"
    return str(Path(settings.store_path).absolute())


def _redis_place(url: str) -> str:
    """Where the Redis of ``url`` is, as the client understands it: no user, no password."""
    parts = redis_parts(url)
    where = parts.get("path") or f"{parts.get('host', 'localhost')}:{parts.get('port', 6379)}"
    return f"{where}/{parts.get('db', 0)}"


def _outdated(settings: Settings, info: RunInfo, now_ms: int) -> str | None:
    stale_s = max(settings.price_max_age_s, settings.agents_max_age_s)
    return outdated((now_ms - info.newest_as_of_ms) / 1000.0, stale_s, settings.input_limit_s)


def _load(settings: Settings, files: Mapping[str, Path], *, by_unit: bool) -> str:
    return f": {LOADS}" if by_unit else _warm(settings, files)


def _warm(settings: Settings, files: Mapping[str, Path]) -> str:
    """The command that loads this very store, in whatever folder it is entered, behind what else it needs and cannot say."""
    if settings.redis_url:
        secrets = [name for name in ("redis_url", "redis_password") if getattr(settings, name)]
        same = " and ".join(name.upper() for name in secrets if name not in files)
        given = {f"{name}_file": str(files[name]) for name in secrets if name in files} | {"key_prefix": settings.key_prefix}
    else:
        given, same = {"store_path": str(Path(settings.store_path).absolute())}, ""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    return f"{f', with the same {same}' if same else ''}: {shlex.join(['decide', 'warm', *words])} --prices FILES --agents FILES"
