"""Ids that count by one: what is missing is a function of which came."""

from itertools import permutations

import pytest

from app.market.marks import Missing
from warm.stream.ids import MISSING_MAX, Ids, found, lost, number_of


def _ids(*numbers: int) -> Ids:
    made = Ids()
    for number in numbers:
        made.came(number, number * 10)
    return made


def test_what_is_missing_does_not_depend_on_the_order_behind_the_first() -> None:
    expected = (Missing(2, 2, 10, 30), Missing(5, 6, 40, 70))
    assert {_ids(1, *order).missing for order in permutations((3, 4, 7, 8))} == {expected}


def test_ids_that_come_again_or_are_older_than_the_first_are_not_missed() -> None:
    ids = _ids(5, 6, 5, 6, 2)
    assert (ids.last, ids.last_us, ids.missing) == (6, 60, ())


def test_a_source_that_says_its_last_id_shows_what_is_missing_up_to_then() -> None:
    ids = _ids(1)
    ids.told(3, 50)
    assert list(ids.missing) == [Missing(2, 3, 10, 50)]
    ids.told(3, 90)
    ids.told(2, 95)
    ids.came(5, 100)
    assert list(ids.missing) == [Missing(2, 3, 10, 50), Missing(4, 4, 90, 100)]
    ids.came(3, 20)
    assert list(ids.missing) == [Missing(2, 2, 10, 20), Missing(4, 4, 90, 100)]


def test_a_run_of_one_moment_or_with_times_that_go_back_lasts_a_microsecond_at_least() -> None:
    ids = Ids(1, 100)
    ids.came(3, 100)
    ids.came(9, 50)
    ids.came(6, 1)
    assert all(each.from_us < each.to_us for each in ids.missing)
    assert [each[:2] for each in ids.missing] == [(2, 2), (4, 5), (7, 8)]


def test_what_is_told_to_be_there_is_missed_no_more() -> None:
    ids = _ids(1, 3, 6)
    ids.fill(30, 60)
    assert ids.missing == (Missing(2, 2, 10, 30),)


def test_of_very_many_runs_the_newest_are_waited_for() -> None:
    ids = _ids(*range(1, 2 * MISSING_MAX + 4, 2))
    assert len(ids.missing) == MISSING_MAX
    assert ids.missing[-1].last == 2 * MISSING_MAX + 2


def test_what_was_lost_and_what_was_found_is_told_by_what_is_missing_before_and_after() -> None:
    before, after = _ids(1, 5, 8).missing, _ids(1, 3, 4, 5, 8, 10).missing
    assert lost(before, after) == [Missing(2, 2, 10, 30), Missing(9, 9, 80, 100)]
    assert found(before, after) == [(30, 50)]
    assert (lost(after, after), found(after, after)) == ([], [])


@pytest.mark.parametrize(
    ("trade_id", "number"),
    [("7", 7), ("007", 7), ("9" * 18, 10**18 - 1), ("9" * 19, None), ("", None), ("a", None), ("-1", None), ("\u0661", None)],
)
def test_an_id_that_is_no_number_counts_by_nothing(trade_id: str, number: int | None) -> None:
    assert number_of(trade_id) == number
