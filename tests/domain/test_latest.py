"""Which price is the latest, whatever is there and whatever the clock says."""

from hypothesis import given
from hypothesis import strategies as st

from app.domain.latest import latest_price
from app.domain.staleness import SKEW_MS, Limits
from tests.kit.records import AS_OF_MS, evidence_of, price_record, tick_record

_LIMITS = Limits(price_ms=1000.0, agents_ms=1000.0, input_ms=5000.0, half_life_ms=1.0)
_times_ms = st.integers(AS_OF_MS - 10 * SKEW_MS, AS_OF_MS + 10 * SKEW_MS)


@given(st.none() | _times_ms, st.none() | _times_ms, _times_ms)
def test_the_newest_that_is_not_ahead_of_the_clock_counts(trade_ms: int | None, close_ms: int | None, now_ms: int) -> None:
    """What is ahead counts only where nothing else does."""
    price = None if close_ms is None else price_record(as_of_ms=close_ms)
    tick = None if trade_ms is None else tick_record(as_of_ms=trade_ms)
    found = latest_price(evidence_of(price, None, tick=tick), 2, now_ms, _LIMITS)
    there = [each for each in (price, tick) if each is not None]
    if not there:
        assert found is None
        return
    assert found is not None
    good = [each for each in there if each.as_of_ms <= now_ms + SKEW_MS] or there
    assert found.record.as_of_ms == max(each.as_of_ms for each in good)
    assert found.age_s == max(0, now_ms - found.record.as_of_ms) / 1000
    assert (found.reason == "ahead_of_clock") == (found.record.as_of_ms > now_ms + SKEW_MS)
    if trade_ms == found.record.as_of_ms:
        assert found.record is tick


def test_news_of_a_symbol_make_its_last_trade_no_younger() -> None:
    """A heartbeat, say: a close after the trade is still the latest price."""
    tick = tick_record(as_of_us=AS_OF_MS * 1000 + 9_000_000)
    found = latest_price(evidence_of(None, None, tick=tick), 2, AS_OF_MS + 61_000, _LIMITS)
    assert found is not None
    assert (found.age_s, found.reason) == (61.0, "too_old")
    price = price_record(as_of_ms=AS_OF_MS + 1)
    found = latest_price(evidence_of(price, None, tick=tick), 2, AS_OF_MS + 9000, _LIMITS)
    assert found is not None
    assert found.record is price


def test_old_prices_are_told_with_why_they_are_none_of_now() -> None:
    """However old: there is no other."""
    reasons = {
        age_ms: getattr(latest_price(evidence_of(price_record(), None), 2, AS_OF_MS + age_ms, _LIMITS), "reason", "none")
        for age_ms in (1000, 1001, 5001)
    }
    assert reasons == {1000: None, 1001: "stale", 5001: "too_old"}


def test_a_reason_of_its_own_goes_before_that_l2_could_not_confirm_it() -> None:
    evidence = evidence_of(price_record(), None)
    for age_ms, reason in ((0, "l2_timeout"), (1001, "stale")):
        found = latest_price(evidence, 2, AS_OF_MS + age_ms, _LIMITS, "l2_timeout")
        assert found is not None
        assert found.reason == reason


def test_bars_without_a_close_have_no_price() -> None:
    bars = price_record(close=None)
    assert latest_price(evidence_of(bars, None), 2, AS_OF_MS, _LIMITS) is None
    older = tick_record(as_of_ms=AS_OF_MS - 1)
    found = latest_price(evidence_of(bars, None, tick=older), 2, AS_OF_MS, _LIMITS)
    assert found is not None
    assert found.record is older
