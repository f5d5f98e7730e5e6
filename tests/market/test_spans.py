"""Gaps as spans of time."""

import random

from hypothesis import given
from hypothesis import strategies as st

from app.market.protocol import BEGAN, Gap
from app.market.spans import Gaps, GapsAhead, filled, meaning, uncovered, worst


def _gap(from_us: int, to_us: int, filled_us: int | None = None, found_by: str = "ids") -> Gap:
    return Gap("V", "A", from_us, to_us, found_by, 3, filled_us)


_spans = st.tuples(st.integers(0, 20), st.integers(1, 8)).map(lambda each: (each[0], each[0] + each[1]))


@given(_spans, st.lists(_spans))
def test_what_no_gap_covers_is_found_moment_by_moment(span: tuple[int, int], known: list[tuple[int, int]]) -> None:
    found = {moment for first, last in uncovered(*span, known) for moment in range(first, last)}
    assert found == set(range(*span)) - {moment for each in known for moment in range(*each)}


def test_a_gap_is_filled_as_far_as_the_span_goes() -> None:
    gap = _gap(10, 20)
    assert filled(gap, 0, 30, 5) == [gap._replace(filled_us=5)]
    assert filled(gap, 12, 15, 5) == [
        gap._replace(to_us=12, missing=None),
        gap._replace(from_us=12, to_us=15, missing=None, filled_us=5),
        gap._replace(from_us=15, missing=None),
    ]


@given(st.lists(_spans), _spans)
def test_gaps_that_touch_a_span_are_found(spans: list[tuple[int, int]], span: tuple[int, int]) -> None:
    gaps = [_gap(*each) for each in spans]
    random.Random(0).shuffle(gaps)
    expected = [each for each in gaps if each.from_us < span[1] and each.to_us > span[0]]
    assert sorted(Gaps(gaps).touching(*span)) == sorted(expected)


def test_the_worst_counts() -> None:
    assert [meaning(each) for each in (_gap(0, 1, 5), _gap(0, 1, None, BEGAN), _gap(0, 1))] == ["backfilled", "partial", "gap"]
    assert worst([]) == "complete"
    assert worst(["backfilled", "gap", "open"]) == "gap"
    gaps = Gaps([_gap(0, 5, 1), _gap(4, 6, None, BEGAN), _gap(9, 12)])
    assert [gaps.coverage(*each) for each in ((0, 4), (0, 5), (0, 10), (6, 9))] == ["backfilled", "partial", "gap", "complete"]


@given(
    st.lists(_spans),
    st.lists(_spans, min_size=1),
    st.sampled_from([1, 7, -7, 2**62, -(2**62)]),
    st.sampled_from([0, 12, 2**62]),
)
def test_gaps_that_are_read_ahead_are_those_that_touch(
    gaps: list[tuple[int, int]], asked: list[tuple[int, int]], ahead_us: int, edge_us: int
) -> None:
    """However much is read ahead, no number is too large for a database."""
    every = [_gap(*each) for each in gaps]

    def read(from_us: int, to_us: int) -> list[Gap]:
        assert -(2**63) <= from_us <= to_us < 2**63
        return [each for each in every if each.to_us > from_us and each.from_us < to_us]

    ahead = GapsAhead(read, ahead_us, edge_us, max((each.to_us for each in every), default=0))
    for span in asked:
        assert sorted(ahead.touching(*span)) == sorted(Gaps(every).touching(*span))
