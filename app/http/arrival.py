"""What every request is checked for and given before anything else looks at it."""

import re
from collections.abc import Callable

from starlette.types import Scope

from app.errors import Problem

_is_request_id = re.compile(rb"[\x21-\x7e]{1,128}").fullmatch
_trace_id = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?").fullmatch
_NO_TRACE = b"0" * 32


class Arrival:
    """One request's identity: its headers (last one of a name), request id, trace id if the caller sent one, start time."""

    __slots__ = ("headers", "request_id", "started", "trace_id")

    def __init__(self, headers: dict[bytes, bytes], request_id: str, trace_id: str | None, started: float) -> None:
        self.headers = headers
        self.request_id = request_id
        self.trace_id = trace_id
        self.started = started


def arrive(scope: Scope, started: float, make_id: Callable[[], str]) -> Arrival:
    """Name the request: the caller's X-Request-ID if it is 1 to 128 visible ASCII characters, a UUIDv7 otherwise.

    ``traceparent`` is read as W3C Trace Context has it; a malformed one counts as none.
    """
    headers: dict[bytes, bytes] = dict(scope["headers"])
    sent_id = headers.get(b"x-request-id")
    if sent_id is not None and _is_request_id(sent_id):
        request_id = sent_id.decode("ascii")
    else:
        request_id = make_id()
    trace_id = None
    parent = headers.get(b"traceparent")
    if parent is not None:
        found = _trace_id(parent)
        if found is not None and found[1] != _NO_TRACE and not parent.startswith(b"ff"):
            trace_id = found[1].decode("ascii")
    return Arrival(headers, request_id, trace_id, started)


def refuse_ambiguous(scope: Scope, headers: dict[bytes, bytes]) -> None:
    """Refuse what a proxy in front may read otherwise than we do: HTTP/1.1 without Host or with two, two framings of one body.

    Granian shows a request without Host as one with an empty Host, and of two framings only the one it went by (chunked; it
    closes the connection afterwards, as RFC 9112 asks): the last check is for servers that show both.

    Raises:
        Problem: 400.
    """
    if scope["http_version"] == "1.1":
        if not headers.get(b"host"):
            raise Problem(400, "bad-request", "Bad request", "HTTP/1.1 asks for a Host header", "Host")
        # Only where some header came twice can it be Host.
        if len(headers) != len(scope["headers"]) and sum(name == b"host" for name, _ in scope["headers"]) > 1:
            raise Problem(400, "bad-request", "Bad request", "there is more than one Host header", "Host")
    if b"transfer-encoding" in headers and b"content-length" in headers:
        raise Problem(
            400,
            "bad-request",
            "Bad request",
            "Content-Length and Transfer-Encoding exclude each other",
            "Transfer-Encoding",
        )
