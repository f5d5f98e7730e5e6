"""What is in a file, or in a member of an archive; whatever cannot be read is one line."""

import gzip
import io
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import msgspec

from app.domain.text import harmless
from warm.errors import InputRefused
from warm.files.archives import open_archive
from warm.files.encodings import ALLOWED, SAMPLE_BYTES, encoding_of, to_utf8
from warm.files.memory import memory
from warm.files.zstd import Unpacked

KINDS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".feather": "arrow",
    ".arrow": "arrow",
    ".json": "json",
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".md": "markdown",
}
"""What a file is by its name's ending, before ``.gz`` or ``.zst``; ``.zip`` holds files of these kinds."""

_TEXTS = frozenset(("csv", "json", "lines", "markdown"))

_PART_BYTES = 4 * 1024**2
SMALL_BYTES = 1024**2
"""JSON of so many bytes is decoded as it is: it becomes some tens of MB at most."""

_MARK = b"\xef\xbb\xbf"
"""UTF-8's byte order mark, which Windows' programs write."""

_odd_name = re.compile(r"[*?\[\]{}]").search

_LINE_MAX_BYTES = 16 * 1024**2
"""Bytes of a JSON line that a file is recognised by."""

MEMBERS_MAX = 10_000
"""Files of an archive."""

UNPACKING = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError)
"""What reading and unpacking a file may raise."""


def one_line(error: BaseException, length: int = 200) -> str:
    """The first line of an error, cut to ``length`` characters."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return harmless(lines[0][:length])


class Source:
    """One file, or one member of a zip archive (``inner``: of an archive that is its ``member``), unpacked when it is asked for.

    ``label`` is how reports call it: its path inside the folder that was given, an archive's members behind the archive. An
    archive that has none stands for itself, with the ``fault`` that it is to be refused for.
    """

    def __init__(
        self, path: Path, label: str, member: str | None = None, fault: str | None = None, inner: str | None = None
    ) -> None:
        self.path, self.label, self._member, self.fault = path, harmless(label), member, fault
        self._inner = inner
        self._named = (inner or member or path.name).lower()
        self._zstd = self._named.endswith(".zst")
        self._data: bytes | None = None
        self._sample = b""
        self.symbol: str | None = None
        """The symbol that ``--symbol`` says."""
        self.name = Path(label).name.lower().removesuffix(".gz").removesuffix(".zst")
        self.kind = KINDS.get(Path(self.name).suffix)
        self.packed = member is not None or path.name.lower().endswith((".gz", ".zst"))

    @cached_property
    def written_ms(self) -> int:
        """When the file, or the archive that it is in, was last written, in milliseconds."""
        return int(self.path.stat().st_mtime) * 1000

    @property
    def stem(self) -> str:
        """The name without its endings, in its own case."""
        name = Path(self.label).name
        return name[: len(self.name)].rsplit(".", 1)[0]

    @property
    def parts(self) -> tuple[str, ...]:
        """Its whole path, folders of an archive behind those that it lies in."""
        outside = self.path.resolve().parts
        if self._member is None:
            return outside
        inside = Path(self._member).parts
        return (*outside[:-1], *(inside if self._inner is None else (*inside[:-1], *Path(self._inner).parts)))

    @property
    def folders(self) -> tuple[str, ...]:
        """The names of the folders above it, lower case, the whole path as far as it was given."""
        return tuple(part.lower() for part in (*self.path.parts[:-1], *Path(self.label).parts[:-1]))

    def refuse(self, why: str) -> InputRefused:
        """What to raise if it cannot be used."""
        return InputRefused(harmless(f"{self._shown}: {why}"))

    @property
    def _shown(self) -> str:
        return harmless("/".join(str(each) for each in (self.path, self._member, self._inner) if each is not None))

    def content(self) -> bytes:
        """All of it, unpacked, text in UTF-8.

        Raises:
            InputRefused: it cannot be read, is cut short, or takes more memory than the run may.
        """
        found = self._whole()
        self._sample = self._sample or found[:SAMPLE_BYTES]
        return self._in_utf8(found, whole=True)

    def _whole(self) -> bytes:
        try:
            if self.packed:
                return self._unpacked(None)
            self.claim(self.path.stat().st_size)
            return self.path.read_bytes()
        except UNPACKING as error:
            raise self._unreadable(error) from error

    @cached_property
    def encoding(self) -> str | None:
        """What its text is encoded in, None for UTF-8 and for what is no text."""
        return self._encoding(self._sample or self._head(SAMPLE_BYTES))

    def _encoding(self, content: bytes) -> str | None:
        return encoding_of(content, table=self.kind == "csv") if self.kind in _TEXTS else None

    def recoded(self) -> bool:
        """Whether all of it tells its encoding, where its beginning was taken for UTF-8 and the rest is none.

        Raises:
            InputRefused: as of `content`.
        """
        if self.encoding is None:
            self.encoding = self._encoding(self._whole())
            return self.encoding is not None
        return False

    def _in_utf8(self, found: bytes, *, whole: bool) -> bytes:
        if self.encoding is None:
            return found
        try:
            return to_utf8(found, self.encoding, whole=whole)
        except UnicodeDecodeError as error:
            raise self.refuse(f"the text is not {self.encoding.upper()} (byte {error.start}); allowed: {ALLOWED}") from error

    def claim(self, size: float, left: float | None = None) -> None:
        """So many bytes of memory will be needed (`MemoryBound.claim`).

        Raises:
            InputRefused: the run may not take so many.
        """
        memory().claim(size, self._shown, left)

    def data(self) -> bytes | Path:
        """What a table library reads it from: the path, or what is packed, which is unpacked once and kept until `forget`."""
        # Readers of JSON lines know no byte order mark; table libraries take some characters of a name for a pattern, and know no
        # name that is not UTF-8.
        marked = self.kind == "lines" and self.head(3) == _MARK
        if not (self.packed or marked or self.encoding or _odd_name(str(self.path)) or not str(self.path).isprintable()):
            return self.path
        if self._data is None:
            content = self.content()
            self._data = content.removeprefix(_MARK) if marked else content
        return self._data

    def head(self, length: int = 65_536) -> bytes:
        """Its first bytes, of text in UTF-8; a packed file is opened no further than they go.

        Raises:
            InputRefused: it cannot be read.
        """
        found = self._head(length)
        # A file is not opened anew for what has been read of it.
        self._sample = found[:SAMPLE_BYTES] if length >= SAMPLE_BYTES else self._sample
        return self._in_utf8(found, whole=False)

    def _head(self, length: int) -> bytes:
        try:
            if self.packed:
                return self._unpacked(length)
            # Unbuffered: one read, which an interrupt can end.
            with self.path.open("rb", buffering=0) as plain:
                return plain.read(length)
        except UNPACKING as error:
            raise self._unreadable(error) from error

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """What is in it, unpacked, to be read from its beginning: of a file, of zstd, of a member of an archive, or of gzip.

        Raises:
            InputRefused: it cannot be read, or is cut short, whenever that is found.
        """
        try:
            with ExitStack() as stack:
                file: Any
                if self._zstd:
                    if self._member is not None:
                        raise OSError("zstd inside an archive is not read")
                    file = Unpacked(self.path)
                elif self._member is None:
                    opening: Callable[..., Any] = gzip.open if self.packed else open
                    file = stack.enter_context(opening(self.path, "rb"))
                else:
                    archive = open_archive(self.path, self._member if self._inner else None)
                    file = stack.enter_context(archive.open(self._inner or self._member))
                    if self._named.endswith(".gz"):
                        file = stack.enter_context(gzip.GzipFile(fileobj=file))
                yield file
        except UNPACKING as error:
            raise self._unreadable(error) from error

    def _unpacked(self, length: int | None) -> bytes:
        """The first ``length`` bytes (all of them: None)."""
        with self.opened() as file:
            return self._read(file, length)

    def _read(self, file: IO[bytes] | gzip.GzipFile, length: int | None) -> bytes:
        """In parts, since how much it unpacks to is only known when it has been."""
        if length is not None:
            return file.read(length)
        # Its value is what was written, and no copy of it.
        whole, left = io.BytesIO(), memory().left
        while part := file.read(_PART_BYTES):
            whole.write(part)
            self.claim(whole.tell(), left)
        return whole.getvalue()

    def _unreadable(self, error: BaseException) -> InputRefused:
        packed = "zstd file" if self._zstd else "gzip file"
        what = "zip archive" if self._member is not None else packed if self.packed else "file"
        return self.refuse(f"no readable {what} ({one_line(error)})")

    def lines(self, count: int) -> list[str]:
        """Its first lines that are not blank, of its `head`.

        Raises:
            InputRefused: empty, or no UTF-8.
        """
        found = [line for line in self.text_lines() if line.strip()][:count]
        if not found:
            raise self.refuse("the file is empty")
        return found

    def text_lines(self) -> list[str]:
        """All lines of its `head`, blank ones too; of the last of them maybe only the beginning.

        Raises:
            InputRefused: empty, or no UTF-8.
        """
        head = self.head()
        if not head.removeprefix(_MARK).strip():
            raise self.refuse("the file is empty")
        # A character may be cut in two at the end of the head, and only there.
        try:
            text = head.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            if error.end < len(head) or error.reason != "unexpected end of data":
                if self.recoded():
                    return self.text_lines()
                raise self.refuse(f"the text is not UTF-8 (byte {error.start}); allowed: {ALLOWED}") from error
            text = head[: error.start].decode("utf-8-sig")
        return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")

    def text(self) -> str:
        """All of it as text.

        Raises:
            InputRefused: empty, no UTF-8, or more than the run has memory for.
        """
        self.lines(1)
        try:
            return self.content().decode("utf-8-sig").replace("\r", "")
        except UnicodeDecodeError as error:
            if self.recoded():
                return self.text()
            raise self.refuse(f"the text is not UTF-8 (byte {error.start}); allowed: {ALLOWED}") from error

    @cached_property
    def json(self) -> Any:  # noqa: ANN401
        """The document, of whatever shape. NaN and infinities, which Python writes though JSON has none, are null.

        Raises:
            InputRefused: no JSON, not UTF-8, or more than the run has memory for.
        """
        content = self.content().removeprefix(_MARK)
        if not content or content.isspace():
            raise self.refuse("the file is empty")
        try:
            return parse_json(self, content)
        except InputRefused:
            # It may be damaged, or in another encoding.
            if _is_utf8(content) or not self.recoded():
                raise
            return parse_json(self, self.content())

    def first_object(self) -> dict[str, Any]:
        """The first line of a file of JSON lines.

        Raises:
            InputRefused: it is no object, or longer than `_LINE_MAX_BYTES`.
        """
        head = self.head(_LINE_MAX_BYTES)
        self.lines(1)
        first = next(line for line in head.removeprefix(_MARK).split(b"\n") if line.strip())
        found = parse_json(self, first, 1)
        if not isinstance(found, dict):
            raise self.refuse("line 1 is no JSON object")
        return found

    def objects(self) -> Iterator[tuple[int, Any]]:
        """Every line of a file of JSON lines that is not blank, with its number.

        Raises:
            InputRefused: one is no JSON, named by its number.
        """
        for number, line in enumerate(io.BytesIO(self.content().removeprefix(_MARK)), 1):
            if line.strip():
                yield number, parse_json(self, line, number)

    def documents(self) -> list[Any]:
        """The document, or those of every line.

        Raises:
            InputRefused: no JSON.
        """
        return [each for _, each in self.objects()] if self.kind == "lines" else [self.json]

    def forget(self) -> None:
        """Give up the parsed document and what was unpacked."""
        self.__dict__.pop("json", None)
        self._data = None


def parse_json(source: Source, content: bytes, line: int | None = None) -> Any:  # noqa: ANN401
    """``content`` as JSON, errors named after ``source`` and, in a file of lines, its ``line``.

    Raises:
        InputRefused: it is none.
        MemoryError: its objects take more than the run may.
    """
    if len(content) <= SMALL_BYTES:
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return msgspec.json.decode(content)
    # Slower, but it takes NaN, says where an error is, and outlives being refused memory.
    try:
        with memory().held():
            return json.loads(content.decode(), parse_constant=lambda _: None)
    except UnicodeDecodeError as error:
        raise source.refuse(f"the text is not UTF-8 (byte {error.start}); allowed: {ALLOWED}") from error
    except (ValueError, RecursionError) as error:
        at = "" if line is None else f"line {line}: "
        raise source.refuse(f"{at}no readable JSON ({one_line(error)})") from error


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
