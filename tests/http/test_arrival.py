"""What every request is given: a request id, a trace id, a line in the log."""

import re

import pytest

from app.http.arrival import arrive
from tests.kit.serving import Served, http_scope, part

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_PATHS = pytest.mark.parametrize("path", ["/decide", "/livez", "/nothing"])


def _ask(served: Served, path: str, *headers: tuple[bytes, bytes]) -> dict[str, str]:
    method = "POST" if path == "/decide" else "GET"
    scope = http_scope(method, path, [(b"host", b"x"), (b"content-type", b"application/json"), *headers])
    return served.asgi(scope, part(b'{"symbol": "AAPL"}')).headers


@_PATHS
@pytest.mark.parametrize("sent", ["a", "req-1", "x" * 128, "!~/=?"])
def test_a_good_request_id_is_echoed_and_logged(path: str, sent: str) -> None:
    with Served(log_sample_every=1) as served:
        assert _ask(served, path, (b"x-request-id", sent.encode()))["x-request-id"] == sent
        assert [line["request_id"] for line in served.log_lines() if line["event"] == "request"] == [sent]


@_PATHS
@pytest.mark.parametrize("sent", [b"", b"a b", b"x" * 129, b"\xff", b"a\tb", b"\x7f", b"{\n}"])
def test_a_bad_request_id_is_replaced(path: str, sent: bytes) -> None:
    with Served() as served:
        assert _UUID7.fullmatch(_ask(served, path, (b"x-request-id", sent))["x-request-id"])


@_PATHS
def test_without_a_request_id_each_request_gets_its_own(path: str) -> None:
    with Served() as served:
        first, second = (_ask(served, path)["x-request-id"] for _ in range(2))
    assert _UUID7.fullmatch(first)
    assert first != second


@_PATHS
def test_a_traceparent_is_bound_to_the_log_line(path: str) -> None:
    with Served(log_sample_every=1) as served:
        _ask(served, path, (b"traceparent", f"00-{_TRACE}-00f067aa0ba902b7-01".encode()))
        assert [line["trace_id"] for line in served.log_lines() if line["event"] == "request"] == [_TRACE]


@pytest.mark.parametrize(
    "parent",
    [
        b"",
        b"nonsense",
        f"00-{_TRACE.upper()}-00f067aa0ba902b7-01".encode(),
        f"ff-{_TRACE}-00f067aa0ba902b7-01".encode(),
        b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01",
        f"00-{_TRACE}-00f067aa0ba902b7".encode(),
        f"00-{_TRACE}-00f067aa0ba902b7-01x".encode(),
    ],
)
def test_a_malformed_traceparent_counts_as_none(parent: bytes) -> None:
    """W3C Trace Context: what cannot be read is ignored."""
    assert arrive(http_scope(headers=[(b"traceparent", parent)]), 0.0, lambda: "id").trace_id is None


def test_a_traceparent_of_a_later_version_is_read() -> None:
    """A later version may add members after the ones we know."""
    scope = http_scope(headers=[(b"traceparent", f"01-{_TRACE}-00f067aa0ba902b7-01-more".encode())])
    assert arrive(scope, 0.0, lambda: "id").trace_id == _TRACE
