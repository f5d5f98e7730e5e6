"""``python -m bench.turns``: for how long a large change of the store keeps the server's event loop from everybody else.

It puts a worker together in this process, without a listener, loads all symbols into its memory, has a stream follow some, and
publishes all symbols anew. Then it times each turn of the loop while the feed applies that change, and once more while it
makes up for a feed that has lost its entries. CPU time is the loop's own; time by the clock has what else the machine does in it.
Exit codes: 0, 1 a turn took more than 5 ms of CPU time, 2 wrong usage.
"""

import argparse
import asyncio
import gc
import random
import selectors
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, cast

from app.domain.vector import AGENTS_SCHEMA, DUE_BARS, PRICE_NAMES, PRICE_SCHEMA, AgentRecord, AgentView, PriceRecord
from app.options import Settings
from app.store.codec import encode
from app.store.opening import open_store
from app.store.protocol import Changes, Row, RunInfo, Store, Written
from app.worker import Worker

_LIMIT_S = 0.005
_LOADED_AT_ONCE = 5000
_AS_OF_MS = 1_700_000_000_000
_FAILED = 1


class TimedSelector(selectors.DefaultSelector):
    """Times what the loop does between two waits: that is one turn."""

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """Forget what was until now."""
        self.turns, self.longest_s, self.longest_cpu_s = 0, 0.0, 0.0
        self._began = time.perf_counter(), time.thread_time()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As ever, timed."""
        self.turns += 1
        self.longest_s = max(self.longest_s, time.perf_counter() - self._began[0])
        self.longest_cpu_s = max(self.longest_cpu_s, time.thread_time() - self._began[1])
        found = super().select(timeout)
        self._began = time.perf_counter(), time.thread_time()
        return found


class LosingStore:
    """A store whose feed can be told to have lost entries. ``quiet``: the last read of the feed brought nothing."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.loses = self.quiet = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the other has
        return getattr(self._inner, name)

    async def changes(self, after: str, wait_s: float) -> Changes:
        """As the other, or that entries are gone."""
        if self.loses:
            self.loses = self.quiet = False
            return Changes(after, (), lost=True)
        found = await self._inner.changes(after, wait_s)
        self.quiet = not (found.symbols or found.lost)
        return found


def rows(symbols: Sequence[str], number: int) -> list[Row]:
    """Records of the usual size: 8 agents, each with a reasoning of 200 characters."""
    as_of_ms, run = _AS_OF_MS + number, f"run-{number}"
    values = tuple(float(place) for place in range(len(PRICE_NAMES)))
    due_ms = tuple(as_of_ms + 86_400_000 * days for days in range(1, DUE_BARS + 1))
    views = tuple(
        AgentView(f"agent_{each}", "view", 0.5, 0.5, as_of_ms, "model", "because " * 25, None, "source", "0" * 64)
        for each in range(8)
    )
    return [
        Row(
            symbol,
            {
                "price": Written(
                    as_of_ms, encode(PriceRecord(PRICE_SCHEMA, as_of_ms, as_of_ms, run, symbol, 86_400, values, due_ms))
                ),
                "agents": Written(as_of_ms, encode(AgentRecord(AGENTS_SCHEMA, as_of_ms, as_of_ms, run, symbol, views))),
            },
        )
        for symbol in symbols
    ]


class TimedWorker:
    """One in this process, whose feed is read when it is told to be."""

    def __init__(self, store: Store, count: int, selector: TimedSelector) -> None:
        self.symbols = [f"S{number:06}" for number in range(count)]
        self.store = LosingStore(store)
        self.selector = selector
        settings = Settings(clock="replay", l1_max_entries=count, stream_max_symbols=count)
        self.parts = Worker(settings, cast("Store", self.store), clock=time.monotonic, rng=random.Random(1), logs=None)

    async def begin(self, followed: int) -> list[asyncio.Task[None]]:
        """Everything in memory, somebody to follow ``followed`` of it."""
        parts = self.parts
        tasks = [asyncio.create_task(parts.hub.run())]
        await parts.feed.step()
        await self.publish(1)
        await self.read_feed()
        for first in range(0, len(self.symbols), _LOADED_AT_ONCE):
            some = self.symbols[first : first + _LOADED_AT_ONCE]
            found = await parts.tiers.fetch_many(some, 60.0)
            assert all(each.evidence is not None for each in found)
        subscriber = parts.hub.enter("sse")

        async def take() -> None:
            while await subscriber.next():
                pass

        tasks.append(asyncio.create_task(take()))
        await parts.hub.join(subscriber, {symbol: symbol for symbol in self.symbols[:followed]}, None)
        return tasks

    async def publish(self, number: int) -> None:
        """All of it."""
        info = RunInfo(f"run-{number}", _AS_OF_MS, _AS_OF_MS + number, len(self.symbols), 1, 1)
        await self.store.publish_run(rows(self.symbols, number), info)

    async def read_feed(self) -> None:
        """To its end."""
        self.store.quiet = False
        while not self.store.quiet:
            await self.parts.feed.step()

    async def timed(self, name: str, work: Callable[[], Awaitable[None]]) -> float:
        """The longest turn's CPU time while ``work`` and all that follows from it goes on; told to people."""
        await asyncio.sleep(0.2)
        # The publication was made in this process: its garbage is none of a server's.
        gc.collect()
        self.selector.reset()
        began = time.perf_counter()
        await work()
        # The last read waited for something to come.
        applied_s = -self.parts.constants.feed_wait_ms / 1000.0 + time.perf_counter() - began
        await self.parts.tiers.close()
        await asyncio.sleep(0.5)
        seen = self.selector
        print(
            f"{name}: applied after {applied_s * 1000:.0f} ms; longest of {seen.turns} turns: {seen.longest_cpu_s * 1000:.1f} ms"
            f" of CPU time, {seen.longest_s * 1000:.1f} ms by the clock"
        )
        return seen.longest_cpu_s


async def measure(store: Store, count: int, followed: int, selector: TimedSelector) -> float:
    """The longest turn of all, in seconds of CPU time."""
    worker = TimedWorker(store, count, selector)
    # As a worker does.
    gc.collect()
    gc.freeze()
    tasks = await worker.begin(followed)
    await worker.publish(2)
    changed_s = await worker.timed(f"{store.kind}, {count:,} symbols published", worker.read_feed)
    worker.store.loses = True
    lost_s = await worker.timed(f"{store.kind}, {count:,} symbols in memory, entries lost", worker.read_feed)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await worker.parts.tiers.close()
    # What was written goes again, but for the run's info and the last changes.
    await store.publish_run([], RunInfo("run-3", _AS_OF_MS, _AS_OF_MS, 0, 1, 1), prune=True)
    await store.close()
    return max(changed_s, lost_s)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.turns", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--redis-url", default="", help="a Redis that may be written to (default: SQLite in a folder of its own)")
    parser.add_argument("--symbols", type=int, default=100_000, help="so many are published (default 100,000)")
    parser.add_argument("--followed", type=int, default=1000, help="so many of them a stream follows (default 1,000)")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.sqlite3"
        store = open_store(redis_url=arguments.redis_url, store_path=path, key_prefix="decide:bench-turns", read_timeout_s=60)
        selector = TimedSelector()
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
            longest_s = runner.run(measure(store, arguments.symbols, arguments.followed, selector))
    return _FAILED if longest_s > _LIMIT_S else 0


if __name__ == "__main__":
    sys.exit(main())
