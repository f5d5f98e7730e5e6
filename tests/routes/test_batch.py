"""POST /decide/batch: many decisions in one request."""

import msgspec
import pytest

from app.payloads import BatchItem, BatchResponse
from tests.kit.serving import Served, decoded, problem_of
from tests.kit.store import FakeStore

_SYMBOLS = [f"S{number}" for number in range(450)]


def _post(served: Served, body: object) -> BatchResponse:
    return decoded(served.post("/decide/batch", body), BatchResponse)


def _item_problem(item: BatchItem, slug: str, field: str, status: int) -> None:
    assert item.decision is None
    assert item.problem is not None
    assert (item.problem.type, item.problem.field, item.problem.status) == (f"urn:decide:problem:{slug}", field, status)


def test_answers_come_in_the_order_asked_with_repeats(served: Served) -> None:
    served.decide("MSFT")
    answer = _post(served, {"symbols": ["IBM", "MSFT", "AAPL", "ibm"]})
    assert [each.symbol for each in answer.answers] == ["IBM", "MSFT", "AAPL", "IBM"]
    assert [each.decision.cache.tier for each in answer.answers if each.decision] == ["l2", "l1", "l2", "l2"]
    assert (answer.decided, answer.failed) == (4, 0)
    assert len({each.decision.id for each in answer.answers if each.decision}) == 4


def test_a_batch_decides_as_single_requests_do(served: Served) -> None:
    single = served.decide("AAPL", price=104.0, explain=True)
    item = _post(served, {"requests": [{"symbol": "AAPL", "price": 104.0, "explain": True}]}).answers[0]
    assert item.decision is not None
    same = msgspec.structs.replace(item.decision, id=single.id, cache=single.cache, latency_ms=single.latency_ms)
    assert same == single


def test_misses_of_one_batch_are_one_read(served: Served) -> None:
    served.decide("AAPL")
    served.store.reads.clear()
    _post(served, {"symbols": ["IBM", "AAPL", "MSFT", "IBM"]})
    assert served.store.reads == [["IBM", "MSFT"]]


def test_a_wrong_symbol_is_a_problem_in_its_place_only(served: Served) -> None:
    answer = _post(served, {"symbols": ["AAPL", "NOPE", "b@d", "IBM"]})
    assert (answer.decided, answer.failed) == (2, 2)
    _item_problem(answer.answers[1], "unknown-symbol", "symbols[1]", 404)
    _item_problem(answer.answers[2], "invalid-request", "symbols[2]", 422)
    assert [each.problem for each in answer.answers if each.decision is not None] == [None, None]


def test_a_problem_in_requests_names_the_request_it_lies_in(served: Served) -> None:
    answer = _post(served, {"requests": [{"symbol": "AAPL"}, {"symbol": "no!"}, {"symbol": "NOPE"}]})
    _item_problem(answer.answers[1], "invalid-request", "requests[1].symbol", 422)
    _item_problem(answer.answers[2], "unknown-symbol", "requests[2].symbol", 404)


def test_problems_of_items_carry_the_request_id(served: Served) -> None:
    answer = served.post("/decide/batch", {"symbols": ["NOPE"]}, x_request_id="batch-7")
    assert answer.json()["answers"][0]["problem"]["request_id"] == "batch-7"
    assert answer.headers["x-request-id"] == "batch-7"


def test_options_of_the_symbols_form_hold_for_all(served: Served) -> None:
    served.clock.now += 10.0
    answer = _post(served, {"symbols": ["AAPL", "IBM"], "max_age_s": 5, "explain": True})
    for each in answer.answers:
        assert each.decision is not None
        assert each.decision.fallback.level == "neutral"
        assert each.decision.contributions


def test_each_of_requests_has_its_own_options(served: Served) -> None:
    answer = _post(served, {"requests": [{"symbol": "AAPL"}, {"symbol": "AAPL", "price": 50.0, "explain": True}]})
    plain, priced = (each.decision for each in answer.answers)
    assert plain is not None
    assert priced is not None
    assert plain.contributions is msgspec.UNSET
    assert priced.contributions is not msgspec.UNSET
    assert priced.score < plain.score


def test_the_shortest_deadline_ends_the_wait_of_the_batch() -> None:
    """One read serves all, so the most impatient request decides how long it may take."""
    with Served(l2_timeout_ms=60_000.0) as served:
        served.store.hangs = True
        answer = _post(served, {"requests": [{"symbol": "AAPL", "deadline_ms": 20}, {"symbol": "IBM"}]})
    assert [each.decision.fallback.reason for each in answer.answers if each.decision] == ["price_l2_timeout"] * 2


def test_a_large_batch_is_answered_whole_and_in_order() -> None:
    """More than one slice of decisions and more than one read of L2 change nothing."""
    with Served(FakeStore(*_SYMBOLS)) as served:
        answer = _post(served, {"symbols": _SYMBOLS})
    assert [each.symbol for each in answer.answers] == _SYMBOLS
    assert answer.decided == len(_SYMBOLS)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "symbols"),
        ({"symbols": ["AAPL"], "requests": [{"symbol": "AAPL"}]}, "symbols"),
        ({"symbols": []}, "symbols"),
        ({"requests": []}, "requests"),
        ({"symbols": ["AAPL"] * 6}, "symbols"),
        ({"requests": [{"symbol": "AAPL"}] * 6}, "requests"),
        ({"requests": [{"symbol": "AAPL"}], "explain": True}, "requests"),
        ({"requests": [{"symbol": "AAPL"}], "max_age_s": 1}, "requests"),
        ({"requests": [{"symbol": "AAPL"}], "deadline_ms": 1}, "requests"),
        ({"symbols": "AAPL"}, "symbols"),
        ({"symbols": ["AAPL", 1]}, "symbols[1]"),
        ({"symbols": ["AAPL", ""]}, "symbols[1]"),
        ({"symbols": ["AAPL"], "price": 1}, "price"),
        ({"requests": [{"symbol": "AAPL"}, {"symbol": "IBM", "price": -1}]}, "requests[1].price"),
        ({"requests": [{"symbol": "AAPL", "prise": 1}]}, "requests[0].prise"),
        ({"requests": [{}]}, "requests[0].symbol"),
        ({"symbols": None}, "symbols"),
        ([], None),
        ("AAPL", None),
    ],
)
def test_a_batch_of_the_wrong_shape_is_422_naming_the_field(body: object, field: str | None) -> None:
    with Served(batch_max=5) as served:
        problem_of(served.post("/decide/batch", body), 422, "invalid-request", field)


def test_as_many_as_allowed_are_answered() -> None:
    with Served(batch_max=5) as served:
        assert _post(served, {"symbols": ["AAPL"] * 5}).decided == 5


def test_server_timing_says_what_the_body_says(served: Served) -> None:
    answer = served.post("/decide/batch", {"symbols": ["AAPL"]})
    assert answer.headers["server-timing"] == f"decide;dur={answer.json()['latency_ms']:.3f}"
