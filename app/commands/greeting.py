"""What a server says first: where its data is, what of it is there, and what to do if there is none."""

import asyncio
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from app.cache.store import RunInfo, Store
from app.errors import StoreError
from app.options import Settings

_LOOK_S = 2.0


def greeting(settings: Settings, store: Store, options: Mapping[str, str]) -> str:
    """One line on what ``store`` holds; closes it. ``options`` of the command line, by variable, are the warm job's too."""
    where = _where(settings)
    try:
        info = asyncio.run(_look(store))
    except (StoreError, TimeoutError) as error:
        return f"data in {where}: it does not answer now ({error or 'no answer in time'})"
    if info is None:
        return f"data in {where}: none yet; next: {_warm(options)}"
    newest = datetime.fromtimestamp(info.newest_as_of_ms / 1000, UTC)
    return f"data in {where}: {info.symbols:,} symbols up to {newest:%Y-%m-%d %H:%M} UTC, run {info.run}"


async def _look(store: Store) -> RunInfo | None:
    try:
        async with asyncio.timeout(_LOOK_S):
            return await store.run_info()
    finally:
        await store.close()


def _where(settings: Settings) -> str:
    if not settings.redis_url:
        return str(Path(settings.store_path).absolute())
    parts = urlsplit(settings.redis_url)
    # Without user and password.
    return f"Redis at {parts.netloc.rpartition('@')[2]}{parts.path}, keys {settings.key_prefix}:*"


def _warm(options: Mapping[str, str]) -> str:
    store = [word for name, value in options.items() for word in (f"--{name.lower().replace('_', '-')}", value)]
    return f"{shlex.join(['decide', 'warm', *store])} --prices FILES --agents FILES"
