"""The formulas of version 1.0.0, worked out a second time: a change of one is a change of the version, as of the table."""

from math import exp2, sqrt, tanh

import pytest

from app.domain.evidence import Evidence
from app.domain.policy import CONTRIBUTIONS, HYBRID_1, Limits, Policy, judge_input, price_views
from tests.records import AS_OF_MS, agent_record, agent_view, price_record

_DAY_MS = 86_400_000
_LIMITS = Limits(price_ms=4.0 * _DAY_MS, agents_ms=7.0 * _DAY_MS, input_ms=30.0 * _DAY_MS, half_life_ms=5.0 * _DAY_MS)
_POLICY = Policy(HYBRID_1, _LIMITS)


def test_each_price_view_is_squashed_on_its_own_scale() -> None:
    """Trend by yearly volatility, momentum by 20 sessions' volatility, RSI around 50, MACD by ATR, range around its middle."""
    values = price_record(
        ewma_volatility_33=0.28,
        sma_ratio_20_50=1.02,
        return_20=0.05,
        rsi_14=58.0,
        macd_histogram=0.3,
        atr_14=2.0,
        range_position_20=0.8,
    ).values
    expected = (
        tanh(0.02 / (0.28 * 0.15)),
        tanh(0.05 / (0.28 * sqrt(20 / 252))),
        tanh(-8.0 / 25.0),
        tanh(0.3 / (2.0 * 0.25)),
        tanh(0.6),
    )
    assert price_views(values, HYBRID_1) == pytest.approx(expected, rel=1e-12)


def test_a_whole_decision_by_hand() -> None:
    """Contributions, score, confidence, weight, and times of one decision on inputs of different ages."""
    agents_ms, now_ms = AS_OF_MS - 2 * _DAY_MS, AS_OF_MS + _DAY_MS
    views = (
        agent_view("a", 0.6, agents_ms, 0.8),
        agent_view("b", -0.2, agents_ms - 2 * _DAY_MS, None),
        agent_view("c", None, agents_ms),
    )
    decision = _POLICY.decide(Evidence(price_record(), agent_record(as_of_ms=agents_ms, views=views)), now_ms)

    weights = 0.8 * 0.5 ** (3 / 5), 0.5 * 0.5 ** (5 / 5)
    weighted = weights[0] * 0.6 - weights[1] * 0.2
    view = weighted / sum(weights)
    agreement = weighted / (weights[0] * 0.6 + weights[1] * 0.2)
    of_price = price_views(price_record().values, HYBRID_1)
    contributions = (0.9 * view, *(weight * each for weight, each in zip((0.3, 0.25, 0.1, 0.2, 0.1), of_price, strict=True)))
    score = tanh(sum(contributions))
    one_way = sum(contributions) / sum(map(abs, contributions))
    older = max(1 / 4, 3 / 7)

    assert CONTRIBUTIONS == ("agents", "trend", "momentum", "rsi", "macd", "range_position")
    assert decision.contributions == pytest.approx(contributions, rel=1e-12)
    assert decision.score == pytest.approx(score, rel=1e-12)
    assert decision.confidence == pytest.approx(sqrt(score) * (0.5 + 0.25 * (one_way + agreement)) * exp2(-older), rel=1e-12)
    assert decision.target_weight == pytest.approx(score * 0.15 / 0.28, rel=1e-12)
    assert decision.action == "buy"
    assert (decision.as_of_ms, decision.expires_at_ms) == (AS_OF_MS, AS_OF_MS + 4 * _DAY_MS)


def test_the_older_input_takes_the_confidence_down_whichever_it_is() -> None:
    """Age counts as a share of each input's own maximal age."""
    for price_days, agents_days, share in ((2, 0, 2 / 4), (0, 2, 2 / 7), (2, 2, 2 / 4), (1, 6, 6 / 7)):
        price = price_record(as_of_ms=AS_OF_MS - price_days * _DAY_MS)
        # One view alone keeps its mean whatever its age, so that nothing else moves.
        views = (agent_view("a", 0.6, AS_OF_MS - agents_days * _DAY_MS),)
        agents = agent_record(as_of_ms=AS_OF_MS - agents_days * _DAY_MS, views=views)
        fresh = Evidence(price_record(), agent_record(views=(agent_view("a", 0.6),)))
        aged = _POLICY.decide(Evidence(price, agents), AS_OF_MS).confidence
        assert aged == pytest.approx(_POLICY.decide(fresh, AS_OF_MS).confidence * exp2(-share), rel=1e-12)


_SHORT = Limits(price_ms=10.0, agents_ms=10.0, input_ms=20.0, half_life_ms=10.0, skew_ms=5.5)


@pytest.mark.parametrize(
    ("age_ms", "status", "reason"),
    [
        (10, "present", None),
        (11, "stale", "stale"),
        (20, "stale", "stale"),
        (21, "missing", "too_old"),
    ],
)
def test_an_input_of_exactly_the_limit_is_still_inside_it(age_ms: int, status: str, reason: str | None) -> None:
    """Stale past 10 ms and missing past 20 ms, not at them."""
    assert judge_input(0, None, age_ms, 10.0, _SHORT, None) == (status, age_ms / 1000, reason)


@pytest.mark.parametrize(("ahead_ms", "status", "reason"), [(5, "present", None), (6, "missing", "ahead_of_clock")])
def test_an_input_further_ahead_of_the_clock_than_the_skew_is_not_used(ahead_ms: int, status: str, reason: str | None) -> None:
    """Up to it a clock is taken to be a little wrong; beyond it nothing says how old the input is."""
    assert judge_input(1000, None, 1000 - ahead_ms, 10.0, _SHORT, None) == (status, 0.0, reason)
    assert judge_input(1000, None, 1000 - ahead_ms, 10.0, _SHORT, 1e9) == (status, 0.0, reason)


def test_a_maximal_age_of_nothing_takes_only_what_is_of_this_moment() -> None:
    """An age of zero is not past it, one millisecond is."""
    assert judge_input(0, None, 0, 10.0, _SHORT, 0.0)[0] == "present"
    assert judge_input(0, None, 1, 10.0, _SHORT, 0.0)[::2] == ("missing", "older_than_max_age_s")
