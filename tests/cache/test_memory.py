"""L1 against a plain model, and the bounds that it promises."""

import random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.cache.memory import Memory, newest
from app.domain.evidence import Evidence
from app.domain.records import KINDS
from tests.kit.clock import Clock
from tests.kit.records import AS_OF_MS, agent_record, evidence_of, price_record

_TTL_S = 10.0
_STALE_S = 20.0
_NEGATIVE_S = 3.0
_MAX = 4


def make_memory(clock: Clock, *, jitter: float = 0.0, max_entries: int = _MAX, negative_ttl_s: float = _NEGATIVE_S) -> Memory:
    """A small L1."""
    return Memory(
        max_entries=max_entries,
        ttl_s=_TTL_S,
        ttl_jitter=jitter,
        stale_s=_STALE_S,
        negative_max_entries=_MAX,
        negative_ttl_s=negative_ttl_s,
        clock=clock,
        rng=random.Random(3),
    )


def evidence(as_of_ms: int = AS_OF_MS, run: str = "run-1") -> Evidence:
    """Both records of one time."""
    return evidence_of(price_record(as_of_ms=as_of_ms, run=run), agent_record(as_of_ms=as_of_ms, run=run))


_symbols = st.sampled_from(["A", "B", "C", "D", "E", "F"])


class AgainstModel(RuleBasedStateMachine):
    """The model: a dict of (as_of, loaded_at, fresh), the order of use, a dict of unknown symbols, and those of which something
    was held when all expired, and nothing was put since.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.memory = make_memory(self.clock)
        self.entries: dict[str, tuple[int, float, bool]] = {}
        self.used: list[str] = []
        self.lost: set[str] = set()
        self.since = 0
        self.unknown: dict[str, float] = {}
        self.evictions = 0

    def _use(self, symbol: str) -> None:
        if symbol in self.used:
            self.used.remove(symbol)
        self.used.append(symbol)

    @rule(symbol=_symbols, as_of_ms=st.integers(AS_OF_MS, AS_OF_MS + 3), overlaps=st.booleans())
    def put(self, symbol: str, as_of_ms: int, *, overlaps: bool) -> None:
        """Never backwards behind what came while it was under way; the least recently used entry goes when it is full."""
        before = self.entries.get(symbol)
        if before is not None:
            as_of_ms_kept = max(as_of_ms, before[0]) if overlaps and symbol not in self.lost else as_of_ms
            self.lost.discard(symbol)
        else:
            as_of_ms_kept = as_of_ms
            if len(self.entries) == _MAX:
                self.entries.pop(self.used.pop(0))
                self.evictions += 1
            self.lost.discard(symbol)
        self.memory.put(symbol, evidence(as_of_ms), self.since if overlaps else None)
        self.entries[symbol] = (as_of_ms_kept, self.clock.now, True)
        self._use(symbol)
        self.unknown.pop(symbol, None)

    @rule(symbol=_symbols)
    def put_unknown(self, symbol: str) -> None:
        """A symbol is either in L1 or unknown, never both."""
        self.memory.put_unknown(symbol)
        if symbol in self.entries:
            del self.entries[symbol]
            self.used.remove(symbol)
        if symbol not in self.unknown and len(self.unknown) == _MAX:
            self.unknown.pop(next(iter(self.unknown)))
        self.unknown.pop(symbol, None)
        self.unknown[symbol] = self.clock.now + _NEGATIVE_S

    @rule(symbol=_symbols)
    def look(self, symbol: str) -> None:
        """Fresh until its lifetime ends or it was expired; stale for so long after; unknown briefly."""
        now = self.clock.now
        fresh, stale = self.memory.fresh(symbol, now), self.memory.stale(symbol, now)
        known = self.entries.get(symbol)
        if known is None:
            assert (fresh, stale) == (None, None)
        else:
            as_of_ms, loaded_at, valid = known
            assert (fresh is not None) == (valid and now < loaded_at + _TTL_S)
            assert (stale is not None) == (now < loaded_at + _TTL_S + _STALE_S)
            for entry in (fresh, stale):
                if entry is not None:
                    assert entry.evidence == evidence(as_of_ms)
                    assert (entry.loaded_at, entry.run) == (loaded_at, "run-1")
            self._use(symbol)

    @rule(symbol=_symbols)
    def look_unknown(self, symbol: str) -> None:
        """Asking whether a symbol is unknown counts as a use of that memory and drops it when it has run out."""
        until = self.unknown.get(symbol)
        assert self.memory.is_unknown(symbol, self.clock.now) == (until is not None and until > self.clock.now)
        if until is not None:
            del self.unknown[symbol]
            if until > self.clock.now:
                self.unknown[symbol] = until

    @rule(symbols=st.lists(_symbols, max_size=3))
    def expire(self, symbols: list[str]) -> None:
        """Stale at once, in their place of the order of use."""
        self.memory.expire(symbols)
        for symbol in symbols:
            self.unknown.pop(symbol, None)
            if symbol in self.entries:
                self.entries[symbol] = (*self.entries[symbol][:2], False)

    @rule()
    @precondition(lambda self: self.entries)
    def expire_all(self) -> None:
        """Everything stale, nothing unknown; what was so keeps its place until it is looked at, or others need it."""
        self.memory.expire_all()
        self.since = self.memory.sequence
        self.unknown = dict.fromkeys(self.unknown, 0.0)
        self.entries = {symbol: (as_of, loaded, False) for symbol, (as_of, loaded, _) in self.entries.items()}
        self.lost |= set(self.entries)

    @rule(symbols=st.lists(_symbols, max_size=3))
    def withdraw(self, symbols: list[str]) -> None:
        """Nothing is left of them."""
        self.memory.withdraw(symbols)
        for symbol in symbols:
            self.unknown.pop(symbol, None)
            if self.entries.pop(symbol, None) is not None:
                self.used.remove(symbol)

    @rule(seconds=st.sampled_from([0.5, 2.9, 3.0, 9.9, 10.0, 30.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.now += seconds

    @invariant()
    def bounds_hold(self) -> None:
        """Sizes are the model's and within the bounds."""
        assert len(self.memory) == len(self.entries) <= self.memory.max_entries
        assert self.memory.unknown_entries == len(self.unknown) <= _MAX
        assert self.memory.evictions == self.evictions


TestAgainstModel = AgainstModel.TestCase


def test_lifetimes_are_shortened_at_random_and_never_lengthened() -> None:
    clock = Clock()
    memory = make_memory(clock, jitter=0.2, max_entries=1000)
    ends = [memory.put(f"S{number}", evidence()).fresh_until - clock.now for number in range(1000)]
    assert 0.8 * _TTL_S <= min(ends) < max(ends) <= _TTL_S
    assert len(set(ends)) > 900


def test_expiring_everything_touches_no_entry() -> None:
    """It moves a generation on, whatever the number of entries; a new entry is of the new generation."""
    clock = Clock()
    memory = make_memory(clock)
    entry = memory.put("A", evidence())
    before = (entry.fresh_until, entry.generation)
    memory.expire_all()
    assert (entry.fresh_until, entry.generation) == before
    assert memory.fresh("A", clock.now) is None
    assert memory.stale("A", clock.now) is entry
    assert memory.put("A", evidence()) is memory.fresh("A", clock.now)


def test_of_reads_that_overlap_the_newer_record_stays_and_of_others_the_later_read() -> None:
    """A read that began when the other was here cannot have been before it, however old its record is."""
    memory = make_memory(Clock())
    since = memory.sequence
    memory.put("A", evidence(AS_OF_MS + 1, "newer"))
    assert memory.put("A", evidence(AS_OF_MS, "overlapping"), since).evidence == evidence(AS_OF_MS + 1, "newer")
    assert memory.put("A", evidence(AS_OF_MS, "later"), memory.sequence).evidence == evidence(AS_OF_MS, "later")


def test_without_a_negative_lifetime_nothing_is_remembered_as_unknown() -> None:
    clock = Clock()
    memory = make_memory(clock, negative_ttl_s=0.0)
    memory.put_unknown("A")
    assert not memory.is_unknown("A", clock.now)


@pytest.mark.parametrize(("loaded_ms", "expected"), [(-1, "old"), (0, "new"), (1, "new")])
def test_each_record_is_kept_by_its_own_age(loaded_ms: int, expected: str) -> None:
    """An older record does not replace a newer one; one of the same age does; the other record is judged by itself."""
    remembered = evidence(run="old")
    loaded = evidence_of(price_record(as_of_ms=AS_OF_MS + loaded_ms, run="new"), agent_record(run="new"))
    kept = newest(loaded, remembered)
    assert kept.price is not None
    assert kept.agents is not None
    assert (kept.price.run, kept.agents.run) == (expected, "new")
    swapped = newest(evidence_of(price_record(run="new"), agent_record(as_of_ms=AS_OF_MS + loaded_ms, run="new")), remembered)
    assert swapped.agents is not None
    assert swapped.agents.run == expected


def test_a_record_that_is_gone_is_gone() -> None:
    """What L2 says is not there is not made up from what L1 remembers."""
    assert newest(KINDS.unread("absent"), evidence()) == KINDS.unread("absent")


def test_a_record_that_is_not_remembered_pushes_out_none_that_was_loaded() -> None:
    loaded = evidence_of(price_record(), agent_record())
    assert newest(loaded, evidence_of(None, agent_record(as_of_ms=AS_OF_MS - 1))) is loaded


def test_a_sample_of_what_is_held_has_no_more_than_asked_for() -> None:
    memory = make_memory(Clock())
    for symbol in ("A", "B", "C"):
        memory.put(symbol, evidence())
    assert [memory.evidence(most) for most in (2, 5)] == [[evidence()] * 2, [evidence()] * 3]
