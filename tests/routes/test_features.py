"""GET /features/{symbol} and GET /symbols: what is loaded."""

import pytest

from app.domain.vector import AGENT_FEATURES, PRICE_FEATURES, SCHEMA
from app.payloads import FeaturesResponse, SymbolsResponse
from tests.kit.records import PLAIN_VALUES, replaced, row
from tests.kit.serving import Served, decoded, problem_of
from tests.kit.store import FakeStore, down

_MANY = [f"S{number:04}" for number in range(2500)]


def _features(served: Served, symbol: str = "AAPL") -> dict[str, float | None]:
    answer = decoded(served.get(f"/features/{symbol}"), FeaturesResponse)
    assert len(answer.names) == len(answer.values)
    return dict(zip(answer.names, answer.values, strict=True))


def test_the_vector_has_the_names_of_the_schema_and_the_published_values(served: Served) -> None:
    answer = decoded(served.get("/features/aapl"), FeaturesResponse)
    assert answer.symbol == "AAPL"
    assert answer.schema == SCHEMA
    assert answer.names == PRICE_FEATURES + AGENT_FEATURES
    features = _features(served)
    assert {name: features[name] for name in PRICE_FEATURES} == {name: PLAIN_VALUES[name] for name in PRICE_FEATURES}
    assert answer.price_as_of == answer.agents_as_of == "2013-03-01T21:00:00Z"
    assert [each.agent for each in answer.views] == ["agent_a", "agent_b", "agent_c"]


def test_agents_features_are_the_summary_a_decision_uses(served: Served) -> None:
    """Two equally confident views of 0.6 and 0.2 make 0.4, in full agreement; one agent abstained."""
    features = _features(served)
    assert features["agents_view"] == pytest.approx(0.4)
    assert features["agents_agreement"] == 1.0
    assert (features["agents_used"], features["agents_abstained"], features["agents_failed"]) == (2.0, 1.0, 0.0)


def test_a_missing_record_gives_nulls_and_a_status(served: Served) -> None:
    served.store.put(replaced(row("AAPL"), agents=None))
    served.store.put(replaced(row("IBM"), price=None))
    without_agents = decoded(served.get("/features/AAPL"), FeaturesResponse)
    assert without_agents.inputs.agents.status == "missing"
    assert without_agents.values[len(PRICE_FEATURES) :] == (None,) * len(AGENT_FEATURES)
    assert (without_agents.views, without_agents.agents_as_of) == ((), None)
    without_price = decoded(served.get("/features/IBM"), FeaturesResponse)
    assert without_price.inputs.price.status == "missing"
    assert without_price.values[: len(PRICE_FEATURES)] == (None,) * len(PRICE_FEATURES)
    assert without_price.price_as_of is None


def test_features_say_which_tier_they_came_from(served: Served) -> None:
    first, second = served.get("/features/AAPL"), served.get("/features/AAPL")
    assert [decoded(each, FeaturesResponse).cache.tier for each in (first, second)] == ["l2", "l1"]
    assert second.headers["cache-status"] == "decide-l1; hit"


def test_features_of_an_unreachable_store_are_null_with_an_error(served: Served) -> None:
    served.store.fault = down()
    answer = decoded(served.get("/features/AAPL"), FeaturesResponse)
    assert (answer.inputs.price.status, answer.cache.tier) == ("error", "none")
    assert set(answer.values) == {None}


@pytest.mark.parametrize(
    ("path", "status"), [("NOPE", 404), ("a%20b", 422), ("%00", 422), ("A" * 33, 422), ("%FF", 422), ("", 422)]
)
def test_features_of_what_is_no_symbol_are_a_problem(path: str, status: int, served: Served) -> None:
    slug = "unknown-symbol" if status == 404 else "invalid-request"
    problem_of(served.get(f"/features/{path}"), status, slug, "symbol")


def test_symbols_with_a_slash_have_features() -> None:
    with Served(FakeStore("BTC-USD")) as served:
        for path, requested in (("BTC/USD", "BTC/USD"), ("btc%2Fusd", "btc/usd"), ("BTC-USD", "BTC-USD")):
            answer = decoded(served.get(f"/features/{path}"), FeaturesResponse)
            assert (answer.symbol, answer.requested) == ("BTC-USD", requested)


def test_symbols_lists_the_universe_in_order(served: Served) -> None:
    answer = decoded(served.get("/symbols"), SymbolsResponse)
    assert answer.symbols == ("AAPL", "IBM", "MSFT")
    assert (answer.total, answer.next_after, answer.run) == (3, None, "run-1")


def test_pages_joined_are_the_universe_once() -> None:
    with Served(FakeStore(*_MANY)) as served:
        seen: list[str] = []
        after, pages = "", 0
        while True:
            page = decoded(served.get(f"/symbols?limit=700&after={after}"), SymbolsResponse)
            assert page.total == len(_MANY)
            seen += page.symbols
            pages += 1
            if page.next_after is None:
                break
            after = page.next_after
    assert seen == _MANY
    assert pages == 4


def test_a_page_has_1000_symbols_unless_told() -> None:
    with Served(FakeStore(*_MANY)) as served:
        assert len(decoded(served.get("/symbols"), SymbolsResponse).symbols) == 1000
        last = decoded(served.get("/symbols?limit=500&after=S1999"), SymbolsResponse)
        assert (len(last.symbols), last.next_after) == (500, None)
        assert decoded(served.get("/symbols?after=ZZZ"), SymbolsResponse).symbols == ()


@pytest.mark.parametrize("limit", ["0", "-1", "10001", "1.5", "x", "", "999999999999", "%D9%A1", "+5", "1_0"])
def test_a_wrong_limit_is_422(limit: str, served: Served) -> None:
    assert "1 to 10000" in problem_of(served.get(f"/symbols?limit={limit}"), 422, "invalid-request", "limit").detail


def test_an_unknown_query_parameter_is_422_naming_it(served: Served) -> None:
    """A misspelt one would otherwise quietly give the first page."""
    problem_of(served.get("/symbols?limt=5"), 422, "invalid-request", "limt")


def test_symbols_of_an_unreachable_store_are_503_with_retry_after(served: Served) -> None:
    """There is no neutral list: the caller is told to come back."""
    served.store.fault = down()
    answer = served.get("/symbols")
    problem_of(answer, 503, "store-unavailable")
    assert answer.headers["retry-after"] == "1"


def test_symbols_before_the_first_run_are_none() -> None:
    with Served(FakeStore()) as served:
        answer = decoded(served.get("/symbols"), SymbolsResponse)
    assert (answer.symbols, answer.total, answer.next_after, answer.run) == ((), 0, None, None)


@pytest.mark.parametrize("path", ["/features/AAPL%0A", "/features/AA%0APL", "/features/%0A", "/features/"])
def test_a_symbol_in_a_path_is_looked_at_whole(served: Served, path: str) -> None:
    """A line's end in it is neither cut off, so that another symbol is answered, nor makes it a path that is not there."""
    assert "allowed: 1 to 32 of" in problem_of(served.get(path), 422, "invalid-request", "symbol").detail


def test_a_query_parameter_that_comes_twice_is_refused(served: Served) -> None:
    """Whoever stands in front may go by the first, and the server by the last."""
    detail = problem_of(served.get("/symbols?limit=nonsense&limit=1"), 422, "invalid-request", "limit").detail
    assert detail == "query parameter 'limit' is there 2 times; allowed: once"
