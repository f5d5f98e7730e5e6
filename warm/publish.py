"""The one write of a warm run, and the sample's way out."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from app.errors import StoreError
from app.options import Settings, store_place
from app.store.patience import patiently
from app.store.protocol import Published, Row, RunInfo, Store, Upserting, Withdrawing
from warm.sample import RUN_PREFIX


class WarmStore(Store, Withdrawing, Protocol):
    """Where a run is published."""


class JobStore(WarmStore, Upserting, Protocol):
    """Where single records are written, too."""


_READ_S = 5.0

OpenStore = Callable[[], WarmStore]


def settings_store(settings: Settings) -> JobStore:
    """The store that ``settings`` name. Imported here and not above: a dry run needs none."""
    from app.store.opening import open_store  # noqa: PLC0415

    return open_store(**store_place(settings), read_timeout_s=_READ_S)


class Replaced(Exception):
    """A run was published, and the sample that it replaces is still there: ``run`` wrote it."""

    def __init__(self, run: str, why: StoreError) -> None:
        super().__init__(f"published, but the sample is still there ({why}); decide withdraw --run {run} takes it back")


def publish(open_store: OpenStore, rows: Sequence[Row], info: RunInfo, *, prune: bool) -> tuple[Published, str, int]:
    """Open the store, publish ``rows`` in one atomic step, close it. What was published; and the run of the sample that it
    replaced (empty: none), with the number of symbols that lost something by it.

    The sample goes after the user's data has come, so that there is data at any moment. Where records of the sample are newer
    than his, his are published again.

    Raises:
        StoreError: the store could not be reached, or failed; it holds the whole old data, or the whole new if only its answer
            was lost.
        Replaced: the new data is there, and the sample too.
    """

    async def once() -> tuple[Published, str, int]:
        store = open_store()
        try:
            before = await patiently(store.run_info)
            done = await patiently(partial(store.publish_run, rows, info, prune=prune))
            if before is None or not before.run.startswith(RUN_PREFIX) or info.run.startswith(RUN_PREFIX):
                return done, "", 0
            try:
                gone = await patiently(partial(store.withdraw, run=before.run))
                if done.kept_newer:
                    done = await patiently(partial(store.publish_run, rows, info, prune=prune))
            except StoreError as error:
                raise Replaced(before.run, error) from error
            return done, before.run, len(gone.symbols)
        finally:
            await store.close()

    try:
        return asyncio.run(once())
    except OSError as error:
        # A folder that cannot be made, a full disk, a name that does not resolve: the store's failure too.
        raise StoreError("unreachable", str(error)) from error
