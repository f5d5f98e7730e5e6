"""Of exports of one source that overlap one counts, whichever was loaded first."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.prices import exact
from app.market.protocol import Export, GivenBar, Put
from tests.market.giving import bar, export, minutes
from tests.market.places import MINUTE_US, NOON_US, Place


def _bars(place: Place) -> list[tuple[int, str]]:
    rows = place.rows("SELECT start_us, close FROM candles ORDER BY start_us")
    return [((start_us - NOON_US) // MINUTE_US, close) for start_us, close in rows]


_OLD, _NEW = export("x", minutes(0, 3), "100"), export("x", minutes(2, 4), "10")
"""Before and after a split."""


@pytest.mark.parametrize("exports", [(_OLD, _NEW), (_NEW, _OLD), (_NEW, _OLD, _NEW)])
def test_the_export_with_the_newer_last_bar_counts_whole(place: Place, exports: tuple[Export, ...]) -> None:
    writer = place.writer()
    for each in exports:
        writer.put_bars(each)
    assert _bars(place) == [(2, "10"), (3, "10"), (4, "10")]


@settings(max_examples=50)
@given(
    spans=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 4)), min_size=1, max_size=5),
    places=st.permutations(range(5)),
)
def test_the_order_of_loading_does_not_matter(
    make_place: Callable[[], Place], spans: list[tuple[int, int]], places: list[int]
) -> None:
    """Also where exports overlap by way of others; those that do not stand side by side."""
    exports = [export("x", minutes(first, first + more), str(number + 1)) for number, (first, more) in enumerate(spans)]
    found = []
    for order in (exports, [exports[each] for each in places if each < len(exports)]):
        place = make_place()
        writer = place.writer()
        for each in order:
            writer.put_bars(each)
        writer.close()
        found.append((_bars(place), place.rows("SELECT * FROM exports ORDER BY first_us")))
    assert found[0] == found[1]
    # Each bar is of the one of its chain that ends last.
    kept = dict(found[0][0])
    for one, other in itertools.combinations(exports, 2):
        starts = [{(each.start_us - NOON_US) // MINUTE_US for each in some.bars} for some in (one, other)]
        if starts[0] & starts[1] and max(starts[0]) > max(starts[1]):
            assert str(other.bars[0].close) not in kept.values()


def test_files_of_following_days_stand_side_by_side(place: Place) -> None:
    writer = place.writer()
    assert writer.put_bars(export("x", minutes(3, 5), "2")) == Put(counts=True, written=3)
    assert writer.put_bars(export("x", minutes(0, 2), "1")) == Put(counts=True, written=3, revised=3)
    assert [close for _, close in _bars(place)] == ["1"] * 3 + ["2"] * 3
    assert writer.put_bars(export("x", minutes(0, 2), "1")) == Put(counts=True)
    assert writer.put_bars(export("y", minutes(0, 2), "1")) == Put(counts=True, written=3)


@pytest.mark.parametrize("order", [1, -1])
def test_of_equal_exports_the_one_whose_last_bar_is_over_counts(place: Place, order: int) -> None:
    """Then the one with more bars."""
    last = minutes(3, 3)[0]
    exports = [
        Export("A", "1m", "x", [bar(last, "1", is_partial=True)]),
        export("x", minutes(2, 3), "2"),
        export("x", minutes(1, 3), "3"),
    ]
    writer = place.writer()
    for each in exports[::order]:
        writer.put_bars(each)
    assert _bars(place) == [(1, "3"), (2, "3"), (3, "3")]


def test_bars_that_changed_behind_the_newest_have_a_new_revision(place: Place) -> None:
    """Those that stayed as they were keep theirs."""
    writer = place.writer()
    writer.put_bars(export("x", minutes(0, 3), "10"))
    changed = [*export("x", minutes(1, 2), "11").bars, *export("x", minutes(3, 5), "10").bars]
    assert writer.put_bars(Export("A", "1m", "x", changed)) == Put(counts=True, written=4, revised=2, removed=1)
    assert [revision for (revision,) in place.rows("SELECT revision FROM candles ORDER BY start_us")] == [2, 2, 1, 1, 1]
    assert not writer.put_bars(export("x", minutes(0, 4), "9")).counts


def test_what_a_source_gives_comes_out_digit_for_digit(place: Place) -> None:
    """What it does not say is nothing."""
    number = exact("0.123456789012345678")
    given_bar = GivenBar(0, number, exact("1e8"), number, number, exact("1e-8"), exact("0.5"), 3, is_partial=True)
    place.writer().put_bars(Export("A", "1d", "x", [given_bar]))
    assert place.rows("SELECT * FROM candles") == [
        (
            "A",
            "1d",
            "x",
            0,
            str(number),
            "100000000",
            str(number),
            str(number),
            "0.00000001",
            "0.5",
            3,
            *[None] * 4,
            1,
            1,
            NOON_US,
        )
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (export("x", [0], interval="7m"), "A: interval is '7m'; allowed: 1s, 1m"),
        (export("trades", [0]), "A: source is 'trades'; allowed: a name other than 'trades'"),
        (export("x", [5, 5]), "A: start of a bar is 5 after 5; allowed: ascending, from 0"),
        (export("x", [2**63]), "A: start of a bar is 9223372036854775808 after -1; allowed: ascending, from 0, before"),
        (export("x", [0], close="0"), "A: bar at 0: open 0, high 0, low 0, close 0; allowed: above 0"),
        (Export("A", "1m", "x", [bar(0, volume="-1")]), "A: bar at 0: volume is -1; allowed: 0 and above"),
    ],
)
def test_an_export_that_cannot_be_is_refused(place: Place, wrong: Export, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        place.writer().put_bars(wrong)


def test_an_export_without_bars_does_nothing(place: Place) -> None:
    assert place.writer().put_bars(export("x", [])) == Put(counts=False)
