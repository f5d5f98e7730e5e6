"""What is on its way from L2, and what a read found."""

from typing import Any, Literal, NamedTuple

from app.cache.memory import order_of
from app.domain.evidence import Evidence, Trouble
from app.waiting import Waiting

Tier = Literal["l1", "l2", "none"]


class Lookup(NamedTuple):
    """What a read found.

    ``evidence`` is None for a symbol outside the universe. ``proven`` is false if the evidence is only what L1 still had while
    L2 could not answer; ``trouble`` then says why. ``age_s`` is the time since the evidence was read from L2.
    """

    evidence: Evidence | None
    tier: Tier
    proven: bool
    age_s: float
    trouble: Trouble | None = None


_NOTHING: dict[int, Any] = {}


class Read:
    """One read of L2, of some loads. ``given_up``: somebody waited for it in vain, and the breaker knows."""

    __slots__ = ("given_up",)

    def __init__(self) -> None:
        self.given_up = False


class Load:
    """One symbol on its way from L2, by ``read``, begun at ``since`` of L1's sequence; ``found`` when it is here. ``moved``: its
    records have changed meanwhile; ``withdrawn``: some of them were taken back; ``values``: some came by themselves, by place.
    """

    __slots__ = ("__weakref__", "found", "moved", "read", "since", "started", "symbol", "values", "waiting", "withdrawn")

    def __init__(self, symbol: str, started: float, since: int) -> None:
        self.started = started
        self.since = since
        self.symbol = symbol
        self.found: Lookup | None = None
        self.waiting: list[Waiting] = []
        self.values = _NOTHING
        self.moved = self.withdrawn = False
        self.read = Read()

    def with_values(self, evidence: Evidence) -> Evidence:
        """``evidence``, which L2 gave, with what has come by itself since the load began, unless that is older."""
        for place, record in self.values.items():
            held = evidence.records[place]
            if held is None or order_of(held) < order_of(record):
                evidence = evidence.having(place, record)
        return evidence

    def end(self, found: Lookup) -> None:
        """It is here: whoever waited for this one last goes on."""
        self.found = found
        for each in self.waiting:
            each.one_less()


class Begun(NamedTuple):
    """A symbol that was looked for: ``found`` at once, or on its way. ``told``: L1's count of what the feed had told by then."""

    symbol: str
    found: Lookup | Load
    told: int
