"""Bodies nobody should send, against the real server: a problem that says so, never a 5xx, and the same process goes on."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.payloads import BatchResponse, DecideResponse
from tests.e2e.wire import Answer, exchange, with_body
from tests.kit.servers import DecideServer
from tests.kit.serving import decoded, problem_of

PATHS = ("/decide", "/decide/batch")
_DEEP = 100_000
_SLUGS = {400: ("bad-json",), 404: ("unknown-symbol",), 413: ("body-too-large",), 422: ("invalid-request",)}

HOSTILE: dict[str, tuple[bytes, set[int]]] = {
    "empty": (b"", {400}),
    "one megabyte": (b'{"symbol": "' + b"A" * 1_000_000 + b'"}', {413}),
    "NaN": (b'{"symbol": "AAPL", "price": NaN}', {400}),
    "Infinity": (b'{"symbol": "AAPL", "price": Infinity}', {400}),
    "1e999": (b'{"symbol": "AAPL", "price": 1e999}', {400, 422}),
    "minus zero": (b'{"symbol": "AAPL", "price": -0}', {422}),
    "key twice": (b'{"symbol": "AAPL", "symbol": "AAPL"}', {400, 422}),
    "key twice, escaped": (b'{"symbol": "AAPL", "sym\\u0062ol": "AAPL"}', {400, 422}),
    "symbols twice": (b'{"symbols": ["AAPL"], "symbols": ["AAPL"]}', {400, 422}),
    "arrays 100,000 deep": (b"[" * _DEEP + b"]" * _DEEP, {400, 422}),
    "objects 50,000 deep": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, {413, 400, 422}),
    "deep in a field": (b'{"symbol": ' + b"[" * _DEEP + b"]" * _DEEP + b"}", {400, 422}),
    "deep, never closed": (b"[" * _DEEP, {400}),
    "5,000-digit integer": (b'{"symbol": "AAPL", "price": ' + b"9" * 5000 + b"}", {400, 422}),
    "5,000-digit integer for a flag": (b'{"symbol": "AAPL", "explain": ' + b"9" * 5000 + b"}", {400, 422}),
    "5,000-digit exponent": (b'{"symbol": "AAPL", "price": 1e' + b"9" * 5000 + b"}", {400, 422}),
    "bad UTF-8": (b'{"symbol": "\xff\xfe"}', {400}),
    "bad UTF-8 in a key": (b'{"\xff": 1}', {400, 422}),
    "overlong UTF-8": (b'{"symbol": "\xc0\xaf"}', {400}),
    "surrogate in UTF-8": (b'{"symbol": "\xed\xa0\x80"}', {400}),
    "UTF-16": ('{"symbol": "AAPL"}'.encode("utf-16"), {400}),
    "UTF-32": ('{"symbol": "AAPL"}'.encode("utf-32-le"), {400}),
    "byte order mark": (b'\xef\xbb\xbf{"symbol": "AAPL"}', {400}),
    "lone high surrogate": (b'{"symbol": "\\ud800"}', {400, 422}),
    "lone low surrogate": (b'{"symbols": ["\\udc00"]}', {400, 422}),
    "surrogate in a key": (b'{"\\ud800": 1}', {400, 422}),
    "NUL": (b"\x00", {400}),
    "two documents": (b'{"symbol": "AAPL"}{"symbol": "AAPL"}', {400, 422}),
    "comment": (b'{"symbol": "AAPL" /* x */}', {400, 422}),
    "array": (b"[]", {422}),
    "null": (b"null", {422}),
}


def _check(path: str, status: int, headers: dict[str, str], body: bytes) -> None:
    """A 200 of the contract, or a problem of a status the contract names."""
    answer = httpx.Response(status, headers=headers, content=body)
    if status == 200:
        decoded(answer, DecideResponse if path == "/decide" else BatchResponse)
        return
    assert status in _SLUGS, body
    field = json.loads(body).get("field")
    problem_of(answer, status, _SLUGS[status][0], field)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_a_problem_of_its_kind(name: str, path: str, server: DecideServer) -> None:
    body, statuses = HOSTILE[name]
    if path == "/decide/batch" and name not in ("empty", "one megabyte"):
        # In a batch the single form's fields are unknown ones, which may be noticed before what is wrong after them.
        statuses = statuses | {400, 422}
    answer: Answer = exchange(server.port, with_body(path, body))
    assert answer.status in statuses, answer
    _check(path, answer.status, answer.headers, answer.body)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("media_type", [None, b"text/plain", b"application/json; charset=utf-16", b"\xff\xfe", b"json"])
def test_a_missing_or_wrong_media_type_is_415(path: str, media_type: bytes | None, server: DecideServer) -> None:
    answer = exchange(server.port, with_body(path, b'{"symbol": "AAPL"}', media_type))
    assert answer.status == 415
    assert answer.problem.field == "Content-Type"


_JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_FIELDS = {
    "symbol": st.sampled_from(["AAPL", "ibm", "NOPE", "", "a b", "ſ", "\ud800"]) | _JSON_VALUES,
    "price": st.floats() | st.integers() | _JSON_VALUES,
    "max_age_s": st.floats() | _JSON_VALUES,
    "deadline_ms": st.floats() | _JSON_VALUES,
    "explain": st.booleans() | _JSON_VALUES,
}
_SINGLE = st.fixed_dictionaries({"symbol": _FIELDS["symbol"]}, optional={k: v for k, v in _FIELDS.items() if k != "symbol"})
_BATCH = st.fixed_dictionaries(
    {},
    optional={
        "symbols": st.lists(_FIELDS["symbol"], max_size=5) | _JSON_VALUES,
        "requests": st.lists(_SINGLE, max_size=5) | _JSON_VALUES,
        **{name: _FIELDS[name] for name in ("max_age_s", "deadline_ms", "explain")},
    },
)

_VALID = [b'{"symbol":"AAPL","price":101.5,"explain":true}', b'{"symbols":["AAPL","IBM"],"max_age_s":9}']


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """A valid body with a few of its bytes replaced, left out or repeated."""
    body = bytearray(draw(st.sampled_from(_VALID)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body) - 1))
        body[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return bytes(body)


_BODIES = (
    st.builds(lambda value: json.dumps(value).encode(), _JSON_VALUES | _SINGLE | _BATCH)
    | st.builds(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"), _SINGLE | _BATCH)
    | _mutated()
    | st.binary(max_size=200)
)


@pytest.mark.parametrize("path", PATHS)
def test_no_body_at_all_makes_the_server_fail(path: str, server: DecideServer) -> None:
    with httpx.Client(base_url=server.url, headers={"content-type": "application/json"}, timeout=20) as client:

        @settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
        @given(body=_BODIES)
        def ask(body: bytes) -> None:
            answer = client.post(path, content=body)
            _check(path, answer.status_code, dict(answer.headers), answer.content)

        ask()
