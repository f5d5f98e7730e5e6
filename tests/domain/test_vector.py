"""Which records hold the vector's rules: exactly up to each bound, and not beyond it."""

import math
from datetime import UTC, datetime

import msgspec
import pytest

from app.domain.vector import (
    AGENT_VIEW_FIELDS,
    AS_OF_MAX_MS,
    DUE_MAX_MS,
    HISTORY_BARS,
    HISTORY_FIELDS,
    PRICE_NAMES,
    VIEWS_MAX,
    AgentView,
    HistoryRecord,
    agent_record_fault,
    history_record_fault,
    is_symbol,
    newest_views,
    price_record_fault,
)
from tests.kit.records import AS_OF_MS, agent_record, agent_view, history_record, price_record


def test_the_last_time_can_be_shown_as_a_date_with_room_for_every_age() -> None:
    """A date has at most the year 9999, and an input's maximal age may be 100 years."""
    assert datetime.fromtimestamp(AS_OF_MAX_MS / 1000, UTC).year == 9000
    assert AS_OF_MAX_MS == 221_845_392_000_000


@pytest.mark.parametrize("as_of_ms", [0, AS_OF_MAX_MS - 1])
def test_times_up_to_the_bounds_are_valid(as_of_ms: int) -> None:
    price, agents = price_record(as_of_ms=as_of_ms), agent_record(as_of_ms=as_of_ms)
    assert price_record_fault(msgspec.structs.replace(price, loaded_at_ms=as_of_ms)) is None
    assert agent_record_fault(msgspec.structs.replace(agents, loaded_at_ms=as_of_ms)) is None


@pytest.mark.parametrize("as_of_ms", [-1, AS_OF_MAX_MS])
def test_times_past_the_bounds_are_named(as_of_ms: int) -> None:
    assert "as_of_ms" in (price_record_fault(price_record(as_of_ms=as_of_ms)) or "")
    assert "as_of_ms" in (agent_record_fault(agent_record(as_of_ms=as_of_ms, views=())) or "")
    views = (agent_view("a", 0.1), agent_view("b", 0.1, as_of_ms))
    assert "as_of_ms" in (agent_record_fault(agent_record(views=views)) or "")


def test_of_too_many_views_a_summary_goes_first() -> None:
    """However new it is: what it sums up counts."""
    summary = msgspec.structs.replace(agent_view("manager", 1.0, AS_OF_MS + 1), status="summary")
    views = tuple(agent_view(f"agent-{number}", 0.5) for number in range(VIEWS_MAX))
    assert newest_views((summary, *views)) == views


def test_as_many_views_as_are_kept_are_all_kept_summaries_too() -> None:
    summary = msgspec.structs.replace(agent_view("manager", 1.0, AS_OF_MS), status="summary")
    views = (summary, *(agent_view(f"agent-{number}", 0.5) for number in range(VIEWS_MAX - 1)))
    assert newest_views(views) == views


def test_views_and_confidences_up_to_the_bounds_are_valid() -> None:
    for view in (-1.0, 0.0, 1.0):
        for confidence in (0.0, 1.0, None):
            assert agent_record_fault(agent_record(views=(agent_view("a", view, AS_OF_MS, confidence),))) is None


@pytest.mark.parametrize("view", [math.nextafter(-1, -2), math.nextafter(1, 2), math.nan, math.inf, -math.inf])
def test_a_view_past_the_bounds_is_named(view: float) -> None:
    assert "has view" in (agent_record_fault(agent_record(views=(agent_view("a", view),))) or "")


@pytest.mark.parametrize("confidence", [math.nextafter(0, -1), math.nextafter(1, 2), math.nan, math.inf, -math.inf])
def test_a_confidence_past_the_bounds_is_named(confidence: float) -> None:
    fault = agent_record_fault(agent_record(views=(agent_view("a", 0.5, confidence=confidence),)))
    assert "has confidence" in (fault or "")
    abstained = msgspec.structs.replace(agent_view("a", None), confidence=confidence)
    assert "has confidence" in (agent_record_fault(agent_record(views=(abstained,))) or "")


@pytest.mark.parametrize("interval_s", [-1, 0, 1])
def test_a_bar_takes_time(interval_s: int) -> None:
    fault = price_record_fault(msgspec.structs.replace(price_record(), interval_s=interval_s))
    assert (fault is None) == (interval_s >= 1)


@pytest.mark.parametrize(
    ("ahead_ms", "fault"),
    [
        ((1, 2, 3, 4, DUE_MAX_MS), None),
        ((1, 2, 3, 4), "due_ms has 4 times, not 5"),
        ((1, 2, 3, 4, 5, 6), "due_ms has 6 times, not 5"),
        ((0, 2, 3, 4, 5), "due_ms do not ascend from as_of_ms"),
        ((1, 2, 2, 4, 5), "due_ms do not ascend from as_of_ms"),
        ((1, 2, 3, 4, DUE_MAX_MS + 1), "more than ten years after as_of_ms"),
    ],
)
def test_the_next_bars_end_one_after_the_other(ahead_ms: tuple[int, ...], fault: str | None) -> None:
    record = price_record()
    found = price_record_fault(msgspec.structs.replace(record, due_ms=tuple(record.as_of_ms + each for each in ahead_ms)))
    assert found is None if fault is None else fault in (found or "")


@pytest.mark.parametrize("name", PRICE_NAMES)
def test_each_value_may_be_null_and_must_be_finite(name: str) -> None:
    at = PRICE_NAMES.index(name)
    for value in (None, math.nan, math.inf, -math.inf):
        values = price_record().values
        fault = price_record_fault(msgspec.structs.replace(price_record(), values=(*values[:at], value, *values[at + 1 :])))
        assert fault is None if value is None else (fault or "").startswith(f"{name} is ")


def test_values_may_be_so_large_that_their_sum_is_not_finite() -> None:
    """Each is looked at by itself then."""
    values = (1e308,) * len(PRICE_NAMES)
    assert math.isinf(sum(values))
    assert price_record_fault(msgspec.structs.replace(price_record(), values=values)) is None


def test_the_fields_that_the_fingerprint_names_are_those_of_a_view() -> None:
    """A field added to the views without the fingerprint would be misread by older servers."""
    assert AgentView.__struct_fields__ == AGENT_VIEW_FIELDS


@pytest.mark.parametrize(
    "symbol", ["A", "AAPL", "BRK.B", "^GSPC", "BTC-USD", "EURUSD=X", "BINANCE:BTC/USDT", "0700.HK", "A" * 32]
)
def test_tickers_are_symbols(symbol: str) -> None:
    assert is_symbol(symbol)


@pytest.mark.parametrize("symbol", ["", "a", "-A", ".A", "A B", "A\n", "\nA", "A{B}", "A" * 33, "Å", "A\0"])
def test_what_could_break_a_key_or_a_line_is_no_symbol(symbol: str) -> None:
    assert not is_symbol(symbol)


def _history(*times_ms: int, closes: tuple[float, ...] | None = None, interval_s: int = 1) -> HistoryRecord:
    closes = tuple(float(each) for each in times_ms) if closes is None else closes
    as_of_ms = times_ms[-1] if times_ms else 0
    return msgspec.structs.replace(history_record(), as_of_ms=as_of_ms, times_ms=times_ms, closes=closes, interval_s=interval_s)


@pytest.mark.parametrize(
    "record",
    [history_record(), _history(0), _history(AS_OF_MAX_MS - 1), _history(*range(HISTORY_BARS)), _history(5, closes=(-1.0,))],
)
def test_histories_up_to_the_bounds_are_valid(record: HistoryRecord) -> None:
    assert history_record_fault(record) is None


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        (_history(), "0 bars"),
        (_history(*range(HISTORY_BARS + 1)), "121 bars"),
        (_history(1, 2, closes=(1.0,)), "1 closes for 2 times"),
        (_history(1, 1), "ascend"),
        (_history(1, 3, 2, 4), "ascend"),
        (_history(-1, 1), "outside"),
        (_history(1, AS_OF_MAX_MS), "outside"),
        (msgspec.structs.replace(_history(1, 2), as_of_ms=3), "not the last bar's 2"),
        (_history(1, 2, closes=(1.0, math.nan)), "finite"),
        (_history(1, 2, closes=(math.inf, 1.0)), "finite"),
        (_history(1, interval_s=0), "interval_s is 0"),
    ],
)
def test_a_history_that_breaks_a_rule_is_told_which(record: HistoryRecord, fault: str) -> None:
    assert fault in (history_record_fault(record) or "")


def test_a_history_has_its_fields_in_the_order_of_its_fingerprint() -> None:
    assert ("schema", *HISTORY_FIELDS) == HistoryRecord.__struct_fields__
