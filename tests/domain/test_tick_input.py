"""The last trade as an input: it carries the price on while it is young, and says why where it does not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.evidence import Evidence, Trouble
from app.domain.policy import HYBRID_1, Decision, Policy
from app.domain.staleness import SKEW_MS, Limits
from app.domain.ticks import TickRecord
from tests.kit.records import AS_OF_MS, agent_record, evidence_of, price_record, tick_record

_DAY_MS = 86_400_000
_LIFE_MS = 60_000
_POLICY = Policy(HYBRID_1, Limits(4.0 * _DAY_MS, 7.0 * _DAY_MS, 30.0 * _DAY_MS, 5.0 * _DAY_MS, tick_ms=_LIFE_MS))
_MADE_MS = AS_OF_MS + _DAY_MS
"""When the trades here are made: a day after the last bar's end."""
_NIGHT = (_MADE_MS + 30_000, _MADE_MS + 1_000_000)
_times = st.integers(AS_OF_MS - 2 * _LIFE_MS, AS_OF_MS + 2 * _LIFE_MS)


def _evidence(tick: TickRecord | None = None, trouble: Trouble | None = None) -> Evidence:
    found = evidence_of(price_record(), agent_record(), tick=tick)
    return found if trouble is None else found.having(2, tick, trouble)


def _tick(price: str = "104.5", as_of_ms: int = _MADE_MS, **facts: Any) -> TickRecord:  # noqa: ANN401 - as `tick_record` has them
    return tick_record("AAPL", as_of_ms, price, **facts)


@st.composite
def _ticks(draw: st.DrawFn) -> TickRecord:
    as_of_ms = draw(_times)
    closes_ms = as_of_ms + draw(st.integers(-_LIFE_MS, 2 * _LIFE_MS))
    closed_ms = closes_ms, max(closes_ms, as_of_ms) + draw(st.integers(1, 2 * _LIFE_MS))
    return tick_record(
        as_of_ms=as_of_ms,
        price=f"{draw(st.integers(1, 10**30 - 1))}",
        coverage=draw(st.sampled_from(["complete", "gap", "partial", "quiet"])),
        closed_ms=draw(st.sampled_from([None, closed_ms])),
    )


def _numbers(decision: Decision) -> tuple[object, ...]:
    """What is decided, whenever and on which inputs."""
    return (
        decision.action,
        decision.score,
        decision.confidence,
        decision.target_weight,
        decision.contributions,
        decision.strength,
    )


def test_a_young_last_trade_counts_as_a_live_price_does() -> None:
    """Bit for bit; the decision is as new as the trade and lasts as long as that."""
    found = _POLICY.decide(_evidence(_tick()), _MADE_MS + 5)
    assert _numbers(found) == _numbers(_POLICY.decide(_evidence(), _MADE_MS + 5, price=104.5))
    assert found.score != _POLICY.decide(_evidence(), _MADE_MS + 5).score
    assert (found.judged.level, found.judged.reason, found.judged.tick_unused) == ("none", None, None)
    assert (found.judged.statuses[2], found.judged.ages_s[2]) == ("present", 0.005)
    assert (found.as_of_ms, found.expires_at_ms) == (_MADE_MS, _MADE_MS + _LIFE_MS)


def test_a_last_trade_is_not_used_past_the_end_of_its_session() -> None:
    found = _POLICY.decide(_evidence(_tick(closed_ms=_NIGHT)), _MADE_MS)
    assert found.expires_at_ms == _NIGHT[0]


@given(_ticks(), _times, st.none() | st.floats(0, 1e6), st.none() | st.just("l2_timeout"))
def test_an_unused_last_trade_changes_nothing_but_what_is_said_of_it(
    tick: TickRecord, now_ms: int, max_age_s: float | None, unproven: Trouble | None
) -> None:
    """And a used one decides as the same price in the request would."""
    found = _POLICY.decide(_evidence(tick), now_ms, max_age_s=max_age_s, unproven=unproven)
    price = None if found.judged.tick is None else float(tick.price)
    without = _POLICY.decide(_evidence(), now_ms, price=price, max_age_s=max_age_s, unproven=unproven)
    assert (found.judged.tick is None) == (found.judged.tick_unused is not None)
    assert _numbers(found) == _numbers(without)
    assert found.judged.used[: len(without.used)] == without.used
    if found.judged.statuses[2] in ("present", "missing"):
        assert (found.judged.level, found.judged.reason) == (without.judged.level, without.judged.reason)
    elif without.judged.level == "none":
        assert found.judged.level == "stale"
        assert (found.judged.reason or "").startswith("tick_")
    else:
        assert found.judged.level == without.judged.level


@given(_ticks(), _times, st.floats(1e-9, 1e12))
def test_a_price_in_the_request_takes_the_place_of_the_last_trade(tick: TickRecord, now_ms: int, price: float) -> None:
    """However old that is, or however much is missing behind it: it is no fallback."""
    found = _POLICY.decide(_evidence(tick), now_ms, price=price)
    without = _POLICY.decide(_evidence(), now_ms, price=price)
    assert _numbers(found) == _numbers(without)
    assert (found.judged.level, found.judged.reason, found.used) == (without.judged.level, without.judged.reason, without.used)
    assert found.judged.tick_unused is not None


@given(_ticks(), _times, _times)
def test_between_its_turns_nothing_is_said_anew_of_a_last_trade(tick: TickRecord, now_ms: int, other_ms: int) -> None:
    since_ms, until_ms = _POLICY.unchanged(_evidence(tick), now_ms)
    assert since_ms <= now_ms < until_ms

    def said(at_ms: int) -> tuple[object, ...]:
        decision = _POLICY.decide(_evidence(tick), at_ms)
        judged = decision.judged
        return decision.score, decision.expires_at_ms, judged.statuses, judged.tick_unused, judged.level, judged.reason

    if since_ms <= other_ms < until_ms:
        assert said(other_ms) == said(now_ms)


@pytest.mark.parametrize(
    ("tick", "age_ms", "says"),
    [
        (_tick(), _LIFE_MS, ("present", None, "none", None)),
        (_tick(), _LIFE_MS + 1, ("stale", "stale", "stale", "tick_stale")),
        (_tick(), 40 * _DAY_MS, ("stale", "stale", "agents_only", "price_too_old")),
        (_tick(coverage="gap"), 0, ("stale", None, "stale", "tick_gap")),
        (_tick(coverage="partial"), 0, ("stale", None, "stale", "tick_partial")),
        (_tick(coverage="quiet"), 0, ("present", None, "none", None)),
        (_tick(), -SKEW_MS, ("present", None, "none", None)),
        (_tick(), -SKEW_MS - 1, ("missing", "ahead_of_clock", "none", None)),
        (_tick(as_of_ms=AS_OF_MS), 0, ("present", None, "none", None)),
        (_tick(as_of_ms=AS_OF_MS - 1, coverage="gap"), 2 * _DAY_MS, ("present", "older_than_bars", "none", None)),
        (_tick(closed_ms=_NIGHT), 29_999, ("present", None, "none", None)),
        (_tick(closed_ms=_NIGHT, coverage="gap"), 30_000, ("present", "market_closed", "none", None)),
        (_tick(closed_ms=_NIGHT), 1_000_000 + _LIFE_MS, ("present", "market_closed", "none", None)),
        (_tick(closed_ms=_NIGHT), 1_000_000 + _LIFE_MS + 1, ("stale", "stale", "stale", "tick_stale")),
    ],
)
def test_the_ladder_says_what_is_wrong_with_a_last_trade(tick: TickRecord, age_ms: int, says: tuple[object, ...]) -> None:
    """An old one in an open market and a gap behind it are fallbacks; a newer bar, or a night, is none."""
    fresh = agent_record(as_of_ms=tick.as_of_ms + age_ms)
    judged = _POLICY.decide(evidence_of(price_record(), fresh, tick=tick), tick.as_of_ms + age_ms).judged
    assert (judged.statuses[2], judged.tick_unused, judged.level, judged.reason) == says


def test_without_bars_there_is_nothing_to_carry_on() -> None:
    for price, level in ((None, "agents_only"), (price_record(rsi_14=None), "none")):
        judged = _POLICY.decide(
            evidence_of(price, agent_record(), "absent" if price is None else None, tick=_tick()), _MADE_MS
        ).judged
        assert (judged.level, judged.tick_unused) == (level, "no_bars" if price is None else None)
    nothing = _POLICY.decide(evidence_of(price_record(ewma_volatility_33=None), None, None, "absent", tick=_tick()), _MADE_MS)
    assert (nothing.judged.level, nothing.judged.tick_unused, nothing.used) == ("neutral", "no_bars", ())


@pytest.mark.parametrize(
    ("trouble", "says"), [("corrupt", ("error", "stale", "tick_corrupt")), ("schema_mismatch", ("missing", "none", None))]
)
def test_a_last_trade_that_cannot_be_read_is_told(trouble: Trouble, says: tuple[object, ...]) -> None:
    """As with any input; one of another version's layout is missing, and the bars decide."""
    judged = _POLICY.decide(_evidence(None, trouble), _MADE_MS).judged
    assert (judged.statuses[2], judged.level, judged.reason) == says


def test_an_earlier_last_trade_that_stands_in_for_one_that_cannot_be_read_is_used_as_stale() -> None:
    judged = _POLICY.decide(_evidence(_tick(), "corrupt"), _MADE_MS).judged
    assert (judged.statuses[2], judged.tick_unused, judged.level, judged.reason) == ("stale", None, "stale", "tick_corrupt")


def test_a_last_trade_older_than_the_caller_allows_is_missing() -> None:
    old = _POLICY.decide(_evidence(_tick()), _MADE_MS + 2000, max_age_s=1.0).judged
    assert (old.statuses[2], old.tick_unused) == ("missing", "older_than_max_age_s")


def test_a_last_trade_does_not_fade() -> None:
    """It counts or it does not; confidence fades with bars and views alone."""
    first, last = (_POLICY.decide(_evidence(_tick()), _MADE_MS + age_ms) for age_ms in (0, _LIFE_MS))
    of_bars = _POLICY.decide(_evidence(), _MADE_MS + _LIFE_MS, price=104.5).confidence
    assert last.confidence == of_bars < first.confidence
    assert len(last.used) == 3


@given(_ticks(), _ticks(), _times)
def test_another_last_trade_scores_as_a_decision_made_anew(before: TickRecord, after: TickRecord, now_ms: int) -> None:
    judged = _POLICY.decide(_evidence(before), now_ms).judged
    anew = _POLICY.decide(_evidence(after), now_ms)
    scored = _POLICY.scored_on(_evidence(after), now_ms, judged)
    is_alike = judged.tick is not None and anew.judged.tick is not None and judged.statuses[2] == anew.judged.statuses[2]
    assert (scored is not None) == is_alike
    if scored is not None:
        found = scored.action, scored.score, scored.target_weight, scored.contributions, scored.strength
        assert found == (anew.action, anew.score, anew.target_weight, anew.contributions, anew.strength)


def test_a_last_trade_after_another_of_a_minute_scores_without_judging_the_rest() -> None:
    judged = _POLICY.decide(_evidence(_tick()), _MADE_MS).judged
    later = _evidence(_tick("101.25", _MADE_MS + 1000))
    scored = _POLICY.scored_on(later, _MADE_MS + 1000, judged)
    assert scored is not None
    assert scored.score == _POLICY.decide(later, _MADE_MS + 1000).score
    assert _POLICY.scored_on(later, _MADE_MS + 1001 + _LIFE_MS, judged) is None
