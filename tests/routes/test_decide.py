"""POST /decide: what comes back for a request that can be answered."""

import asyncio
import math
import re
import uuid
from collections.abc import MutableMapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from app.commands.render import explanation
from app.domain.vector import AgentView
from app.payloads import BatchResponse, DecideResponse, ProblemBody
from app.store.codec import encode
from tests.kit.records import AS_OF_MS, agent_record, agent_view, replaced, row
from tests.kit.serving import Served, decoded, http_scope, part, talk
from tests.kit.store import FakeStore

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def test_the_answer_has_exactly_the_members_of_the_contract(served: Served) -> None:
    answer = served.post("/decide", {"symbol": "AAPL"}).json()
    assert list(answer) == [
        *("id", "symbol", "requested", "action", "score", "confidence", "target_weight", "as_of", "expires_at"),
        *("model", "inputs", "cache", "fallback", "latency_ms"),
    ]
    assert list(answer["model"]) == ["name", "version", "schema"]
    assert list(answer["inputs"]) == ["price", "agents"]
    assert list(answer["inputs"]["price"]) == ["status", "age_s"]
    assert list(answer["inputs"]["agents"]) == ["status", "age_s", "used", "abstained", "failed"]
    assert list(answer["cache"]) == ["hit", "tier", "age_ms", "run"]
    assert list(answer["fallback"]) == ["used", "level", "reason"]


def test_the_values_of_an_answer_are_those_of_the_data(served: Served) -> None:
    served.clock.now += 12.0
    answer = served.decide()
    assert answer.symbol == "AAPL"
    assert answer.as_of == "2013-03-01T21:00:00Z"
    assert answer.expires_at == "2013-03-05T21:00:00Z"
    assert (answer.model.name, answer.model.version) == ("hybrid", "1.0.0")
    assert (answer.inputs.price.status, answer.inputs.price.age_s) == ("present", 12.0)
    agents = answer.inputs.agents
    assert (agents.status, agents.age_s, agents.used, agents.abstained, agents.failed) == ("present", 12.0, 2, 1, 0)
    assert answer.cache.run == "run-1"
    assert (answer.fallback.used, answer.fallback.level, answer.fallback.reason) == (False, "none", None)
    assert answer.action == "buy"
    assert 0.0 < answer.score <= 1.0
    assert 0.0 < answer.confidence <= 1.0
    assert 0.0 < answer.target_weight <= 1.0


def test_each_decision_has_a_uuid7_of_its_own_in_the_order_of_time(served: Served) -> None:
    ids = [served.decide().id for _ in range(20)]
    assert all(_UUID7.fullmatch(each) for each in ids)
    assert all(uuid.UUID(each).version == 7 for each in ids)
    assert ids == sorted(set(ids))


def test_the_first_answer_comes_from_l2_and_the_second_from_l1(served: Served) -> None:
    first = served.decide()
    served.clock.now += 1.5
    second = served.decide()
    assert (first.cache.hit, first.cache.tier, first.cache.age_ms) == (False, "l2", 0.0)
    assert (second.cache.hit, second.cache.tier, second.cache.age_ms) == (True, "l1", 1500.0)
    assert served.store.reads == [["AAPL"]]


def test_cache_status_names_the_tiers_from_the_origin_on(served: Served) -> None:
    """RFC 9211: the nearest to the origin comes first; a hit of L1 never went further."""
    answers = [served.post("/decide", {"symbol": "IBM"}) for _ in range(2)]
    assert [each.headers["cache-status"] for each in answers] == ["decide-l2; hit, decide-l1; fwd=miss", "decide-l1; hit"]


def test_server_timing_says_the_same_as_the_body(served: Served) -> None:
    answer = served.post("/decide", {"symbol": "AAPL"})
    latency_ms = decoded(answer, DecideResponse).latency_ms
    assert answer.headers["server-timing"] == f"decide;dur={latency_ms:.3f}"


def test_case_does_not_matter_and_the_answer_has_the_universe_s_spelling(served: Served) -> None:
    upper, lower = served.decide("AAPL"), served.decide("aapl")
    assert lower.symbol == "AAPL"
    assert lower.score == upper.score
    assert lower.cache.tier == "l1"
    assert served.store.reads == [["AAPL"]]


def test_a_letter_whose_capital_is_ascii_is_not_another_spelling(served: Served) -> None:
    """The long s of ſ, whose capital is S, does not ask for MSFT."""
    answer = served.post("/decide", {"symbol": "M\u017fFT"})
    assert answer.status_code == 422
    assert answer.json()["field"] == "symbol"


def test_without_explain_there_are_no_contributions_and_no_views(served: Served) -> None:
    answer = served.post("/decide", {"symbol": "AAPL", "explain": False}).json()
    assert "contributions" not in answer
    assert "views" not in answer


def test_explain_shows_contributions_that_sum_to_the_unsquashed_score(served: Served) -> None:
    answer = served.decide(explain=True)
    assert isinstance(answer.contributions, dict)
    assert set(answer.contributions) == {"agents", "trend", "momentum", "rsi", "macd", "range_position"}
    assert math.tanh(sum(answer.contributions.values())) == pytest.approx(answer.score, rel=1e-12)


def test_explain_shows_a_summary_that_no_decision_counts(served: Served) -> None:
    manager = AgentView("manager", "summary", -1.0, 1.0, AS_OF_MS)
    for symbol, views in (("AAPL", (agent_view("a", 0.5),)), ("IBM", (agent_view("a", 0.5), manager))):
        served.store.put(replaced(row(symbol), agents=encode(agent_record(symbol, views=views))))
    first, second = served.decide("AAPL", explain=True), served.decide("IBM", explain=True)
    assert isinstance(second.views, tuple)
    assert [(each.agent, each.status, each.view) for each in second.views] == [("a", "view", 0.5), ("manager", "summary", -1.0)]
    assert (first.score, first.inputs.agents.used) == (second.score, second.inputs.agents.used)
    assert "-1.00 summary at 1.00" in "\n".join(explanation(second))


def test_explain_shows_each_agent_s_word_with_a_bounded_excerpt(served: Served) -> None:
    long = AgentView("talker", "view", 0.5, 0.5, AS_OF_MS, "m", "x" * 5000)
    served.store.put(replaced(row("AAPL"), agents=encode(agent_record("AAPL", views=(long, agent_view("quiet", None))))))
    answer = served.decide(explain=True)
    assert isinstance(answer.views, tuple)
    assert [(each.agent, each.status, each.view) for each in answer.views] == [
        ("talker", "view", 0.5),
        ("quiet", "abstained", None),
    ]
    assert answer.views[0].reasoning == "x" * 280
    assert answer.views[0].as_of == "2013-03-01T21:00:00Z"


def test_a_live_price_changes_the_decision_and_is_not_remembered(served: Served) -> None:
    before = served.decide()
    crashed = served.decide(price=50.0)
    after = served.decide()
    assert crashed.score < before.score
    assert after.score == before.score


def test_the_last_close_given_as_live_price_is_another_bar(served: Served) -> None:
    """Even an unchanged price carries the indicators one bar on: the one-day return is then zero."""
    assert served.decide(price=100.0).score != served.decide().score


@given(price=st.floats(min_value=5e-324, max_value=1e12, allow_nan=False))
def test_no_live_price_makes_a_number_that_json_has_not(price: float) -> None:
    """From the least to the greatest allowed price, every number of the answer is finite and in its range. With no bound on it,
    that is; by default neither end is believed.
    """
    with Served(live_price_outside="accept") as served:
        answer = served.decide(price=price, explain=True)
    assert -1.0 <= answer.score <= 1.0
    assert 0.0 <= answer.confidence <= 1.0
    assert -1.0 <= answer.target_weight <= 1.0
    assert isinstance(answer.contributions, dict)
    assert all(math.isfinite(each) for each in answer.contributions.values())


@pytest.mark.parametrize("price", [0.0035, 3.5e6])
def test_a_live_price_that_is_not_believed_is_refused_with_what_is(price: float, served: Served) -> None:
    """A slip of a unit or a symbol would sell or buy: the last close, 100, says what the price may be. From L1 and from L2."""
    for _ in ("l2", "l1"):
        problem = msgspec.json.decode(served.post("/decide", {"symbol": "AAPL", "price": price}).content, type=ProblemBody)
        assert problem.status == 422
        assert problem.field == "price"
        assert problem.detail == (
            f"price is {price:.15g}; allowed: 50 to 200, by the last close of 2013-03-01 21:00 UTC (LIVE_PRICE_OUTSIDE)"
        )
    assert served.decide(price=50.0).score < served.decide().score


def test_a_batch_names_the_price_that_is_not_believed_and_answers_the_others(served: Served) -> None:
    asked = [{"symbol": "AAPL"}, {"symbol": "AAPL", "price": 3.5e9}, {"symbol": "AAPL", "price": 104.0}]
    for _ in ("l2", "l1"):
        right, wrong, live = decoded(served.post("/decide/batch", {"requests": asked}), BatchResponse).answers
        assert right.decision is not None
        assert live.decision is not None
        assert wrong.problem is not None
        assert (wrong.problem.status, wrong.problem.field) == (422, "requests[1].price")


def test_by_a_setting_a_live_price_that_is_not_believed_is_ignored_and_the_answer_says_so() -> None:
    with Served(live_price_outside="ignore") as served:
        answer, plain, near = served.decide(price=3.5), served.decide(), served.decide(price=104.0)
    assert answer.inputs.price.live_price_ignored == (
        "3.5; allowed: 50 to 200, by the last close of 2013-03-01 21:00 UTC (LIVE_PRICE_OUTSIDE)"
    )
    assert answer.score == plain.score != near.score
    assert plain.inputs.price.live_price_ignored is near.inputs.price.live_price_ignored is UNSET


def test_a_live_price_without_bars_to_carry_on_is_ignored_and_the_answer_says_so(served: Served) -> None:
    """Of a symbol without prices, or with bars that are too old: the decision is what it is without the live price."""
    served.store.put(replaced(row("NEW"), price=None, history=None))
    answer, plain = served.decide("NEW", price=3.5), served.decide("NEW")
    assert (answer.inputs.price.status, answer.score) == ("missing", plain.score)
    assert answer.inputs.price.live_price_ignored == "3.5; there are no bars, or none that count, for it to carry on"
    assert plain.inputs.price.live_price_ignored is UNSET
    served.clock.now += 100.0
    assert served.decide(price=104.0, max_age_s=99.0).inputs.price.live_price_ignored is not UNSET
    assert served.decide(price=104.0).inputs.price.live_price_ignored is UNSET


def test_inputs_older_than_max_age_count_as_missing(served: Served) -> None:
    served.clock.now += 100.0
    answer = served.decide(max_age_s=99.0)
    assert (answer.inputs.price.status, answer.inputs.agents.status) == ("missing", "missing")
    assert (answer.fallback.used, answer.fallback.level) == (True, "neutral")
    assert (answer.action, answer.score, answer.confidence, answer.target_weight) == ("hold", 0.0, 0.0, 0.0)
    assert (answer.as_of, answer.expires_at) == (None, None)
    assert served.decide(max_age_s=101.0).fallback.level == "none"


def test_null_options_are_the_same_as_none_given(served: Served) -> None:
    answer = served.decide(price=None, max_age_s=None, deadline_ms=None)
    assert answer.score == served.decide().score


def test_an_unknown_symbol_is_404_and_remembered_for_a_while(served: Served) -> None:
    """Outside the universe there is no decision, and a scan over made-up symbols does not reach L2 each time."""
    for _ in range(3):
        answer = served.post("/decide", {"symbol": "NOPE"})
        assert answer.status_code == 404
        assert answer.json()["type"] == "urn:decide:problem:unknown-symbol"
        assert answer.json()["field"] == "symbol"
    assert served.store.reads == [["NOPE"]]


def test_query_parameters_do_not_change_the_route(served: Served) -> None:
    assert decoded(served.post("/decide?x=1", {"symbol": "AAPL"}), DecideResponse).symbol == "AAPL"


@pytest.mark.parametrize("spelling", ["BTC-USDT", "btcusdt", "BTC/USDT", "Btc_Usdt"])
def test_any_spelling_of_a_symbol_is_answered_and_both_are_told(spelling: str) -> None:
    with Served(FakeStore("BTC-USDT")) as served:
        for _ in range(2):
            answer = decoded(served.post("/decide", {"symbol": spelling}), DecideResponse)
            assert (answer.symbol, answer.requested) == ("BTC-USDT", spelling)
        batch = decoded(served.post("/decide/batch", {"symbols": [spelling]}), BatchResponse)
        decision = batch.answers[0].decision
        assert decision is not None
        assert (decision.symbol, decision.requested) == ("BTC-USDT", spelling)


def test_no_age_is_negative_of_an_entry_that_came_while_the_body_did(served: Served) -> None:
    """A body takes its time; meanwhile somebody else has the symbol loaded, after this request began."""
    body = b'{"symbol":"AAPL","explain":true}'

    async def run() -> list[MutableMapping[str, Any]]:
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            served.clock.now += 3.0
            await asyncio.create_task(talk(served.app, http_scope(), part(b'{"symbol":"AAPL"}')))
            served.clock.now += 1.0
            return part(body)

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await served.app(http_scope(), receive, send)
        return sent

    answer = msgspec.json.decode(served.runner.run(run())[1]["body"], type=DecideResponse)
    assert (answer.cache.tier, answer.cache.age_ms, answer.latency_ms) == ("l1", 1000.0, 4000.0)
