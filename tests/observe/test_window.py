"""What happened in the last seconds, and percentiles from buckets."""

import itertools
from bisect import bisect_left
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.observe.meters import Meters
from app.observe.request_durations import REQUEST_BUCKETS_S
from app.observe.tallies import BatchedHistogram, Durations
from app.observe.window import Totals, Window, quantile, share
from tests.kit.programs import promtool

_QUANTILES = (0.5, 0.95, 0.99)
_COUNTS = ((1, 0, 0, 0), (0, 0, 0, 5), (0, 7, 0, 0), (10, 20, 30, 0), (98, 1, 0, 1), (1, 0, 0, 1), (950, 0, 50, 0), (3, 1, 4, 15))
_BOUNDS = (0.25, 1.0, 2.5)


def _totals(count: int) -> Totals:
    return Totals(3 * count, count, 5 * count, 2 * count, 4 * count, (count, 0, 7 * count))


def test_a_window_has_what_happened_between_its_first_and_its_last_look() -> None:
    window = Window(3)
    assert window.look(100.0, _totals(10)) == (0.0, _totals(0))
    assert window.look(101.0, _totals(11)) == (1.0, _totals(1))
    assert window.look(102.5, _totals(15)) == (2.5, _totals(5))
    assert window.look(104.0, _totals(21)) == (3.0, _totals(10))


def test_a_share_of_nothing_is_none() -> None:
    assert (share(0, 0), share(3, 1), share(0, 2), share(2, 0)) == (None, 0.75, 0.0, 1.0)


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60), st.sampled_from(_QUANTILES))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(seconds: list[float], q: float) -> None:
    """Which is the value of that rank; what has no bound is told as the highest bound."""
    counts = [0] * (len(_BOUNDS) + 1)
    for each in seconds:
        counts[bisect_left(_BOUNDS, each)] += 1
    found = quantile(q, _BOUNDS, counts)
    assert found is not None
    rank = next(number for number in itertools.count(1) if number >= q * len(seconds))
    bucket = bisect_left(_BOUNDS, sorted(seconds)[rank - 1])
    if bucket == len(_BOUNDS):
        assert found == _BOUNDS[-1]
    else:
        assert (0.0, *_BOUNDS)[bucket] <= found <= _BOUNDS[bucket]


def test_a_quantile_of_nothing_is_none() -> None:
    """Not 0, which would be the best of all."""
    assert quantile(0.5, _BOUNDS, (0, 0, 0, 0)) is None


def test_quantiles_are_those_of_prometheus(tmp_path: Path) -> None:
    """Prometheus' own histogram_quantile is the judge."""
    lines = ["tests:"]
    for counts in _COUNTS:
        lines += ["  - interval: 1m", "    input_series:"]
        for bound, reached in zip((*_BOUNDS, "+Inf"), itertools.accumulate(counts), strict=True):
            lines += [f"      - series: 'a_bucket{{le=\"{bound}\"}}'", f"        values: '{reached}'"]
        lines.append("    promql_expr_test:")
        for q in _QUANTILES:
            expression = f"abs(histogram_quantile({q}, a_bucket) - {quantile(q, _BOUNDS, counts)!r}) < bool 1e-12"
            lines += [f"      - expr: {expression}", "        eval_time: 0m", "        exp_samples: [{labels: '{}', value: 1}]"]
    path = tmp_path / "quantiles.test.yml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    promtool("test", "rules", path)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.3, 2.5, 9.0]) | st.none(), max_size=30))
def test_durations_so_far_do_not_depend_on_when_they_were_told(seconds: list[float | None]) -> None:
    durations = Durations(BatchedHistogram("a_seconds", "-", buckets=_BOUNDS, registry=None), _BOUNDS)
    expected = [0, 0, 0, 0]
    for each in seconds:
        if each is None:
            durations.flush()
        else:
            durations.observe(each)
            expected[bisect_left(_BOUNDS, each)] += 1
        assert durations.so_far() == expected


@pytest.mark.parametrize("flushed", [False, True])
def test_totals_add_up_what_the_metrics_count(flushed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    meters = Meters(version="1.2.3", policy="1.0.0", schema="abc")
    for route, status, seconds in (
        ("/decide", 200, 1e-4),
        ("/decide", 404, 20.0),
        ("/decide/batch", 200, 1e-4),
        ("/x", 200, 1.0),
    ):
        meters.requests.of(route, status).observe(seconds)
    meters.decisions("buy", "l1", "none").count += 2
    meters.decisions("hold", "none", "neutral").count += 1
    meters.cache_get("l1", "hit", 4)
    meters.cache_get("l1", "negative")
    meters.cache_get("l1", "miss", 2)
    if flushed:
        meters.flush()
    totals = meters.totals()
    assert (totals.hits, totals.misses, totals.requests, totals.decisions) == (5, 2, 4, 3)
    assert {place: count for place, count in enumerate(totals.decide_counts) if count} == {1: 1, len(REQUEST_BUCKETS_S): 1}
