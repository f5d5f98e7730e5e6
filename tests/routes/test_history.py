"""GET /history/{symbol}: the closes behind a price record."""

import msgspec
import pytest

from app.errors import Problem
from app.payloads import HistoryResponse
from app.store.codec import encode
from tests.kit.records import history_record, replaced, row
from tests.kit.serving import Served, decoded, problem_of
from tests.kit.settle import settle
from tests.kit.store import UNIVERSE, FakeStore, down


def test_the_history_is_that_of_the_store_in_the_order_of_time(served: Served) -> None:
    answer = decoded(served.get("/history/aapl"), HistoryResponse)
    record = history_record("AAPL")
    assert (answer.symbol, answer.requested, answer.interval_s, answer.run) == ("AAPL", "aapl", 86_400, "run-1")
    assert answer.closes == record.closes
    assert (len(answer.times), answer.times[-1], answer.as_of) == (40, "2013-03-01T21:00:00Z", "2013-03-01T21:00:00Z")
    assert answer.times[0] == "2013-01-21T21:00:00Z"
    assert list(answer.times) == sorted(answer.times)


def test_a_pair_is_one_path_parameter() -> None:
    with Served(FakeStore("BTC-USD")) as served:
        for path in ("BTC/USD", "btc%2Fusd", "BTC-USD"):
            assert decoded(served.get(f"/history/{path}"), HistoryResponse).symbol == "BTC-USD"


@pytest.mark.parametrize(("path", "status"), [("NOPE", 404), ("a%20b", 422), ("A" * 33, 422), ("", 422)])
def test_a_history_of_what_is_no_symbol_is_a_problem(path: str, status: int, served: Served) -> None:
    slug = "unknown-symbol" if status == 404 else "invalid-request"
    problem_of(served.get(f"/history/{path}"), status, slug, "symbol")


def test_a_loaded_symbol_without_a_history_is_told_from_an_unknown_one(served: Served) -> None:
    """As after a run of an earlier version: the symbol is decided on all the same."""
    served.store.put(replaced(row("AAPL"), history=None))
    assert "without a history" in problem_of(served.get("/history/AAPL"), 404, "history-missing", "symbol").detail
    assert served.decide("AAPL").fallback.level == "none"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\x93 rubbish", "corrupt"),
        (encode(history_record("MSFT")), "corrupt"),
        (encode(msgspec.structs.replace(history_record(), schema="0" * 16)), "schema_mismatch"),
    ],
)
def test_a_history_that_cannot_be_read_is_missing_and_counted(raw: bytes, reason: str, served: Served) -> None:
    served.store.put(replaced(row("AAPL"), history=raw))
    assert reason in problem_of(served.get("/history/AAPL"), 404, "history-missing", "symbol").detail
    assert f'decide_records_rejected_total{{reason="{reason}"}} 1.0' in served.get("/metrics").text


def test_an_unreachable_store_is_503_with_retry_after(served: Served) -> None:
    served.store.put(replaced(row("AAPL"), history=None))
    served.store.fault = down()
    for symbol in ("IBM", "AAPL"):
        answer = served.get(f"/history/{symbol}")
        problem_of(answer, 503, "store-unavailable")
        assert answer.headers["retry-after"] == "1"


def test_a_store_that_fails_between_the_two_looks_is_503() -> None:
    """Whether the symbol is loaded cannot be told then."""

    class Failing(FakeStore):
        async def record(self, kind: str, key: str) -> bytes | None:
            self.fault = down()
            del kind, key
            return None

    with Served(Failing(*UNIVERSE)) as served:
        problem_of(served.get("/history/AAPL"), 503, "store-unavailable")


def test_histories_are_not_waited_for_beyond_the_limit_of_work(served: Served) -> None:
    """Each is one more read of L2, so it is let in as a decision is."""
    admission = served.parts.admission
    admission.enter(admission.max_in_flight)
    problem_of(served.get("/history/AAPL"), 503, "overloaded")
    admission.leave(admission.max_in_flight)
    assert served.get("/history/AAPL").status_code == 200
    assert admission.in_flight == 0


def test_a_store_that_hangs_is_not_waited_for_without_end(served: Served) -> None:
    served.store.put(row("AAPL"))
    served.store.hangs = True
    problem_of(served.get("/history/AAPL"), 503, "store-unavailable")


def test_a_read_whose_caller_gave_up_is_under_way_until_it_ends() -> None:
    """Else there is no bound on how many are: each caller waits for two seconds, and a store may hang for longer."""
    store = FakeStore(*UNIVERSE)
    with Served(store) as served:
        store.is_holding = True
        admission = served.parts.admission

        async def work() -> None:
            with pytest.raises(Problem) as raised:
                await served.parts.decider.from_store(lambda: store.record("history", "AAPL"), 0.001)
            assert (raised.value.status, admission.in_flight) == (503, 1)
            store.release()
            await settle()
            assert admission.in_flight == 0

        served.runner.run(work())
