"""The formulas of version 1.0.0, worked out a second time: a change of one is a change of the version, as of the table."""

from math import exp2, sqrt, tanh

import msgspec
import pytest

from app.domain.policy import CONTRIBUTIONS, HYBRID_1, Policy, price_views
from app.domain.staleness import Limits, judge_input
from app.domain.vector import PriceRecord
from tests.kit.records import AS_OF_MS, agent_record, agent_view, evidence_of, price_record

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
    agents_ms, now_ms = AS_OF_MS - 2 * _DAY_MS, AS_OF_MS + _DAY_MS
    views = (
        agent_view("a", 0.6, agents_ms, 0.8),
        agent_view("b", -0.2, agents_ms - 2 * _DAY_MS, None),
        agent_view("c", None, agents_ms),
    )
    decision = _POLICY.decide(evidence_of(price_record(), agent_record(as_of_ms=agents_ms, views=views)), now_ms)

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
        fresh = evidence_of(price_record(), agent_record(views=(agent_view("a", 0.6),)))
        aged = _POLICY.decide(evidence_of(price, agents), AS_OF_MS).confidence
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
    assert judge_input(0, None, age_ms, 10.0, _SHORT, None) == (status, age_ms / 1000, reason)


@pytest.mark.parametrize(("ahead_ms", "status", "reason"), [(5, "present", None), (6, "missing", "ahead_of_clock")])
def test_an_input_further_ahead_of_the_clock_than_the_skew_is_not_used(ahead_ms: int, status: str, reason: str | None) -> None:
    """Up to it a clock is taken to be a little wrong; beyond it nothing says how old the input is."""
    assert judge_input(1000, None, 1000 - ahead_ms, 10.0, _SHORT, None) == (status, 0.0, reason)
    assert judge_input(1000, None, 1000 - ahead_ms, 10.0, _SHORT, 1e9) == (status, 0.0, reason)


def test_a_maximal_age_of_nothing_takes_only_what_is_of_this_moment() -> None:
    assert judge_input(0, None, 0, 10.0, _SHORT, 0.0)[0] == "present"
    assert judge_input(0, None, 1, 10.0, _SHORT, 0.0)[::2] == ("missing", "older_than_max_age_s")


_BARS = Limits(price_ms=0.0, agents_ms=7.0 * _DAY_MS, input_ms=30.0 * _DAY_MS, half_life_ms=5.0 * _DAY_MS, price_bars=2)
_HOUR_MS = 3_600_000


def _due(*ahead_ms: int) -> PriceRecord:
    """A record whose next bars end so long after its own."""
    return msgspec.structs.replace(price_record(), due_ms=tuple(AS_OF_MS + each for each in ahead_ms))


_HOURLY = _due(*(number * _HOUR_MS for number in range(1, 6)))
_FRIDAYS = price_record()
_MONTHLY = _due(*(number * 30 * _DAY_MS for number in range(1, 6)))


@pytest.mark.parametrize(
    ("record", "bars", "life_ms"),
    [
        (_HOURLY, 1, _HOUR_MS), (_HOURLY, 2, 2 * _HOUR_MS), (_HOURLY, 5, 5 * _HOUR_MS),
        (_FRIDAYS, 1, 3 * _DAY_MS), (_FRIDAYS, 2, 4 * _DAY_MS), (_MONTHLY, 1, 30 * _DAY_MS),
    ],
)  # fmt: skip
def test_a_price_is_stale_when_so_many_bars_after_it_are_over(record: PriceRecord, bars: int, life_ms: int) -> None:
    """By what the record says of its market, so that a weekend makes nothing stale and an hour is soon over; not at that moment
    but past it, which is when the decision expires.
    """
    policy = Policy(HYBRID_1, msgspec.structs.replace(_BARS, price_bars=bars))
    evidence = evidence_of(record, None)
    assert policy.decide(evidence, AS_OF_MS + life_ms).judged.statuses[0] == "present"
    assert policy.decide(evidence, AS_OF_MS + life_ms).expires_at_ms == AS_OF_MS + life_ms
    assert policy.unchanged(evidence, AS_OF_MS)[1] == AS_OF_MS + life_ms + 1
    late = policy.decide(evidence, AS_OF_MS + life_ms + 1).judged
    assert (late.statuses[0], late.reason) == (
        ("stale", "price_stale") if life_ms < 30 * _DAY_MS else ("missing", "price_too_old")
    )


def test_no_input_is_missing_before_it_was_stale() -> None:
    """Of monthly bars the second one after is over later than INPUT_LIMIT_S."""
    policy = Policy(HYBRID_1, _BARS)
    assert policy.decide(evidence_of(_MONTHLY, None), AS_OF_MS + 60 * _DAY_MS).judged.statuses[0] == "present"


def test_confidence_halves_over_a_prices_own_life() -> None:
    """Two hours for hourly bars, four days for a Friday's."""
    policy = Policy(HYBRID_1, _BARS)
    for record, life_ms in ((_HOURLY, 2 * _HOUR_MS), (_FRIDAYS, 4 * _DAY_MS)):
        new, old = (policy.decide(evidence_of(record, None), AS_OF_MS + age_ms).confidence for age_ms in (0, life_ms))
        assert old == pytest.approx(new / 2, rel=1e-12)
