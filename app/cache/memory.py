"""L1: a bounded LRU of decoded evidence with deadlines, in the process's own memory.

An entry is *fresh* until its deadline, then *stale*: no longer an answer by itself, but good enough to fall back on while L2
cannot answer, until its second deadline. `expire_all` makes every entry stale at once by moving the generation on, which
costs the same for one entry and for a million. Entries count as fresh only until `Memory.proven_until`, which the change feed
moves on while it hears from L2 (a lease): if it hears nothing, all of L1 is stale, in constant time too. Unknown symbols are
remembered apart, briefly and in a bounded table, so that a scan over made-up symbols cannot push real ones out.

*Never backwards* is about reads that overlap: they may end in another order than that in which L2 was read, and then of each
record the newer one counts. A read that began when another was here is the later truth, whatever it brings: records may have been
taken back.
"""

import heapq
import itertools
import math
import random
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from cachetools import LRUCache

from app.domain.evidence import Evidence, Trouble

_OVER = -1
"""The generation of what was read before a loss and comes after it."""
UNUSABLE: frozenset[Trouble | None] = frozenset({"corrupt", "schema_mismatch"})
"""Troubles of a record that L2 holds and this server cannot use."""


class Entry(msgspec.Struct, gc=False):
    """One symbol's evidence and its deadlines, in seconds of the injected monotonic clock.

    ``prepared`` is for whoever makes something of the evidence that shall last as long as it does; the cache tells it when a
    record has come by itself (`outdate`), and else leaves it alone.
    An entry and all that hangs on it is out of the garbage collector's sight, which would else stop the server to look at each of
    them: nothing here refers back to its holder.
    """

    evidence: Evidence
    loaded_at: float
    refresh_at: float
    fresh_until: float
    stale_until: float
    generation: int
    hits: int
    run: str | None
    sequence: int
    prepared: Any = None


class CountingLRU(LRUCache[str, Entry]):
    """cachetools' LRU, counting what it pushes out."""

    def __init__(self, max_entries: int) -> None:
        super().__init__(max_entries)
        self.evictions = 0

    def popitem(self) -> tuple[str, Entry]:
        """Remove the least recently used entry; cachetools calls this when it is full."""
        self.evictions += 1
        return super().popitem()

    def peek(self, symbol: str) -> Entry:
        """The entry (KeyError without one), looked at without counting as a use: else a bulk change would reorder the LRU."""
        return super(LRUCache, self).__getitem__(symbol)


class Memory:
    """L1. All methods are synchronous and take constant time but `expire` and `hottest`, which are linear in what they are given,
    and `symbols`.
    """

    def __init__(
        self,
        *,
        max_entries: int,
        ttl_s: float,
        ttl_jitter: float,
        stale_s: float,
        negative_max_entries: int,
        negative_ttl_s: float,
        clock: Callable[[], float],
        rng: random.Random,
        refresh_share: float = 1.0,
    ) -> None:
        self._refresh_share = refresh_share
        self.proven_until = math.inf
        self._entries = CountingLRU(max_entries)
        self._unknown: LRUCache[str, tuple[float, int]] = LRUCache(negative_max_entries)
        self._ttl_s = ttl_s
        self._ttl_jitter = ttl_jitter
        self._stale_s = stale_s
        self._negative_ttl_s = negative_ttl_s
        self._clock = clock
        self._rng = rng
        self._generation = 0
        self._lost_at = 0
        self.sequence = 0
        """Counts what is put and what is lost: what a load that began at some count has to be compared with came after it."""
        self.told = 0
        """Counts changes, withdrawals and losses, however many symbols each is about."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def max_entries(self) -> int:
        """Upper bound of ``len(self)``."""
        return int(self._entries.maxsize)

    @property
    def evictions(self) -> int:
        """Entries pushed out by newer ones since the start."""
        return self._entries.evictions

    @property
    def unknown_entries(self) -> int:
        """Symbols remembered as unknown, expired ones among them."""
        return len(self._unknown)

    def fresh(self, symbol: str, now: float) -> Entry | None:
        """The entry if it is fresh at ``now``. The hot path: indexing costs a seventh of ``.get`` on this cache."""
        try:
            entry = self._entries[symbol]
        except KeyError:
            return None
        if entry.fresh_until > now and entry.generation == self._generation and self.proven_until > now:
            entry.hits += 1
            return entry
        return None

    def stale(self, symbol: str, now: float) -> Entry | None:
        """The entry if it may still be fallen back on at ``now``, fresh or not."""
        try:
            entry = self._entries[symbol]
        except KeyError:
            return None
        return entry if entry.stale_until > now else None

    def put(self, symbol: str, evidence: Evidence, since: int | None = None) -> Entry:
        """Remember ``evidence``, whose load began at ``since`` of `sequence` (now, if that is not given).

        It counts, however old it is, if the remembered entry was there by then: L2 was read later. If that came meanwhile, nobody
        knows which was read later, and of each record the newer one stays. One that cannot be used leaves the remembered one for
        as long as that may be fallen back on. Neither holds across a loss.
        """
        since = self.sequence if since is None else since
        generation = self._generation if since >= self._lost_at else _OVER
        hits = 0
        now = self._clock()
        held_until = math.inf
        try:
            before = self._entries[symbol]
        except KeyError:
            pass
        else:
            if self._is_over(before) == (generation == _OVER):
                if before.sequence > since:
                    evidence = newest(evidence, before.evidence)
                if before.stale_until > now:
                    kept = usable(evidence, before.evidence)
                    if kept is not evidence:
                        evidence, held_until = kept, before.stale_until
            # What was hot is likely to be so again, but not for ever.
            hits = before.hits // 2
        lifetime = self._ttl_s * (1.0 - self._ttl_jitter * self._rng.random())
        refresh_at = now + self._refresh_share * lifetime
        fresh_until = now + lifetime
        stale_until = fresh_until + self._stale_s
        if held_until < stale_until:
            # Reading the same fault again and again must not make what it replaced last for ever.
            stale_until = held_until
            fresh_until = min(fresh_until, held_until)
        self.sequence += 1
        entry = Entry(evidence, now, refresh_at, fresh_until, stale_until, generation, hits, evidence.run, self.sequence)
        self._entries[symbol] = entry
        self._unknown.pop(symbol, None)
        return entry

    def supersede(self, symbol: str, evidence: Evidence, since: int) -> None:
        """``evidence``, whose load began at ``since``, has been shown and may be out of date: if there is an entry from before
        that, it is the newer of the two to fall back on. It is never fresh, and takes no other entry's place.
        """
        try:
            before = self._entries.peek(symbol)
        except KeyError:
            return
        if before.sequence <= since:
            self.put(symbol, evidence, since).fresh_until = 0.0

    def not_behind(self, symbol: str, evidence: Evidence, since: int) -> Evidence:
        """``evidence``, whose load began at ``since``, but for a record of it that is older than one that was remembered
        meanwhile: it was read before that one was, and is only now given to whoever asked. What began after a loss, and is here,
        was read later than what began before it.
        """
        try:
            held = self._entries.peek(symbol)
        except KeyError:
            return evidence
        if held.evidence is evidence:
            return evidence
        is_over = since < self._lost_at
        if held.sequence <= since or (self._is_over(held) and not is_over):
            return evidence
        return newest(evidence, held.evidence) if self._is_over(held) == is_over else held.evidence

    def _is_over(self, entry: Entry) -> bool:
        """Whether it was read before the last loss."""
        return entry.generation != self._generation

    def holds(self, symbol: str) -> bool:
        """Whether there is evidence of it, fresh or not."""
        return symbol in self._entries

    def apply(self, symbol: str, place: int, record: Any, *, decides: bool = True) -> None:  # noqa: ANN401 - of that place's kind
        """This record has come by itself; it counts unless the one that is held is newer. The entry lasts as long as before, and
        what was prepared of it only as long as no record has come that ``decides``.
        """
        try:
            entry = self._entries.peek(symbol)
        except KeyError:
            return
        held = entry.evidence.records[place]
        if held is None or order_of(held) <= order_of(record):
            entry.evidence = entry.evidence.having(place, record)
            if decides and entry.prepared is not None:
                entry.prepared.outdate()
            self.sequence += 1
            entry.sequence = self.sequence

    def put_unknown(self, symbol: str) -> None:
        """Remember that L2 does not know ``symbol``."""
        self._entries.pop(symbol, None)
        if self._negative_ttl_s > 0:
            self._unknown[symbol] = self._clock() + self._negative_ttl_s, self._generation

    def is_unknown(self, symbol: str, now: float) -> bool:
        """Whether L2 said, not long ago, that it does not know ``symbol``, and the feed would have told if that had changed."""
        found = self._unknown.get(symbol)
        if found is None or self.proven_until <= now:
            return False
        until, generation = found
        if until <= now or generation != self._generation:
            del self._unknown[symbol]
            return False
        return True

    def expire(self, symbols: Iterable[str]) -> None:
        """Make these entries stale and forget that they were unknown: their records have changed."""
        self.told += 1
        for symbol in symbols:
            self._unknown.pop(symbol, None)
            try:
                entry = self._entries.peek(symbol)
            except KeyError:
                continue
            entry.fresh_until = 0.0

    def withdraw(self, symbols: Iterable[str]) -> None:
        """Forget all that is known of these: their records were taken back."""
        self.told += 1
        for symbol in symbols:
            self._unknown.pop(symbol, None)
            if symbol in self._entries:
                del self._entries[symbol]

    def symbols(self, first: int, count: int) -> tuple[str, ...]:
        """So many of those that L1 has evidence of, stale or not, after the ``first`` ones."""
        return tuple(itertools.islice(self._entries, first, first + count))

    def evidence(self, most: int) -> list[Evidence]:
        """What L1 has of ``most`` symbols, stale or not."""
        return [self._entries.peek(symbol).evidence for symbol in self.symbols(0, most)]

    def hottest(self, most: int, among: Iterable[str]) -> list[str]:
        """Those ``among`` the symbols in L1 that were hit most, at most ``most`` of them."""
        peek = self._entries.peek
        held = [symbol for symbol in among if symbol in self._entries]
        return heapq.nlargest(most, held, key=lambda symbol: peek(symbol).hits)

    def expire_all(self) -> None:
        """Make every entry stale, in constant time; none of them makes up for what is loaded from now on."""
        self._generation += 1
        self.told += 1
        self.sequence += 1
        self._lost_at = self.sequence


def order_of(record: Any) -> tuple[int, int]:  # noqa: ANN401 - of whatever kind
    """By what records of one kind and key are older or newer."""
    return record.as_of_ms, getattr(record, "sequence", 0)


def newest(loaded: Evidence, remembered: Evidence) -> Evidence:
    """``loaded``, but for a record of it that is older than the remembered one, or for want of one that had come by itself: had
    that been taken back, it would not be remembered.
    """
    for place, (new, held) in enumerate(zip(loaded.records, remembered.records, strict=True)):
        if held is None:
            continue
        if (
            order_of(new) < order_of(held)
            if new is not None
            else hasattr(held, "sequence") and loaded.troubles[place] == "absent"
        ):
            loaded = loaded.having(place, held, loaded.troubles[place] if new is not None else remembered.troubles[place])
    return loaded


def usable(loaded: Evidence, remembered: Evidence) -> Evidence:
    """``loaded``, with the remembered record, and the trouble, in the place of one that is there but cannot be used."""
    if UNUSABLE.isdisjoint(loaded.troubles):
        return loaded
    for place, (new, held) in enumerate(zip(loaded.records, remembered.records, strict=True)):
        if new is None and held is not None and loaded.troubles[place] in UNUSABLE:
            loaded = loaded.having(place, held, loaded.troubles[place])
    return loaded
