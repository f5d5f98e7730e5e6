"""What is told of a followed symbol, encoded once for all who follow it."""

from typing import Generic, TypeVar

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from app.answering.suggestions import unknown_symbol
from app.cache.loads import Lookup
from app.cache.memory import newest
from app.domain.evidence import Evidence
from app.domain.ticks import TickCoverage, TickRecord
from app.errors import Problem
from app.messages import Gone, Heartbeat, LiveDecision, body_of
from app.observe.streams import Transport
from app.payloads import Action, DecideResponse
from app.push.sse import frame
from app.push.subscriber import Follow, Subscriber

F = TypeVar("F", bound=Follow)

_encode = msgspec.json.Encoder().encode


class Event:
    """Something to tell many: encoded once for each transport, with the id that makes it a point to resume from, or without."""

    __slots__ = ("_forms", "json", "name", "version")

    def __init__(self, name: str, json: bytes, version: int) -> None:
        self.name = name
        self.json = json
        self.version = version
        self._forms: dict[tuple[Transport, str | None], bytes | str] = {}

    def form(self, transport: Transport, event_id: str | None) -> bytes | str:
        """The same object for all subscribers."""
        found = self._forms.get((transport, event_id))
        if found is None:
            found = self._sse(event_id) if transport == "sse" else self._text(event_id)
            self._forms[transport, event_id] = found
        return found

    def _sse(self, event_id: str | None) -> bytes:
        return frame(self.json, self.name, event_id)

    def _text(self, event_id: str | None) -> str:
        name = self.name.encode()
        return (b'{"type":"%b","id":%b,"%b":%b}' % (name, _encode(event_id), name, self.json)).decode()


class Followed(Generic[F]):
    """One followed symbol. ``owed``: what L2 holds of it could not be had when it was last looked up."""

    __slots__ = ("_anew", "_evidence", "followers", "owed", "symbol")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.followers: dict[Subscriber, F] = {}
        self.owed = False
        self._anew = 0
        self._evidence: Evidence | None = None

    def begin_anew(self, number: int) -> None:
        """With change ``number``, which took records back, nothing counts of what was told before."""
        self._anew = number
        self._evidence = None

    def counts(self, number: int, lost: int) -> bool:
        """Whether what was looked up after change ``number`` may be told: not if records were taken back since, or everything was
        lost, as it was last with change ``lost``.
        """
        if self._anew < lost:
            self.begin_anew(lost)
        return number >= self._anew

    def rest_on(self, lookup: Lookup) -> Lookup:
        """What counts now: what was found, and nothing older than what was told before rests on."""
        evidence = lookup.evidence
        if evidence is not None and self._evidence is not None:
            evidence = newest(evidence, self._evidence)
        if evidence is None or lookup.proven:
            self._evidence = evidence
        return lookup._replace(evidence=evidence)


class Topic(Followed[Follow]):
    """One whose decisions are followed."""

    __slots__ = ("_substance",)

    def __init__(self, symbol: str) -> None:
        super().__init__(symbol)
        self._substance: object = None

    def substance(self, evidence: Evidence | None, decision: DecideResponse | None) -> object:
        """What a change must differ in from what was told before, or it is none: the content of the records, whoever loaded it
        when, and what was made of it. The same object as last time, if it is equal.
        """
        found = (
            None if evidence is None or decision is None else (_content(evidence, decision), decision.action, _state(decision))
        )
        if self._substance is None or self._substance != (found,):
            self._substance = (found,)
        return self._substance


def follow_of(subscriber: Subscriber, _: Topic, requested: str, before: Follow | None) -> Follow:
    """What a subscriber has of a symbol that it spelled so; it was told an action ``before``, perhaps."""
    return Follow(requested, None if before is None else before.action, subscriber.interval_s)


class Told:
    """One decision, or a symbol's end, for all its followers: encoded once for each spelling and action before it."""

    def __init__(self, symbol: str, decision: DecideResponse | None, version: int, substance: object, *, proven: bool) -> None:
        self.version = version
        self.heard = 0
        """After which change it was looked up; for those that wait to be told."""
        self.proven = proven
        self.substance = substance
        self.symbol = symbol
        self._decision = decision
        self._events: dict[tuple[str, Action | None], Event] = {}

    @property
    def is_gone(self) -> bool:
        """Whether the symbol is not in the universe."""
        return self._decision is None

    def to(self, follow: Follow, now: float) -> Event:
        """What this follower is told ``now``; the same object for all who spell it so and were told the same action before."""
        key = follow.requested, follow.action
        event = self._events.get(key)
        if event is None:
            event = self._events[key] = self._event(*key)
        follow.seen, follow.substance, follow.next_at = self.version, self.substance, now + follow.interval_s
        follow.action = None if self._decision is None else self._decision.action
        return event

    def _event(self, requested: str, previous: Action | None) -> Event:
        if self._decision is None:
            return gone(self.symbol, requested, previous, unknown_symbol(self.symbol), self.version)
        fields = {name: getattr(self._decision, name) for name in DecideResponse.__struct_fields__}
        live = LiveDecision(**fields | {"requested": requested, "previous": previous})
        return Event("decision", _encode(live), self.version)


def gone(symbol: str, requested: str, previous: Action | None, problem: Problem, version: int = 0) -> Event:
    """A symbol that nothing is told of, for this reason."""
    return Event("gone", _encode(Gone(symbol, requested, previous, body_of(problem, None))), version)


def _content(evidence: Evidence, decision: DecideResponse) -> tuple[object, ...]:
    """What the decision rests on of the evidence, without when and by which run its records were loaded, and when a symbol was
    heard of that was not traded. A last trade that it does not rest on changes nothing.
    """
    names, tick = decision.inputs.__struct_fields__, decision.inputs.tick
    passed_over = "" if tick is UNSET or tick.unused is UNSET else "tick"
    told = zip(names, evidence.records, strict=False)
    records = (None if each is None or name == passed_over else _of_record(each) for name, each in told)
    return (*records, evidence.troubles[: len(names)])


def _of_record(record: msgspec.Struct) -> msgspec.Struct:
    record = replace(record, loaded_at_ms=0, run="")
    if isinstance(record, TickRecord):
        return replace(record, as_of_ms=0, sequence=0, coverage=told_coverage(record.coverage))
    return record


def told_coverage(coverage: TickCoverage | None) -> TickCoverage | None:
    """What of it is news: a source that was heard and said nothing leaves all as it was."""
    return "complete" if coverage == "quiet" else coverage


def _state(decision: DecideResponse) -> tuple[object, ...]:
    """How good its inputs are; they age by themselves."""
    inputs, tick = decision.inputs, decision.inputs.tick
    # What a last trade says that is used, its record has.
    of_tick = None if tick is UNSET else (tick.status, tick.unused)
    others = (replace(getattr(inputs, name), age_s=None) for name in inputs.__struct_fields__ if name != "tick")
    return decision.fallback, of_tick, *others


def heartbeat(transport: Transport, event_id: str | None) -> bytes | str:
    """A comment, which clients pass over but for the id in it; over a websocket a message."""
    if transport == "sse":
        return b":\n\n" if event_id is None else b":\nid: %b\n\n" % event_id.encode()
    return _encode(Heartbeat(event_id)).decode()
