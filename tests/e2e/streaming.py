"""Clients of /stream and /ws, by hand, for tests that must see every byte and every end."""

import json
import select
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

_WAIT_S = 20.0


class Told(NamedTuple):
    """One server-sent event as it came; ``name`` is empty where it only had an id or a comment."""

    name: str
    event_id: str | None
    data: dict[str, Any]


class EventSource:
    """GET /stream at a port or a Unix socket, of decisions or by a whole query. ``read_bytes`` is the most that the kernel takes
    for a client who does not read.
    """

    def __init__(self, place: int | Path, symbols: str, after: str | None = None, read_bytes: int | None = None) -> None:
        self._socket = socket.socket() if isinstance(place, int) else socket.socket(socket.AF_UNIX)
        if read_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, read_bytes)
        self._socket.settimeout(_WAIT_S)
        self._socket.connect(("127.0.0.1", place) if isinstance(place, int) else str(place))
        resume = b"" if after is None else b"Last-Event-ID: %b\r\n" % after.encode()
        query = symbols if "=" in symbols else f"symbols={symbols}"
        self._socket.sendall(b"GET /stream?%b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (query.encode(), resume))
        self._file = self._socket.makefile("rb")
        self._text = b""
        self.last_id: str | None = None
        self.head = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def opened(self) -> Self:
        """Return once the head is here."""
        while (line := self._file.readline()) not in (b"\r\n", b""):
            self.head += line
        return self

    def event(self) -> Told | None:
        """The next block that has a name, a comment or an id; None at the end of the answer."""
        if not self.head:
            self.opened()
        while b"\n\n" not in self._text:
            size = int(self._file.readline() or b"0", 16)
            if size == 0:
                return None
            self._text += self._file.read(size)
            self._file.readline()
        block, _, self._text = self._text.partition(b"\n\n")
        fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
        if b"id" in fields:
            self.last_id = fields[b"id"].decode()
        event_id = fields[b"id"].decode() if b"id" in fields else None
        return Told(fields.get(b"event", b"").decode(), event_id, json.loads(fields.get(b"data", b"{}")))

    def is_cut(self) -> bool:
        """Whether the server has ended the connection, whatever of it is still to be read."""
        try:
            self._socket.sendall(b"x")
        except BrokenPipeError:
            return True
        return False

    def wait_for_reset(self) -> None:
        """Return once the server has reset the connection, which is not read meanwhile."""
        poll = select.poll()
        poll.register(self._socket, 0)
        assert poll.poll(_WAIT_S * 1000), f"no reset within {_WAIT_S} s"

    def read_on(self) -> None:
        """Read until the connection ends."""
        while self._file.read(65_536):
            pass

    def next(self, name: str) -> Told:
        """The next event of that name."""
        deadline = time.monotonic() + _WAIT_S
        while time.monotonic() < deadline:
            told = self.event()
            assert told is not None, "the stream ended"
            if told.name == name:
                return told
        raise AssertionError(f"no {name} within {_WAIT_S} s")
