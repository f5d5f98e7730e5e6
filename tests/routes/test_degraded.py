"""What a caller gets when L2 is slow, down or wrong: an answer that says so, never a 5xx."""

import msgspec
import pytest

from app.payloads import DecideResponse
from app.store.codec import encode
from app.store.protocol import Row, Written
from tests.kit.records import AS_OF_MS, agent_record, agent_view, failed_view, price_record, replaced, row, tick
from tests.kit.serving import Served, decoded
from tests.kit.store import down


def test_without_l1_and_l2_the_answer_is_a_neutral_hold(served: Served) -> None:
    served.store.fault = down()
    answer = served.decide()
    assert (answer.action, answer.score, answer.confidence, answer.target_weight) == ("hold", 0.0, 0.0, 0.0)
    assert (answer.fallback.used, answer.fallback.level, answer.fallback.reason) == (True, "neutral", "price_l2_error")
    assert (answer.inputs.price.status, answer.inputs.agents.status) == ("error", "error")
    assert (answer.cache.hit, answer.cache.tier, answer.cache.run) == (False, "none", None)


def test_an_unreachable_l2_shows_in_cache_status(served: Served) -> None:
    served.store.fault = down()
    none = served.post("/decide", {"symbol": "IBM"})
    assert none.headers["cache-status"] == "decide-l2; fwd=miss; detail=unreachable, decide-l1; fwd=miss"
    served.store.fault = None
    served.decide()
    served.clock.now += 61.0
    served.store.fault = down()
    stale = served.post("/decide", {"symbol": "AAPL"})
    assert stale.headers["cache-status"] == "decide-l2; fwd=miss; detail=unreachable, decide-l1; hit; detail=stale"


def test_an_error_is_not_remembered_as_unknown(served: Served) -> None:
    served.store.fault = down()
    served.decide()
    served.store.fault = None
    answer = served.decide()
    assert (answer.cache.tier, answer.fallback.level) == ("l2", "none")


def test_a_stale_l1_entry_answers_while_l2_fails_and_is_marked(served: Served) -> None:
    fresh = served.decide()
    served.clock.now += 61.0
    served.store.fault = down()
    stale = served.decide()
    assert stale.action == fresh.action
    assert stale.score == pytest.approx(fresh.score, rel=1e-3)
    assert (stale.inputs.price.status, stale.inputs.agents.status) == ("stale", "stale")
    assert (stale.fallback.used, stale.fallback.level, stale.fallback.reason) == (True, "stale", "price_l2_error")
    assert (stale.cache.hit, stale.cache.tier, stale.cache.age_ms) == (False, "l1", 61_000.0)
    assert stale.cache.run == "run-1"


def test_a_stale_entry_past_its_last_deadline_is_not_served() -> None:
    with Served(l1_stale_s=10.0) as served:
        served.decide()
        served.clock.now += 71.0
        served.store.fault = down()
        assert served.decide().fallback.level == "neutral"


def test_a_hanging_l2_is_waited_for_no_longer_than_the_caller_s_deadline() -> None:
    """With the setting far beyond it, deadline_ms alone ends the wait; the reason is the timeout."""
    with Served(l2_timeout_ms=60_000.0) as served:
        served.store.hangs = True
        answer = served.decide(deadline_ms=20.0)
    assert (answer.fallback.level, answer.fallback.reason) == ("neutral", "price_l2_timeout")
    assert answer.inputs.price.status == "error"


def test_a_hanging_l2_is_waited_for_no_longer_than_the_setting() -> None:
    """A caller cannot raise the budget of the server."""
    with Served(l2_timeout_ms=20.0) as served:
        served.store.hangs = True
        answer = served.decide(deadline_ms=60_000.0)
    assert answer.fallback.reason == "price_l2_timeout"


def test_a_hanging_l2_with_a_stale_entry_gives_the_entry() -> None:
    with Served(l2_timeout_ms=60_000.0) as served:
        served.decide()
        served.clock.now += 61.0
        served.store.hangs = True
        answer = served.decide(deadline_ms=20.0)
    assert (answer.fallback.level, answer.fallback.reason, answer.cache.tier) == ("stale", "price_l2_timeout", "l1")


def test_more_loads_than_allowed_are_answered_by_fallback() -> None:
    with Served(l2_timeout_ms=20.0, l2_max_pending=1) as served:
        served.store.hangs = True
        assert served.decide("AAPL").fallback.reason == "price_l2_timeout"
        assert served.decide("IBM").fallback.reason == "price_l2_overloaded"


def test_a_record_of_another_schema_is_missing_and_not_misread(served: Served) -> None:
    old = msgspec.structs.replace(price_record("AAPL"), schema="0" * 16)
    served.store.put(replaced(row("AAPL"), price=encode(old)))
    answer = served.decide()
    assert answer.inputs.price.status == "missing"
    assert (answer.fallback.level, answer.fallback.reason) == ("agents_only", "price_schema_mismatch")


def test_a_corrupt_record_is_an_error_and_the_other_input_decides(served: Served) -> None:
    served.store.put(replaced(row("AAPL"), agents=b"\xc1garbage"))
    answer = served.decide()
    assert answer.inputs.agents.status == "error"
    assert (answer.fallback.level, answer.fallback.reason) == ("price_only", "agents_corrupt")


def test_a_record_spoilt_after_it_was_read_leaves_the_earlier_one_to_decide(served: Served) -> None:
    before = served.decide()
    served.store.put(replaced(row("AAPL"), price=b"\xc1garbage"))
    served.clock.now += 61.0
    answer = served.decide()
    assert (answer.action, answer.cache.tier) == (before.action, "l2")
    assert (answer.inputs.price.status, answer.inputs.agents.status) == ("stale", "present")
    assert (answer.fallback.level, answer.fallback.reason) == ("stale", "price_corrupt")


def test_hold_abstention_failure_and_absence_stay_distinct(served: Served) -> None:
    abstained = encode(agent_record("AAPL", views=(agent_view("a", None),)))
    failed = encode(agent_record("IBM", views=(failed_view("a"), agent_view("b", None))))
    served.store.put(replaced(row("AAPL"), agents=abstained))
    served.store.put(replaced(row("IBM"), agents=failed))
    served.store.put(replaced(row("MSFT"), agents=None))
    answers = {symbol: served.decide(symbol) for symbol in ("AAPL", "IBM", "MSFT")}
    assert {symbol: each.fallback.reason for symbol, each in answers.items()} == {
        "AAPL": "agents_abstained",
        "IBM": "agents_failed",
        "MSFT": "agents_absent",
    }
    assert {symbol: each.inputs.agents.status for symbol, each in answers.items()} == {
        "AAPL": "present",
        "IBM": "present",
        "MSFT": "missing",
    }
    assert (answers["IBM"].inputs.agents.failed, answers["IBM"].inputs.agents.abstained) == (1, 1)
    assert all(each.fallback.level == "price_only" for each in answers.values())


def test_old_data_is_stale_and_then_missing(served: Served) -> None:
    served.clock.now += 345_601.0
    assert served.decide().fallback.reason == "price_stale"
    served.clock.now += 2_592_000.0
    neutral = served.decide()
    assert (neutral.fallback.level, neutral.inputs.price.status) == ("neutral", "missing")


def test_a_batch_falls_back_each_for_itself() -> None:
    with Served() as served:
        served.decide("AAPL")
        served.store.fault = down()
        answer = served.post("/decide/batch", {"symbols": ["AAPL", "IBM"]}).json()
    assert [each["decision"]["fallback"]["level"] for each in answer["answers"]] == ["none", "neutral"]
    assert (answer["decided"], answer["failed"]) == (2, 0)


def test_fallbacks_are_always_logged_with_level_and_reason() -> None:
    with Served(log_sample_every=1_000_000) as served:
        served.decide()
        served.store.fault = down()
        answer = served.post("/decide", {"symbol": "IBM"})
        assert decoded(answer, DecideResponse).fallback.used
        lines = [line for line in served.log_lines() if line["event"] == "request"]
    assert len(lines) == 1
    assert lines[0]["request_id"] == answer.headers["x-request-id"]
    assert (lines[0]["fallback"], lines[0]["reason"]) == ("neutral", "price_l2_error")


def test_the_replay_clock_runs_on_from_the_newest_data(served: Served) -> None:
    assert served.parts.now_ms() == AS_OF_MS
    served.clock.now += 2.0
    assert served.parts.now_ms() == AS_OF_MS + 2000


def test_a_last_trade_does_not_move_the_replay_clock(served: Served) -> None:
    """Decisions stay where the bars and views are. One from ahead of it is as new as can be."""
    later = Written(AS_OF_MS + 86_400_000, tick("IBM", AS_OF_MS + 86_400_000).value)
    served.store.put(Row("IBM", {**row("IBM").records, "tick": later}))
    served.decide("IBM")
    assert served.parts.now_ms() == AS_OF_MS


@pytest.mark.parametrize(
    ("clock", "ahead_s", "status"), [("replay", 86_400, "present"), ("wall", 290, "present"), ("wall", 310, "missing")]
)
def test_what_is_ahead_of_the_wall_clock_is_not_used_and_what_replay_has_yet_to_hear_of_is(
    clock: str, ahead_s: int, status: str
) -> None:
    """A record is read before the run is heard of that brought it: no reason to distrust it where the data are the clock."""
    with Served(clock=clock) as served:
        ahead = row("IBM", served.parts.now_ms() + ahead_s * 1000)
        served.store.put(ahead)
        answer = served.decide("IBM")
    assert (answer.inputs.price.status, answer.inputs.agents.status) == (status, status)
    assert answer.fallback.reason == (None if status == "present" else "price_ahead_of_clock")
    assert (answer.inputs.price.age_s, answer.inputs.agents.age_s) == (0.0, 0.0)
