"""The lines of a text, a bounded part of it after the other, from wherever reading is to begin."""

import codecs
from collections.abc import Iterator
from typing import IO

from app.domain.text import harmless
from warm.files.read import Source
from warm.files.trades.batches import Position

PART_BYTES = 1024**2
"""Bytes of text whose trades are one batch."""
LINE_BYTES_MAX = 16 * 1024**2
"""Of a longer line only the beginning is kept: it is refused."""
_MARK = b"\xef\xbb\xbf"


def parts(source: Source, position: Position, until: int | None, size: int) -> Iterator[tuple[list[bytes], Position]]:
    """Lines of ``source`` behind ``position``, some at a time, without their ends, and the position behind them; up to the line
    ``until``, if that is said. ``size`` is how much is read at a time. Text in another encoding comes in UTF-8.

    Raises:
        InputRefused: it cannot be read, or is cut short.
    """
    with source.opened() as file:
        offset, row = position.offset, position.row
        carried: list[bytes] = []
        held = cut = 0
        for block in _from(source, file, offset, size):
            end = block.rfind(b"\n") + 1
            if not end:
                # Of a line without an end so much is kept.
                held += len(block)
                if held > LINE_BYTES_MAX:
                    cut += len(block)
                else:
                    carried.append(block)
                continue
            carried.append(block[:end])
            text = b"".join(carried)
            lines = text.split(b"\n")
            lines.pop()
            if not row:
                lines[0] = lines[0].removeprefix(_MARK)
            if until is not None and row + len(lines) >= until:
                yield lines[: until - row], position
                return
            offset += len(text) + cut
            row += len(lines)
            yield lines, Position(offset, row)
            carried = [block[end:]] if end < len(block) else []
            held, cut = len(block) - end, 0
        if carried:
            text = b"".join(carried)
            yield [text if row else text.removeprefix(_MARK)], Position(offset + len(text) + cut, row + 1)


def _from(source: Source, file: IO[bytes], offset: int, size: int) -> Iterator[bytes]:
    """The blocks of the text behind ``offset``."""
    blocks: Iterator[bytes] = iter(lambda: file.read(size), b"")
    if source.encoding is not None:
        blocks = _recoded(source, blocks, source.encoding)
    elif offset and file.seekable():
        # In a packed file this unpacks what lies before it.
        file.seek(offset)
        offset = 0
    left = offset
    for block in blocks:
        if left >= len(block):
            left -= len(block)
            continue
        kept, left = block[left:] if left else block, 0
        if kept:
            yield kept


def _recoded(source: Source, blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for block in blocks:
            yield decoder.decode(block).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeDecodeError as error:
        raise source.refuse(harmless(f"the text is not {encoding.upper()} ({error.reason})")) from error


def texts(lines: list[bytes]) -> list[str]:
    """``lines`` as text. What is no UTF-8 is shown as such, and fails where a number should be."""
    try:
        return b"\n".join(lines).decode().split("\n")
    except UnicodeDecodeError:
        return [line.decode(errors="replace") for line in lines]
