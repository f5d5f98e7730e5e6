"""Whatever numbers a record holds that the codec accepts, and whatever the live price: a decision, and within its bounds."""

import math
import sys

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain.live import step
from app.domain.policy import HYBRID_1, Policy
from app.domain.staleness import Limits
from app.domain.vector import AS_OF_MAX_MS, PRICE_NAMES, AgentRecord, AgentView, agent_record_fault, price_record_fault
from tests.kit.records import AS_OF_MS, agent_record, evidence_of, price_record

_TINY = 5e-324
_EDGES = (0.0, -0.0, _TINY, -_TINY, sys.float_info.min, sys.float_info.max, -sys.float_info.max, 1.0, 1e-12)
_numbers = st.sampled_from(_EDGES) | st.floats(allow_nan=False, allow_infinity=False)
_values = st.lists(st.none() | _numbers, min_size=len(PRICE_NAMES), max_size=len(PRICE_NAMES)).map(tuple)
_prices = st.sampled_from([_TINY, sys.float_info.min, sys.float_info.max]) | st.floats(min_value=_TINY, allow_infinity=False)
_times = st.integers(0, AS_OF_MAX_MS - 1)
_spans = st.sampled_from([1e-300, 1e-3, 1.0, 1e12]) | st.floats(1e-300, 1e14)
_limits = st.builds(Limits, price_ms=_spans, agents_ms=_spans, input_ms=_spans, half_life_ms=_spans, skew_ms=_spans)


@st.composite
def _agents(draw: st.DrawFn) -> AgentRecord:
    views = draw(
        st.lists(
            st.builds(
                AgentView,
                agent=st.sampled_from("abc"),
                status=st.just("view"),
                view=st.sampled_from([-1.0, -_TINY, 0.0, _TINY, 1.0]) | st.floats(-1, 1),
                confidence=st.none() | st.sampled_from([0.0, _TINY, 1.0]) | st.floats(0, 1),
                as_of_ms=_times,
            ),
            max_size=4,
        )
    )
    return agent_record(as_of_ms=max((each.as_of_ms for each in views), default=draw(_times)), views=tuple(views))


_FLAT: tuple[float | None, ...] = tuple(0.0 if name == "mean_49" else 1.0 for name in PRICE_NAMES)


@given(values=_values, price_ms=_times, agents=_agents(), now_ms=_times, price=st.none() | _prices, limits=_limits)
@example(values=_FLAT, price_ms=AS_OF_MS, agents=agent_record(), now_ms=AS_OF_MS, price=_TINY, limits=Limits(1e9, 1e9, 1e9, 1e9))
def test_a_decision_comes_of_any_record_and_any_price(
    values: tuple[float | None, ...], price_ms: int, agents: AgentRecord, now_ms: int, price: float | None, limits: Limits
) -> None:
    record = msgspec.structs.replace(price_record(as_of_ms=price_ms), values=values)
    assert price_record_fault(record) is None
    assert agent_record_fault(agents) is None
    policy, evidence = Policy(HYBRID_1, limits), evidence_of(record, agents)
    decision = policy.decide(evidence, now_ms, price=price)
    since, until = policy.unchanged(evidence, now_ms)
    assert since <= now_ms < until
    assert -1.0 <= decision.score <= 1.0
    assert 0.0 <= decision.confidence <= 1.0
    assert -0.5 <= decision.target_weight <= 0.5
    assert all(map(math.isfinite, decision.contributions))
    assert 0.0 <= decision.judged.summary.agreement <= 1.0
    assert -1.0 <= decision.judged.summary.view <= 1.0


@given(values=_values, price=_prices)
@example(values=_FLAT, price=_TINY)
def test_every_indicator_carried_on_to_a_price_is_finite_or_says_nothing(values: tuple[float | None, ...], price: float) -> None:
    assert all(value is None or math.isfinite(value) for value in step(values, price))
