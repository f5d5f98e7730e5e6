"""Records to bytes and back: one msgpack array a record, the fingerprint of its kind first."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from app.domain.evidence import Evidence, Trouble
from app.domain.records import Kind, Kinds
from app.domain.vector import AS_OF_MAX_MS, RecordHeader
from app.errors import RecordError
from app.store.protocol import Stored

R = TypeVar("R")

_encoder = msgspec.msgpack.Encoder()
_known_troubles: dict[tuple[Trouble | None, ...], tuple[Trouble | None, ...]] = {}
_header = msgspec.msgpack.Decoder(RecordHeader)


def encode(record: msgspec.Struct) -> bytes:
    """One msgpack array: schema, as_of_ms, loaded_at_ms, run, then the record's own fields."""
    return _encoder.encode(record)


def decode(kind: Kind[R], raw: bytes, symbol: str | None) -> R:
    """Decode and check a record of ``kind`` and of ``symbol``; None: of whichever key, as a global one is.

    What does not fit may be of another schema, which its header tells; it is looked at only then, and whatever fits by chance.

    Raises:
        RecordError: ``schema_mismatch`` if it was written for another layout, ``corrupt`` if it is no valid record.
    """
    fault: object = None
    try:
        record: Any = kind.decoder.decode(raw)
        if record.schema == kind.schema or record.schema in kind.formerly:
            fault = kind.fault(record)
            if fault is None and symbol is not None and record.symbol != symbol:
                fault = f"it is a record of {record.symbol[:32]!r}"
            if fault is None:
                return record if kind.trimmed is None else kind.trimmed(record)
            raise RecordError("corrupt", str(fault))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        fault = error
    try:
        header = _header.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError("corrupt", str(error)) from error
    if header.schema != kind.schema and header.schema not in kind.formerly:
        raise RecordError("schema_mismatch", f"stored {header.schema[:32]!r}, this server reads {kind.schema!r}")
    raise RecordError("corrupt", str(fault))


def decoded(kinds: Kinds, symbol: str, stored: Stored, report: Callable[[str], None]) -> Evidence:
    """What ``stored`` says of ``symbol``. A record that cannot be used leaves a trouble in its place; its reason is reported."""
    records: list[Any] = []
    troubles: list[Trouble | None] = []
    for kind in kinds.cached:
        raw = stored.records.get(kind.name)
        trouble: Trouble | None = None
        record: Any = None
        if raw is None:
            trouble = "absent"
        else:
            try:
                record = decode(kind, raw, symbol)
            except RecordError as error:
                report(error.reason)
                trouble = "schema_mismatch" if error.reason == "schema_mismatch" else "corrupt"
        records.append(record)
        troubles.append(trouble)
    found = tuple(troubles)
    # Most have the same ones, so that L1 holds them once.
    return Evidence(tuple(records), _known_troubles.setdefault(found, found))


def header_of(raw: bytes) -> RecordHeader | None:
    """What every record begins with, of whatever schema; None if ``raw`` is none, or has a time that no record can have."""
    try:
        header = _header.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return header if 0 <= header.as_of_ms < AS_OF_MAX_MS and 0 <= header.loaded_at_ms < AS_OF_MAX_MS else None
