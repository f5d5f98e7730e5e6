"""What can be wrong below the body: framing, headers, targets, connections; by hand over sockets.

Granian (hyper) refuses some of it before the application sees it, with a bare 4xx, no body, and the connection closed. Those
are marked: nothing is to be gained from a problem for a client that does not speak HTTP.
"""

import socket
import struct

import httpx
import pytest

from tests.e2e.wire import HEAD, LIVEZ, Wire, exchange, with_body
from tests.kit.servers import ROOT, DecideServer

PATHS = pytest.mark.parametrize("path", ["/decide", "/decide/batch"])
_BODIES = {"/decide": b'{"symbol": "AAPL"}', "/decide/batch": b'{"symbols": ["AAPL"]}'}
_TYPE = b"Content-Type: application/json\r\n"


def _post(path: str, headers: bytes, after: bytes) -> bytes:
    return HEAD % path.encode() + headers + b"\r\n" + after


def _chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


@PATHS
def test_a_chunked_body_is_read(path: str, server: DecideServer) -> None:
    body = _BODIES[path]
    pieces = [body[at : at + 1] for at in range(len(body))]
    data = _post(path, b"Transfer-Encoding: chunked\r\n", _chunked(*pieces) + b"0\r\n\r\n")
    assert exchange(server.port, data).status == 200


@PATHS
@pytest.mark.parametrize("after", [b"zz\r\n", b"-1\r\nx", b"fffffffffffffffff\r\n", b"5\r\nabcdefgh\r\n"])
def test_a_malformed_chunk_is_400(path: str, after: bytes, server: DecideServer) -> None:
    """Even after a first chunk that would be a whole body: it is never taken for one; the connection is closed."""
    with Wire(server.port) as wire:
        wire.send(_post(path, b"Transfer-Encoding: chunked\r\n", _chunked(_BODIES[path]) + after))
        answer = wire.answer()
        assert answer.status == 400
        assert answer.problem.type == "urn:decide:problem:incomplete-body"
        assert wire.is_closed()


@PATHS
@pytest.mark.parametrize("headers", [b"Content-Length: 500\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_an_upload_whose_client_leaves_is_400_and_never_taken_for_whole(path: str, headers: bytes, server: DecideServer) -> None:
    """What has come would be valid JSON, but not all has come."""
    body = _BODIES[path] if b"Length" in headers else _chunked(_BODIES[path])
    with Wire(server.port) as wire:
        answer = wire.send(_post(path, headers, body)).end().answer()
    assert (answer.status, answer.problem.type) == (400, "urn:decide:problem:incomplete-body")


@PATHS
def test_an_unfinished_upload_is_408_and_closed(path: str, server: DecideServer) -> None:
    """A client that stops in the middle and stays connected does not hold the request for ever, nor does it hold up another."""
    with Wire(server.port) as measured, Wire(server.port) as chunked:
        measured.send(_post(path, b"Content-Length: 500\r\n", b""))
        chunked.send(_post(path, b"Transfer-Encoding: chunked\r\n", b""))
        for wire in (measured, chunked):
            answer = wire.answer()
            assert (answer.status, answer.problem.type) == (408, "urn:decide:problem:body-timeout")
            assert answer.headers["connection"] == "close"
            assert wire.is_closed()


@PATHS
@pytest.mark.parametrize("host", [b"", b"Host:\r\n", b"Host: a\r\nHost: b\r\n"])
def test_http_1_1_without_one_host_is_400(path: str, host: bytes, server: DecideServer) -> None:
    """Granian shows the application an empty Host where there was none; that is refused too."""
    body = _BODIES[path]
    data = b"POST %s HTTP/1.1\r\n%s%sContent-Length: %d\r\n\r\n%s" % (path.encode(), host, _TYPE, len(body), body)
    answer = exchange(server.port, data)
    assert (answer.status, answer.problem.field) == (400, "Host")


@PATHS
def test_http_1_0_without_host_is_served(path: str, server: DecideServer) -> None:
    """Host came with HTTP/1.1."""
    body = _BODIES[path]
    data = b"POST %s HTTP/1.0\r\n%sContent-Length: %d\r\n\r\n%s" % (path.encode(), _TYPE, len(body), body)
    assert exchange(server.port, data).status == 200


@PATHS
@pytest.mark.parametrize("length", [0, 4, 37, 100_000])
@pytest.mark.parametrize("first", ["Content-Length", "Transfer-Encoding"])
def test_two_framings_leave_no_room_for_a_smuggled_request(path: str, length: int, first: str, server: DecideServer) -> None:
    """With both, Granian goes by the chunks, whatever Content-Length says, hides it from the application, and closes the
    connection after the answer, as RFC 9112 (6.1) allows: what follows is never read as a second request, and does nothing.
    """
    headers = [b"Content-Length: %d\r\n" % length, b"Transfer-Encoding: chunked\r\n"]
    chunks = _chunked(_BODIES[path]) + b"0\r\n\r\n"
    # Nothing else asks so: an answer to it would be the only one that is counted.
    smuggled = b"GET /history/SMUGGLED HTTP/1.1\r\nHost: decide.test\r\n\r\n"
    with Wire(server.port) as wire:
        wire.send(_post(path, b"".join(headers if first == "Content-Length" else headers[::-1]), chunks + smuggled))
        answer = wire.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert wire.is_closed()
    counted = httpx.get(server.url + "/metrics", timeout=20).text
    assert 'route="/decide' in counted
    assert 'route="/history/{symbol:any}",slo_class="data",status="404"' not in counted


def test_the_threat_model_says_of_two_framings_what_is_done() -> None:
    """They are not refused, so the page must not say that they are."""
    text = (ROOT / "ops" / "THREATS.md").read_text(encoding="utf-8")
    (row,) = (line for line in text.splitlines() if line.startswith("| smuggle a second request"))
    refused, _, framings = row.partition("400; ")
    assert "Content-Length" not in refused
    assert "Content-Length" in framings
    assert "by the chunks" in framings
    assert "closes the connection" in framings


@PATHS
@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: -1\r\n",
        b"Content-Length: +18\r\n",
        b"Content-Length: 0x12\r\n",
        b"Content-Length: 99999999999999999999999999\r\n",
        b"Content-Length: 18\r\nContent-Length: 5\r\n",
        b"Content-Length: 18\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Bad Header Name: x\r\n",
        b"X-Folded: a\r\n b\r\n",
        b"X-Nul: \x00\r\n",
    ],
)
def test_headers_that_are_no_http_are_refused_by_granian(path: str, headers: bytes, server: DecideServer) -> None:
    """A bare 400 and the end of the connection; the application never sees it."""
    with Wire(server.port) as wire:
        answer = wire.send(_post(path, headers, _BODIES[path])).answer()
        assert answer.status == 400
        assert answer.by_granian
        assert wire.is_closed()


@PATHS
def test_a_huge_content_length_is_413_at_once(path: str, server: DecideServer) -> None:
    with Wire(server.port) as wire:
        answer = wire.send(_post(path, b"Content-Length: 999999999999\r\n", b"")).answer()
        assert (answer.status, answer.problem.type) == (413, "urn:decide:problem:body-too-large")
        assert wire.is_closed()


@PATHS
@pytest.mark.parametrize("flood", [b"X-%d: y\r\n" * 500 % tuple(range(500)), b"X: " + b"y" * 1_000_000 + b"\r\n"])
def test_a_flood_of_headers_is_431_by_granian(path: str, flood: bytes, server: DecideServer) -> None:
    answer = exchange(server.port, _post(path, flood, b""))
    assert answer.status == 431
    assert answer.by_granian


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_what_is_no_http_is_refused_by_granian(data: bytes, server: DecideServer) -> None:
    with Wire(server.port) as wire:
        answer = wire.send(data).end().answer()
    assert answer.status == 400
    assert answer.by_granian


def test_http_2_by_prior_knowledge_is_refused(server: DecideServer) -> None:
    """The server speaks HTTP/1.1 only, whose timeouts for headers hold; TLS and HTTP/2 are the business of a proxy."""
    with Wire(server.port) as wire:
        assert wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00").is_closed()


@pytest.mark.timeout(60)
def test_clients_that_never_end_their_headers_are_closed(server: DecideServer) -> None:
    """Also one that never says anything: an idle connection costs something."""
    with Wire(server.port) as silent, Wire(server.port) as unfinished:
        unfinished.send(b"POST /decide HTTP/1.1\r\nHost: x\r\n")
        assert unfinished.is_closed()
        assert silent.is_closed()


@PATHS
def test_pipelined_requests_are_answered_in_order(path: str, server: DecideServer) -> None:
    good, bad = with_body(path, _BODIES[path]), with_body(path, b"{")
    with Wire(server.port) as wire:
        wire.send(good + bad + good + LIVEZ)
        assert [wire.answer().status for _ in range(4)] == [200, 400, 200, 200]


@PATHS
@pytest.mark.parametrize(
    ("media_type", "size", "status"),
    [(None, 100, 415), (None, 3_000_000, 415), (b"application/json", 3_000_000, 413)],
)
def test_after_an_unread_body_the_connection_is_usable_or_closed(
    path: str, media_type: bytes | None, size: int, status: int, server: DecideServer
) -> None:
    """The rest of a body is never read as the next request."""
    smuggled = LIVEZ * (size // len(LIVEZ) + 1)
    with Wire(server.port) as wire:
        wire.send(with_body(path, smuggled[:size], media_type) + with_body(path, b"{"))
        first = wire.answer()
        assert first.status == status
        try:
            assert wire.answer().status == 400
        except ConnectionResetError:
            assert wire.is_closed()


def test_expect_100_continue_is_answered_before_the_body_comes(server: DecideServer) -> None:
    body = _BODIES["/decide"]
    with Wire(server.port) as wire:
        wire.send(_post("/decide", b"Expect: 100-continue\r\nContent-Length: %d\r\n" % len(body), b""))
        assert wire.send(body).answer().status == 200
    refused = b"POST /decide HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"
    assert exchange(server.port, refused).status == 415


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/decid%65", 200),
        (b"/decide?x=1", 200),
        (b"http://elsewhere.test/decide", 200),
        (b"//decide", 404),
        (b"/decide/", 404),
        (b"/decide%00", 404),
        (b"/x/../decide", 404),
        (b"/%ff", 404),
        (b"/%ed%a0%80", 404),
        (b"*", 404),
        (b"/features/%ff", 405),
    ],
)
def test_a_target_is_taken_as_it_decodes_and_never_guessed_at(target: bytes, status: int, server: DecideServer) -> None:
    answer = exchange(server.port, with_body(target.decode(), _BODIES["/decide"]))
    assert answer.status == status
    if status != 200:
        assert answer.problem.status == status


def test_a_method_of_300_000_letters_holds_nobody_up(server: DecideServer) -> None:
    """It is a 405 like any other; the log's search for secrets must not run over all of it."""
    answer = exchange(server.port, b"A" * 300_000 + b" /decide HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.status in (400, 405, 431)
    assert httpx.get(server.url + "/livez", timeout=10).status_code == 200


def test_a_thousand_idle_connections_keep_nobody_out(server: DecideServer) -> None:
    """Half of them have begun a request and never end it."""
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(1000)]
    try:
        for each in idle[:500]:
            each.sendall(b"POST /decide HT")
        statuses = [exchange(server.port, with_body("/decide", _BODIES["/decide"])).status for _ in range(50)]
    finally:
        for each in idle:
            each.close()
    assert set(statuses) == {200}


def test_clients_that_reset_while_being_answered_leave_nothing_behind(server: DecideServer) -> None:
    big = with_body("/decide/batch", b'{"symbols": [' + b",".join([b'"AAPL"'] * 1000) + b'], "explain": true}')
    for data in [big] * 10 + [b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 5] * 50:
        gone = socket.create_connection(("127.0.0.1", server.port))
        gone.sendall(data)
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
    for _ in range(200):
        status = httpx.get(server.url + "/status", timeout=20).json()
        if status["in_flight"] == 1:
            break
    assert status["in_flight"] == 1
