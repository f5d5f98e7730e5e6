"""The change feed: tells this worker's L1 what was published, by whomever.

One task a worker tails the store's changes from the last id it saw. A change turns the L1 entries of its symbols stale and
fences off loads under way; of symbols whose records were taken back L1 forgets everything. Where the feed says that entries are
gone (trimmed, flushed), everything in L1 turns stale, and what is loaded from then on is compared with none of it. It never
gives up: while the store does not answer it tries again, ever more slowly, up to `_LONGEST_PAUSE_S`; after a fault that nobody
foresaw it starts over from the newest entry with all of L1 stale. Whoever else must know of changes hears of them when L1 has
(`on_changes`).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from app.cache.globals import Globals
from app.cache.read_through import Tiers
from app.errors import RunDamaged, StoreError, Told, tell_nobody
from app.slices import SLICE, in_slices
from app.store.protocol import Changes, RunInfo, Store

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_WITHDRAWN_AT_ONCE = SLICE // 2
"""What L1 forgets is freed, and takes twice the time."""
_VALUES_AT_ONCE = SLICE // 10
"""A value takes some 10 µs, with all who must know of it."""


class FeedMeters(Protocol):
    """What the feed reports."""

    def feed_applied(self, symbols: int, *, lost: bool, delay_s: float | None) -> None:
        """A batch of changes was applied to L1, ``delay_s`` after the oldest of it was published."""
        ...

    def feed_failed(self) -> None:
        """A read of the feed failed."""
        ...

    def run_seen(self, info: RunInfo) -> None:
        """The store holds this run."""
        ...


class Feed:
    """Keeps `Tiers` coherent with the store and knows which run the store holds."""

    def __init__(
        self,
        store: Store,
        tiers: Tiers,
        meters: FeedMeters,
        *,
        wait_s: float,
        rng: random.Random,
        lease_s: float,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_run: Callable[[RunInfo], None] = lambda _: None,
        on_changes: Callable[[Changes], None] = lambda _: None,
        tell: Told = tell_nobody,
    ) -> None:
        self._tell = tell
        self._store = store
        self._tiers = tiers
        self._meters = meters
        self._wait_s = wait_s
        self._rng = rng
        self._clock = clock
        self._sleep = sleep
        self._on_run = on_run
        self._on_changes = on_changes
        self._position: str | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._run_is_due = False
        self.globals = Globals(tiers.kinds, store, tiers.record_fault)
        self._now_ms = now_ms
        self._lease_s = lease_s
        self._proved(clock())
        self.run_info: RunInfo | None = None
        self.run_fault: str | None = None
        self.connected = False

    @property
    def published(self) -> bool:
        """Whether the store holds a run, or held one; also where ``run_fault`` says why nothing is known of it."""
        return self.run_info is not None or self.run_fault is not None

    def lag_s(self) -> float:
        """Time since the feed was last read to its end (or since the start): the most by which L1 can be behind L2."""
        return self._clock() - self._read_at

    async def run(self) -> None:
        """Tail for ever; ends by cancellation."""
        while True:
            try:
                worked = await self.step()
            except Exception as error:  # noqa: BLE001 - the feed must outlive what nobody foresaw; it is reported, not hidden
                self._start_over(error)
                worked = False
            if not worked:
                await self._sleep(self._pause_s * self._rng.uniform(0.5, 1.0))
                self._pause_s = min(_LONGEST_PAUSE_S, 2 * self._pause_s)

    def _start_over(self, error: Exception) -> None:
        """Forget the position: what could not be applied must not be met again, and what it said is lost."""
        asyncio.get_running_loop().call_exception_handler({"message": "the change feed failed unforeseen", "exception": error})
        self._tiers.invalidate_all()
        self.globals.lost()
        self._position = None
        self.connected = False
        self._meters.feed_failed()

    async def step(self) -> bool:
        """One read of the feed, applied. False if the store did not answer."""
        started = self._clock()
        try:
            if self._position is None:
                position = await self._store.feed_position()
                # Whatever L1 read before this position was known may have changed in between.
                self._tiers.invalidate_all()
                self._position = position
                self._on_changes(Changes(last_id=position, symbols=(), lost=True))
                self._proved(started)
                self._run_is_due = True
            else:
                changes = await self._apply(self._position)
                if changes.more:
                    # What has not been read yet may name any symbol, so nothing is proven; the next read follows at once.
                    return self._heard()
                # If something came at once, what there was when the read began has been seen, but perhaps not what came since.
                self._proved(started if changes.lost or changes.symbols or changes.values else self._clock())
            if self.globals.is_due:
                await self.globals.read()
            if self._run_is_due:
                await self._look_at_run()
        except StoreError as error:
            self._tell(error)
            self.connected = False
            self._meters.feed_failed()
            return False
        return self._heard()

    def _heard(self) -> bool:
        """The store has answered."""
        self._tell(None)
        self.connected = True
        self._pause_s = _FIRST_PAUSE_S
        return True

    def _proved(self, read_at: float) -> None:
        """What L1 holds was what L2 holds at ``read_at``, but for what has been applied since."""
        self._read_at = read_at
        self._tiers.memory.proven_until = read_at + self._lease_s

    async def _apply(self, position: str) -> Changes:
        """What there was."""
        # A look at the run that failed is made up for at once, but after the changes: they matter more.
        changes = await self._store.changes(position, 0.0 if self._run_is_due or self.globals.is_due else self._wait_s)
        # Over this connection L2 has answered: whoever waits out a pause over another need not.
        self._tiers.breaker.heard()
        self.globals.named(changes.symbols)
        if changes.lost:
            self.globals.lost()
            self._tiers.invalidate_all()
            async for some in in_slices(changes.withdrawn, _WITHDRAWN_AT_ONCE):
                self._tiers.withdraw(some)
            self._on_changes(changes)
            await self._tiers.prefetch()
        elif changes.symbols or changes.values:
            # What is named is read again in any case, so that it does not matter which of the two came first.
            await self._take_values(changes)
            if changes.symbols:
                await self._invalidate(changes)
                await self._tiers.prefetch(changes.symbols)
        self._position = changes.last_id
        if not (changes.lost or changes.symbols or changes.values):
            return changes
        delay_s = None if changes.published_ms is None else max(0.0, (self._now_ms() - changes.published_ms) / 1000.0)
        self._meters.feed_applied(len(changes.symbols) + len(changes.values), lost=changes.lost, delay_s=delay_s)
        # No upsert changes a run.
        self._run_is_due |= changes.lost or bool(changes.symbols)
        return changes

    async def _take_values(self, changes: Changes) -> None:
        """In slices, as `_invalidate`."""
        left = len(changes.values)
        async for some in in_slices(changes.values, _VALUES_AT_ONCE):
            self._tiers.apply(some)
            self.globals.apply(some)
            left -= len(some)
            last_id = "" if left or changes.symbols else changes.last_id
            # Whoever follows decisions is told of what they rest on.
            symbols = tuple(dict.fromkeys(each.key for each in some if self._tiers.kinds.by_name[each.kind].is_input))
            self._on_changes(changes._replace(last_id=last_id, symbols=symbols, withdrawn=(), values=some))

    async def _invalidate(self, changes: Changes) -> None:
        """In slices: whoever is told of them learns with the last one how far they reach, and the lease is not renewed before."""
        withdrawn: set[str] = set()
        async for some in in_slices(changes.withdrawn):
            withdrawn.update(some)
        left = len(changes.symbols)
        async for some in in_slices(changes.symbols, _WITHDRAWN_AT_ONCE if withdrawn else SLICE):
            taken = tuple(withdrawn.intersection(some))
            self._tiers.withdraw(taken)
            self._tiers.invalidate(some)
            left -= len(some)
            last_id = "" if left else changes.last_id
            self._on_changes(changes._replace(last_id=last_id, symbols=some, withdrawn=taken, values=()))

    async def _look_at_run(self) -> None:
        try:
            info, self.run_fault = await self._store.run_info(), None
        except RunDamaged as damaged:
            # Only another publication mends that, and the feed will tell of it.
            info, self.run_fault = None, str(damaged)
        self._run_is_due = False
        if info is not None:
            self.run_info = info
            self._meters.run_seen(info)
            self._on_run(info)
