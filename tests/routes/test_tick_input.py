"""What answers say of the last trade, and how it decides beside a price in the request."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from app.store.protocol import Row, Written
from tests.kit.records import AS_OF_MS, row, tick
from tests.kit.serving import Served

_UNUSED = {"status": "present", "age_s": 0, "price": Decimal("101.25"), "source": "a-file", "coverage": "complete"}


@pytest.fixture
def served() -> Iterator[Served]:
    """A server whose symbols have no last trades."""
    with Served(live_price_outside="ignore", tick_max_age_s=30) as served:
        yield served


def _trade(served: Served, price: str = "101.25", as_of_ms: int = AS_OF_MS, **facts: Any) -> None:  # noqa: ANN401 - as `tick` has them
    """AAPL's last trade."""
    value = tick("AAPL", as_of_ms, price, **facts).value
    served.store.put(Row("AAPL", {**row("AAPL").records, "tick": Written(as_of_ms, value)}))


def _asked(served: Served, **options: object) -> Any:  # noqa: ANN401 - JSON, its numbers as they stand
    return json.loads(served.post("/decide", {"symbol": "AAPL", **options}).content, parse_float=Decimal)


def _tick(served: Served, **options: object) -> Any:  # noqa: ANN401 - JSON
    return _asked(served, **options)["inputs"]["tick"]


def test_a_symbol_without_a_last_trade_is_answered_as_ever(served: Served) -> None:
    """From L2 and L1, prepared and not, alone and in a batch; also where nothing is known of it."""
    answers = [_asked(served), _asked(served), _asked(served, explain=True), _asked(served, price=101)]
    answers.append(json.loads(served.post("/decide/batch", {"symbols": ["AAPL"]}).content)["answers"][0]["decision"])
    answers.append(served.get("/features/AAPL").json())
    served.store.fault = TimeoutError()
    answers.append(json.loads(served.post("/decide", {"symbol": "IBM"}).content))
    assert [list(each["inputs"]) for each in answers] == [["price", "agents"]] * 7


def test_the_answer_says_what_the_last_trade_was_to_the_digit(served: Served) -> None:
    """From L2, and from L1 as it was prepared, and in a batch; its age is of the moment."""
    _trade(served, "123456789.123456789", coverage="quiet")
    started, said = served.clock.now, {"price": Decimal("123456789.123456789"), "source": "a-file", "coverage": "quiet"}
    for age_s in (0, 5, 30):
        served.clock.now = started + age_s
        batch = json.loads(served.post("/decide/batch", {"symbols": ["AAPL"]}).content, parse_float=Decimal)
        for found in (_asked(served), _asked(served), batch["answers"][0]["decision"], _asked(served, explain=True)):
            assert found["inputs"]["tick"] == {"status": "present", "age_s": age_s, **said}
            assert (found["fallback"]["level"], found["as_of"]) == ("none", "2013-03-01T21:00:00Z")


def test_a_price_in_the_request_goes_before_the_last_trade_if_it_is_believed(served: Served) -> None:
    """The last trade is believed whatever it is: no caller slipped."""
    _trade(served, "5000")
    by_trade = _asked(served)["score"]
    assert _tick(served) == {**_UNUSED, "price": 5000}
    assert _tick(served, price=101) == {**_UNUSED, "price": 5000, "unused": "price_given"}
    assert _asked(served, price=101)["score"] != by_trade
    ignored = _asked(served, price=1e9)
    assert "live_price_ignored" in ignored["inputs"]["price"]
    assert (ignored["score"], "unused" in ignored["inputs"]["tick"]) == (by_trade, False)


def test_a_last_trade_that_is_old_is_a_fallback_until_a_bar_knows_more(served: Served) -> None:
    """Its age is the setting's."""
    _trade(served)
    assert _asked(served)["fallback"]["level"] == "none"
    served.clock.now += 30.5
    found = _asked(served)
    assert found["inputs"]["tick"] == {**_UNUSED, "status": "stale", "age_s": Decimal("30.5"), "unused": "stale"}
    assert found["fallback"] == {"used": True, "level": "stale", "reason": "tick_stale"}
    _trade(served, as_of_ms=AS_OF_MS - 1)
    served.runner.run(_invalidated(served))
    found = _asked(served)
    assert (found["inputs"]["tick"]["unused"], found["fallback"]["used"]) == ("older_than_bars", False)


async def _invalidated(served: Served) -> None:
    served.parts.tiers.withdraw(["AAPL"])


def test_a_last_trade_that_cannot_be_read_is_named(served: Served) -> None:
    served.store.put(Row("AAPL", {**row("AAPL").records, "tick": Written(AS_OF_MS, b"\xc1")}))
    nothing = {"age_s": None, "price": None, "source": None, "coverage": None}
    for _ in range(2):
        found = _asked(served)
        assert found["inputs"]["tick"] == {"status": "error", **nothing, "unused": "corrupt"}
        assert found["fallback"] == {"used": True, "level": "stale", "reason": "tick_corrupt"}


def test_metrics_tell_the_last_trades_that_decisions_rest_on(served: Served) -> None:
    """One that was used and is old by now made no decision stale."""
    served.parts.refresh()
    _trade(served, coverage="gap")
    _asked(served)
    served.clock.now += 40
    served.parts.refresh()
    lines = served.get("/metrics").text.splitlines()
    assert 'decide_oldest_served_input_age_seconds{input="tick"} 40.0' in lines
    assert 'decide_served_input_overdue_seconds{input="tick"} 0.0' in lines
    assert any(each.startswith("decide_decisions_total{") and 'level="stale"' in each and each.endswith(" 1.0") for each in lines)
