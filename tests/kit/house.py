"""The cache of a worker over a store that a test controls."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from app.breaker import Breaker
from app.cache.feed import Feed
from app.cache.loads import Lookup
from app.cache.memory import Entry, Memory
from app.cache.read_through import Tiers
from app.domain.evidence import Evidence
from app.domain.records import KINDS, Kinds
from app.store.protocol import Changes, RunInfo, Store
from tests.kit.clock import Clock
from tests.kit.meters import CountingMeters
from tests.kit.settle import settle
from tests.kit.store import FakeStore

TTL_S = 60.0
"""How long an entry lives."""

NOW_MS = 1_000_500
"""The wall clock of the feed."""


def make_breaker(clock: Callable[[], float], failures: int = 1000, seed: int = 1) -> Breaker:
    """One that stays closed unless a test says otherwise."""
    return Breaker(failures=failures, first_pause_s=1.0, longest_pause_s=8.0, clock=clock, rng=random.Random(seed))


def make_tiers(
    store: Store,
    meters: CountingMeters,
    clock: Callable[[], float],
    *,
    max_entries: int = 5000,
    ttl_s: float = TTL_S,
    stale_s: float = 600.0,
    refresh_share: float = 1.0,
    max_pending: int = 10_000,
    failures: int = 1000,
    kinds: Kinds = KINDS,
    memory: Callable[..., Memory] = Memory,
) -> Tiers:
    """Tiers whose entries live exactly as long as they are told to."""
    made = memory(
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
    breaker = make_breaker(clock, failures)
    return Tiers(made, store, meters, clock, breaker, max_pending=max_pending, slow_s=0.1, kinds=kinds)


class House:
    """Tiers and their feed over a `FakeStore` of ``symbols``, or ``store``; ``over`` is another that they are over instead.
    ``options`` are those of `make_tiers`.

    ``heard`` and ``runs`` are what the feed has told, ``pauses_s`` how long it was to rest each time, ``unforeseen`` what nobody
    caught while it `run` s.
    """

    def __init__(
        self,
        *symbols: str,
        store: FakeStore | None = None,
        over: Store | None = None,
        wait_s: float = 0.0,
        lease_s: float = 1e9,
        **options: Any,  # noqa: ANN401 - as `make_tiers` has them
    ) -> None:
        self.clock, self.meters = Clock(), CountingMeters()
        self.store = FakeStore(*symbols) if store is None else store
        self.tiers = make_tiers(over or self.store, self.meters, self.clock, **options)
        self.heard: list[Changes] = []
        self.runs: list[str] = []
        self.pauses_s: list[float] = []
        self.unforeseen: list[BaseException] = []
        self.feed = Feed(
            over or self.store,
            self.tiers,
            self.meters,
            wait_s=wait_s,
            lease_s=lease_s,
            rng=random.Random(1),
            clock=self.clock,
            now_ms=lambda: NOW_MS,
            sleep=self._sleep,
            on_run=self.on_run,
            on_changes=self.on_changes,
        )

    async def _sleep(self, seconds: float) -> None:
        self.pauses_s.append(seconds)
        await asyncio.sleep(0)

    def on_run(self, info: RunInfo) -> None:
        """The feed tells of a run."""
        self.runs.append(info.run)

    def on_changes(self, changes: Changes) -> None:
        """The feed tells of changes."""
        self.heard.append(changes)

    def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """``work`` in a loop that notes what nobody catches; then reads under way end."""

        async def watched() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: self.unforeseen.append(context["exception"]))
            await work()
            self.store.release()
            await self.tiers.close()

        asyncio.run(watched())

    async def fetch(self, symbol: str = "A", budget_s: float = 30.0) -> Lookup:
        """What a caller gets."""
        return await self.tiers.fetch(symbol, budget_s)

    async def read(self, symbol: str = "A") -> Evidence:
        """The evidence that a caller gets; there must be some."""
        return evidence_in(await self.fetch(symbol))

    async def begin(self, *symbols: str) -> "asyncio.Task[list[Lookup]]":
        """A caller of these (of A), whose read has reached the store and is held up; later reads are not."""
        self.store.is_holding = True
        caller = asyncio.create_task(self.tiers.fetch_many(symbols or ("A",), 30.0))
        await settle()
        self.store.is_holding = False
        assert not caller.done()
        return caller

    async def hear(self, *changed: str, lost: bool = False, withdrawn: Sequence[str] = ()) -> bool:
        """The feed reads that these have changed; whether it could."""
        self.store.feed = [Changes("1", (*withdrawn, *changed), lost=lost, withdrawn=tuple(withdrawn))]
        return await self.feed.step()

    async def fill(self) -> None:
        """All of the store into L1."""
        await self.tiers.fetch_many(sorted(self.store.rows), 30.0)

    def hit(self, symbol: str = "A") -> Entry | None:
        """What L1 answers with."""
        return self.tiers.hit(symbol, self.clock())

    def fresh(self) -> list[str]:
        """Symbols of the store that L1 answers for."""
        return [symbol for symbol in sorted(self.store.rows) if self.hit(symbol) is not None]


def evidence_in(found: Lookup) -> Evidence:
    """The evidence that was found; there must be some."""
    assert found.evidence is not None
    return found.evidence


def run_in(found: Lookup) -> str | None:
    """Run of what was found."""
    return None if found.evidence is None else found.evidence.run


def shown(found: Lookup) -> tuple[str | None, str, bool]:
    """Run and tier of what was found, and whether it is fresh."""
    return run_in(found), found.tier, found.proven
