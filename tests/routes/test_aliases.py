"""Symbols by other names, and what may have been meant by one that is not loaded."""

import pytest

from app.payloads import BatchResponse, FeaturesResponse
from tests.kit.serving import Served, decoded
from tests.kit.store import UNIVERSE, FakeStore, down


def _store() -> FakeStore:
    return FakeStore(*UNIVERSE, "BTC-USDT", "XYZ.UK")


def _detail(served: Served, symbol: str) -> str:
    answer = served.post("/decide", {"symbol": symbol})
    assert answer.status_code == 404
    return str(answer.json()["detail"])


def test_a_request_under_another_name_gets_the_decision_of_what_is_kept() -> None:
    with Served(_store(), symbol_aliases="BTC/USD=BTC-USDT") as served:
        for _ in ("l2", "l1"):
            answer = served.decide("btcusd")
            assert (answer.symbol, answer.requested) == ("BTC-USDT", "btcusd")
        (item,) = decoded(served.post("/decide/batch", {"symbols": ["BTC-USD"]}), BatchResponse).answers
        assert item.symbol == "BTC-USDT"
        assert decoded(served.get("/features/BTC-USD"), FeaturesResponse).symbol == "BTC-USDT"


def test_coins_that_stand_for_a_dollar_are_dollars_by_a_setting() -> None:
    store = FakeStore(*UNIVERSE, "BTC-USD")
    with Served(store, stablecoins="usd") as served:
        assert served.decide("BTCUSDC").symbol == "BTC-USD"
    with Served(store) as served:
        assert "did you mean BTC-USD?" in _detail(served, "BTCUSDC")


@pytest.mark.parametrize(("asked", "meant"), [("XYZ", "XYZ.UK"), ("BTC-USD", "BTC-USDT"), ("xyz.sh", "XYZ.UK")])
def test_an_unknown_symbol_is_refused_with_what_may_have_been_meant(asked: str, meant: str) -> None:
    with Served(_store()) as served:
        assert _detail(served, asked).endswith(f"; did you mean {meant}?")
    with Served(_store()) as served:
        (item,) = decoded(served.post("/decide/batch", {"symbols": [asked]}), BatchResponse).answers
        assert item.problem is not None
        assert f"did you mean {meant}?" in item.problem.detail
    with Served(_store()) as served:
        assert f"did you mean {meant}?" in served.get(f"/features/{asked}").json()["detail"]


def test_nothing_is_suggested_where_nothing_is_near() -> None:
    with Served(_store()) as served:
        assert _detail(served, "NOPE") == "symbol NOPE is not in the loaded universe (GET /symbols lists it)"


def test_a_universe_that_cannot_be_read_costs_a_suggestion_and_is_not_asked_for_at_every_refusal() -> None:
    store = FakeStore(*UNIVERSE, "XYZ.UK")
    store.faults["symbols"] = down()
    with Served(store) as served:
        for symbol in ("XYZ", "XYZ", "ABC"):
            assert "did you mean" not in _detail(served, symbol)
    assert store.calls["symbols"] == 1
