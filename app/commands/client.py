"""One question to a Decide server over HTTP, by TCP or a Unix socket, with the standard library alone. Time and size of the
answer are bounded, and no redirect is followed: the key goes where it was meant to go.
"""

import contextlib
import http.client
import queue
import re
import socket
import ssl
import threading
import time
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from app.payloads import ProblemBody
from app.unix_sockets import socket_path
from app.version import VERSION

ANSWER_MAX_BYTES = 67_108_864
"""Enough for a batch of 1,000 with everything that their agents wrote."""
_HTTP = ("http", "https")
_TRY_AGAIN_S = 0.02
_OK, _REFUSED_FROM = 200, 400
_is_path = re.compile(r"[\x21-\x7e]*").fullmatch


class Unanswered(Exception):
    """Nobody answered, or not in time, or it was no answer of Decide's."""


class Refused(Exception):
    """The server refused, with this problem."""

    def __init__(self, problem: ProblemBody) -> None:
        super().__init__(problem.title)
        self.problem = problem


class Address(NamedTuple):
    """Where a server is; ``path`` is what stands before the paths of its endpoints. With a ``socket_path`` it is there, and
    ``host`` is what requests name.
    """

    text: str
    secure: bool
    host: str
    port: int | None
    path: str
    socket_path: str = ""


def address_of(url: str) -> Address:
    """The parts of ``url``.

    Raises:
        ValueError: it is no such address.
    """
    path = socket_path(url)
    if path is not None:
        return Address(url, secure=False, host="localhost", port=None, path="", socket_path=path)
    parts = urlsplit(url)
    if parts.scheme not in _HTTP or not parts.hostname:
        raise ValueError("it must begin with http:// or https:// and a host, or be unix: and a socket's path")
    if "@" in parts.netloc or parts.query or parts.fragment or not _is_path(parts.path):
        raise ValueError("it must be scheme, host, port and path alone")
    # The port is looked at now: one that is no number raises.
    return Address(url, parts.scheme == "https", parts.hostname, parts.port, parts.path.rstrip("/"))


def ask(address: Address, path: str, body: bytes, key: str | None, timeout_s: float) -> bytes:
    """The body of the server's answer to a POST of ``body``, which all in all takes ``timeout_s`` at most.

    Raises:
        Refused: the server said what is wrong.
        Unanswered: no answer came that could be one of Decide's.
    """
    said: queue.SimpleQueue[_Answer | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            said.put(_post(address, path, body, key, timeout_s))
        except Exception as error:  # noqa: BLE001 - it is raised again, by who waits
            said.put(error)

    # A socket's timeout is for each of its steps, and none is for the resolver's: a thread is left behind when time is up.
    threading.Thread(target=work, daemon=True).start()
    try:
        answer = said.get(timeout=timeout_s)
    except queue.Empty:
        raise Unanswered(f"no answer within {timeout_s:g} s") from None
    if isinstance(answer, (OSError, http.client.HTTPException, UnicodeError)):
        reason = answer.strerror if isinstance(answer, OSError) else None
        raise Unanswered(reason or str(answer) or type(answer).__name__) from answer
    if isinstance(answer, Exception):
        raise answer
    if len(answer.body) > ANSWER_MAX_BYTES:
        raise Unanswered(f"its answer has more than {ANSWER_MAX_BYTES:,} bytes")
    if answer.status >= _REFUSED_FROM:
        raise Refused(_problem(answer))
    if answer.status != _OK:
        raise Unanswered(f"it answered {answer.status} {answer.reason}, and redirects are not followed")
    return answer.body


class _UnixConnection(http.client.HTTPConnection):
    """To a Unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        deadline = time.monotonic() + (self.timeout or 0)
        while True:
            try:
                self.sock.connect(self._path)
            except BlockingIOError:
                # The server's queue is full; over TCP the kernel would try again by itself.
                if time.monotonic() > deadline:
                    raise TimeoutError("its queue is full") from None
                time.sleep(_TRY_AGAIN_S)
            else:
                return


class _Answer(NamedTuple):
    status: int
    reason: str
    body: bytes


def _post(address: Address, path: str, body: bytes, key: str | None, timeout_s: float) -> _Answer:
    connection: http.client.HTTPConnection
    if address.socket_path:
        connection = _UnixConnection(address.socket_path, timeout_s)
    elif address.secure:
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(address.host, address.port, timeout=timeout_s, context=context)
    else:
        connection = http.client.HTTPConnection(address.host, address.port, timeout=timeout_s)
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": f"decide/{VERSION}"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    try:
        connection.connect()
        # Who refuses before all was read closes; what it said has come all the same.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ConnectionAbortedError, ssl.SSLEOFError):
            connection.request("POST", address.path + path, body, headers)
        response = connection.getresponse()
        return _Answer(response.status, response.reason, response.read(ANSWER_MAX_BYTES + 1))
    finally:
        connection.close()


def _problem(answer: _Answer) -> ProblemBody:
    """What the server says is wrong; of a proxy in front of it, which speaks no problem+json, its status."""
    try:
        return msgspec.json.decode(answer.body, type=ProblemBody)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ProblemBody("about:blank", f"{answer.status} {answer.reason}", answer.status, "it does not say why")
