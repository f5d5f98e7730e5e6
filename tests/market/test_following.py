"""What the consumer of a log keeps in the market store: what it heard, which ids are missing, marks of dead letters."""

from itertools import permutations

import pytest

from app.errors import OffsetMoved
from app.market.following import Known
from app.market.marks import DeadMark, Missing
from app.market.protocol import BEGAN, Batch, Cancel, Gap, Heard, Move, Partition, Span
from tests.market.giving import trade
from tests.market.places import MINUTE_US, NOON_US, Place


def test_of_a_symbol_the_last_trade_its_sources_and_open_gaps_are_known(place: Place) -> None:
    """Of those that were heard, or that are named."""
    writer = place.writer()
    heard = Heard(
        "V", "A", NOON_US + 9, "7", NOON_US + 5, (Missing(3, 4, NOON_US, NOON_US + 1), Missing(6, 6, NOON_US, NOON_US + 2))
    )
    lacking = Gap("V", "A", NOON_US + MINUTE_US, NOON_US + 2 * MINUTE_US, "ids", 3)
    filled = Gap("V", "A", NOON_US + 2 * MINUTE_US, NOON_US + 3 * MINUTE_US, "ids", 1)
    given = trade(1, venue="V"), trade(2, venue="V"), trade(3, venue="V", size="0")
    writer.apply(
        Batch(
            trades=[*given, trade(1, symbol="B")],
            cancels=[Cancel("V", "A", given[1].key)],
            gaps=[lacking, filled],
            filled=[Span("V", "A", filled.from_us, filled.to_us)],
            heard=[Heard("V", "A", NOON_US + 1), heard, Heard("W", "A", NOON_US + 3)],
        )
    )
    known = place.writer().known()
    assert known == {"A": Known(given[0], (heard, Heard("W", "A", NOON_US + 3)), (lacking,))}
    assert place.rows(f"SELECT count(*) FROM gaps WHERE found_by = '{BEGAN}'") == [(2,)]  # noqa: S608 - ours
    assert writer.known(["B", "C"]) == {"B": Known(trade(1, symbol="B"), (), ()), "C": Known(None, (), ())}


def test_gaps_that_are_told_in_another_order_are_the_same_rows(place: Place) -> None:
    """One is cut where another begins or ends, and each part knows how many trades it lacks, if that was ever told."""
    spans, writer = [(0, 9, 3), (3, 5, 1), (5, 7, 1), (3, 4, None)], place.writer()
    found = []
    for number, order in enumerate(permutations(spans)):
        venue = f"V{number:02}"
        for start, end, missing in order:
            writer.apply(Batch(gaps=[Gap(venue, "A", NOON_US + start, NOON_US + end, "ids", missing)]))
        rows = place.rows(f"SELECT from_us, to_us FROM gaps WHERE venue = '{venue}' ORDER BY from_us")  # noqa: S608 - ours
        found.append([(start - NOON_US, end - NOON_US) for start, end in rows])
    assert found == [[(0, 3), (3, 4), (4, 5), (5, 7), (7, 9)]] * 24
    assert place.rows("SELECT DISTINCT missing FROM gaps WHERE to_us - from_us = 2 AND missing IS NOT NULL") == [(1,)]


def test_what_was_heard_before_does_not_set_back_what_is_missing(place: Place) -> None:
    writer = place.writer()
    newest = Heard("V", "A", NOON_US + 9, "7", NOON_US + 5, (Missing(3, 4, NOON_US, NOON_US + 1),))
    writer.apply(Batch(heard=[newest, Heard("V", "A", NOON_US + 8)]))
    assert writer.known()["A"].heard == (newest,)
    writer.apply(Batch(heard=[newest._replace(missing=())]))
    assert writer.known()["A"].heard == (newest._replace(missing=()),)


def test_a_trade_that_was_cancelled_before_it_came_is_told(place: Place) -> None:
    writer = place.writer()
    late = trade(1, venue="V")
    writer.apply(Batch(cancels=[Cancel("V", "A", late.key)]))
    assert writer.apply(Batch(trades=[late, trade(2, venue="V")])).cancelled == 1


def test_a_dead_letter_that_is_marked_twice_is_one(place: Place) -> None:
    """And what became of it stays."""
    writer = place.writer()
    marks = [DeadMark("topic", 0, 7), DeadMark("topic", 1, 7), DeadMark("other", 0, 7)]
    assert writer.apply(Batch(dead=marks[:2])).dead == 2
    writer.settle(marks[1:], "replayed")
    assert writer.apply(Batch(dead=[*marks, marks[0]])).dead == 0
    assert writer.dead_letters() == {marks[0]: None, marks[1]: "replayed", marks[2]: "replayed"}
    writer.settle(marks[:2], "dropped")
    assert set(place.writer().dead_letters().values()) == {"dropped", "replayed"}


def test_marks_come_with_the_offsets_or_not_at_all(place: Place) -> None:
    writer = place.writer()
    with pytest.raises(OffsetMoved):
        writer.apply(Batch(dead=[DeadMark("topic", 0, 7)], moves=[Move(Partition("log", "name", "topic", 0), 7, 8)]))
    assert writer.dead_letters() == {}
