"""What a server says first: where its data is, what of it is there, and what to do if there is none."""

import asyncio
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from app.cache.store import RunInfo, Store
from app.errors import StoreError, StoreRefused
from app.observe.supervisor import LOADS
from app.options import Settings
from app.settings import redis_place

LOOK_S = 1.0
"""How long the start may be held up by a store that does not answer."""


def greeting(settings: Settings, store: Store, options: Mapping[str, str], *, by_systemd: bool = False) -> str:
    """One line on what ``store`` holds; closes it. ``options`` of the command line, by variable, are the warm job's too;
    ``by_systemd``: systemd runs the server, and the warm job as well.

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
    if info is None:
        return f"data in {where}: none yet; next: {LOADS if by_systemd else _warm(settings, options)}"
    newest = datetime.fromtimestamp(info.newest_as_of_ms / 1000, UTC)
    return f"data in {where}: {info.symbols:,} symbols up to {newest:%Y-%m-%d %H:%M} UTC, run {info.run}"


async def _look(store: Store) -> RunInfo | None:
    try:
        async with asyncio.timeout(LOOK_S):
            return await store.run_info()
    finally:
        await store.close()


def _where(settings: Settings) -> str:
    if settings.redis_url:
        return f"Redis at {redis_place(settings.redis_url)}, keys {settings.key_prefix}:*"
    return str(Path(settings.store_path).absolute())


def _warm(settings: Settings, options: Mapping[str, str]) -> str:
    """The command that loads this very store, in whatever folder it is entered."""
    if settings.redis_url:
        given = {name: str(Path(path).absolute()) for name, path in options.items() if name.endswith("_FILE")}
        given["KEY_PREFIX"] = settings.key_prefix
        with_it = "" if "REDIS_URL_FILE" in options else " (with the same REDIS_URL)"
    else:
        given, with_it = {"STORE_PATH": str(Path(settings.store_path).absolute())}, ""
    words = [f"--{name.lower().replace('_', '-')}={value}" for name, value in given.items()]
    return f"{shlex.join(['decide', 'warm', *words])} --prices FILES --agents FILES{with_it}"
