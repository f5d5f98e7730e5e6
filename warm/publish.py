"""The one write of a warm run."""

import asyncio
from collections.abc import Callable, Sequence

from app.cache.store import Published, Row, RunInfo, Store
from app.errors import StoreError

OpenStore = Callable[[], Store]


def publish(open_store: OpenStore, rows: Sequence[Row], info: RunInfo, *, prune: bool) -> Published:
    """Open the store, publish ``rows`` in one atomic step, close it.

    Raises:
        StoreError: the store could not be reached, or failed; it holds the whole old data, or the whole new if only its answer
            was lost.
    """

    async def once() -> Published:
        store = open_store()
        try:
            return await store.publish(rows, info, prune=prune)
        finally:
            await store.close()

    try:
        return asyncio.run(once())
    except OSError as error:
        # A folder that cannot be made, a full disk, a name that does not resolve: the store's failure too.
        raise StoreError("unreachable", str(error)) from error
