"""Probes, status, version and metrics; start and stop of the application."""

import asyncio

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.errors import StoreError
from app.observe.clocks import wall_ms
from app.payloads import HealthResponse, ReadyResponse, StatusResponse, VersionResponse
from app.store.codec import encode
from app.store.protocol import Changes
from app.version import VERSION
from tests.kit.records import AS_OF_MS, make_row, price_record, run_info
from tests.kit.serving import Served, decoded
from tests.kit.store import UNIVERSE, FakeStore, down

_YEAR_MS = 365 * 86_400_000
_CHANGED = Changes("0", ("AAPL",), lost=False)


def test_livez_is_200_whatever_the_store_does() -> None:
    """A restart would not bring the store back."""
    store = FakeStore()
    store.fault = down()
    with Served(store) as served:
        assert decoded(served.get("/livez"), ReadyResponse) == ReadyResponse("ok")


def test_readyz_is_503_before_the_first_warm_run_and_200_after() -> None:
    store = FakeStore()
    with Served(store) as served:
        before = decoded(served.get("/readyz"), ReadyResponse, 503)
        assert before.status == "not_ready"
        assert before.reason is not None
        assert "warm" in before.reason
        store.info = run_info()
        with Served(store) as later:
            assert decoded(later.get("/readyz"), ReadyResponse) == ReadyResponse("ok")


def test_readyz_stays_200_when_the_store_goes_down(served: Served) -> None:
    """One outage of L2 must not take all instances out at once."""
    served.store.fault = down()
    assert served.runner.run(served.parts.feed.step()) is False
    assert served.get("/readyz").status_code == 200


def test_probes_are_never_cached(served: Served) -> None:
    for path in ("/livez", "/readyz", "/health", "/status", "/version"):
        assert served.get(path).headers["cache-control"] == "no-store"


def test_health_says_that_nothing_is_loaded_where_all_was_taken_back() -> None:
    store = FakeStore()
    store.info = run_info(as_of_ms=0, symbols=0)
    with Served(store) as served:
        health = decoded(served.get("/health"), HealthResponse)
    assert (health.status, health.data_age_s, health.reason) == ("degraded", None, "no symbol is loaded")


def test_health_shows_ok_degraded_and_not_ready(served: Served) -> None:
    served.clock.now += 90.0
    good = decoded(served.get("/health"), HealthResponse)
    assert (good.status, good.ready, good.store.state, good.feed_connected, good.run) == ("ok", True, "ok", True, "run-1")
    assert good.data_age_s == 90.0
    served.store.fault = down()
    bad = decoded(served.get("/health"), HealthResponse)
    assert (bad.status, bad.ready, bad.store.state, bad.store.detail) == ("degraded", True, "unreachable", "l2_error")
    with Served(FakeStore()) as empty:
        none = decoded(empty.get("/health"), HealthResponse)
    assert (none.status, none.ready, none.run, none.data_age_s) == ("not_ready", False, None, None)


def test_health_says_everything_that_is_wrong(served: Served) -> None:
    """A person must not have to find out what `degraded` or `not_ready` means."""
    served.store.fault = down()
    assert served.runner.run(served.parts.feed.step()) is False
    assert _health(served).reason == "L2 is unreachable (l2_error); the change feed cannot be read"
    with Served(FakeStore()) as empty:
        assert _health(empty).reason == "no warm run was seen yet: run the warm job"
        empty.parts.drain.on = True
        assert _health(empty).reason == "draining: this worker is about to stop"


def test_a_newest_time_that_is_taken_back_makes_nothing_neutral_any_longer() -> None:
    """The replay clock was a year ahead of all records; it needs no restart to follow the next run."""
    store = FakeStore(*UNIVERSE, info=run_info(as_of_ms=AS_OF_MS + _YEAR_MS))
    with Served(store) as served:
        assert [served.decide(symbol).fallback.reason for symbol in ("AAPL", "IBM")] == ["price_too_old"] * 2
        store.info = run_info("run-2")
        store.feed.append(_CHANGED)
        served.runner.run(served.parts.feed.step())
        # Of one the records are read anew, the other's answer was prepared.
        assert [served.decide(symbol).fallback.level for symbol in ("AAPL", "IBM")] == ["none"] * 2
        assert served.parts.now_ms() == AS_OF_MS


def test_health_says_that_decisions_rest_on_nothing_until_they_do_not() -> None:
    """All else is well: the store answers, the feed is read, and the newest input is of this moment, by what the run says."""
    store = FakeStore(*UNIVERSE, info=run_info(as_of_ms=AS_OF_MS + _YEAR_MS))
    with Served(store) as served:
        assert _health(served).status == "ok"
        served.decide("IBM")
        served.decide("AAPL")
        served.clock.now += 2.0
        served.parts.look()
        bad = _health(served)
        assert (bad.status, bad.ready) == ("degraded", True)
        assert bad.reason == (
            "2 of 2 decisions of the last 2 s rest on no input (the last: price_too_old);"
            " the replay clock says 2014-03-01T21:00:02Z, the newest input is of 2014-03-01T21:00:00Z"
        )
        store.info = run_info("run-2")
        store.feed.append(_CHANGED)
        served.runner.run(served.parts.feed.step())
        for symbol in ("AAPL", "IBM"):
            served.decide(symbol)
        served.parts.look()
        # Half of them is no longer most of them.
        assert (_health(served).status, _health(served).reason) == ("ok", None)
        for _ in range(60):
            served.clock.now += 1.0
            served.parts.look()
        assert served.parts.last_minute[0] == 60.0
        assert (served.parts.last_minute[1].decisions, served.parts.last_minute[1].neutral) == (0, 0)


@pytest.mark.parametrize(
    ("ahead_s", "wrong"),
    [
        (_YEAR_MS // 1000, "the newest input is ahead of the clock"),
        (290, None),
        (-6 * 86_400, None),
        (-8 * 86_400, "all inputs are stale"),
        (-31 * 86_400, "all inputs are stale, and too old to be used"),
    ],
)
def test_health_says_when_the_clock_and_the_data_are_apart(ahead_s: int, wrong: str | None) -> None:
    store = FakeStore(*UNIVERSE, info=run_info(as_of_ms=wall_ms() + ahead_s * 1000))
    with Served(store, clock="wall") as served:
        found = _health(served)
    assert found.status == ("ok" if wrong is None else "degraded")
    if wrong is None:
        assert found.reason is None
    else:
        assert found.reason is not None
        assert found.reason.startswith(f"{wrong}; the wall clock says 20")
        ways = "; load newer data, or have it served as if it were live by CLOCK=replay"
        assert found.reason.endswith(ways) == wrong.startswith("all")


def test_health_calls_no_price_stale_that_its_calendar_does_not() -> None:
    """The newest input is older than agents' views may be, but of monthly bars."""
    as_of_ms = wall_ms() - 20 * 86_400_000
    record = price_record(as_of_ms=as_of_ms)
    monthly = msgspec.structs.replace(record, due_ms=tuple(as_of_ms + 30 * 86_400_000 * number for number in range(1, 6)))
    store = FakeStore(info=run_info(as_of_ms=as_of_ms))
    store.put(make_row("AAPL", as_of_ms, encode(monthly), None, None))
    with Served(store, clock="wall") as served:
        assert _health(served).reason is not None
        assert served.decide("AAPL").inputs.price.status == "present"
        assert _health(served).reason is None


def test_under_replay_a_record_that_is_later_than_the_run_says_moves_the_clock_and_is_told() -> None:
    """Everything would else be of age 0, and the server in good health."""
    store = FakeStore(info=run_info(as_of_ms=5))
    for symbol, as_of_ms in (("AAPL", AS_OF_MS), ("IBM", AS_OF_MS - 3_600_000)):
        store.put(make_row(symbol, as_of_ms, encode(price_record(symbol=symbol, as_of_ms=as_of_ms)), None, None))
    with Served(store) as served:
        served.decide("AAPL")
        assert served.decide("IBM").inputs.price.age_s == 3600.0
        found = _health(served)
        assert found.status == "degraded"
        assert found.reason == (
            "a record is of 2013-03-01T21:00:00Z, later than the newest that the store names;"
            " the replay clock says 2013-03-01T21:00:00Z, the newest input is of 1970-01-01T00:00:00.005Z"
        )
        store.info = run_info("run-2", as_of_ms=AS_OF_MS)
        store.feed.append(_CHANGED)
        served.runner.run(served.parts.feed.step())
        assert (_health(served).status, _health(served).reason) == ("ok", None)


def _health(served: Served) -> HealthResponse:
    return decoded(served.get("/health"), HealthResponse)


def test_health_of_a_hanging_store_is_answered_all_the_same(served: Served) -> None:
    served.store.hangs = True
    answer = decoded(served.get("/health"), HealthResponse)
    assert (answer.store.state, answer.store.detail) == ("unreachable", "l2_timeout")


def test_a_ping_that_fails_after_its_time_is_taken_note_of() -> None:
    """Its error is not left to be reported when the task is thrown away."""

    class Slow(FakeStore):
        time = asyncio.Event()

        async def ping(self) -> None:
            await self.time.wait()
            raise StoreError("l2_error", "too late")

    with Served(Slow(*UNIVERSE)) as served:
        assert decoded(served.get("/health"), HealthResponse).store.detail == "l2_timeout"
        Slow.time.set()
        served.runner.run(asyncio.sleep(0.01))
        assert not [line for line in served.log_lines() if line["level"] == "error"]


def test_status_shows_the_run_the_cache_and_the_settings(served: Served) -> None:
    served.decide("AAPL")
    served.decide("AAPL")
    served.decide("aapl")
    served.post("/decide", {"symbol": "NOPE"})
    served.clock.now += 5.0
    answer = decoded(served.get("/status"), StatusResponse)
    assert (answer.version, answer.uptime_s, answer.clock, answer.ready) == (VERSION, 5.0, "replay", True)
    assert answer.now == "2013-03-01T21:00:05Z"
    assert answer.run is not None
    assert (answer.run.run, answer.run.symbols, answer.run.newest_as_of) == ("run-1", 3, "2013-03-01T21:00:00Z")
    assert answer.run.warmed_at == "2013-03-01T21:00:01Z"
    assert (answer.store.kind, answer.store.state) == ("fake", "ok")
    assert (answer.l1.entries, answer.l1.unknown_entries, answer.l1.hits, answer.l1.misses) == (1, 1, 2, 2)
    assert answer.l1.hit_rate == 0.5
    assert answer.in_flight == 1
    assert answer.settings["l1_max_entries"] == answer.l1.max_entries


def test_status_before_anything_has_no_run_and_no_hit_rate() -> None:
    with Served(FakeStore(), clock="wall") as served:
        answer = decoded(served.get("/status"), StatusResponse)
    assert (answer.run, answer.ready, answer.l1.hit_rate) == (None, False, None)


@pytest.mark.parametrize("path", ["/status", "/health", "/metrics", "/version"])
def test_no_answer_holds_a_secret(path: str) -> None:
    with Served(redis_url="redis://user:hunter2@cache.test:6379/0") as served:
        answer = served.get(path)
        log = str(served.log_lines())
    assert answer.status_code == 200
    assert "hunter2" not in answer.text
    assert "cache.test" not in answer.text
    assert "hunter2" not in log
    if path == "/status":
        assert answer.json()["settings"]["redis_url"] == "set"


def test_version_says_what_is_running(served: Served) -> None:
    answer = decoded(served.get("/version"), VersionResponse)
    assert (answer.name, answer.version) == ("decide", VERSION)
    assert answer.model == served.decide().model


def _metrics(served: Served) -> dict[str, float]:
    answer = served.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        sample.name + str(dict(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_metrics_count_what_was_asked(served: Served) -> None:
    for _ in range(3):
        served.decide("AAPL")
    served.post("/decide/batch", {"symbols": ["IBM", "NOPE"]})
    served.post("/decide", b"{")
    served.get("/nothing/here")
    found = _metrics(served)
    count = "decide_request_duration_seconds_count"
    assert found[count + "{'route': '/decide', 'slo_class': 'decisions', 'status': '200'}"] == 3.0
    assert found[count + "{'route': '/decide', 'slo_class': 'decisions', 'status': '400'}"] == 1.0
    assert found[count + "{'route': '/decide/batch', 'slo_class': 'decisions', 'status': '200'}"] == 1.0
    assert found[count + "{'route': 'unmatched', 'slo_class': 'unmatched', 'status': '404'}"] == 1.0
    decisions = "decide_decisions_total{'action': 'buy', 'level': 'none', 'tier': "
    assert found[decisions + "'l1'}"] == 2.0
    assert found[decisions + "'l2'}"] == 2.0
    gets = "decide_cache_gets_total{'result': "
    assert found[gets + "'hit', 'tier': 'l1'}"] == 2.0
    assert found[gets + "'miss', 'tier': 'l1'}"] == 3.0
    assert found[gets + "'hit', 'tier': 'l2'}"] == 2.0
    assert found[gets + "'miss', 'tier': 'l2'}"] == 1.0
    assert found["decide_l1_entries{}"] == 2.0
    assert found["decide_in_flight_requests{}"] == 1.0
    assert found["decide_ready{}"] == 1.0
    assert found["decide_newest_input_timestamp_seconds{}"] == AS_OF_MS / 1000


def test_routes_in_metrics_are_patterns_and_never_symbols(served: Served) -> None:
    served.get("/features/AAPL")
    served.get("/features/NOPE")
    served.get("/made/up/AAPL")
    text = served.get("/metrics").text
    assert 'route="/features/{symbol:any}"' in text
    assert "AAPL" not in text
    assert "NOPE" not in text


def test_a_405_counts_under_its_route(served: Served) -> None:
    served.get("/decide")
    count = "decide_request_duration_seconds_count"
    assert _metrics(served)[count + "{'route': '/decide', 'slo_class': 'decisions', 'status': '405'}"] == 1.0


def test_the_lifespan_runs_the_feed_and_gives_everything_back() -> None:
    with Served(warmed=False) as served:
        assert served.get("/readyz").status_code == 503
        served.live(0.1)
        assert served.get("/readyz").status_code == 200
        assert served.store.closed
        events = [line["event"] for line in served.log_lines()]
    assert "started" in events[:-1]
    assert events[-1] == "stopped"


def test_a_feed_that_fails_unforeseen_is_logged_and_goes_on() -> None:
    store = FakeStore(*UNIVERSE)
    store.feed.append(RuntimeError("nobody foresaw this"))
    with Served(store) as served:
        served.live(0.5)
        shown = decoded(served.get("/health"), HealthResponse)
        assert (shown.feed_connected, shown.ready) == (True, True)
        failed = [line for line in served.log_lines() if "the change feed failed unforeseen" in line["event"]]
    assert store.calls["changes"] > 1
    assert len(failed) == 1
    assert "nobody foresaw this" in failed[0]["exception"]


def test_a_websocket_to_another_place_is_turned_away(served: Served) -> None:
    """It passes the checks of every request and ends at the router; only /ws is for websockets."""
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message["type"])

    scope = {"type": "websocket", "path": "/decide", "headers": [(b"host", b"x")], "query_string": b"", "root_path": ""}
    scope |= {"http_version": "1.1", "subprotocols": []}
    served.runner.run(served.app(scope, receive, send))  # type: ignore[arg-type]
    assert sent == ["websocket.close"]
    assert 'count{route="unmatched",slo_class="unmatched",status="403"} 1.0' in served.get("/metrics").text
