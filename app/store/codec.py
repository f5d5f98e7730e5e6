"""Records to bytes and back: one msgpack array a record, schema fingerprint first."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from app.domain.evidence import Evidence, Trouble
from app.domain.vector import (
    AS_OF_MAX_MS,
    HISTORY_SCHEMA,
    SCHEMA,
    VIEWS_MAX,
    AgentRecord,
    HistoryRecord,
    PriceRecord,
    RecordHeader,
    agent_record_fault,
    history_record_fault,
    newest_views,
    price_record_fault,
)
from app.errors import RecordError
from app.store.protocol import Stored

T = TypeVar("T", PriceRecord, AgentRecord, HistoryRecord)

_encoder = msgspec.msgpack.Encoder()
_header = msgspec.msgpack.Decoder(RecordHeader)
_price = msgspec.msgpack.Decoder(PriceRecord)
_agents = msgspec.msgpack.Decoder(AgentRecord)
_history = msgspec.msgpack.Decoder(HistoryRecord)


def encode(record: PriceRecord | AgentRecord | HistoryRecord) -> bytes:
    """One msgpack array: schema, as_of_ms, loaded_at_ms, run, then the record's own fields."""
    return _encoder.encode(record)


def _decoded(decoder: msgspec.msgpack.Decoder[T], raw: bytes, schema: str = SCHEMA) -> T:
    """The record, if it is of this server's ``schema``.

    What does not fit may be of another schema, which its header tells; it is looked at only then, and whatever fits by chance.
    """
    fault = None
    try:
        record = decoder.decode(raw)
        if record.schema == schema:
            return record
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        fault = error
    try:
        header = _header.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError("corrupt", str(error)) from error
    if header.schema != schema:
        raise RecordError("schema_mismatch", f"stored {header.schema[:32]!r}, this server reads {schema!r}")
    raise RecordError("corrupt", str(fault)) from fault


def decode_price(raw: bytes, symbol: str) -> PriceRecord:
    """Decode and check a price record of ``symbol``.

    Raises:
        RecordError: ``schema_mismatch`` if it was written for another vector, ``corrupt`` if it is no valid record.
    """
    record = _decoded(_price, raw)
    _refuse(price_record_fault(record), record.symbol, symbol)
    return record


def decode_agents(raw: bytes, symbol: str) -> AgentRecord:
    """Decode and check an agent record of ``symbol``; raises as `decode_price`."""
    record = _decoded(_agents, raw)
    _refuse(agent_record_fault(record), record.symbol, symbol)
    if len(record.views) > VIEWS_MAX:
        # Of an earlier version, or of somebody else: no record may make a decision slow.
        return msgspec.structs.replace(record, views=newest_views(record.views))
    return record


def decoded(symbol: str, stored: Stored, report: Callable[[str], None]) -> Evidence:
    """What ``stored`` says of ``symbol``. A record that cannot be used leaves a trouble in its place; its reason is reported."""
    price, agents = None, None
    price_trouble: Trouble | None = None if stored.price is not None else "absent"
    agents_trouble: Trouble | None = None if stored.agents is not None else "absent"
    if stored.price is not None:
        try:
            price = decode_price(stored.price, symbol)
        except RecordError as error:
            price_trouble = _trouble(error, report)
    if stored.agents is not None:
        try:
            agents = decode_agents(stored.agents, symbol)
        except RecordError as error:
            agents_trouble = _trouble(error, report)
    return Evidence(price, agents, price_trouble, agents_trouble)


def _trouble(error: RecordError, report: Callable[[str], None]) -> Trouble:
    report(error.reason)
    return "schema_mismatch" if error.reason == "schema_mismatch" else "corrupt"


def decode_history(raw: bytes, symbol: str) -> HistoryRecord:
    """Decode and check a history record of ``symbol``; raises as `decode_price`."""
    record = _decoded(_history, raw, HISTORY_SCHEMA)
    _refuse(history_record_fault(record), record.symbol, symbol)
    return record


def header_of(raw: bytes) -> RecordHeader | None:
    """What every record begins with, of whatever schema; None if ``raw`` is none, or has a time that no record can have."""
    try:
        header = _header.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return header if 0 <= header.as_of_ms < AS_OF_MAX_MS and 0 <= header.loaded_at_ms < AS_OF_MAX_MS else None


def _refuse(fault: str | None, found: str, symbol: str) -> None:
    if fault is None and found != symbol:
        fault = f"it is a record of {found[:32]!r}"
    if fault is not None:
        raise RecordError("corrupt", fault)
