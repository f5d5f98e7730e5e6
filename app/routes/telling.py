"""What is told of a followed symbol, encoded once for all who follow it."""

import msgspec

from app.cache.memory import newest
from app.cache.tiers import Lookup
from app.domain.evidence import Evidence
from app.middleware.problems import body_of
from app.observe.streams import Transport
from app.payloads import DecideResponse, Gone, Heartbeat
from app.routes.events import frame
from app.routes.subscriber import Follow, Subscriber
from app.routes.suggestions import unknown_symbol

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


class Topic:
    """One followed symbol. ``owed``: what L2 holds of it could not be had when it was last decided."""

    __slots__ = ("_anew", "_evidence", "followers", "owed", "symbol")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.followers: dict[Subscriber, Follow] = {}
        self.owed = False
        self._anew = 0
        self._evidence: Evidence | None = None

    def begin_anew(self, number: int) -> None:
        """With change ``number``, which took records back, nothing counts of what decisions rested on before."""
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
        """What to decide on: what was found, and nothing older than what the decision before rests on."""
        evidence = lookup.evidence
        if evidence is not None and self._evidence is not None:
            evidence = newest(evidence, self._evidence)
        if evidence is None or lookup.proven:
            self._evidence = evidence
        return lookup._replace(evidence=evidence)


class Told:
    """One decision, or a symbol's end, for all its followers: encoded once for each spelling that it was asked for by."""

    def __init__(self, symbol: str, decision: DecideResponse | None, version: int, *, proven: bool) -> None:
        self.version = version
        self.proven = proven
        self._symbol = symbol
        self._decision = decision
        self._events: dict[str, Event] = {}

    def event(self, requested: str) -> Event:
        """The same for all who spell it so."""
        found = self._events.get(requested)
        if found is None:
            if self._decision is None:
                gone = Gone(self._symbol, requested, body_of(unknown_symbol(self._symbol), None))
                found = Event("gone", _encode(gone), self.version)
            else:
                decision = msgspec.structs.replace(self._decision, requested=requested)
                found = Event("decision", _encode(decision), self.version)
            self._events[requested] = found
        return found


def heartbeat(transport: Transport, event_id: str | None) -> bytes | str:
    """A comment, which clients pass over but for the id in it; over a websocket a message."""
    if transport == "sse":
        return b":\n\n" if event_id is None else b":\nid: %b\n\n" % event_id.encode()
    return _encode(Heartbeat(event_id)).decode()
