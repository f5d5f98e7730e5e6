"""Records to bytes and back: one msgpack array a record, schema fingerprint first."""

import msgspec

from app.domain.vector import (
    SCHEMA,
    AgentRecord,
    PriceRecord,
    RecordHeader,
    agent_record_fault,
    price_record_fault,
)
from app.errors import RecordError

_encoder = msgspec.msgpack.Encoder()
_header = msgspec.msgpack.Decoder(RecordHeader)
_price = msgspec.msgpack.Decoder(PriceRecord)
_agents = msgspec.msgpack.Decoder(AgentRecord)


def encode(record: PriceRecord | AgentRecord) -> bytes:
    """One msgpack array: schema, as_of_ms, loaded_at_ms, run, then the record's own fields."""
    return _encoder.encode(record)


def _check_header(raw: bytes) -> None:
    try:
        header = _header.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError("corrupt", str(error)) from error
    if header.schema != SCHEMA:
        raise RecordError("schema_mismatch", f"stored {header.schema[:32]!r}, this server reads {SCHEMA!r}")


def decode_price(raw: bytes, symbol: str) -> PriceRecord:
    """Decode and check a price record of ``symbol``.

    Raises:
        RecordError: ``schema_mismatch`` if it was written for another vector, ``corrupt`` if it is no valid record.
    """
    _check_header(raw)
    try:
        record = _price.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError("corrupt", str(error)) from error
    fault = price_record_fault(record)
    if fault is None and record.symbol != symbol:
        fault = f"it is a record of {record.symbol[:32]!r}"
    if fault is not None:
        raise RecordError("corrupt", fault)
    return record


def decode_agents(raw: bytes, symbol: str) -> AgentRecord:
    """Decode and check an agent record of ``symbol``; raises as `decode_price`."""
    _check_header(raw)
    try:
        record = _agents.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError("corrupt", str(error)) from error
    fault = agent_record_fault(record)
    if fault is None and record.symbol != symbol:
        fault = f"it is a record of {record.symbol[:32]!r}"
    if fault is not None:
        raise RecordError("corrupt", fault)
    return record
