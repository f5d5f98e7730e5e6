"""Kinds of records, in one table: whatever a worker answers from is a record that came through the store.

Stores, feed, codec, L1 and payloads know kinds by this table alone. A new kind is a row of it, a Struct (which begins as
`RecordHeader` does, then names its symbol) and what reads it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import msgspec

from app.domain.evidence import Evidence, Trouble
from app.domain.fallback import Level, make_ladder
from app.domain.staleness import Limits
from app.domain.status import STATUS_SCHEMA, STREAM, StatusRecord, status_record_fault
from app.domain.tick_input import tick_life_ms
from app.domain.ticks import TICK_SCHEMA, TickRecord, tick_record_fault
from app.domain.vector import (
    AGENTS_SCHEMA,
    HISTORY_SCHEMA,
    HISTORY_SCHEMA_1,
    PRICE_SCHEMA,
    SCHEMA,
    VIEWS_MAX,
    AgentRecord,
    HistoryRecord,
    PriceRecord,
    ValueHeader,
    agent_record_fault,
    history_record_fault,
    newest_views,
    price_record_fault,
)

R = TypeVar("R")
_is_name = re.compile(r"[a-z][a-z0-9_]{0,31}").fullmatch


@dataclass(frozen=True, kw_only=True, eq=False)
class Kind(Generic[R]):
    """One kind of record.

    ``schema`` is the fingerprint of its own layout (16 hex digits), ``formerly`` those of earlier versions for the same
    layout. ``fault`` says what is wrong with a decoded record, None if nothing is. ``trimmed`` bounds what a record may cost.

    ``life_ms`` is the age past which a record is stale. Of an input of decisions (``is_input``) ``alone`` is the level of a
    decision that rests on this input and no other; None: it refines the others, and its absence is no fallback.

    ``carries_value``: changes bring the record itself, so that nobody reads L2 for it; runs do not write such kinds.
    ``held`` has the keys of a global kind that every worker holds in memory.
    ``part_of`` names the kind with which it is written, replaced and removed; a part is counted as no record.
    """

    name: str
    plural: str
    decoder: msgspec.msgpack.Decoder[R]
    schema: str
    fault: Callable[[R], str | None]
    scope: Literal["symbol", "global"] = "symbol"
    is_input: bool = False
    life_ms: Callable[[Limits, R], float] | None = None
    alone: Level | None = None
    carries_value: bool = False
    part_of: str = ""
    held: tuple[str, ...] = ()
    formerly: tuple[str, ...] = ()
    trimmed: Callable[[R], R] | None = None


def _trimmed_views(record: AgentRecord) -> AgentRecord:
    # Of an earlier version, or of somebody else: no record may make a decision slow.
    return record if len(record.views) <= VIEWS_MAX else msgspec.structs.replace(record, views=newest_views(record.views))


PRICE = Kind(
    name="price",
    plural="prices",
    decoder=msgspec.msgpack.Decoder(PriceRecord),
    schema=PRICE_SCHEMA,
    formerly=(SCHEMA,),
    fault=price_record_fault,
    is_input=True,
    life_ms=Limits.price_life_ms,
    alone="price_only",
)
AGENTS = Kind(
    name="agents",
    plural="agents",
    decoder=msgspec.msgpack.Decoder(AgentRecord),
    schema=AGENTS_SCHEMA,
    formerly=(SCHEMA,),
    fault=agent_record_fault,
    trimmed=_trimmed_views,
    is_input=True,
    life_ms=lambda limits, _: limits.agents_ms,
    alone="agents_only",
)
HISTORY = Kind(
    name="history",
    plural="histories",
    decoder=msgspec.msgpack.Decoder(HistoryRecord),
    schema=HISTORY_SCHEMA,
    formerly=(HISTORY_SCHEMA_1,),
    fault=history_record_fault,
    part_of="price",
)
TICK = Kind(
    name="tick",
    plural="ticks",
    decoder=msgspec.msgpack.Decoder(TickRecord),
    schema=TICK_SCHEMA,
    fault=tick_record_fault,
    is_input=True,
    life_ms=tick_life_ms,
    carries_value=True,
)
STATUS = Kind(
    name="status",
    plural="statuses",
    decoder=msgspec.msgpack.Decoder(StatusRecord),
    schema=STATUS_SCHEMA,
    fault=status_record_fault,
    scope="global",
    carries_value=True,
    held=(STREAM,),
)


class Kinds:
    """A table of kinds. ``inputs`` are those that decisions rest on; ``cached`` those that L1 holds of a symbol, in the order in
    which evidence has them: the inputs, and behind them what changes bring and no decision rests on. ``of_runs`` are those that
    runs write and count; ``carried`` those whose changes carry their values.
    """

    def __init__(self, *kinds: Kind[Any]) -> None:
        self.all = kinds
        self.by_name = {each.name: each for each in kinds}
        if len(self.by_name) < len(kinds):
            raise ValueError("two kinds have one name; allowed: one each")
        self.of_runs = tuple(each for each in kinds if each.scope == "symbol" and not each.carries_value and not each.part_of)
        for each in kinds:
            if not _is_name(each.name) or not _is_name(each.plural):
                raise ValueError(f"kind {each.name!r}, {each.plural!r}; allowed: small letters, digits and _, up to 32")
            if each.part_of and (each.is_input or each.carries_value or self.by_name.get(each.part_of) not in self.of_runs):
                raise ValueError(f"kind {each.name!r} is part of {each.part_of!r}; allowed: of a whole one that runs write")
            begins = each.decoder.type.__struct_fields__[: len(ValueHeader.__struct_fields__)]
            if each.carries_value and begins != ValueHeader.__struct_fields__:
                raise ValueError(f"kind {each.name!r} begins with {begins}; allowed: {ValueHeader.__struct_fields__}")
            if each.is_input and (each.life_ms is None or each.scope != "symbol"):
                raise ValueError(f"kind {each.name!r} is an input; allowed: of a symbol, with an age past which it is stale")
            if each.held and each.scope != "global":
                raise ValueError(f"kind {each.name!r} is of symbols and has keys to be held; allowed: of a global kind")
        self.inputs = tuple(each for each in kinds if each.is_input)
        self.carried = tuple(each for each in kinds if each.carries_value)
        self.cached = (*self.inputs, *(each for each in self.carried if each.scope == "symbol" and not each.is_input))
        self.ladder = make_ladder([each.alone for each in self.inputs])
        self.further_inputs = tuple(each.name for each in self.inputs if each.name not in ("price", "agents", "tick"))
        self.places = {each.name: place for place, each in enumerate(self.cached)}
        self.of_symbols = tuple(each for each in kinds if each.scope == "symbol")

    def parts_of(self, kind: Kind[Any]) -> tuple[Kind[Any], ...]:
        """Those that come and go with ``kind``."""
        return tuple(each for each in self.all if each.part_of == kind.name)

    def unread(self, trouble: Trouble) -> Evidence:
        """Evidence of a symbol nothing could be read of."""
        count = len(self.cached)
        return Evidence((None,) * count, (trouble,) * count)

    def adding(self, *more: Kind[Any]) -> "Kinds":
        """This table with ``more`` at its end."""
        return Kinds(*self.all, *more)


KINDS = Kinds(PRICE, AGENTS, HISTORY, TICK, STATUS)
