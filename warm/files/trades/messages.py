"""JSON of trades: messages, one a line or all in one document, bare or as recorders wrap them."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from app.domain.text import harmless
from warm.files.memory import memory
from warm.files.read import SMALL_BYTES, Source, one_line
from warm.files.trades.batches import START, BadRow, Batch, Position
from warm.files.trades.building import Builder, Fed, Meaning, Row, batches, example
from warm.files.trades.lines import PART_BYTES, parts

DOCUMENT_ROWS = 20_000
"""Trades of a document in one batch."""
_decode_small = msgspec.json.Decoder(float_hook=str).decode
_stamped = re.compile(rb"\d{9,11}(?:\.\d+)?: (?=[\[{])").match
"""What cryptofeed's older recordings have before a message: when it came."""
_COVERS = frozenset(("raw", "data", "message", "msg", "payload"))
"""Where recorders put a message: as text, or as an object, which ``data`` is in venues' own messages."""
_DEEP = 3

Rows = Callable[[Any], "list[Row] | None"]
"""The trades of a message: none of a message of another kind, None of what is no message of the venue."""


class Dialect(NamedTuple):
    """What its messages mean, and what finds trades in them."""

    meaning: Meaning
    rows: Rows


def decoded(text: bytes) -> Any:  # noqa: ANN401
    """A message, numbers with decimals as text with all digits.

    Raises:
        ValueError: it is no JSON.
    """
    if (stamp := _stamped(text)) is not None:
        text = text[stamp.end() :]
    try:
        return _decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(one_line(error)) from error


def _decode(text: bytes) -> Any:  # noqa: ANN401
    if len(text) <= SMALL_BYTES:
        return _decode_small(text)
    # Slower, but it outlives being refused memory.
    with memory().held():
        return json.loads(text.decode(), parse_float=str, parse_constant=_no_number)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def bare(message: Any) -> Any:  # noqa: ANN401
    """``message`` without what a recorder put around it."""
    for _ in range(_DEEP):
        if not isinstance(message, dict) or _COVERS.isdisjoint(message):
            break
        inner = next((each for key in _COVERS & message.keys() if (each := _inside(key, message[key])) is not None), None)
        if inner is None:
            break
        message = inner
    return message


def _inside(key: str, value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return decoded(value.encode())
        except ValueError:
            return None
    return value if isinstance(value, dict) and key != "data" else None


def trades_of(message: Any, rows: Rows) -> list[Row] | None:  # noqa: ANN401
    """The trades of a message, or of each in an array of them."""
    message = bare(message)
    found = rows(message)
    if found is None and isinstance(message, list):
        several = [rows(bare(each)) for each in message]
        if any(each is not None for each in several):
            return [row for each in several for row in each or ()]
    return found


def read_lines(source: Source, dialect: Dialect, position: Position = START, size: int = PART_BYTES) -> Iterator[Batch]:
    """The trades of a file of JSON lines."""
    label, find = source.label, dialect.rows

    def rows(lines: list[bytes], place: int, refused: list[Any], others: list[int]) -> Iterator[tuple[int, Row]]:
        for line in lines:
            place += 1
            if not line or line.isspace():
                continue
            try:
                message = decoded(line)
            except ValueError:
                if _is_note(line):
                    others.append(1)
                    continue
                bad = BadRow("unreadable_json", "row", line[:200].decode(errors="replace"))
                refused.append((bad.reason, example(label, place, None, bad)))
                continue
            found = trades_of(message, find)
            if not found:
                others.append(1)
                continue
            for row in found:
                yield place, row

    def feed(begin: Position, until: int | None) -> Iterator[Fed]:
        place = begin.row
        for lines, after in parts(source, begin, until, size):
            refused: list[Any] = []
            others: list[int] = []
            yield Fed(rows(lines, place, refused, others), refused, others, after)
            place += len(lines)

    return batches(Builder(label, dialect.meaning), feed, position)


def starts_stamped(text: str) -> bool:
    """Whether a text begins with a message of cryptofeed's older recordings, or with what they say of themselves."""
    line = text.encode()
    return _stamped(line) is not None or _is_note(line)


def _is_note(line: bytes) -> bool:
    """Whether a line is what cryptofeed's older recordings say of themselves."""
    return line.startswith((b"configuration: ", b"wss://", b"https://"))


def document(source: Source) -> Any:  # noqa: ANN401
    """All of a file as one message.

    Raises:
        InputRefused: it is no JSON, or more than the run has memory for.
    """
    content = source.content().removeprefix(b"\xef\xbb\xbf")
    try:
        return _decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise source.refuse(harmless(f"no readable JSON ({one_line(error)})")) from error


def read_document(source: Source, dialect: Dialect, position: Position = START, size: int = DOCUMENT_ROWS) -> Iterator[Batch]:
    """The trades of a document, which is read as a whole; a place is a trade's number in it."""

    def feed(begin: Position, until: int | None) -> Iterator[Fed]:
        rows = trades_of(document(source), dialect.rows) or []
        last = len(rows) if until is None else until
        for start in range(begin.row, last, size):
            end = min(start + size, last)
            yield Fed(enumerate(rows[start:end], start + 1), [], [], Position(end, end))

    return batches(Builder(source.label, dialect.meaning), feed, position)
