"""Sums and percentiles."""

import math

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bench.mix import Encoder
from bench.stats import Recorder
from bench.validity import Verdict
from tests.bench.servers import decision

_ASK = Encoder("test").prepared("decide", ("AAPL",))


@given(st.lists(st.floats(min_value=1e-6, max_value=60.0), min_size=1, max_size=300))
def test_percentiles_are_those_of_the_sorted_latencies(latencies_s: list[float]) -> None:
    """By the rank that HdrHistogram rounds to, to the 0.1 % that it promises and the microsecond it counts in."""
    recorder = Recorder(0.0)
    for latency_s in latencies_s:
        recorder.answered(_ASK, 200, Verdict(None), 10.0, 10.0, 10.0 + latency_s)
    ordered = sorted(latencies_s)
    for percentile in (50.0, 95.0, 99.0, 100.0):
        exact_ms = ordered[max(0, int(percentile / 100 * len(ordered) + 0.5) - 1)] * 1000
        found_ms = recorder.percentile_ms(percentile)
        assert found_ms is not None
        assert math.isclose(found_ms, exact_ms, rel_tol=2e-3, abs_tol=2e-3)


def test_the_time_line_has_every_second_by_when_requests_were_due() -> None:
    recorder = Recorder(100.0)
    verdict = Verdict(
        None, (decision("AAPL"), decision("AAPL", cache=msgspec.structs.replace(decision("A").cache, hit=False, tier="l2")))
    )
    recorder.answered(_ASK, 200, verdict, 100.2, 100.2, 103.9)
    recorder.answered(_ASK, 503, Verdict(None), 102.5, 102.5, 102.6)
    recorder.faulted("cut", 102.9, 103.0)
    line = recorder.time_line()
    assert [(each.at_s, each.answers, each.faults, each.server_errors) for each in line] == [
        (0, 1, 0, 0),
        (1, 0, 0, 0),
        (2, 1, 1, 1),
    ]
    assert (line[0].decisions, line[0].hits) == (2, 1)
    assert line[0].max_ms is not None
    assert math.isclose(line[0].max_ms, 3700.0, rel_tol=1e-3)
    assert line[1].p95_ms is None
    assert [each.refusals for each in line] == [0, 0, 1]
    assert line[2].p99_ms == 100.0


def test_refusals_count_from_when_they_were_sent_and_single_decisions_from_when_they_were_due() -> None:
    """What a request waited for a connection is no fault of who refuses it, and is one of who serves it."""
    recorder = Recorder(0.0)
    batch = Encoder("test").prepared("batch", ("AAPL",))
    recorder.answered(_ASK, 503, Verdict(None), 1.0, 1.5, 1.52)
    recorder.answered(_ASK, 200, Verdict(None), 1.0, 1.5, 1.6)
    recorder.answered(batch, 200, Verdict(None), 1.0, 1.5, 9.6)
    assert math.isclose(recorder.refusals.get_max_value() / 1000, 20.0, rel_tol=2e-3)
    assert math.isclose(recorder.singles.get_max_value() / 1000, 600.0, rel_tol=2e-3)
    assert (recorder.refusals.get_total_count(), recorder.singles.get_total_count()) == (1, 1)


def test_stale_decisions_are_told_from_other_fallbacks() -> None:
    recorder = Recorder(0.0)
    plain = decision("AAPL")
    levels = [msgspec.structs.replace(plain.fallback, used=True, level=level) for level in ("stale", "stale", "neutral")]
    verdict = Verdict(None, (plain, *(msgspec.structs.replace(plain, fallback=each) for each in levels)))
    recorder.answered(_ASK, 200, verdict, 0.0, 0.0, 0.1)
    (second,) = recorder.time_line()
    assert (second.decisions, second.fallbacks, second.stale) == (4, 3, 2)


def test_nothing_recorded_has_no_percentiles() -> None:
    """Rather than zeros, which would pass every check."""
    recorder = Recorder(0.0)
    assert recorder.percentile_ms(95.0) is None
    assert recorder.curve() == []
    assert recorder.time_line() == []
