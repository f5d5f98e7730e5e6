"""Read-through over both tiers.

A hit in L1 is a plain function call (`Tiers.hit`). A miss joins the load that is already under way for its symbol, or starts
one; all loads started in one turn of the event loop become one read of L2 (`_flush`). A caller waits for its load at most its
budget; the load itself is never cancelled, because a cancelled command leaves its reply on a shared connection for the next
caller to read. When L2 does not answer in time or fails, the caller gets what L1 still has, marked stale, or nothing, with
the reason.

The epoch fence: the change feed marks loads under way for changed symbols (`invalidate`). What a marked load brings is given
to those who wait for it and is not kept, since it may have been read before the change; but an entry from before that load is not
fallen back on after it, or callers would be led back behind what they were shown. What is taken back (`withdraw`) is given to
nobody, nor fallen back on.

A breaker keeps callers from waiting for an L2 that does not answer (`app.breaker`). An entry that is hit late in its life
is loaded anew before it expires (`hit`), and after a change the hottest entries are loaded anew before they are asked for
(`prefetch`): neither makes anybody wait.
"""

import asyncio
import math
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Literal, Protocol

from app.breaker import Breaker
from app.cache.loads import Begun, Load, Lookup, Read
from app.cache.memory import Entry, Memory
from app.cache.unforeseen import report
from app.domain.evidence import Evidence, Trouble
from app.domain.records import KINDS, Kinds
from app.errors import RecordError, StoreEmpty, StoreError, Told, tell_nobody
from app.slices import in_slices
from app.store.codec import decode, decoded
from app.store.protocol import Record, Store, Stored
from app.waiting import wait_for_all

READ_AT_ONCE = 256
"""Symbols in one read of L2: enough to share a round trip."""
_DECODED_AT_ONCE = 131_072
"""Bytes of records that are decoded in one turn of the loop: about 1 ms."""


class TierMeters(Protocol):
    """What the tiers report; `app.observe.meters` counts it."""

    def cache_get(self, tier: Literal["l1", "l2"], result: str, count: int = 1) -> None:
        """One symbol was asked of a tier: hit, miss, stale, negative or error."""
        ...

    def store_read(self, seconds: float, symbols: int, *, failed: bool) -> None:
        """One read of L2 ended."""
        ...

    def record_fault(self, reason: str) -> None:
        """A stored record could not be used."""
        ...


_UNKNOWN_IN_L1 = Lookup(evidence=None, tier="l1", proven=True, age_s=0.0)
_UNKNOWN_IN_L2 = Lookup(evidence=None, tier="l2", proven=True, age_s=0.0)
_UNREAD = Lookup(evidence=None, tier="none", proven=False, age_s=0.0, trouble="l2_error")
_EMPTY = Lookup(evidence=None, tier="none", proven=False, age_s=0.0, trouble="l2_empty")


class Tiers:
    """L1 in front of L2. Belongs to one event loop."""

    def __init__(
        self,
        memory: Memory,
        store: Store,
        meters: TierMeters,
        clock: Callable[[], float],
        breaker: Breaker,
        *,
        max_pending: int,
        slow_s: float,
        kinds: Kinds = KINDS,
        on_read: Callable[[Evidence], None] = lambda _: None,
        tell: Told = tell_nobody,
    ) -> None:
        self.memory, self.tell = memory, tell
        self.kinds = kinds
        self.breaker = breaker
        self._slow_s = slow_s
        self.store = store
        self._meters = meters
        self.record_fault = meters.record_fault
        self._clock = clock
        self._max_pending, self._on_read = max_pending, on_read
        self._loads: dict[str, Load] = {}
        # Also those that are here and not yet given to all who wait for them.
        self._alive: weakref.WeakSet[Load] = weakref.WeakSet()
        self._running = 0
        self._queue: list[Load] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> int:
        """Symbols on their way from L2."""
        return self._running

    def hit(self, symbol: str, now: float) -> Entry | None:
        """The fresh L1 entry, or None. Awaits nothing."""
        entry = self.memory.fresh(symbol, now)
        if entry is not None and entry.refresh_at <= now:
            self._refresh(symbol, entry)
        return entry

    async def fetch(self, symbol: str, budget_s: float) -> Lookup:
        """Read a symbol that `hit` did not find, waiting at most ``budget_s`` for L2."""
        return (await self.fetch_many((symbol,), budget_s))[0]

    async def fetch_many(self, symbols: Sequence[str], budget_s: float) -> list[Lookup]:
        """Answers in the order of ``symbols``; one read for all that L1 does not have."""
        return await self.finish_many(self.begin_many(symbols), budget_s)

    def begin_many(self, symbols: Sequence[str]) -> list[Begun]:
        """The part of `fetch_many` that takes time of its own: what L1 has, and loads of what it does not have."""
        now, told = self._clock(), self.memory.told
        return [Begun(symbol, self._begin(symbol, now), told) for symbol in symbols]

    async def finish_many(self, begun: Sequence[Begun], budget_s: float) -> list[Lookup]:
        """The part of `fetch_many` that waits: answers in the order of ``begun``."""
        loads = {found for _, found, _ in begun if isinstance(found, Load) and found.found is None}
        if loads:
            await wait_for_all([load.waiting for load in loads], budget_s)
        return [
            self._finish(found) if isinstance(found, Load) else self._known(symbol, found, told) for symbol, found, told in begun
        ]

    def held(self, symbol: str) -> Lookup | None:
        """What L1 has of ``symbol``, for want of a read of L2: a stale entry has trouble ``l2_overloaded``. None if nothing."""
        found = self._in_l1(symbol, self._clock()) or self._degrade(symbol, "l2_overloaded")
        return None if found.tier == "none" else found

    def invalidate(self, symbols: Iterable[str]) -> None:
        """Their records changed: L1 entries turn stale, loads under way are fenced off."""
        symbols = tuple(symbols)
        self.memory.expire(symbols)
        for symbol in symbols:
            load = self._loads.pop(symbol, None)
            if load is not None:
                load.moved = True

    def withdraw(self, symbols: Iterable[str]) -> None:
        """Their records were taken back: L1 forgets them, and what loads bring that began before is neither kept nor given."""
        taken = frozenset(symbols)
        self.memory.withdraw(taken)
        for symbol in taken:
            self._loads.pop(symbol, None)
        for load in [each for each in self._alive if each.symbol in taken]:
            load.moved = load.withdrawn = True

    def apply(self, values: Iterable[Record]) -> None:
        """These changed, and are here: L1 has them without a read of L2. What is taken back, or cannot be used, is as for
        `withdraw` and `invalidate`. About 3 µs each.
        """
        for kind_name, symbol, value in values:
            place, load = self.kinds.places.get(kind_name), self._loads.get(symbol)
            if place is None or (load is None and not self.memory.holds(symbol) and value):
                continue
            if not value:
                self.withdraw((symbol,))
                continue
            try:
                record = decode(self.kinds.cached[place], value, symbol)
            except RecordError as error:
                self._meters.record_fault(error.reason)
                self.invalidate((symbol,))
                continue
            self.memory.apply(symbol, place, record, decides=place < len(self.kinds.inputs))
            if load is not None:
                load.values = {**load.values, place: record}

    def invalidate_all(self) -> None:
        """Anything may have changed."""
        self.memory.expire_all()
        for load in self._loads.values():
            load.moved = True
        self._loads.clear()

    async def prefetch(self, symbols: Sequence[str] | None = None) -> None:
        """Load the hottest of ``symbols`` (of all, if none are given) that L1 holds, in one read, before they are asked for. It
        looks for them in slices, begins the loads in a turn of their own, and does not wait for the read.
        """
        hottest: list[str] = []
        async for some in self._held_slices() if symbols is None else in_slices(symbols):
            hottest = self.memory.hottest(READ_AT_ONCE, dict.fromkeys((*hottest, *some)))
        await asyncio.sleep(0)
        for symbol in hottest:
            if symbol not in self._loads and not self._load_soon(symbol):
                return

    async def _held_slices(self) -> AsyncIterator[tuple[str, ...]]:
        """What L1 holds. If that changes meanwhile, one may be left out or come twice."""
        async for numbers in in_slices(range(len(self.memory))):
            yield self.memory.symbols(numbers[0], len(numbers))

    async def close(self) -> None:
        """Wait for the reads under way."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _in_l1(self, symbol: str, now: float) -> Lookup | None:
        """What L1 knows for certain."""
        found = self._proven(symbol, now)
        self._meters.cache_get("l1", "miss" if found is None else "negative" if found.evidence is None else "hit")
        return found

    def _proven(self, symbol: str, now: float) -> Lookup | None:
        entry = self.memory.fresh(symbol, now)
        if entry is not None:
            if entry.refresh_at <= now:
                self._refresh(symbol, entry)
            return Lookup(entry.evidence, "l1", proven=True, age_s=now - entry.loaded_at)
        return _UNKNOWN_IN_L1 if self.memory.is_unknown(symbol, now) else None

    def _begin(self, symbol: str, now: float) -> Lookup | Load:
        known = self._in_l1(symbol, now)
        if known is not None:
            return known
        load = self._loads.get(symbol)
        if load is not None:
            # One that others waited for in vain is not waited for again.
            return self._degrade(symbol, "l2_timeout") if load.read.given_up else load
        if self._running >= self._max_pending:
            return self._degrade(symbol, "l2_overloaded")
        return self._load_soon(symbol) or self._degrade(symbol, "l2_open")

    def _load_soon(self, symbol: str) -> Load | None:
        """A load of its own for ``symbol``, with the others of this turn of the loop; None if L2 is to be left alone."""
        if self._running >= self._max_pending or not self.breaker.allows():
            return None
        load = Load(symbol, self._clock(), self.memory.sequence)
        self._loads[symbol] = load
        self._alive.add(load)
        self._running += 1
        if not self._queue:
            asyncio.get_running_loop().call_soon(self._flush)
        self._queue.append(load)
        return load

    def _refresh(self, symbol: str, entry: Entry) -> None:
        """Load a hot entry anew before it expires; whoever comes meanwhile is still served by it."""
        # Once is enough: a load that fails is made up for by the miss that follows.
        entry.refresh_at = math.inf
        if symbol not in self._loads:
            self._load_soon(symbol)

    def _known(self, symbol: str, found: Lookup, told: int) -> Lookup:
        """What L1 knew when it was asked, unless it knows better, or less, now that others of the request were waited for."""
        now = self._clock()
        known = self._proven(symbol, now)
        if known is not None:
            return known
        if found.proven and self.memory.told == told and self.memory.proven_until > now:
            # Pushed out meanwhile, or over: it was true when it was asked for, and the feed has told nothing since.
            return found
        return self._degrade(symbol, found.trouble or "l2_timeout", 0)

    def _finish(self, load: Load) -> Lookup:
        found = load.found
        if found is None:
            if not load.read.given_up and self._clock() - load.started >= self._slow_s:
                # A read that hangs fails only when its connection does; nobody shall wait for the next ones until then. All
                # that wait for it are one failure.
                load.read.given_up = True
                self.breaker.failed()
                self.tell(StoreError("l2_timeout", f"no answer within {self._slow_s:g} s"))
            return self._degrade(load.symbol, "l2_timeout")
        if found.trouble is not None:
            return self._degrade(load.symbol, found.trouble)
        if found.evidence is None:
            return found
        if load.withdrawn:
            return self._degrade(load.symbol, "l2_timeout")  # It may have been read before that.
        # Fenced off, or held up by others of its batch: what came meanwhile has been shown to others already.
        return found._replace(evidence=self.memory.not_behind(load.symbol, found.evidence, load.since))

    def _degrade(self, symbol: str, trouble: Trouble, count: int = 1) -> Lookup:
        now = self._clock()
        entry = self.memory.stale(symbol, now)
        if entry is None:
            return Lookup(self.kinds.unread(trouble), "none", proven=False, age_s=0.0, trouble=trouble)
        self._meters.cache_get("l1", "stale", count)
        return Lookup(entry.evidence, "l1", proven=False, age_s=now - entry.loaded_at, trouble=trouble)

    def _flush(self) -> None:
        queued, self._queue = self._queue, []
        for first in range(0, len(queued), READ_AT_ONCE):
            loads, read = queued[first : first + READ_AT_ONCE], Read()
            for load in loads:
                load.read = read
            task = asyncio.get_running_loop().create_task(self._load(loads))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _load(self, loads: list[Load]) -> None:
        started = self._clock()
        stored: list[Stored] | None = None
        unread = _UNREAD
        try:
            answers = await self.store.get_many([load.symbol for load in loads])
            if len(answers) != len(loads):
                raise ValueError(f"L2 gave {len(answers)} answers for {len(loads)} symbols")
            stored = answers
            self.tell(None)
        except StoreError as error:
            self.tell(error)
            unread = _EMPTY if isinstance(error, StoreEmpty) else _UNREAD
        except Exception as error:  # noqa: BLE001 - a fault of ours must not leave callers waiting; it is reported, not hidden
            report("a load from L2 failed unforeseen", error)
        finally:
            # Also when the read was cancelled, as at the end of the process: nobody may wait for a load that is gone.
            self._meters.store_read(self._clock() - started, len(loads), failed=stored is None)
            self._running -= len(loads)
            if stored is None and unread is _UNREAD:
                if not loads[0].read.given_up:
                    self.breaker.failed()
            else:
                self.breaker.succeeded()
            if stored is None:
                self._meters.cache_get("l2", "error", len(loads))
                for load in loads:
                    self._end(load, unread)
        if stored is not None:
            await self._give(loads, stored)

    async def _give(self, loads: list[Load], stored: list[Stored]) -> None:
        """Decode what came and give it to those who wait, and others their turn in between: records may be large."""
        pairs = zip(loads, stored, strict=True)
        decoded_bytes = 0
        try:
            for load, found in pairs:
                self._end(load, self._kept(load, found))
                decoded_bytes += sum(map(len, found.records.values()))
                if decoded_bytes >= _DECODED_AT_ONCE:
                    decoded_bytes = 0
                    await asyncio.sleep(0)
        finally:
            # As above.
            for load, found in pairs:
                self._end(load, self._kept(load, found))

    def _end(self, load: Load, found: Lookup) -> None:
        if self._loads.get(load.symbol) is load:
            del self._loads[load.symbol]
        load.end(found)

    def _kept(self, load: Load, stored: Stored) -> Lookup:
        try:
            return self._keep(load, stored)
        except Exception as error:  # noqa: BLE001 - as in _load: one record must not stop the others
            report("a load from L2 failed unforeseen", error)
            return _UNREAD

    def _keep(self, load: Load, stored: Stored) -> Lookup:
        if not stored.known:
            self._meters.cache_get("l2", "miss")
            if not load.moved:
                self.memory.put_unknown(load.symbol)
            return _UNKNOWN_IN_L2
        self._meters.cache_get("l2", "hit")
        evidence = decoded(self.kinds, load.symbol, stored, self._meters.record_fault)
        if load.values:
            evidence = load.with_values(evidence)
        if load.moved:
            self.memory.supersede(load.symbol, evidence, load.since)
        else:
            self._on_read(evidence)
            evidence = self.memory.put(load.symbol, evidence, load.since).evidence
        return Lookup(evidence, "l2", proven=True, age_s=0.0)
