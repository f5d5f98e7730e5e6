"""Who may call what: the whole application in this process, with keys that a test makes."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.http.access import caller_at, trusted_forms
from tests.kit.keys import SECRET, FakeKeys, key_id
from tests.kit.serving import Served, http_scope
from tests.kit.store import down

_SETTINGS: dict[str, Any] = {"access": "keys", "api_key_secret": SECRET}
_READ = ("/features/AAPL", "/symbols", "/version")
_PROBES = ("/livez", "/readyz", "/health")


@pytest.fixture
def keys() -> FakeKeys:
    """No keys yet."""
    return FakeKeys()


@pytest.fixture
def served(keys: FakeKeys) -> Iterator[Served]:
    """The application, which wants keys."""
    with Served(keys=keys, **_SETTINGS) as running:
        yield running


def _know(served: Served, keys: FakeKeys, *scopes: str) -> str:
    key = keys.make(*scopes)  # type: ignore[arg-type]
    assert served.parts.gate.ring is not None
    served.runner.run(served.parts.gate.ring.read())
    return key


def _post(served: Served, path: str = "/decide", **headers: str) -> int:
    body = {"symbols": ["AAPL"]} if path.endswith("batch") else {"symbol": "AAPL"}
    return served.post(path, body, **headers).status_code


@pytest.mark.parametrize("path", ["/decide", "/decide/batch"])
def test_without_a_key_nothing_is_decided(served: Served, path: str) -> None:
    body = {"symbols": ["AAPL"]} if path.endswith("batch") else {"symbol": "AAPL"}
    answer = served.post(path, body)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="decide"')
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:decide:problem:unauthorized"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_a_key_is_taken_from_either_header(served: Served, keys: FakeKeys) -> None:
    key = _know(served, keys, "decide")
    for headers in ({"X_API_Key": key}, {"Authorization": f"Bearer {key}"}, {"Authorization": f"bearer  {key}"}):
        assert _post(served, **headers) == _post(served, "/decide/batch", **headers) == 200
    for headers in ({"X_API_Key": key + "x"}, {"Authorization": f"Basic {key}"}, {"Authorization": key}, {"X_API_Key": ""}):
        assert _post(served, **headers) == 401


def test_scopes_say_what_a_key_is_for(served: Served, keys: FakeKeys) -> None:
    decide, read, admin = (_know(served, keys, scope) for scope in ("decide", "read", "admin"))
    allowed = {
        key: [path for path in (*_READ, "/status") if served.get(path, X_API_Key=key).status_code == 200]
        for key in (decide, read, admin)
    }
    assert allowed == {decide: [], read: list(_READ), admin: [*_READ, "/status"]}
    market = _know(served, keys, "market:read")
    for path in ("/candles?symbol=AAPL", "/trades?symbol=AAPL"):
        assert [served.get(path, X_API_Key=key).status_code for key in (decide, read, market, admin)] == [403, 200, 200, 200]
    assert served.get("/symbols", X_API_Key=market).status_code == 403
    assert [_post(served, X_API_Key=key) for key in (decide, read, admin)] == [200, 403, 200]
    answer = served.post("/decide", {"symbol": "AAPL"}, X_API_Key=read)
    assert (answer.json()["type"], answer.json()["detail"]) == (
        "urn:decide:problem:forbidden",
        "the API key is for read; this needs decide",
    )


def test_probes_and_metrics_are_open_unless_they_are_told_otherwise(served: Served, keys: FakeKeys) -> None:
    """Each on its own switch; with it a probe takes any key, the metrics one for reading."""
    assert {served.get(path).status_code for path in (*_PROBES, "/metrics")} == {200}
    with Served(keys=keys, **_SETTINGS, metrics_access="keys") as running:
        assert [running.get(path).status_code for path in (*_PROBES, "/metrics")] == [200, 200, 200, 401]
        reading, deciding = _know(running, keys, "read"), _know(running, keys, "decide")
        assert [running.get("/metrics", X_API_Key=key).status_code for key in (reading, deciding)] == [200, 403]
    with Served(keys=keys, **_SETTINGS, probes_access="keys") as running:
        assert [running.get(path).status_code for path in (*_PROBES, "/metrics")] == [401, 401, 401, 200]
        assert running.get("/livez", X_API_Key=_know(running, keys, "decide")).status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/decide/", "/metrics/", "/console2", "/docsx", "/Decide", "/openapi.json/"])
def test_what_is_not_known_is_not_open(served: Served, path: str) -> None:
    """Nothing is without a key by mistake: neither other spellings nor what is added later."""
    assert served.request("GET", path).status_code == 401


def test_a_key_that_cannot_be_confirmed_is_refused_as_a_fault_of_ours(served: Served, keys: FakeKeys) -> None:
    """503 and not 401: the caller has done nothing wrong."""
    key = _know(served, keys, "decide")
    keys.fault = down()
    served.clock.now += 3600.0
    assert _post(served, X_API_Key=key) == 200
    served.clock.now += 6.0
    answer = served.post("/decide", {"symbol": "AAPL"}, X_API_Key=key)
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:decide:problem:keys-unavailable")
    assert answer.headers["retry-after"] == "1"


def test_refusals_are_counted_by_reason(served: Served, keys: FakeKeys) -> None:
    """So that a scan, or a bot whose key ran out, is seen."""
    expired = keys.make("decide", expires_at_ms=1)
    read = _know(served, keys, "read")
    for headers in ({}, {"X_API_Key": "wrong"}, {"X_API_Key": expired}, {"X_API_Key": read}, {"X_API_Key": read}):
        _post(served, **headers)
    text = served.get("/metrics").text
    for reason, count in (("missing", 1), ("unknown", 1), ("expired", 1), ("scope", 2), ("unproven", 0)):
        assert f'decide_access_refused_total{{reason="{reason}"}} {count}.0' in text
    assert "decide_api_keys 2.0" in text


def test_no_key_stands_in_the_log(served: Served, keys: FakeKeys) -> None:
    key = _know(served, keys, "decide")
    for presented in (key, "decide_" + "0" * 12 + "_wrong-secret-part"):
        _post(served, X_API_Key=presented)
        _post(served, Authorization=f"Bearer {presented}")
    text = str(served.log_lines())
    assert key not in text
    assert "wrong-secret-part" not in text


def test_a_refused_request_says_nothing_of_what_is_there(served: Served) -> None:
    answers = [
        served.post("/decide", {"symbol": "AAPL"}),
        served.post("/decide", {"symbol": "NOBODY"}),
        served.post("/decide", b"{", content_type="text/plain"),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.json()["detail"] for answer in answers} == {answers[0].json()["detail"]}


def test_without_keys_addresses_are_held_to_the_limit() -> None:
    with Served(rate_limit_per_s=0.001, rate_limit_burst=3) as served:
        answers = [served.post("/decide", {"symbol": "AAPL"}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["ratelimit"].split(";")[1] for answer in answers] == ["r=2", "r=1", "r=0", "r=0"]
        assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"default";q=3;w=3000'}
        assert int(answers[3].headers["retry-after"]) == pytest.approx(1000, abs=2)
        assert answers[3].json()["type"] == "urn:decide:problem:rate-limited"
        assert served.get("/symbols").status_code == 429
        assert {served.get(path).status_code for path in ("/livez", "/metrics", "/health")} == {200}
        assert "decide_rate_limit_refused_total 2.0" in served.get("/metrics").text


def test_a_batch_pays_for_each_of_its_decisions() -> None:
    """All at once, so that it does not pay for some and then be refused; one that could never be paid says so."""
    with Served(rate_limit_per_s=0.001, rate_limit_burst=6) as served:
        refused = served.post("/decide/batch", {"symbols": ["AAPL"] * 7})
        assert (refused.status_code, refused.json()["field"]) == (422, "symbols")
        assert "allowed: up to 6" in refused.json()["detail"]
        first = served.post("/decide/batch", {"symbols": ["AAPL"] * 3})
        assert (first.status_code, first.headers["ratelimit"].split(";")[1]) == (200, "r=2")
        assert served.post("/decide/batch", {"symbols": ["AAPL"] * 3}).status_code == 429
        assert served.post("/decide/batch", {"symbols": ["AAPL"] * 2}).status_code == 200


def test_a_batch_that_is_no_batch_pays_for_one() -> None:
    """Or nonsense would be free."""
    with Served(rate_limit_per_s=0.001, rate_limit_burst=2) as served:
        bodies = [b"{", b"{}", b"{}"]
        assert [served.post("/decide/batch", body).status_code for body in bodies] == [400, 422, 429]


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [("POST", "/decide/batch", b'{"symbols":["A","B","C"]}'), ("GET", "/stream?symbols=A,B,C", None)],
)
def test_what_nobody_may_ask_for_at_once_pays_for_one(method: str, path: str, content: bytes | None) -> None:
    """Else it could be asked for again and again."""
    with Served(rate_limit_per_s=0.001, rate_limit_burst=2) as served:
        answers = [served.request(method, path, content=content, headers=_JSON).status_code for _ in range(3)]
    assert answers == [422, 422, 429]


def test_each_key_has_a_limit_of_its_own_and_guesses_pay_from_their_address(keys: FakeKeys) -> None:
    """A guesser is soon refused without a look at the key, and no key's owner pays for it."""
    with Served(keys=keys, **_SETTINGS, rate_limit_per_s=0.001, rate_limit_burst=3) as served:
        one, two = _know(served, keys, "decide"), _know(served, keys, "decide")
        assert [_post(served, X_API_Key="wrong") for _ in range(5)] == [401, 401, 401, 429, 429]
        assert [_post(served, X_API_Key=one) for _ in range(4)] == [200, 200, 200, 429]
        assert _post(served, X_API_Key=two) == 200


def test_with_keys_off_a_key_is_not_looked_at() -> None:
    """A bot that sends one goes on working."""
    with Served() as served:
        assert _post(served, X_API_Key="anything") == 200


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("10.1.2.3", "address:10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "address:2001:db8:1:2::/64"),
        ("::ffff:10.1.2.3", "address:10.1.2.3"),
        ("unknown", "address:unknown"),
        ("203.0.113.7:5001", "address:203.0.113.7"),
        ("[2001:db8:1:2::7]:5001", "address:2001:db8:1:2::/64"),
        ("2001:db8::1", "address:2001:db8::/64"),
    ],
)
def test_an_address_is_one_caller_and_an_ipv6_network_is_too(address: str, caller: str) -> None:
    """A host with a network of its own has 2**64 addresses."""
    assert caller_at(address) == caller


_JSON, _TEXT = {"content-type": "application/json"}, {"content-type": "text/plain"}


@pytest.mark.parametrize(
    ("method", "path", "content", "headers", "status"),
    [
        ("GET", "/decide", None, {}, 405),
        ("DELETE", "/decide/batch", None, {}, 405),
        ("POST", "/stream", None, {}, 405),
        ("HEAD", "/stream?symbols=AAPL", None, {}, 200),
        ("GET", "/stream?symbol=AAPL", None, {}, 422),
        ("POST", "/decide", b"{}", _TEXT, 415),
        ("POST", "/decide/batch", b"{}", _TEXT, 415),
        ("POST", "/decide/batch", b"{", _JSON, 400),
        ("POST", "/decide/batch", b"x" * 300_000, _JSON, 413),
        ("POST", "/decide/batch", b'{"symbols":[]}', _JSON, 422),
        ("POST", "/decide", b'{"symbol":"?"}', _JSON, 422),
        ("POST", "/decide", b'{"symbol":"NOPE"}', _JSON, 404),
        ("GET", "/features/NOPE", None, {}, 404),
        ("GET", "/nothing", None, {}, 404),
        ("PUT", "/symbols", None, {}, 405),
    ],
)
def test_a_refusal_costs_what_an_answer_does(
    method: str, path: str, content: bytes | None, headers: dict[str, str], status: int
) -> None:
    """Else it would be a way around the limit."""
    with Served(rate_limit_per_s=0.001, rate_limit_burst=2) as served:
        answers = [served.request(method, path, content=content, headers=headers).status_code for _ in range(4)]
    assert answers == [status, status, 429, 429]


def test_behind_a_trusted_proxy_callers_are_told_apart_by_what_it_says() -> None:
    """And by nobody else: without the setting the header is the caller's own word."""
    headers = [{"X_Forwarded_For": f"203.0.113.{host}"} for host in range(4)]
    for trusted in ("127.0.0.1", "10.0.0.1, 127.0.0.0/8", "::1,127.0.0.1"):
        with Served(rate_limit_per_s=0.001, rate_limit_burst=1, trusted_proxies=trusted) as served:
            assert {_post(served, **each) for each in headers} == {200}
    with Served(rate_limit_per_s=0.001, rate_limit_burst=1) as served:
        assert [_post(served, **each) for each in headers] == [200, 429, 429, 429]


def test_all_who_call_over_a_unix_socket_are_one_caller() -> None:
    """They have no addresses; a header is their own word, unless whoever comes over the socket is trusted."""
    headers = [{"X_Forwarded_For": f"203.0.113.{host}"} for host in range(3)]
    settings: dict[str, Any] = {"host": "unix:/run/decide.sock", "rate_limit_per_s": 0.001, "rate_limit_burst": 1}
    with Served(**settings, client=("", 0)) as served:
        assert [_post(served, **each) for each in headers] == [200, 429, 429]
    with Served(**settings, trusted_proxies="10.0.0.0/8, unix", client=("", 0)) as served:
        assert [_post(served, **each) for each in headers] == [200] * 3
        assert [_post(served) for _ in range(2)] == [200, 429]
        assert _post(served, X_Forwarded_For="203.0.113.9, 10.1.1.1") == 200
        assert _post(served, X_Forwarded_For="203.0.113.9") == 429


def test_a_proxy_is_trusted_in_either_form_of_its_address() -> None:
    """A socket of both families shows an IPv4 address inside an IPv6 one."""
    assert trusted_forms("127.0.0.1, 10.0.0.0/8, ::1") == [
        *("127.0.0.1/32", "::ffff:127.0.0.1/128", "10.0.0.0/8", "::ffff:10.0.0.0/104", "::1/128"),
    ]
    assert trusted_forms("") == []
    assert trusted_forms("unix, 10.0.0.1") == ["unix", "10.0.0.1/32", "::ffff:10.0.0.1/128"]


def test_a_refusal_has_read_the_body_it_refuses(served: Served) -> None:
    """Else the connection would end under the caller's next request; one that does not come ends it, and says so."""
    scope = http_scope(headers=((b"host", b"x"), (b"content-type", b"application/json"), (b"content-length", b"4")))
    for path in ("/decide", "/decide/batch", "/nothing"):
        sent: list[dict[str, Any]] = [
            {"type": "http.request", "body": b"12", "more_body": True},
            {"type": "http.request", "body": b"34"},
        ]
        heard = served.asgi(scope | {"path": path}, *sent)
        assert (heard.status, "connection" in heard.headers) == (401, False)
        heard = served.asgi(scope | {"path": path}, {"type": "http.disconnect"})
        assert (heard.status, heard.headers["connection"]) == (401, "close")


def test_who_may_not_ask_is_told_that_whatever_there_is_to_do(served: Served, keys: FakeKeys) -> None:
    served.parts.admission.enter(served.constants.max_in_flight)
    assert _post(served, "/decide/batch") == 401
    assert _post(served, "/decide/batch", X_API_Key=_know(served, keys, "read")) == 403
    assert _post(served, "/decide/batch", X_API_Key=_know(served, keys, "decide")) == 503


def test_key_ids_are_what_callers_are_known_by(served: Served, keys: FakeKeys) -> None:
    """The public part: it may stand in a bucket's name on Redis, the key may not."""
    key = _know(served, keys, "decide")
    scope = {"client": ("127.0.0.1", 1), "path": "/decide"}
    served.runner.run(served.parts.gate.let_in(scope, {b"x-api-key": key.encode()}, "decide"))
    assert scope["caller"] == f"key:{key_id(key)}"
