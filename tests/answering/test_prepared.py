"""Prepared answers: whatever the evidence and the moment, they say what the long way says."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.answering.decider import Decider
from app.cache.loads import Lookup
from app.cache.memory import Entry
from app.domain.evidence import Evidence
from app.domain.vector import AgentView
from app.payloads import BatchItem, DecideRequest, DecideResponse
from tests.kit.deciders import make_decider
from tests.kit.records import AS_OF_MS, agent_record, agent_view, evidence_of, price_record, tick_record
from tests.kit.serving import Served

_DAY_MS = 86_400_000
_times = st.integers(AS_OF_MS - 60 * _DAY_MS, AS_OF_MS + 60 * _DAY_MS)
_views = st.builds(
    agent_view,
    agent=st.sampled_from(["a", "b", "c"]),
    view=st.none() | st.floats(-1, 1),
    as_of_ms=_times,
    confidence=st.none() | st.floats(0, 1),
)


@st.composite
def _evidence(draw: st.DrawFn) -> Evidence:
    price = draw(st.none() | st.builds(price_record, as_of_ms=_times, run=st.text(max_size=8), close=st.floats(1, 1e6)))
    views: tuple[AgentView, ...] = tuple(draw(st.lists(_views, max_size=4)))
    newest = max((each.as_of_ms for each in views), default=draw(_times))
    agents = draw(st.none() | st.just(agent_record(as_of_ms=newest, views=views)))
    # An earlier record that is used for want of a newer one has a trouble, as one that is not there has.
    price_trouble = draw(st.none() | st.just("corrupt")) if price is not None else draw(st.sampled_from(["absent", "corrupt"]))
    agents_trouble = draw(st.none() | st.just("corrupt")) if agents is not None else draw(st.sampled_from(["absent", "corrupt"]))
    evidence = evidence_of(price, agents, price_trouble, agents_trouble)  # type: ignore[arg-type]
    trade = draw(st.none() | _trades)
    return evidence.having(2, trade, draw(st.sampled_from([None, "corrupt"] if trade else ["absent", "corrupt", "l2_error"])))


_trades = st.builds(
    lambda as_of_ms, price, source, **facts: msgspec.structs.replace(
        tick_record("AAPL", as_of_ms, str(price), **facts), source=source
    ),
    as_of_ms=_times,
    price=st.integers(1, 10**30 - 1),
    # Also one that looks like what is looked for.
    source=st.text(max_size=8) | st.sampled_from(['"age_ms":4e304', "4e304", "5e305", "1.1e291", '"age_s":1.1e291', "\0"]),
    coverage=st.sampled_from(["complete", "gap", "quiet"]),
    closed_ms=st.none() | st.just((AS_OF_MS + 61 * _DAY_MS, AS_OF_MS + 62 * _DAY_MS)),
)


def _entry(evidence: Evidence) -> Entry:
    return Entry(evidence, 0.0, 1e9, 1e9, 1e9, 0, 0, evidence.run, 1)


def _long_way(decider: Decider, evidence: Evidence, age_s: float) -> DecideResponse:
    found = Lookup(evidence, "l1", proven=True, age_s=age_s)
    return decider.answer(DecideRequest("AAPL"), "AAPL", found, decider.clock())


@given(evidence=_evidence(), moments=st.lists(_times, min_size=1, max_size=4))
def test_a_prepared_answer_is_the_decision_made_anew(evidence: Evidence, moments: list[int]) -> None:
    """One entry, asked at several moments in any order: statuses, ages and confidence are those of the moment, bit for bit."""
    now_ms = AS_OF_MS
    decider = make_decider(now_ms=lambda: now_ms)
    entry = _entry(evidence)
    for moment in moments:
        now_ms = moment
        body, _, _, facts = decider.render(DecideRequest("AAPL"), entry, decider.clock())
        quick = msgspec.json.decode(body, type=DecideResponse)
        slow = _long_way(decider, evidence, decider.clock())
        assert msgspec.structs.replace(quick, id=slow.id) == slow
        assert (facts is None) == (slow.fallback.level == "none")


@given(evidence=_evidence())
def test_an_element_of_a_batch_is_the_same_answer(evidence: Evidence) -> None:
    decider = make_decider(now_ms=lambda: AS_OF_MS)
    decider.tiers.memory.put("AAPL", evidence)
    rendering = decider.rendering(decider.clock())
    item = rendering.item(DecideRequest("AAPL"))
    assert item is not None
    found = msgspec.json.decode(item, type=BatchItem)
    assert found.decision is not None
    assert found == BatchItem("AAPL", msgspec.structs.replace(_long_way(decider, evidence, 0.0), id=found.decision.id), None)
    assert rendering.end() == 1


def test_an_answer_is_made_anew_when_an_input_turns_stale_and_when_the_clock_goes_back() -> None:
    now_ms = AS_OF_MS
    decider = make_decider(now_ms=lambda: now_ms)
    entry = _entry(evidence_of(price_record(), agent_record()))

    def seen() -> tuple[str, str]:
        body = decider.render(DecideRequest("AAPL"), entry, decider.clock())[0]
        inputs = msgspec.json.decode(body, type=DecideResponse).inputs
        return inputs.price.status, inputs.agents.status

    limits = decider.policy.limits
    price_ms, agents_ms = price_record().due_ms[limits.price_bars - 1] - AS_OF_MS, int(limits.agents_ms)
    assert seen() == ("present", "present")
    first = entry.prepared
    now_ms += price_ms
    assert seen() == ("present", "present")
    assert entry.prepared is first
    now_ms += 1
    assert seen() == ("stale", "present")
    now_ms = AS_OF_MS + agents_ms + 1
    assert seen() == ("stale", "stale")
    now_ms = AS_OF_MS
    assert seen() == ("present", "present")
    now_ms -= int(decider.policy.limits.skew_ms)
    assert seen() == ("present", "present")
    now_ms -= 1
    assert seen() == ("missing", "missing")


@pytest.mark.parametrize("request_", [DecideRequest("AAPL", price=5.0), DecideRequest("AAPL", max_age_s=1.0)])
def test_a_request_with_wishes_of_its_own_is_not_answered_so(request_: DecideRequest) -> None:
    """A live price or a maximal age changes the decision."""
    decider = make_decider(now_ms=lambda: AS_OF_MS)
    decider.tiers.memory.put("AAPL", evidence_of(price_record(), agent_record()))
    assert decider.rendering(decider.clock()).item(request_) is None
    assert decider.rendering(decider.clock()).item(DecideRequest("UNKNOWN")) is None


def test_ids_of_a_batch_are_different_uuids_in_order() -> None:
    decider = make_decider(now_ms=lambda: AS_OF_MS)
    decider.tiers.memory.put("AAPL", evidence_of(price_record(), agent_record()))
    rendering = decider.rendering(decider.clock())
    ids = []
    for _ in range(300):
        item = rendering.item(DecideRequest("AAPL"))
        assert item is not None
        ids.append(msgspec.json.decode(item)["decision"]["id"])
    assert ids == sorted(set(ids))
    assert {(len(each), each[14], each[19] in "89ab") for each in ids} == {(36, "7", True)}


def test_a_prepared_answer_counts_as_served_in_each_minute_in_which_it_is() -> None:
    """Its inputs are told of once a minute, and forgotten two minutes after the last one."""
    with Served(l1_ttl_s=3600.0) as served:
        served.parts.tiers.memory.proven_until = math.inf
        served.decide()
        served.parts.oldest.look()
        for _ in range(4):
            served.clock.now += 61.0
            served.parts.oldest.look()
            assert served.decide().cache.hit
            served.post("/decide/batch", {"symbols": ["AAPL"]})
            served.clock.now += 61.0
            assert served.parts.oldest.look()[0]["price"] > 0.0
        served.clock.now += 200.0
        assert served.parts.oldest.look()[0]["price"] == 0.0
