"""A worker's part in the end of a server."""

import asyncio
import random
from pathlib import Path

from starlette.applications import Starlette

from app.observe.crew import Crew
from app.options import Settings
from app.store.opening import open_store
from app.worker import Worker


def _parts(folder: Path, crew: Crew) -> Worker:
    store = open_store(redis_url="", store_path=folder / "store.sqlite3", key_prefix="decide:1")
    return Worker(Settings(), store, clock=lambda: 0.0, rng=random.Random(1), logs=None, crew=crew, worker=1)


def test_a_worker_that_is_started_in_a_drain_drains_from_its_first_moment(tmp_path: Path) -> None:
    """The signal was sent before it could hear it; it would say that it is ready until the stop."""

    async def run() -> None:
        crew = Crew(2)
        crew.next_stage()
        parts = _parts(tmp_path, crew)
        async with parts.lifespan(Starlette()):
            assert parts.drain.on

    asyncio.run(run())


def test_a_worker_that_is_started_in_no_drain_does_not_and_lets_its_loop_be_seen(tmp_path: Path) -> None:
    async def run() -> None:
        crew = Crew(2)
        parts = _parts(tmp_path, crew)
        async with parts.lifespan(Starlette()):
            assert not parts.drain.on
            await asyncio.sleep(0)
            assert (crew.beats(0), crew.beats(1)) == (0, 1)

    asyncio.run(run())
