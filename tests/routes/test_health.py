"""GET /health where what the store says of its run is wrong."""

import re
from pathlib import Path

import pytest

from app.answering.moments import iso
from app.errors import RunDamaged
from app.observe.clocks import wall_ms
from app.payloads import DatabaseState, HealthResponse, SourceState
from app.store.codec import encode
from app.store.protocol import Record
from tests.kit.market import FakeReader
from tests.kit.records import AS_OF_MS, run_info, status_record
from tests.kit.serving import Served, decoded
from tests.kit.store import UNIVERSE, FakeStore


def test_health_says_that_the_replay_clock_is_ahead_of_the_wall_clock_before_anybody_asks() -> None:
    """All that is loaded would be too old by it."""
    with Served(FakeStore(*UNIVERSE, info=run_info(as_of_ms=wall_ms() + 70 * 31_536_000_000))) as served:
        found = decoded(served.get("/health"), HealthResponse)
        assert found.status == "degraded"
        assert found.reason is not None
        assert found.reason.startswith(
            "what the store names as its newest input is ahead of the wall clock; the replay clock says 20"
        )


def test_a_server_on_a_store_whose_run_is_damaged_is_ready_and_says_what_is_wrong() -> None:
    """Nothing that stands in a store keeps a start from its end."""
    store = FakeStore(*UNIVERSE)
    store.faults["run_info"] = RunDamaged("it is none")
    with Served(store, clock="wall") as served:
        assert served.get("/readyz").status_code == 200
        found = decoded(served.get("/health"), HealthResponse)
        assert (found.status, found.feed_connected, found.run) == ("degraded", True, None)
        assert found.reason == "nothing is known of the run until the next one is loaded (l2_error: it is none)"
        assert served.parts.status() == "Serving; nothing is known of the run until the next one is loaded."
        assert served.get("/status").status_code == 200


def _health(served: Served) -> HealthResponse:
    return decoded(served.get("/health"), HealthResponse)


def test_health_says_how_the_market_store_is_where_there_is_one(tmp_path: Path) -> None:
    reader = FakeReader("AAPL")
    path = tmp_path / "market.sqlite3"
    with Served(open_reader=lambda: reader, market_path=str(path)) as served:
        # Nobody uses one: that is no fault, and asking makes none.
        assert _health(served).database == DatabaseState("sqlite", "unused")
        assert (_health(served).status, reader.calls["ping"], path.exists()) == ("ok", 0, False)
        path.touch()
        found = _health(served)
        assert (found.status, found.database.state, found.database.latency_ms) == ("ok", "ok", 0.0)
        reader.reason = "market_error"
        found = _health(served)
        assert (found.status, found.reason) == ("degraded", "the market store is unreachable (market_error)")
        assert found.database == DatabaseState("sqlite", "unreachable", None, "market_error")
        assert served.get("/readyz").status_code == served.get("/livez").status_code == 200
        assert served.get("/status").json()["database"]["detail"] == "market_error"
        assert 'decide_market_errors_total{operation="ping",reason="market_error"} 2.0' in served.get("/metrics").text


def test_a_database_that_is_set_ought_to_be_there() -> None:
    reader = FakeReader()
    with Served(open_reader=lambda: reader, database_url="postgresql://db.example/market") as served:
        assert (_health(served).database.kind, _health(served).database.state) == ("postgresql", "ok")
        reader.reason = "market_open"
        assert _health(served).status == "degraded"


def test_a_market_store_that_hangs_holds_up_no_probe_and_is_looked_at_once() -> None:
    reader = FakeReader()
    with Served(open_reader=lambda: reader, database_url="postgresql://db.example/market") as served:
        reader.hangs = True
        for _ in range(2):
            found = _health(served)
            assert found.database == DatabaseState("postgresql", "unreachable", None, "market_timeout")
            assert found.status == "degraded"
        assert reader.calls["ping"] == 1
        served.runner.run(served.parts.market.close())


def _told(served: Served, **fields: object) -> HealthResponse:
    """What /health says once a stream has said that."""
    record = status_record(**fields)
    served.parts.feed.globals.apply([Record("status", "stream", encode(record))])
    return _health(served)


def test_health_says_nothing_of_live_data_where_nobody_brings_any() -> None:
    with Served() as served:
        assert (_health(served).status, _health(served).log) == ("ok", None)


def test_health_says_how_the_log_is_that_brings_live_data() -> None:
    with Served() as served:
        found = _told(served, loaded_at_ms=wall_ms())
        assert (found.status, found.reason) == ("ok", None)
        assert found.log is not None
        assert (found.log.kind, found.log.state, found.log.lag_messages, found.log.lag_s) == ("sqlite", "ok", 7, 0.5)
        assert found.log.last_ingestion == iso(AS_OF_MS)
        assert found.log.sources == (SourceState("coinbase", iso(AS_OF_MS), iso(AS_OF_MS), 7, 5),)


@pytest.mark.parametrize(
    ("fields", "ago_ms", "state", "reason"),
    [
        ({}, 45_000, "silent", "the stream was last heard of 4"),
        ({"state": "waiting", "detail": "log_error: away"}, 0, "waiting", "the stream waits (log_error: away)"),
        ({"lag_s": 75.0, "lag_messages": 12}, 0, "behind", "the stream is 75 s and 12 messages behind"),
    ],
)
def test_a_stream_that_is_not_well_degrades_health_and_no_probe(
    fields: dict[str, object], ago_ms: int, state: str, reason: str
) -> None:
    with Served() as served:
        found = _told(served, loaded_at_ms=wall_ms() - ago_ms, **fields)
        assert (found.status, found.log and found.log.state) == ("degraded", state)
        assert (found.reason or "").startswith(reason)
        assert {served.get(path).status_code for path in ("/health", "/readyz", "/livez")} == {200}


def _silent_s(served: Served) -> float:
    found = re.search(r"^decide_stream_silent_seconds (.*)$", served.get("/metrics").text, re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_how_long_a_stream_is_silent_is_counted_until_it_is_stopped() -> None:
    """Of one that is gone nothing else tells."""
    with Served() as served:
        assert _silent_s(served) == 0
    with Served() as served:
        _told(served, loaded_at_ms=wall_ms() - 45_000)
        assert 45 <= _silent_s(served) < 3600
    with Served() as served:
        _told(served, loaded_at_ms=wall_ms() - 45_000, state="stopped")
        assert _silent_s(served) == 0


def test_a_stream_that_was_stopped_is_no_fault() -> None:
    with Served() as served:
        found = _told(served, loaded_at_ms=wall_ms() - 86_400_000, state="stopped", last_ingestion_ms=None)
        assert (found.status, found.log and found.log.state) == ("ok", "stopped")
        assert found.log is not None
        assert found.log.last_ingestion is None
