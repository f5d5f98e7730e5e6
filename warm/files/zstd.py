"""Text in zstd, unpacked a part after the other by Polars, which has the only decoder of it that Python 3.11 can count on."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

_LINES = 10_000
_NONE = "\x1f"
"""What separates fields in no text: each line is one field."""


class Unpacked:
    """The text of a file, to be read from its beginning. Lines end in a line feed, and what is no UTF-8 is replaced."""

    def __init__(self, path: Path) -> None:
        self._parts = _parts(path)
        self._left = b""

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes at most; none at the end.

        Raises:
            OSError: it is no zstd, or is cut short.
        """
        if not self._left:
            self._left = next(self._parts, b"")
        part, self._left = self._left[:size], self._left[size:]
        return part

    def seekable(self) -> bool:
        """It can be read forwards only."""
        return False


def _parts(path: Path) -> Iterator[bytes]:
    try:
        lazy = pl.scan_csv(
            path,
            has_header=False,
            schema={"line": pl.String},
            separator=_NONE,
            quote_char=None,
            encoding="utf8-lossy",
            truncate_ragged_lines=True,
            glob=False,
        )
        for frame in lazy.collect_batches(chunk_size=_LINES, maintain_order=True, engine="streaming"):
            lines = frame.get_column("line").fill_null("").to_list()
            yield "".join(f"{line}\n" for line in lines).encode()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise OSError(str(error)) from error
