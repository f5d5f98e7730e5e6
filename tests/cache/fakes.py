"""A store in memory whose answers can be held back or made to fail, and meters that only count."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence

from app.cache.breaker import Breaker
from app.cache.memory import Memory
from app.cache.read_through import Tiers
from app.errors import StoreError
from app.store.protocol import UNKNOWN, Changes, Published, Row, RunInfo, Store, Stored
from tests.kit.records import raw_of, row, stored


class FakeStore:
    """A `Store` of one dictionary. ``gate`` holds reads back while it is cleared; ``failure`` is raised by reads and feed."""

    kind = "fake"

    def __init__(self, *symbols: str) -> None:
        self.records: dict[str, Stored] = {}
        self.reads: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self.info: RunInfo | None = None
        self.position = "0"
        self.feed: list[Changes | Exception] = []
        self.asked_after: list[str] = []
        for symbol in symbols:
            self.put(row(symbol))

    def put(self, new: Row) -> None:
        """Store both records of a symbol."""
        self.records[new.symbol] = stored(raw_of(new, "price"), raw_of(new, "agents"))

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure

    async def get_many(self, symbols: Sequence[str]) -> list[Stored]:
        """Answers as of the call, given out once the gate is open."""
        self.reads.append(list(symbols))
        answers = [self.records.get(symbol, UNKNOWN) for symbol in symbols]
        await self.gate.wait()
        self._fail()
        return answers

    async def publish_run(self, rows: Sequence[Row], info: RunInfo, *, prune: bool = False) -> Published:
        """Not used by the tiers."""
        del prune
        for each in rows:
            self.put(each)
        self.info = info
        return Published(2 * len(rows), 0, 0, "1")

    async def record(self, kind: str, key: str) -> bytes | None:
        """Not asked by the tiers."""
        raise NotImplementedError

    async def run_info(self) -> RunInfo | None:
        """As it was set."""
        self._fail()
        return self.info

    async def symbols(self) -> list[str]:
        """All of them."""
        return sorted(self.records)

    async def feed_position(self) -> str:
        """As it was set."""
        self._fail()
        return self.position

    async def changes(self, after: str, wait_s: float) -> Changes:
        """The next of ``feed``; for ever nothing once they are used up."""
        del wait_s
        self.asked_after.append(after)
        self._fail()
        if not self.feed:
            await asyncio.sleep(3600)
        found = self.feed.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def changes_since(self, after: str) -> Changes:
        """Nobody but the feed asks here."""
        raise NotImplementedError

    async def ping(self) -> None:
        """Answers unless it is to fail."""
        self._fail()

    async def close(self) -> None:
        """Nothing to give back."""


class CountingMeters:
    """`TierMeters` and `FeedMeters` as one counter."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.runs: list[str] = []
        self.delays_s: list[float] = []

    def cache_get(self, tier: str, result: str, count: int = 1) -> None:
        """Counted by tier and result."""
        self.counts[f"{tier} {result}"] += count

    def store_read(self, seconds: float, symbols: int, *, failed: bool) -> None:
        """Counted with its symbols."""
        assert seconds >= 0
        self.counts["reads failed" if failed else "reads"] += 1
        self.counts["symbols read"] += symbols

    def record_fault(self, reason: str) -> None:
        """Counted by reason."""
        self.counts[f"fault {reason}"] += 1

    def feed_applied(self, symbols: int, *, lost: bool, delay_s: float | None) -> None:
        """Counted with its symbols; delays kept in order."""
        if delay_s is not None:
            self.delays_s.append(delay_s)
        self.counts["feed symbols"] += symbols
        self.counts["feed lost"] += lost

    def feed_failed(self) -> None:
        """Counted."""
        self.counts["feed failed"] += 1

    def run_seen(self, info: RunInfo) -> None:
        """Kept in order."""
        self.runs.append(info.run)


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Now."""
        return self.now


def make_breaker(clock: Callable[[], float], failures: int = 1000) -> Breaker:
    """One that stays closed unless a test says otherwise."""
    return Breaker(failures=failures, first_pause_s=1.0, longest_pause_s=8.0, clock=clock, rng=random.Random(1))


def make_tiers(
    store: Store,
    meters: CountingMeters,
    clock: Callable[[], float],
    *,
    max_entries: int = 1000,
    ttl_s: float = 60.0,
    stale_s: float = 60.0,
    refresh_share: float = 1.0,
    max_pending: int = 1000,
    failures: int = 1000,
) -> Tiers:
    """Tiers whose entries live exactly as long as they are told to."""
    memory = Memory(
        max_entries=max_entries,
        ttl_s=ttl_s,
        ttl_jitter=0.0,
        stale_s=stale_s,
        negative_max_entries=100,
        negative_ttl_s=5.0,
        clock=clock,
        rng=random.Random(1),
        refresh_share=refresh_share,
    )
    return Tiers(memory, store, meters, clock, make_breaker(clock, failures), max_pending=max_pending, slow_s=0.1)


BROKEN = StoreError("l2_error", "told to fail")
