"""The policy: bounds, signs and reasons of decisions, over all records there can be."""

import hashlib
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.evidence import Evidence
from app.domain.policy import CONTRIBUTIONS, HYBRID_1, Policy, PolicyTable, price_views
from app.domain.records import KINDS
from app.domain.staleness import Limits
from app.domain.summary import summarise_agents
from app.domain.vector import PRICE_NAMES, AgentView, PriceRecord
from tests.kit.records import AS_OF_MS, agent_record, agent_view, evidence_of, failed_view, price_record

_DAY_MS = 86_400_000
LIMITS = Limits(price_ms=4.0 * _DAY_MS, agents_ms=7.0 * _DAY_MS, input_ms=30.0 * _DAY_MS, half_life_ms=5.0 * _DAY_MS)
POLICY = Policy(HYBRID_1, LIMITS)
BOTH = evidence_of(price_record(), agent_record())


SUMMED_UP = msgspec.structs.replace(agent_view("manager"), status="summary")


def _too_few_bars(rsi_14: float | None = None) -> PriceRecord:
    """Only what the first bars give."""
    return price_record(sma_ratio_20_50=None, return_20=None, rsi_14=rsi_14, macd_histogram=None, range_position_20=None)


_numbers = st.none() | st.floats(-1e12, 1e12)
_views = st.builds(
    agent_view,
    st.sampled_from(["a", "b", "c"]),
    st.none() | st.floats(-1, 1),
    st.integers(AS_OF_MS - 100 * _DAY_MS, AS_OF_MS + _DAY_MS),
    st.none() | st.floats(0, 1),
) | st.builds(failed_view)
_prices = st.none() | st.fixed_dictionaries(dict.fromkeys(PRICE_NAMES, _numbers)).map(
    lambda values: msgspec.structs.replace(price_record(), values=tuple(values[name] for name in PRICE_NAMES))
)
_agents = st.none() | st.lists(_views, max_size=8).map(lambda views: agent_record(views=tuple(views)))
_evidence = st.builds(
    lambda price, agents: evidence_of(price, agents, None if price else "absent", None if agents else "l2_error"),
    _prices,
    _agents,
)
_now = st.integers(AS_OF_MS - _DAY_MS, AS_OF_MS + 60 * _DAY_MS)
_live = st.none() | st.floats(1e-9, 1e12)


@given(_evidence, _now, _live, st.none() | st.floats(0, 1e7), st.none() | st.just("l2_timeout"))
def test_every_decision_is_finite_and_within_its_bounds(
    evidence: Evidence, now_ms: int, price: float | None, max_age_s: float | None, unproven: "str | None"
) -> None:
    decision = POLICY.decide(evidence, now_ms, price=price, max_age_s=max_age_s, unproven="l2_timeout" if unproven else None)
    assert -1 <= decision.score <= 1
    assert 0 <= decision.confidence <= 1
    assert abs(decision.target_weight) <= HYBRID_1.max_weight
    assert all(map(math.isfinite, decision.contributions))
    assert len(decision.contributions) == len(CONTRIBUTIONS)
    assert math.tanh(sum(decision.contributions)) == decision.score
    assert decision.target_weight == 0 or decision.action == ("buy" if decision.target_weight > 0 else "sell")
    if decision.judged.level == "neutral":
        assert (decision.action, decision.score, decision.confidence, decision.as_of_ms) == ("hold", 0.0, 0.0, None)
    if decision.action == "hold":
        assert decision.target_weight == 0


@given(_evidence, _now, _live)
def test_the_same_inputs_give_the_same_bits(evidence: Evidence, now_ms: int, price: float | None) -> None:
    """A decision does not depend on what was decided before, nor on which object holds the records."""
    first = POLICY.decide(evidence, now_ms, price=price)
    again = Policy(PolicyTable(), LIMITS).decide(msgspec.structs.replace(evidence), now_ms, price=price)
    assert msgspec.msgpack.encode(first) == msgspec.msgpack.encode(again)


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 1))
def test_a_more_bullish_agent_never_lowers_the_score(one: float, other: float, confidence: float) -> None:
    low, high = sorted((one, other))
    scores = [
        POLICY.decide(
            evidence_of(price_record(), agent_record(views=(agent_view("a", view, confidence=confidence), agent_view("b", 0.1)))),
            AS_OF_MS,
        ).score
        for view in (low, high)
    ]
    assert scores[0] <= scores[1]


def test_actions_change_at_the_thresholds() -> None:
    cases = {1.0: "buy", 0.18: "buy", 0.16: "hold", 0.0: "hold", -0.16: "hold", -0.18: "sell", -1.0: "sell"}
    for view, action in cases.items():
        evidence = evidence_of(None, agent_record(views=(agent_view("a", view),)), "absent")
        decision = POLICY.decide(evidence, AS_OF_MS)
        assert decision.action == action
        assert decision.contributions[0] == pytest.approx(HYBRID_1.weight_agents * view)


def test_views_weigh_by_confidence_and_lose_half_their_weight_in_a_half_life() -> None:
    old = agent_view("old", -1.0, AS_OF_MS - int(LIMITS.half_life_ms), confidence=0.8)
    plain = agent_view("plain", 1.0, confidence=None)
    summary = summarise_agents((old, plain), LIMITS.half_life_ms, HYBRID_1.default_confidence)
    assert summary.view == pytest.approx((0.5 - 0.4) / (0.5 + 0.4))
    assert summary.agreement == pytest.approx(0.1 / 0.9)
    unsure = agent_view("unsure", 1.0, confidence=0.0)
    assert summarise_agents((unsure,), LIMITS.half_life_ms, 0.5).view == 0.0


def test_abstentions_and_failures_are_counted_and_not_averaged() -> None:
    views = (agent_view("a", 0.8), agent_view("b", None), failed_view("c"), failed_view("d"))
    summary = summarise_agents(views, LIMITS.half_life_ms, HYBRID_1.default_confidence)
    assert (summary.used, summary.abstained, summary.failed) == (1, 1, 2)
    assert summary.view == pytest.approx(0.8)


def test_a_summary_is_not_averaged_with_what_it_sums_up() -> None:
    """Neither its view nor its age nor a count; alone in a record it says nothing."""
    summed = msgspec.structs.replace(agent_view("manager", -1.0, AS_OF_MS + 1), status="summary")
    views = (agent_view("a", 0.8), agent_view("b", 0.4))
    alone = summarise_agents(views, LIMITS.half_life_ms, HYBRID_1.default_confidence)
    assert summarise_agents((*views, summed), LIMITS.half_life_ms, HYBRID_1.default_confidence) == alone
    assert summarise_agents((summed,), LIMITS.half_life_ms, HYBRID_1.default_confidence).used == 0


def test_a_neutral_view_is_a_view() -> None:
    """A hold is used and pulls towards zero, unlike an abstention."""
    summary = summarise_agents((agent_view("a", 0.0), agent_view("b", 1.0)), LIMITS.half_life_ms, 0.5)
    assert summary.used == 2
    assert summary.view == pytest.approx(0.5)


_MINUTE_MS = 60_000


@pytest.mark.parametrize(
    ("age_ms", "max_age_s", "price", "agents", "level", "reason"),
    [
        (0, None, "present", "present", "none", None),
        (-5 * _MINUTE_MS, None, "present", "present", "none", None),
        (-5 * _MINUTE_MS - 1, None, "missing", "missing", "neutral", "price_ahead_of_clock"),
        (-10 * 365 * _DAY_MS, None, "missing", "missing", "neutral", "price_ahead_of_clock"),
        (4 * _DAY_MS, None, "present", "present", "none", None),
        (4 * _DAY_MS + 1, None, "stale", "present", "stale", "price_stale"),
        (7 * _DAY_MS + 1, None, "stale", "stale", "stale", "price_stale"),
        (30 * _DAY_MS + 1, None, "missing", "missing", "neutral", "price_too_old"),
        (_MINUTE_MS, 59.0, "missing", "missing", "neutral", "price_older_than_max_age_s"),
        (_MINUTE_MS, 60.0, "present", "present", "none", None),
    ],
)
def test_age_decides_what_an_input_is(
    age_ms: int, max_age_s: float | None, price: str, agents: str, level: str, reason: str | None
) -> None:
    """Present up to its maximal age, then stale, then missing; a clock a little behind makes no age negative."""
    judged = POLICY.decide(BOTH, AS_OF_MS + age_ms, max_age_s=max_age_s).judged
    assert (judged.statuses[0], judged.statuses[1], judged.level, judged.reason) == (price, agents, level, reason)
    assert judged.ages_s[0] == max(age_ms, 0) / 1000


@pytest.mark.parametrize(
    ("evidence", "level", "reason"),
    [
        (evidence_of(price_record(), None, None, "absent"), "price_only", "agents_absent"),
        (evidence_of(price_record(), None), "price_only", "agents_absent"),
        (evidence_of(price_record(), None, None, "schema_mismatch"), "price_only", "agents_schema_mismatch"),
        (evidence_of(price_record(), None, None, "corrupt"), "price_only", "agents_corrupt"),
        (evidence_of(price_record(), agent_record(views=(failed_view(),))), "price_only", "agents_failed"),
        (evidence_of(price_record(), agent_record(views=(agent_view("a", None),))), "price_only", "agents_abstained"),
        (evidence_of(price_record(), agent_record(views=())), "price_only", "agents_abstained"),
        (evidence_of(price_record(), agent_record(views=(SUMMED_UP,))), "price_only", "agents_summaries_alone"),
        (evidence_of(price_record(), agent_record(views=(SUMMED_UP, agent_view("a", None)))), "price_only", "agents_abstained"),
        (evidence_of(_too_few_bars(), agent_record()), "agents_only", "price_too_few_bars"),
        (evidence_of(price_record(ewma_volatility_33=None), agent_record()), "agents_only", "price_too_few_bars"),
        (evidence_of(_too_few_bars(), None, None, "absent"), "neutral", "price_too_few_bars"),
        (evidence_of(None, agent_record(), "absent"), "agents_only", "price_absent"),
        (evidence_of(None, agent_record(), "corrupt"), "agents_only", "price_corrupt"),
        (KINDS.unread("l2_error"), "neutral", "price_l2_error"),
        (KINDS.unread("l2_timeout"), "neutral", "price_l2_timeout"),
        (KINDS.unread("l2_overloaded"), "neutral", "price_l2_overloaded"),
        (evidence_of(None, agent_record(views=(failed_view(),)), "absent"), "neutral", "price_absent"),
    ],
)
def test_the_reason_names_the_first_input_that_is_not_as_it_should_be(evidence: Evidence, level: str, reason: str) -> None:
    judged = POLICY.judge(evidence, AS_OF_MS)
    assert (judged.level, judged.reason) == (level, reason)


def test_a_price_of_too_few_bars_is_present_and_has_no_say() -> None:
    decision = POLICY.decide(evidence_of(_too_few_bars(), agent_record()), AS_OF_MS)
    alone = POLICY.decide(evidence_of(None, agent_record()), AS_OF_MS)
    assert (decision.judged.statuses[0], decision.judged.level) == ("present", "agents_only")
    assert (decision.score, decision.contributions) == (alone.score, alone.contributions)


def test_a_price_with_one_view_is_used() -> None:
    judged = POLICY.judge(evidence_of(_too_few_bars(rsi_14=60.0), agent_record()), AS_OF_MS)
    assert (judged.level, judged.reason) == ("none", None)


def test_failed_agents_are_present_but_not_used() -> None:
    """The record's status, the counts and the level keep a failure apart from an absence."""
    judged = POLICY.judge(evidence_of(price_record(), agent_record(views=(failed_view(), agent_view("a", None)))), AS_OF_MS)
    assert (judged.statuses[1], judged.summary.used, judged.summary.abstained, judged.summary.failed) == ("present", 0, 1, 1)
    assert judged.reason == "agents_failed"


def test_unproven_evidence_is_at_best_stale() -> None:
    """What L2 could not confirm is used, and said to be stale for that reason."""
    judged = POLICY.judge(BOTH, AS_OF_MS, unproven="l2_timeout")
    assert (judged.statuses[0], judged.statuses[1], judged.level) == ("stale", "stale", "stale")
    assert judged.reason == "price_l2_timeout"
    already = POLICY.judge(BOTH, AS_OF_MS + 8 * _DAY_MS, unproven="l2_timeout")
    assert already.reason == "price_stale"


@pytest.mark.parametrize(
    ("evidence", "as_of_ms", "expires_at_ms"),
    [
        (BOTH, AS_OF_MS, AS_OF_MS + 4 * _DAY_MS),
        (evidence_of(price_record(), None), AS_OF_MS, AS_OF_MS + 4 * _DAY_MS),
        (evidence_of(None, agent_record()), AS_OF_MS, AS_OF_MS + 7 * _DAY_MS),
        (evidence_of(price_record(), agent_record(as_of_ms=AS_OF_MS - 6 * _DAY_MS)), AS_OF_MS, AS_OF_MS + _DAY_MS),
        (KINDS.unread("l2_error"), None, None),
    ],
)
def test_a_decision_is_of_its_newest_input_and_expires_with_the_first(
    evidence: Evidence, as_of_ms: int | None, expires_at_ms: int | None
) -> None:
    decision = POLICY.decide(evidence, AS_OF_MS)
    assert (decision.as_of_ms, decision.expires_at_ms) == (as_of_ms, expires_at_ms)


def test_without_volatility_prices_say_nothing() -> None:
    """Indicators of a price that did not move are conventions, not views."""
    for volatility in (None, 0.0, 1e-13):
        values = price_record(ewma_volatility_33=volatility, rsi_14=0.0, range_position_20=0.0).values
        assert price_views(values, HYBRID_1) == (0.0, 0.0, 0.0, 0.0, 0.0)


def test_price_views_point_where_their_indicators_do() -> None:
    """Trend, momentum, MACD and range follow the price; RSI leans against it."""
    rising = price_record(sma_ratio_20_50=1.05, return_20=0.1, macd_histogram=1.0, rsi_14=80.0, range_position_20=0.9)
    trend, momentum, rsi, macd, position = price_views(rising.values, HYBRID_1)
    assert min(trend, momentum, macd, position) > 0 > rsi
    bare = price_record(sma_ratio_20_50=None, return_20=None, macd_histogram=None, rsi_14=None, range_position_20=None)
    assert price_views(bare.values, HYBRID_1) == (0.0, 0.0, 0.0, 0.0, 0.0)
    assert price_views(price_record(atr_14=0.0).values, HYBRID_1)[3] == 0.0


def test_a_live_price_moves_the_decision_and_none_does_not() -> None:
    still, up = POLICY.decide(BOTH, AS_OF_MS), POLICY.decide(BOTH, AS_OF_MS, price=115.0)
    momentum = CONTRIBUTIONS.index("momentum")
    assert up.contributions[momentum] > still.contributions[momentum]
    assert up.contributions[0] == still.contributions[0]


def test_a_position_is_sized_by_volatility() -> None:
    agents = agent_record(views=(agent_view("a", 1.0),))
    calm, wild = (POLICY.decide(evidence_of(_only_volatility(sigma), agents), AS_OF_MS) for sigma in (0.4, 0.8))
    assert calm.target_weight == pytest.approx(2 * wild.target_weight)
    unknown = POLICY.decide(evidence_of(None, agents, "absent"), AS_OF_MS)
    assert unknown.target_weight == pytest.approx(unknown.score * HYBRID_1.target_volatility / HYBRID_1.assumed_volatility)
    tiny = POLICY.decide(evidence_of(_only_volatility(0.001), agents), AS_OF_MS)
    assert tiny.target_weight == HYBRID_1.max_weight


def _only_volatility(sigma: float) -> PriceRecord:
    """A price record whose views are all 0."""
    return price_record(
        ewma_volatility_33=sigma, sma_ratio_20_50=None, return_20=None, macd_histogram=None, rsi_14=None, range_position_20=None
    )


def test_confidence_falls_with_disagreement_and_age() -> None:
    def confidence(views: tuple[AgentView, ...], age_ms: int = 0) -> float:
        return POLICY.decide(evidence_of(None, agent_record(views=views), "absent"), AS_OF_MS + age_ms).confidence

    agreed = (agent_view("a", 0.5, confidence=0.8), agent_view("b", 0.5, confidence=0.8))
    split = (agent_view("a", 1.0, confidence=0.8), agent_view("b", 1.0, confidence=0.8), *_opposite())
    assert confidence(split) < confidence(agreed)
    assert confidence(agreed, 7 * _DAY_MS) == pytest.approx(confidence(agreed) / 2)


def _opposite() -> tuple[AgentView, ...]:
    """With two full views: a mean of 0.5, as the agreed pair has."""
    return (agent_view("c", -0.5, confidence=0.8), agent_view("d", 0.5, confidence=0.8))


def test_a_change_of_the_table_is_a_change_of_its_version() -> None:
    """If this fails, the policy's numbers changed: give the table a new version, and its digest here."""
    digest = hashlib.sha256(msgspec.json.encode(HYBRID_1)).hexdigest()[:16]
    assert (HYBRID_1.name, HYBRID_1.version, digest) == ("hybrid", "1.0.0", "0e1db0ff76edd9bf")
    with pytest.raises(AttributeError):
        HYBRID_1.buy_at = 0.5  # type: ignore[misc]


@given(evidence=_evidence, now_ms=_now, later_ms=st.integers(-(40 * _DAY_MS), 40 * _DAY_MS))
def test_between_its_changes_only_ages_and_confidence_move(evidence: Evidence, now_ms: int, later_ms: int) -> None:
    since_ms, until_ms = POLICY.unchanged(evidence, now_ms)
    assert since_ms <= now_ms < until_ms

    def said(at_ms: int) -> tuple[object, ...]:
        decision = POLICY.decide(evidence, at_ms)
        judged = decision.judged
        kept = decision.action, decision.score, decision.target_weight, decision.contributions, decision.strength
        return *kept, decision.as_of_ms, decision.expires_at_ms, judged.level, judged.statuses[0], judged.statuses[1]

    other_ms = now_ms + later_ms
    if since_ms <= other_ms < until_ms:
        assert said(other_ms) == said(now_ms)
    statuses = [said(int(at_ms))[-2:] for at_ms in (until_ms - 1, until_ms) if at_ms != float("inf")]
    if statuses:
        assert statuses[0] != statuses[1]
