"""What the table of routes says of each.

An entry has a name, and `app.main` has a handler under each name. What it asks of callers is a `Rule`. Its tag is the part of the
document that it stands in, and the class that its requests count to in `decide_request_duration_seconds`, on which the objectives
of ops/SLO.md rest. An `Operation` also has all that the document says of it.
"""

import re
from typing import Literal

import msgspec

from app.http.rules import Rule
from app.routes.examples import Examples

SPELLED_PATTERN = "^[A-Za-z0-9^][A-Za-z0-9._:/=^&-]{0,31}$"
"""What can be a symbol in any spelling: what `app.answering.decider.canonical` lets pass."""

JSON = "application/json"
Schema = dict[str, object]
Body = type[msgspec.Struct] | tuple[type[msgspec.Struct], ...] | Schema | None
"""A tuple: one of these."""

SPELLED: Schema = {
    "type": "string",
    "pattern": SPELLED_PATTERN,
    "maxLength": 32,
    "minLength": 1,
    "examples": ["AAPL", "brk-b", "BTC/USDT"],
}

_EVERYWHERE = ("bad-request", "method-not-allowed", "internal", "overloaded")
_OF_A_KEY = ("unauthorized", "keys-unavailable", "rate-limited")
_OF_A_SCOPE = (*_OF_A_KEY, "forbidden")
NAMED_SYMBOL = "$response.body#/symbol"
"""Where an answer names its symbol, for links."""

OF_A_BODY = (
    "bad-json",
    "incomplete-body",
    "body-timeout",
    "body-too-large",
    "unsupported-media-type",
    "invalid-request",
)
"""Problems that any request with a body can have."""

Tag = Literal["decisions", "data", "market", "server"]
TAGS: dict[Tag, str] = {
    "decisions": "Buy, sell or hold, and what that rests on.",
    "data": "What is loaded.",
    "market": "Prices and trades, from the market store.",
    "server": "How the server is, and what it is.",
}
_CONVERTER = re.compile(r":[a-z]+}")


class Parameter(msgspec.Struct, frozen=True):
    """One in the path, the query or the head."""

    name: str
    place: Literal["path", "query", "header"]
    schema: Schema
    description: str
    required: bool = False


class Link(msgspec.Struct, frozen=True):
    """What an answer leads to: ``operation`` with these parameters, or with this body."""

    operation: str
    description: str
    parameters: dict[str, str] | None = None
    body: dict[str, str] | None = None


class Answer(msgspec.Struct, frozen=True):
    """One that is no problem; ``body`` is None where it has none. Where it is a stream, ``events`` say what their data is."""

    status: int
    description: str
    body: Body
    examples: Examples = {}
    headers: tuple[str, ...] = ()
    media_type: str = JSON
    other_media_type: str | None = None
    events: dict[str, type[msgspec.Struct]] = {}
    links: tuple[Link, ...] = ()


class Entry(Rule, frozen=True, kw_only=True):
    """One of the table: ``name`` is that of its handler. The answer of one that is ``lasting`` goes on for as long as its caller
    likes.
    """

    name: str
    tag: Tag
    lasting: bool = False

    @property
    def documented_path(self) -> str:
        """Its path as OpenAPI writes it: without converters."""
        return _CONVERTER.sub("}", self.path)


class Operation(Entry, frozen=True, kw_only=True):
    """An entry that the document has; there ``name`` is its operationId. ``problems`` are slugs of
    `app.routes.problem_kinds.KINDS`, beyond those that follow from what it ``needs`` and those that all can have.
    """

    summary: str = ""
    description: str
    answers: tuple[Answer, ...] = ()
    problems: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    request: type[msgspec.Struct] | None = None
    request_examples: Examples = msgspec.field(default_factory=dict)

    @property
    def slugs(self) -> tuple[str, ...]:
        """All problems that it can answer with."""
        of_keys = () if self.needs == "open" else _OF_A_KEY if self.needs == "any" else _OF_A_SCOPE
        return _EVERYWHERE + of_keys + self.problems
