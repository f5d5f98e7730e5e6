"""HTTP by hand over a socket, for what a client library would tidy up."""

import socket
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from app.payloads import ProblemBody
from tests.kit.servers import connect

_WAIT_S = 20.0

HEAD = b"POST %s HTTP/1.1\r\nHost: decide.test\r\nContent-Type: application/json\r\n"
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: decide.test\r\n\r\n"


class Answer(NamedTuple):
    """One response as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def by_granian(self) -> bool:
        """Whether Granian refused it before the application saw it: a bare 4xx without a body."""
        return self.body == b"" and "x-request-id" not in self.headers

    @property
    def problem(self) -> ProblemBody:
        """The body, which must be a problem."""
        assert self.headers["content-type"] == "application/problem+json", self
        return msgspec.json.decode(self.body, type=ProblemBody)


class Wire:
    """One connection."""

    def __init__(self, place: int | Path) -> None:
        self._socket = connect(place, _WAIT_S)
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()

    def send(self, data: bytes) -> Self:
        """Send; a server that has already answered and closed is no error."""
        try:
            self._socket.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            pass
        return self

    def end(self) -> Self:
        """Say that nothing more will come."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return self

    def answer(self) -> Answer:
        """The next response, interim ones left out."""
        while True:
            head = self._until(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
            status = int(first.split(" ")[1])
            if status >= 200:
                return Answer(status, headers, self._exactly(int(headers.get("content-length", "0"))))

    def is_closed(self) -> bool:
        """Whether the server has closed or reset it (waits for that, or for bytes that say the opposite)."""
        try:
            return self._read == b"" and self._socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._read:
            self._more()
        found, _, self._read = self._read.partition(mark)
        return found

    def _exactly(self, count: int) -> bytes:
        while len(self._read) < count:
            self._more()
        found, self._read = self._read[:count], self._read[count:]
        return found

    def _more(self) -> None:
        got = self._socket.recv(65_536)
        if not got:
            raise ConnectionResetError(f"closed after {self._read!r}")
        self._read += got


def exchange(place: int | Path, data: bytes) -> Answer:
    """The first response to ``data``."""
    with Wire(place) as wire:
        return wire.send(data).answer()


def with_body(path: str, body: bytes, media_type: bytes | None = b"application/json") -> bytes:
    """A POST with a body and its length."""
    kind = b"" if media_type is None else b"Content-Type: " + media_type + b"\r\n"
    return b"POST %s HTTP/1.1\r\nHost: decide.test\r\n%sContent-Length: %d\r\n\r\n%s" % (path.encode(), kind, len(body), body)
