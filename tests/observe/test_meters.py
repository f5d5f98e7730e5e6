"""Metrics: names, labels and what they count."""

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from app.domain.used import Used
from app.observe.meters import Meters
from app.observe.oldest import OldestServed
from tests.kit.clock import Clock
from tests.kit.records import AS_OF_MS, run_info
from tests.kit.servers import ROOT
from tests.observe.gauges import refresh


def make_meters() -> Meters:
    """Meters of one process."""
    return Meters(version="1.2.3", policy="1.0.0", schema="abc", classes={"/decide": "decisions"})


def samples(meters: Meters) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by name and labels."""
    text = meters.exposition().decode()
    families = text_string_to_metric_families(text)
    return {(each.name, tuple(sorted(each.labels.items()))): each.value for family in families for each in family.samples}


def test_series_that_rates_are_taken_of_begin_at_zero() -> None:
    """Else the first server error, L2 error, miss or fallback would be no increase, and no alert would see it."""
    found = samples(make_meters())
    assert (
        found["decide_request_duration_seconds_count", (("route", "/decide"), ("slo_class", "decisions"), ("status", "500"))] == 0
    )
    assert found["decide_cache_gets_total", (("result", "miss"), ("tier", "l1"))] == 0
    assert found["decide_l2_errors_total", (("operation", "read"),)] == 0
    assert found["decide_decisions_total", (("action", "hold"), ("level", "neutral"), ("tier", "none"))] == 0


def test_events_are_counted_under_their_names() -> None:
    meters = make_meters()
    meters.l1_hits.count += 1
    meters.cache_get("l1", "miss", 2)
    meters.cache_get("l1", "negative")
    meters.cache_get("l2", "error", 4)
    meters.store_read(0.001, 3, failed=False)
    meters.store_read(0.002, 4, failed=True)
    meters.record_fault("corrupt")
    meters.feed_applied(5, lost=True, delay_s=0.02)
    meters.feed_applied(1, lost=False, delay_s=None)
    meters.feed_failed()
    found = samples(meters)
    assert found["decide_cache_gets_total", (("result", "hit"), ("tier", "l1"))] == 1
    assert found["decide_cache_gets_total", (("result", "miss"), ("tier", "l1"))] == 2
    assert found["decide_cache_gets_total", (("result", "error"), ("tier", "l2"))] == 4
    assert found["decide_l2_operation_duration_seconds_count", (("operation", "read"),)] == 2
    assert found["decide_l2_errors_total", (("operation", "read"),)] == 1
    assert found["decide_l2_errors_total", (("operation", "feed"),)] == 1
    assert found["decide_l2_symbols_read_total", ()] == 7
    assert found["decide_records_rejected_total", (("reason", "corrupt"),)] == 1
    assert (found["decide_feed_changes_total", ()], found["decide_feed_reloads_total", ()]) == (6, 1)
    assert (meters.hits, meters.misses) == (2, 2)


def test_gauges_show_the_last_refresh_and_counters_the_difference() -> None:
    """Totals that are kept elsewhere are added up once, however often they are shown."""
    meters = make_meters()
    refresh(meters, evictions=4, dropped=2)
    refresh(meters, evictions=6, dropped=2)
    found = samples(meters)
    assert (found["decide_l1_entries", ()], found["decide_l1_max_entries", ()], found["decide_in_flight_requests", ()]) == (
        3,
        10,
        2,
    )
    assert (found["decide_ready", ()], found["decide_feed_connected", ()], found["decide_l2_pending_symbols", ()]) == (1, 0, 1)
    assert (found["decide_l1_evictions_total", ()], found["decide_log_lines_dropped_total", ()]) == (6, 2)
    assert found["decide_oldest_served_input_age_seconds", (("input", "agents"),)] == 7
    assert found["decide_served_input_overdue_seconds", (("input", "price"),)] == 2
    assert found["decide_build_info", (("policy", "1.0.0"), ("schema", "abc"), ("version", "1.2.3"))] == 1


def test_only_the_newest_run_has_a_series() -> None:
    """Series of earlier runs would pile up for ever."""
    meters = make_meters()
    for run in ("r1", "r2"):
        meters.run_seen(run_info(run, symbols=9))
    found = samples(meters)
    assert [labels for name, labels in found if name == "decide_warm_run_info"] == [(("run", "r2"),)]
    assert found["decide_newest_input_timestamp_seconds", ()] == AS_OF_MS / 1000
    assert found["decide_warm_run_timestamp_seconds", ()] == AS_OF_MS / 1000 + 1
    assert found["decide_universe_symbols", ()] == 9


def test_no_metric_has_a_label_without_bound() -> None:
    meters = make_meters()
    meters.requests.of("/decide", 200).observe(0.001)
    meters.decisions("buy", "l1", "none").count += 1
    meters.run_seen(run_info())
    refresh(meters)
    names = {label for _, labels in samples(meters) for label, _ in labels}
    known = {
        "action",
        "tier",
        "level",
        "route",
        "slo_class",
        "status",
        "result",
        "operation",
        "reason",
        "input",
        "le",
        "transport",
        "state",
    }
    assert names <= known | {"run", "version", "policy", "schema", "implementation", "major", "minor", "patchlevel"}


_WORKER = """
import sys
from app.domain.used import Used
from app.observe.meters import Meters
from tests.observe.gauges import refresh
from tests.kit.records import run_info
meters = Meters(version="1", policy="1", schema="s", multiprocess_dir=sys.argv[1])
for _ in range(int(sys.argv[2])):
    meters.l1_hits.count += 1
meters.run_seen(run_info("r1", symbols=4))
refresh(meters)
sys.stdout.write(meters.exposition().decode())
"""


def test_several_workers_are_added_up(tmp_path: Path) -> None:
    """Counters of two processes are summed; the universe is counted once; ended processes leave no live gauges twice."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    for hits in ("3", "4"):
        done = subprocess.run(
            [sys.executable, "-c", _WORKER, str(tmp_path), hits], env=environment, capture_output=True, text=True, check=True
        )
    found = {
        (each.name, tuple(sorted(each.labels.items()))): each.value
        for family in text_string_to_metric_families(done.stdout)
        for each in family.samples
    }
    assert found["decide_cache_gets_total", (("result", "hit"), ("tier", "l1"))] == 7
    assert found["decide_universe_symbols", ()] == 4
    assert not [name for name, _ in found if name == "decide_warm_run_info"]


def _used(place: int, as_of_ms: int, life_ms: float = 8000.0) -> Used:
    return place, as_of_ms, life_ms


def test_the_oldest_served_input_is_that_of_the_last_two_minutes() -> None:
    """An old input raises the age, which goes on growing, and is forgotten after its window and the next."""
    clock = Clock()
    oldest = OldestServed(lambda: int(clock.now * 1000), ["price", "agents"])
    assert oldest.look()[0] == {"price": 0.0, "agents": 0.0}
    now_ms = int(clock.now * 1000)
    for age_ms in (2000, 9000, 4000):
        oldest.served([_used(0, now_ms - age_ms)])
    oldest.served([_used(1, now_ms + 500)])
    assert oldest.look()[0] == {"price": 9.0, "agents": 0.0}
    clock.now += 61
    assert oldest.look()[0]["price"] == 70.0
    oldest.served([_used(0, int(clock.now * 1000) - 1000)])
    clock.now += 60
    assert oldest.look()[0]["price"] == 61.0
    clock.now += 200
    assert oldest.look()[0] == {"price": 0.0, "agents": 0.0}


def test_a_clock_that_is_set_back_starts_a_new_window() -> None:
    """As the replay clock is when the data's time becomes known: what is served then is forgotten in its turn."""
    clock = Clock()
    clock.now = 1_790_000_000.0
    oldest = OldestServed(lambda: int(clock.now * 1000), ["price", "agents"])
    oldest.look()[0]
    clock.now = 1_362_171_600.0
    oldest.look()[0]
    oldest.served([_used(0, int(clock.now * 1000) - 5000)])
    assert oldest.look()[0]["price"] == 5.0
    for _ in range(2):
        clock.now += 61
        oldest.look()[0]
    assert oldest.look()[0]["price"] == 0.0


def test_how_long_an_input_has_been_stale_is_told_by_its_own_life() -> None:
    """An old bar of a long interval may be in time, and a younger one of a short interval overdue."""
    clock = Clock()
    oldest = OldestServed(lambda: int(clock.now * 1000), ["price", "agents"])
    oldest.look()
    now_ms = int(clock.now * 1000)
    oldest.served([_used(0, now_ms - 90_000, 100_000.0), _used(1, now_ms - 3000)])
    assert oldest.look()[1] == {"price": 0.0, "agents": 0.0}
    oldest.served([_used(0, now_ms - 7000, 5000.0), _used(1, now_ms - 9500)])
    assert oldest.look() == ({"price": 90.0, "agents": 9.5}, {"price": 2.0, "agents": 1.5})
    clock.now += 200
    assert oldest.look()[1] == {"price": 0.0, "agents": 0.0}
