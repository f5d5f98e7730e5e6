"""GET /price/latest: the last trade or the last close, from memory as a decision, with the digits that its venue wrote."""

import json
from decimal import Decimal
from typing import Any, get_args

import msgspec
import pytest

from app.domain.ticks import TickCoverage
from app.domain.trades import Side
from app.errors import StoreError
from app.market_payloads import LatestPrice, LatestPrices
from app.store.codec import encode
from app.store.protocol import Row, Written
from tests.kit.keys import SECRET, FakeKeys
from tests.kit.records import AS_OF_MS, price_record, replaced, row, tick, tick_record
from tests.kit.serving import Served, decoded, http_scope, problem_of
from tests.kit.store import UNIVERSE, FakeStore, down

PATH = "/price/latest"
LATER_MS = AS_OF_MS + 500


def _put(served: Served, symbol: str = "AAPL", price: str = "101.25", as_of_ms: int = LATER_MS, **facts: Any) -> None:  # noqa: ANN401
    """The store has a last trade of ``symbol``, after its last close unless told otherwise."""
    last = Written(as_of_ms, tick(symbol, as_of_ms, price, **facts).value)
    served.store.put(Row(symbol, {**row(symbol).records, "tick": last}))


def _exact(served: Served, query: str = "symbol=AAPL") -> dict[str, Any]:
    """The answer, its numbers as they stand in it."""
    answer = served.get(f"{PATH}?{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = json.loads(answer.content, parse_float=Decimal, parse_int=Decimal)
    return found


def test_the_last_trade_is_told_whole(served: Served) -> None:
    _put(served, micros=250, currency="USD", coverage="quiet")
    served.clock.now += 1.5
    answer = served.get(f"{PATH}?symbol=AAPL")
    cache = {"hit": False, "tier": "l2", "age_ms": 0.0, "run": "run-1"}
    assert answer.json() == {
        "symbol": "AAPL",
        "requested": "AAPL",
        "price": 101.25,
        "currency": "USD",
        "timestamp": "2013-03-01T21:00:00.500250Z",
        "size": 3,
        "side": "buy",
        "venue": "nasdaq",
        "source": "a-file",
        "age_s": 1.0,
        "coverage": "quiet",
        "stale": False,
        "reason": None,
        "cache": cache,
    }
    assert answer.headers["cache-status"] == "decide-l2; hit, decide-l1; fwd=miss"
    decoded(answer, LatestPrice)


@pytest.mark.parametrize("price", ["0.00000001", "123456789.123456789", "0.123456789012345678", "1e-8", "7.10", "42", "1E+20"])
def test_prices_are_numbers_with_the_digits_of_their_venue(price: str, served: Served) -> None:
    """Without trailing zeros and exponents, and never through a float; from L2 and from memory."""
    _put(served, price=price)
    for tier in ("l2", "l1"):
        raw = served.get(f"{PATH}?symbol=AAPL").text
        written = raw.split('"price":')[1].split(",")[0]
        assert f'"tier":"{tier}"' in raw
        assert (Decimal(written), "e" in written.lower(), written.endswith("0") and "." in written) == (
            Decimal(price),
            False,
            False,
        )


def test_without_a_trade_the_last_close_is_told_as_one(served: Served) -> None:
    """What only a trade has is null, and nobody claims that no trade is lacking."""
    found = _exact(served)
    assert {name: found[name] for name in ("price", "timestamp", "source")} == {
        "price": Decimal(100),
        "timestamp": "2013-03-01T21:00:00Z",
        "source": "close",
    }
    assert {found[name] for name in ("currency", "size", "side", "venue", "coverage", "reason")} == {None}
    assert served.get(f"{PATH}?symbol=AAPL").text.split('"price":')[1].startswith("100,")


@pytest.mark.parametrize(("close", "told"), [("0.00000001", "0.00000001"), ("123456789.123456789", "123456789.12345679")])
def test_a_close_is_told_in_plain_digits_as_far_as_its_record_has_them(close: str, told: str, served: Served) -> None:
    served.store.put(replaced(row("AAPL"), price=encode(price_record("AAPL", close=float(close)))))
    answer = served.get(f"{PATH}?symbol=AAPL")
    assert f'"price":{told},' in answer.text


def test_the_close_of_a_pair_is_in_what_the_pair_is_quoted_in(served: Served) -> None:
    close = Written(AS_OF_MS, encode(price_record("ADA-BTC", AS_OF_MS)))
    served.store.put(Row("ADA-BTC", {"price": close}))
    assert _exact(served, "symbol=ADA-BTC")["currency"] == "BTC"


@pytest.mark.parametrize(
    ("tick_ms", "source"), [(AS_OF_MS - 1, "close"), (AS_OF_MS, "a-file"), (AS_OF_MS + 1, "a-file"), (AS_OF_MS - 10**9, "close")]
)
def test_the_newer_of_trade_and_close_counts(tick_ms: int, source: str, served: Served) -> None:
    """At one time it is the trade: it has its venue's own digits."""
    _put(served, as_of_ms=tick_ms)
    assert _exact(served)["source"] == source


def test_a_trade_from_ahead_of_the_clock_hides_no_close() -> None:
    """It would be the newest for ever. Where there is nothing else it is told, with the reason."""
    with Served(clock="wall") as served:
        now_ms = served.parts.now_ms()
        late, early = now_ms + 400_000, now_ms - 1000
        close = Written(early, encode(price_record("AAPL", early)))
        ahead = Written(late, tick("AAPL", late).value)
        served.store.put(Row("AAPL", {"price": close, "tick": ahead}))
        served.store.put(Row("IBM", {"tick": Written(late, tick("IBM", late).value)}))
        assert (_exact(served)["source"], _exact(served)["reason"]) == ("close", None)
        alone = _exact(served, "symbol=IBM")
    assert (alone["source"], alone["stale"], alone["reason"], alone["age_s"]) == ("a-file", True, "ahead_of_clock", 0)


def test_a_last_trade_turns_stale_past_its_age(served: Served) -> None:
    _put(served)
    served.clock.now += 60.5
    assert (_exact(served)["stale"], _exact(served)["reason"]) == (False, None)
    served.clock.now += 0.25
    assert (_exact(served)["stale"], _exact(served)["reason"], _exact(served)["age_s"]) == (True, "stale", Decimal("60.25"))


def test_memory_answers_as_it_does_decisions_and_counts_it(served: Served) -> None:
    """One read of L2 for both, by whatever spelling; a change of the trade comes by itself."""
    _put(served)
    served.decide("AAPL")
    found = _exact(served)
    assert (found["cache"]["tier"], found["cache"]["hit"], found["requested"]) == ("l1", True, "AAPL")
    assert (_exact(served, "symbol=aapl")["symbol"], _exact(served, "symbol=aapl")["requested"]) == ("AAPL", "aapl")
    assert len(served.store.reads) == 1
    before = served.parts.meters.l1_hits.count
    served.parts.tiers.apply([tick("AAPL", LATER_MS, "102", micros=1)])
    assert _exact(served)["price"] == 102
    assert served.parts.meters.l1_hits.count == before + 1


@pytest.mark.parametrize(
    "query", ["symbol=BTC/USDT", "symbol=btc%2Fusdt", "symbol=X:BTCUSDT", "symbol=BTC-USDT", "symbol=%42TC-USDT"]
)
def test_symbols_are_spelled_as_everywhere(query: str) -> None:
    with Served(FakeStore("BTC-USDT")) as served:
        assert _exact(served, query)["symbol"] == "BTC-USDT"


def test_a_kept_alias_is_followed() -> None:
    with Served(FakeStore("BTC-USDT"), symbol_aliases="BTC-USD=BTC-USDT") as served:
        assert _exact(served, "symbol=BTC-USD")["symbol"] == "BTC-USDT"


def test_an_unknown_symbol_is_404_with_what_may_be_meant(served: Served) -> None:
    for query in ("symbol=APPL", "symbol=%41PPL"):
        problem = problem_of(served.get(f"{PATH}?{query}"), 404, "unknown-symbol", "symbol")
        assert "did you mean AAPL?" in problem.detail


def test_a_symbol_without_any_price_is_404_of_its_own(served: Served) -> None:
    """Also where its close is none."""
    served.store.put(replaced(row("IBM"), price=None))
    served.store.put(replaced(row("MSFT"), price=encode(price_record("MSFT", close=None))))
    for symbol in ("IBM", "MSFT"):
        problem = problem_of(served.get(f"{PATH}?symbol={symbol}"), 404, "price-missing", "symbol")
        assert problem.detail == f"{symbol} is loaded without a price: run the warm job with its prices"


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ("", "symbol", "symbol and symbols are not there; allowed: one of them, as in /price/latest?symbol=AAPL"),
        ("symbol=AAPL&symbols=IBM", "symbol", "symbol and symbols are both there; allowed: one of them"),
        ("symbol=", "symbol", "symbol is ''; allowed: 1 to 32 of"),
        ("symbol=a%20b", "symbol", "symbol is 'a b'; allowed: 1 to 32 of"),
        ("symbol=:", "symbol", "symbol is ':'; allowed: 1 to 32 of"),
        ("symbol=AAPL%0A", "symbol", "allowed: 1 to 32 of"),
        ("symbol=" + "A" * 33, "symbol", "allowed: 1 to 32 of"),
        ("symbol=AAPL&symbol=IBM", "symbol", "query parameter 'symbol' is there 2 times; allowed: once"),
        ("symbl=AAPL", "symbl", "query parameter 'symbl' is unknown; allowed: symbol, symbols"),
        ("symbols=", "symbols", "symbols has 0 elements; allowed: 1 to 3 (BATCH_MAX)"),
        ("symbols=A,B,C,D", "symbols", "symbols has 4 elements; allowed: 1 to 3 (BATCH_MAX)"),
    ],
)
def test_bad_parameters_are_422_that_names_field_value_and_what_is_allowed(query: str, field: str, says: str) -> None:
    with Served(batch_max=3) as served:
        assert says in problem_of(served.get(f"{PATH}?{query}"), 422, "invalid-request", field).detail


def test_several_are_answered_each_for_itself_and_in_order(served: Served) -> None:
    _put(served, "AAPL", "101.250")
    served.store.put(replaced(row("MSFT"), price=None))
    served.decide("IBM")
    answer = served.get(f"{PATH}?symbols=aapl,IBM,NOPE,a b,MSFT,,AAPL")
    found = decoded(answer, LatestPrices)
    assert [each.symbol for each in found.data] == ["AAPL", "IBM", "NOPE", "a b", "MSFT", "", "AAPL"]
    told = [each.latest and (each.latest.requested, bytes(each.latest.price), each.latest.cache.tier) for each in found.data]
    assert told == [("aapl", b"101.25", "l2"), ("IBM", b"100", "l1"), None, None, None, None, ("AAPL", b"101.25", "l2")]
    problems = [each.problem and (each.problem.type.split(":")[-1], each.problem.field) for each in found.data]
    assert problems == [
        None,
        None,
        ("unknown-symbol", "symbols[2]"),
        ("invalid-request", "symbols[3]"),
        ("price-missing", "symbols[4]"),
        ("invalid-request", "symbols[5]"),
        None,
    ]
    assert (found.found, found.failed) == (3, 4)
    assert answer.headers["server-timing"].startswith("decide;dur=")


def test_more_than_memory_looks_up_at_once_are_told_in_order() -> None:
    symbols = [f"S{number:04}" for number in range(600)]
    with Served(FakeStore(*symbols)) as served:
        found = decoded(served.get(f"{PATH}?symbols={','.join(symbols)}"), LatestPrices)
    assert [each.symbol for each in found.data] == symbols
    assert (found.found, found.failed) == (600, 0)


def test_while_l2_is_away_the_last_price_known_is_told_as_stale_and_why(served: Served) -> None:
    _put(served)
    _exact(served)
    served.clock.now += 61.0
    served.store.fault = down()
    answer = served.get(f"{PATH}?symbol=AAPL")
    found = decoded(answer, LatestPrice)
    assert (bytes(found.price), found.stale, found.reason) == (b"101.25", True, "stale")
    assert (found.cache.hit, found.cache.tier, found.cache.age_ms) == (False, "l1", 61_000.0)
    assert answer.headers["cache-status"] == "decide-l2; fwd=miss; detail=unreachable, decide-l1; hit; detail=stale"
    close = _exact(served, "symbols=AAPL,AAPL")["data"][1]["latest"]
    assert (close["stale"], close["cache"]["hit"]) == (True, False)


def test_a_close_that_could_not_be_confirmed_says_so(served: Served) -> None:
    """It is not stale by its age."""
    _exact(served)
    served.clock.now += 61.0
    served.store.fault = down()
    found = _exact(served)
    assert (found["source"], found["stale"], found["reason"]) == ("close", True, "l2_error")


@pytest.mark.parametrize("query", ["symbol=AAPL", "symbol=%41APL"])
def test_without_l1_and_l2_it_is_503_with_retry_after(query: str, served: Served) -> None:
    """There is no neutral price."""
    served.store.fault = down()
    answer = served.get(f"{PATH}?{query}")
    problem_of(answer, 503, "store-unavailable")
    assert answer.headers["retry-after"] == "1"
    (item,) = decoded(served.get(f"{PATH}?symbols=AAPL"), LatestPrices).data
    assert item.problem is not None
    assert (item.latest, item.problem.status) == (None, 503)


def test_a_symbol_that_was_taken_back_is_not_told_any_more(served: Served) -> None:
    _put(served)
    _exact(served)
    del served.store.rows["AAPL"]
    served.parts.tiers.withdraw(["AAPL"])
    problem_of(served.get(f"{PATH}?symbol=AAPL"), 404, "unknown-symbol", "symbol")


def test_a_trade_that_cannot_be_read_leaves_the_close_and_the_reason(served: Served) -> None:
    """There may be a newer price than that."""
    served.store.put(Row("AAPL", {**row("AAPL").records, "tick": Written(LATER_MS, b"\xc1")}))
    found = _exact(served)
    assert (found["source"], found["stale"], found["reason"]) == ("close", True, "corrupt")


def test_more_prices_than_may_be_waited_for_are_refused() -> None:
    with Served(max_in_flight=2) as served:
        assert served.parts.admission.enter(1)
        problem_of(served.get(f"{PATH}?symbols=AAPL,IBM"), 503, "overloaded")
        served.parts.admission.enter(1)
        problem_of(served.get(f"{PATH}?symbol=IBM"), 503, "overloaded")


def test_a_request_pays_for_as_many_prices_as_it_asks_for() -> None:
    """However it is spelled, and by HEAD; a refusal pays for one."""
    costs = {"symbol=AAPL": 1, "symbol=%41APL": 1, "symbols=AAPL,IBM,NOPE": 3, "": 1, "symbol=a%20b": 1}
    for method in ("GET", "HEAD"):
        for query, cost in costs.items():
            with Served(rate_limit_per_s=0.001, rate_limit_burst=10) as served:
                served.request(method, f"{PATH}?{query}")
                left = served.request("GET", f"{PATH}?symbol=AAPL").headers["ratelimit"]
                assert f"r={10 - cost - 1};" in left + ";", (method, query)


def test_more_than_the_burst_is_refused_by_name() -> None:
    with Served(rate_limit_per_s=0.001, rate_limit_burst=2) as served:
        problem = problem_of(served.get(f"{PATH}?symbols=AAPL,IBM,MSFT"), 422, "invalid-request", "symbols")
    assert "3 decisions at once are more than the rate limit's burst; allowed: up to 2" in problem.detail


@pytest.mark.parametrize(
    ("scopes", "status"),
    [(("read",), 200), (("market:read",), 200), (("admin",), 200), (("decide",), 403), (("decide", "market:read"), 200)],
)
def test_a_key_of_prices_or_of_all_that_is_loaded_may_ask(scopes: tuple[Any, ...], status: int) -> None:
    """In the lane and behind it; and one of prices alone may ask for nothing else."""
    keys = FakeKeys()
    key = keys.make(*scopes)
    with Served(keys=keys, access="keys", api_key_secret=SECRET) as served:
        for query in ("symbol=AAPL", "symbol=%41APL", "symbols=AAPL"):
            assert served.get(f"{PATH}?{query}").status_code == 401
            assert served.get(f"{PATH}?{query}", x_api_key=key).status_code == status
        if scopes == ("market:read",):
            assert {served.get(path, x_api_key=key).status_code for path in ("/features/AAPL", "/symbols", "/status")} == {403}


def test_head_and_other_methods_are_as_its_neighbours(served: Served) -> None:
    for query in ("symbol=AAPL", "symbols=AAPL"):
        head = served.request("HEAD", f"{PATH}?{query}")
        assert (head.status_code, head.headers["content-type"]) == (200, "application/json")
    for method in ("POST", "OPTIONS", "DELETE"):
        answer = served.request(method, f"{PATH}?symbol=AAPL")
        assert problem_of(answer, 405, "method-not-allowed").detail == f"{method} is not for {PATH}"
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_the_lane_answers_as_the_route_behind_it(served: Served) -> None:
    """Same headers, same body, same metrics and log."""
    _put(served)
    served.decide()
    lane, route = served.get(f"{PATH}?symbol=AAPL"), served.get(f"{PATH}?symbol=%41APL")
    assert lane.json() == route.json()
    assert set(lane.headers) == set(route.headers)
    served.parts.meters.flush()
    text = served.get("/metrics").text
    assert 'decide_request_duration_seconds_count{route="/price/latest",slo_class="data",status="200"} 2.0' in text


def test_a_request_without_host_is_refused_in_the_lane_too(served: Served) -> None:
    scope = http_scope("GET", PATH, headers=()) | {"query_string": b"symbol=AAPL"}
    heard = served.asgi(scope)
    assert (heard.status, heard.problem.field) == (400, "Host")


def test_a_fault_that_nobody_foresaw_is_500_and_is_logged() -> None:
    class Broken(FakeStore):
        kind = "broken"

    with Served(Broken(*UNIVERSE)) as served:
        served.decide()
        entry = served.parts.tiers.memory.fresh("AAPL", served.clock())
        assert entry is not None
        entry.evidence = None  # type: ignore[assignment]
        problem_of(served.get(f"{PATH}?symbol=AAPL"), 500, "internal")
        assert [line["event"] for line in served.log_lines() if line["level"] == "error"] == ["request_failed", "request"]


def test_a_trade_without_a_source_is_of_its_venue(served: Served) -> None:
    last = msgspec.structs.replace(tick_record("AAPL", LATER_MS), source="")
    served.store.put(Row("AAPL", {"tick": Written(LATER_MS, encode(last))}))
    assert _exact(served)["source"] == "nasdaq"


def test_the_contract_has_the_words_of_the_domain() -> None:
    """Which the payloads, a leaf, cannot import."""
    schema = msgspec.json.schema(LatestPrice)["$defs"]["LatestPrice"]["properties"]
    assert set(schema["coverage"]["anyOf"][0]["enum"]) == set(get_args(TickCoverage))
    assert set(schema["side"]["anyOf"][0]["enum"]) == set(get_args(Side))


def test_a_store_error_has_its_own_reason_in_the_answer(served: Served) -> None:
    _exact(served)
    served.clock.now += 61.0
    served.store.fault = StoreError("l2_timeout", "slow")
    assert _exact(served)["reason"] == "l2_error"
