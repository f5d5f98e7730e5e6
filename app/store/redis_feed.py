"""Redis' change feed, as it stands in its two streams: positions in it, and what entries say."""

import re
from typing import Any

from app.store.protocol import Record

NO_CHANGE = "0-0"
_is_position = re.compile(r"([0-9]{1,18}-[0-9]{1,18})(?:~([0-9]{1,18}-[0-9]{1,18}))?").fullmatch
Entries = list[tuple[bytes, dict[bytes, bytes]]]


def entries_of(answer: Any, key: bytes) -> Entries:  # noqa: ANN401 - RESP2 and RESP3 differ in shape
    """The entries of the stream ``key`` in XREAD's reply: a list of pairs in RESP2, a dict of nested lists in RESP3."""
    batches = dict(answer or ()).get(key) or []
    if batches and isinstance(batches[0], list):
        return [entry for batch in batches for entry in batch]
    return list(batches)


def position_of(text: str) -> tuple[str, str] | None:
    """What `text_of` wrote; None if it cannot have."""
    found = _is_position(text)
    return None if found is None else (found[1], found[2] or NO_CHANGE)


def text_of(change_id: str, value_id: str) -> str:
    """A position in the feed, for whoever shall go on from there."""
    return change_id if value_id == NO_CHANGE else f"{change_id}~{value_id}"


def records_of(entries: Entries) -> tuple[Record, ...] | None:
    """The records that they carry, in order; None if one of them is no entry of ours."""
    found = []
    try:
        for name, value in (field for _, fields in entries for field in fields.items() if field[0] != b"after"):
            kind, key = name.decode().split(" ")
            found.append(Record(kind, key, value))
    except ValueError:
        return None
    return tuple(found)
