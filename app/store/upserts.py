"""Records that are written by themselves: what is checked of them, whichever store they go to."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from app.domain.records import Kind, Kinds
from app.domain.vector import AS_OF_MAX_MS, SYMBOL_RULE, RecordHeader, ValueHeader, is_symbol
from app.store.protocol import RECORD_MAX_BYTES, VALUE_MAX_BYTES, Record

_SEQUENCE_END = 2**53
"""Lua has no other numbers than floats."""
_is_global_key = re.compile(r"[a-z0-9][a-z0-9._:-]{0,63}").fullmatch
_header = msgspec.msgpack.Decoder(RecordHeader).decode
_value_header = msgspec.msgpack.Decoder(ValueHeader).decode


class Upsert(NamedTuple):
    """A record to be written, with what it is ordered by, and its ``parts``, each None where it comes without one."""

    kind: str
    key: str
    as_of_ms: int
    sequence: int
    value: bytes
    parts: dict[str, bytes | None]


def checked(kinds: Kinds, records: Sequence[Record]) -> list[Upsert]:
    """``records``, ready to be written, in their order.

    Raises:
        ValueError: one of them is no record that can be stored; says which, and what is allowed.
    """
    parts = {(each.kind, each.key): each.value for each in records if _kind_of(kinds, each).part_of}
    upserts = []
    for record in records:
        kind = _kind_of(kinds, record)
        as_of_ms, sequence = _order(kinds, record)
        if not kind.part_of:
            own = {part.name: parts.pop((part.name, record.key), None) for part in kinds.parts_of(kind)}
            upserts.append(Upsert(record.kind, record.key, as_of_ms, sequence, record.value, own))
    for kind_name, key in parts:
        whole = kinds.by_name[kind_name].part_of
        raise ValueError(f"{kind_name} of {key}: it comes alone; allowed: with the {whole} that it is a part of")
    return upserts


def _kind_of(kinds: Kinds, record: Record) -> Kind[Any]:
    kind = kinds.by_name.get(record.kind)
    if kind is None:
        raise ValueError(f"kind {record.kind!r} of {record.key!r}: there is none; allowed: {', '.join(kinds.by_name)}")
    return kind


def _order(kinds: Kinds, record: Record) -> tuple[int, int]:
    kind, where = kinds.by_name[record.kind], f"{record.kind} of {record.key!r}"
    if kind.scope == "symbol" and is_symbol(record.key) is None:
        raise ValueError(f"{where}: its key is no symbol; allowed: {SYMBOL_RULE}")
    if kind.scope == "global" and _is_global_key(record.key) is None:
        raise ValueError(f"{where}: its key cannot be one; allowed: 1 to 64 of a-z 0-9 . _ : -, beginning with a letter or digit")
    most = VALUE_MAX_BYTES if kind.carries_value else RECORD_MAX_BYTES
    if not 0 < len(record.value) <= most:
        raise ValueError(f"{where}: it has {len(record.value)} bytes; allowed: 1 to {most}")
    try:
        header = _value_header(record.value) if kind.carries_value else _header(record.value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{where}: it does not begin as a record does: {error}") from error
    sequence = header.sequence if isinstance(header, ValueHeader) else 0
    if header.schema != kind.schema:
        raise ValueError(f"{where}: its schema is {header.schema[:32]!r}; allowed: {kind.schema!r}")
    if not (0 <= header.as_of_ms < AS_OF_MAX_MS and 0 <= header.loaded_at_ms < AS_OF_MAX_MS):
        raise ValueError(f"{where}: its times are {header.as_of_ms} and {header.loaded_at_ms}; allowed: 0 to {AS_OF_MAX_MS - 1}")
    if not 0 <= sequence < _SEQUENCE_END:
        raise ValueError(f"{where}: its sequence is {sequence}; allowed: 0 to {_SEQUENCE_END - 1}")
    return header.as_of_ms, sequence


def order_of_raw(value: bytes | None, *, carries_value: bool) -> tuple[int, int]:
    """What a stored record is ordered by: before all others, where it is none."""
    try:
        if value is not None:
            header = _value_header(value) if carries_value else _header(value)
            sequence = header.sequence if isinstance(header, ValueHeader) else 0
            if 0 <= header.as_of_ms < AS_OF_MAX_MS and 0 <= sequence < _SEQUENCE_END:
                return header.as_of_ms, sequence
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    return -1, 0


def name_of(key: str, kind: str, scope: str) -> str:
    """By what the feed names a record that it does not carry: its symbol, or of a global one kind and key, which is no symbol."""
    return key if scope == "symbol" else f"{kind}:{key}"
