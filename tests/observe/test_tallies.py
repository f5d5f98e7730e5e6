"""Counting in plain integers, and telling the metrics now and then."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram

from app.observe.tallies import BatchedHistogram, Durations, Tally

_BOUNDS_S = (0.001, 0.01, 0.1)


def _samples(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    return {
        (sample.name.split("_", 1)[1], sample.labels.get("le", "")): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }


@given(durations=st.lists(st.floats(0, 10) | st.sampled_from(_BOUNDS_S), max_size=50), flush_every=st.integers(1, 10))
def test_what_is_told_in_batches_is_what_the_histogram_would_have_seen(durations: list[float], flush_every: int) -> None:
    """prometheus-client's own histogram is the judge, buckets' bounds included."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = Durations(BatchedHistogram("a_seconds", "-", buckets=_BOUNDS_S, registry=ours), _BOUNDS_S)
    histogram = Histogram("b_seconds", "-", buckets=_BOUNDS_S, registry=theirs)
    for number, each in enumerate(durations, 1):
        tally.observe(each)
        histogram.observe(each)
        if number % flush_every == 0:
            tally.flush()
    tally.flush()
    tally.flush()
    found, wanted = _samples(ours), _samples(theirs)
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert abs(found[key] - value) <= 1e-9 * max(1.0, value), key


def test_a_counter_is_told_each_count_once() -> None:
    registry = CollectorRegistry()
    tally = Tally(Counter("a_things", "-", registry=registry))
    tally.count += 3
    tally.flush()
    tally.flush()
    tally.count += 2
    tally.flush()
    assert _samples(registry)["things_total", ""] == 5
