"""Requests that are refused: one shape of error, on the lane of POST /decide and on every other route."""

import httpx
import pytest

from tests.kit.serving import Served, http_scope, part, problem_of

_BOTH = pytest.mark.parametrize("path", ["/decide", "/decide/batch"])
_GETS = ("/features/AAPL", "/symbols", "/health", "/livez", "/readyz", "/status", "/version", "/metrics")
_DEEP = b"[" * 100_000


@_BOTH
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"symbol": "AAPL"',
        b'{"symbol": "AAPL"} x',
        b"nonsense",
        b'{"symbol": NaN}',
        b'{"symbol": "AAPL", "price": NaN}',
        b'{"symbol": "AAPL", "price": Infinity}',
        b'{"symbol": "AAPL", "price": -Infinity}',
        b'{"symbol": "\\ud800"}',
        b'{"symbols": ["\\udc00\\ud800"]}',
        b'{"symbol": "\xff"}',
        b'\xef\xbb\xbf{"symbol": "AAPL"}',
        '{"symbol": "AAPL"}'.encode("utf-16"),
        b"{'symbol': 'AAPL'}",
        b'{"symbol": "AAPL",}',
        b'{"symbol": "a\nb"}',
        b"\x00",
        _DEEP,
        b'{"symbol":' + _DEEP,
        b'{"x":' * 20_000,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_what_is_no_json_is_400(path: str, body: bytes, served: Served) -> None:
    problem_of(served.post(path, body), 400, "bad-json")


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b'{"symbol": "AAPL", "symbol": "IBM"}', "symbol"),
        (b'{"symbol": "AAPL", "sym\\u0062ol": "AAPL"}', "symbol"),
        (b'{"symbol": "AAPL", "price": 1, "price": 1}', "price"),
    ],
)
def test_a_key_twice_is_400_naming_it(body: bytes, key: str, served: Served) -> None:
    """Readers differ in which of two equal keys they take; so nobody may send them, however spelled."""
    problem_of(served.post("/decide", body), 400, "bad-json", key)


def test_a_key_twice_deep_in_a_batch_is_400(served: Served) -> None:
    body = b'{"requests": [{"symbol": "AAPL"}, {"symbol": "AAPL", "explain": true, "explain": false}]}'
    problem_of(served.post("/decide/batch", body), 400, "bad-json", "explain")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"[]", None),
        (b'"AAPL"', None),
        (b"null", None),
        (b"{}", "symbol"),
        (b'{"price": 1}', "symbol"),
        (b'{"symbol": null}', "symbol"),
        (b'{"symbol": 5}', "symbol"),
        (b'{"symbol": ["AAPL"]}', "symbol"),
        (b'{"symbol": ""}', "symbol"),
        (b'{"symbol": "' + b"A" * 33 + b'"}', "symbol"),
        (b'{"symbol": "A B"}', "symbol"),
        (b'{"symbol": "A\\u0000"}', "symbol"),
        (b'{"symbol": "\\ud83d\\ude00"}', "symbol"),
        (b'{"symbol": "AAPL\\n"}', "symbol"),
        (b'{"symbol": "AAPL", "price": 0}', "price"),
        (b'{"symbol": "AAPL", "price": -0}', "price"),
        (b'{"symbol": "AAPL", "price": -0.0}', "price"),
        (b'{"symbol": "AAPL", "price": -5}', "price"),
        (b'{"symbol": "AAPL", "price": 1e13}', "price"),
        (b'{"symbol": "AAPL", "price": "100"}', "price"),
        (b'{"symbol": "AAPL", "price": true}', "price"),
        (b'{"symbol": "AAPL", "price": [1]}', "price"),
        (b'{"symbol": "AAPL", "price": {}}', "price"),
        (b'{"symbol": "AAPL", "max_age_s": -1}', "max_age_s"),
        (b'{"symbol": "AAPL", "deadline_ms": 0}', "deadline_ms"),
        (b'{"symbol": "AAPL", "deadline_ms": 60001}', "deadline_ms"),
        (b'{"symbol": "AAPL", "explain": 1}', "explain"),
        (b'{"symbol": "AAPL", "explain": null}', "explain"),
        (b'{"symbol": "AAPL", "prise": 1}', "prise"),
        (b'{"symbol": "AAPL", "": 1}', ""),
    ],
)
def test_json_of_the_wrong_shape_is_422_naming_the_field(body: bytes, field: str | None, served: Served) -> None:
    problem_of(served.post("/decide", body), 422, "invalid-request", field)


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"9" * 5000, b"-" + b"9" * 5000, b"1" + b"0" * 400])
def test_a_number_no_float_holds_is_a_4xx(number: bytes, served: Served) -> None:
    answer = served.post("/decide", b'{"symbol": "AAPL", "price": ' + number + b"}")
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_5000_digits_after_the_point_are_a_number(served: Served) -> None:
    """With a second key the body is read twice and still is fine."""
    answer = served.post("/decide", b'{"symbol": "AAPL", "price": 100.' + b"1" * 5000 + b"}")
    assert answer.status_code == 200, answer.text


def test_the_detail_of_a_wrong_value_shows_it_and_the_rule(served: Served) -> None:
    detail = problem_of(served.post("/decide", {"symbol": "AAPL", "price": -5}), 422, "invalid-request", "price").detail
    assert "price is -5" in detail
    long = served.post("/decide", {"symbol": "AAPL", "price": "x" * 10_000})
    assert len(problem_of(long, 422, "invalid-request", "price").detail) < 300


@_BOTH
@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/xml",
        "application/jsonx",
        "application/json; charset=latin-1",
        "",
        "application/x-www-form-urlencoded",
    ],
)
def test_another_media_type_is_415_saying_what_is_allowed(path: str, media_type: str, served: Served) -> None:
    answer = served.post(path, {"symbol": "AAPL"}, content_type=media_type)
    problem_of(answer, 415, "unsupported-media-type", "Content-Type")
    assert answer.headers["accept"] == "application/json"


@_BOTH
def test_no_media_type_is_415(path: str, served: Served) -> None:
    answer = served.request("POST", path, content=b'{"symbol": "AAPL"}')
    problem_of(answer, 415, "unsupported-media-type", "Content-Type")


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", 'APPLICATION/JSON;charset="UTF-8"', "application/json ; x=y"]
)
def test_json_with_parameters_is_json(media_type: str, served: Served) -> None:
    assert served.post("/decide", {"symbol": "AAPL"}, content_type=media_type).status_code == 200


@_BOTH
def test_a_body_over_the_limit_is_413_and_closes_the_connection(path: str) -> None:
    """Told from its Content-Length, before a byte is read."""
    with Served(max_body_bytes=256) as served:
        answer = served.post(path, b"x" * 257)
        problem_of(answer, 413, "body-too-large")
        assert answer.headers["connection"] == "close"
        fitting = b'{"symbol": "AAPL"}'.ljust(256)
        assert served.post("/decide", fitting).status_code == 200


@_BOTH
def test_a_chunked_body_over_the_limit_is_413(path: str) -> None:
    with Served(max_body_bytes=256) as served:
        heard = served.asgi(http_scope(path=path), part(b"x" * 200, more=True), part(b"x" * 57, more=True))
    assert heard.status == 413
    assert heard.headers["content-type"] == "application/problem+json"
    assert heard.headers["connection"] == "close"


@_BOTH
def test_a_body_that_does_not_come_is_408(path: str) -> None:
    with Served(body_timeout_s=0.05) as served:
        heard = served.asgi(http_scope(path=path), part(b'{"sym', more=True))
    assert heard.status == 408
    assert heard.problem.type == "urn:decide:problem:body-timeout"
    assert heard.headers["connection"] == "close"


@_BOTH
def test_a_client_that_leaves_half_way_is_counted_as_400(path: str, served: Served) -> None:
    """Half a body is never taken for a whole one, even if it were JSON."""
    heard = served.asgi(http_scope(path=path), part(b'{"symbol": "AAPL"}', more=True), {"type": "http.disconnect"})
    assert heard.status == 400
    assert heard.problem.type == "urn:decide:problem:incomplete-body"


@_BOTH
@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ([], "Host"),
        ([(b"host", b"")], "Host"),
        ([(b"host", b"a"), (b"host", b"b")], "Host"),
        ([(b"host", b"a"), (b"content-length", b"2"), (b"transfer-encoding", b"chunked")], "Transfer-Encoding"),
    ],
)
def test_requests_that_proxies_read_differently_are_400(
    path: str, headers: list[tuple[bytes, bytes]], field: str, served: Served
) -> None:
    heard = served.asgi(http_scope(path=path, headers=[*headers, (b"content-type", b"application/json")]), part(b"{}"))
    assert (heard.status, heard.problem.type, heard.problem.field) == (400, "urn:decide:problem:bad-request", field)


def test_http_1_0_needs_no_host(served: Served) -> None:
    """Host came with HTTP/1.1."""
    scope = http_scope(headers=[(b"content-type", b"application/json")], http_version="1.0")
    assert served.asgi(scope, part(b'{"symbol": "AAPL"}')).status == 200


@_BOTH
def test_a_content_length_that_is_no_number_is_400(path: str, served: Served) -> None:
    """Servers refuse it themselves; should one not, this does."""
    headers = [(b"host", b"x"), (b"content-type", b"application/json"), (b"content-length", b"-5")]
    heard = served.asgi(http_scope(path=path, headers=headers), part(b"{}"))
    assert (heard.status, heard.problem.field) == (400, "Content-Length")


def test_a_content_length_of_nothing_is_an_empty_body(served: Served) -> None:
    headers = [(b"host", b"x"), (b"content-type", b"application/json"), (b"content-length", b"0")]
    heard = served.asgi(http_scope(headers=headers))
    assert (heard.status, heard.problem.type) == (400, "urn:decide:problem:bad-json")


@pytest.mark.parametrize("path", ["/decid", "/decide/", "//decide", "/Decide", "/decide/x", "/features", "/favicon.ico"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_there_is_404(method: str, path: str, served: Served) -> None:
    scope = http_scope(method, path)
    heard = served.asgi(scope, part(b"{}"))
    assert (heard.status, heard.problem.type) == (404, "urn:decide:problem:not-found")
    assert path in heard.problem.detail


def test_a_long_path_is_not_sent_back_whole(served: Served) -> None:
    assert len(served.asgi(http_scope("GET", "/" + "a" * 50_000)).body) < 500


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        *((method, path, {"POST"}) for path in ("/decide", "/decide/batch") for method in ("GET", "PUT", "DELETE", "OPTIONS")),
        *((method, path, {"GET", "HEAD"}) for path in _GETS for method in ("POST", "DELETE", "OPTIONS")),
        ("BREW", "/decide", {"POST"}),
    ],
)
def test_a_wrong_method_is_405_with_allow(method: str, path: str, allow: set[str], served: Served) -> None:
    answer = served.request(method, path)
    problem_of(answer, 405, "method-not-allowed")
    assert set(answer.headers["allow"].split(", ")) == allow


def test_head_of_a_post_route_is_405(served: Served) -> None:
    answer = served.request("HEAD", "/decide")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", _GETS)
def test_head_is_answered_as_get(path: str, served: Served) -> None:
    head, get = served.request("HEAD", path), served.get(path)
    assert head.status_code == get.status_code == 200
    assert head.headers["content-type"] == get.headers["content-type"]


def _broken(path: str) -> tuple[Served, httpx.Response]:
    """The answer of ``path`` where the policy or the store raises something that is not in the contract."""
    served = Served(log_sample_every=1_000_000)
    served.store.faults["symbols"] = RuntimeError("nobody foresaw this")
    policy = served.parts.decider.policy
    limits = policy.limits
    if path != "/symbols":
        # A half-life of zero divides by zero: a policy nobody would build, and a fault nobody foresaw.
        policy.limits = type(limits)(limits.price_ms, limits.agents_ms, limits.input_ms, 0.0)
    try:
        if path == "/symbols":
            return served, served.get(path)
        body = {"symbol": "AAPL"} if path == "/decide" else {"symbols": ["AAPL"]}
        return served, served.post(path, body) if path.startswith("/decide") else served.get(path)
    finally:
        policy.limits = limits


@pytest.mark.parametrize("path", ["/decide", "/decide/batch", "/features/AAPL", "/symbols"])
def test_a_fault_nobody_foresaw_is_a_500_and_the_server_goes_on(path: str) -> None:
    served, answer = _broken(path)
    with served:
        problem = problem_of(answer, 500, "internal")
        assert "nobody foresaw" not in problem.detail
        assert "division" not in problem.detail
        assert served.post("/decide", {"symbol": "AAPL"}).status_code == 200
        assert served.parts.requests.in_flight == 0
        lines = served.log_lines()
    failed = [line for line in lines if line["event"] == "request_failed"]
    assert [line["request_id"] for line in failed] == [answer.headers["x-request-id"]]
    assert "Error" in failed[0]["exception"]
    assert [line["status"] for line in lines if line["event"] == "request"] == [500]
