"""What jobs write beside trades and bars, in every store."""

import math

import pytest

from app.errors import OffsetMoved
from app.market.protocol import BEGAN, Batch, Gap, Heard, Move, Partition, Span, Symbol
from tests.market.giving import trade
from tests.market.places import DAY_US, MINUTE_US, NOON_US, Place

_PARTITION = Partition("kafka", "decide.trades", "id1", 3)


def _gaps(place: Place) -> list[tuple[int, int, bool]]:
    return [
        (from_us - NOON_US, to_us - NOON_US, filled_us is not None)
        for from_us, to_us, filled_us in place.rows("SELECT from_us, to_us, filled_us FROM gaps ORDER BY from_us")
    ]


def test_offsets_move_with_what_they_stand_for(place: Place) -> None:
    """By compare-and-set: who lost the partition writes nothing at all."""
    writer, other = place.writer(), place.writer()
    assert writer.offsets("kafka") == {}
    writer.apply(Batch(trades=[trade(1)], moves=[Move(_PARTITION, None, 5)]))
    other.apply(Batch(trades=[trade(2)], moves=[Move(_PARTITION, 5, 9)]))
    with pytest.raises(OffsetMoved, match=r"decide\.trades 3: its offset is not 5, another consumer moved it"):
        writer.apply(Batch(trades=[trade(3)], gaps=[Gap("V", "A", 0, 1, "ids")], moves=[Move(_PARTITION, 5, 8)]))
    with pytest.raises(OffsetMoved):
        writer.apply(Batch(trades=[trade(3)], moves=[Move(_PARTITION, None, 8)]))
    assert place.rows("SELECT count(*) FROM trades") == [(2,)]
    assert _gaps(place) == []
    assert writer.offsets("kafka") == {_PARTITION: 9}
    assert writer.offsets("sqlite") == {}
    writer.apply(Batch(moves=[Move(_PARTITION._replace(topic_id="id2"), None, 0)]))
    assert len(writer.offsets("kafka")) == 2


def test_trades_that_come_again_with_an_offset_move_it_once(place: Place) -> None:
    """A batch with some that are known is written in a second way."""
    writer = place.writer()
    writer.apply(Batch(trades=[trade(1)], moves=[Move(_PARTITION, None, 1)]))
    done = writer.apply(Batch(trades=[trade(1), trade(2)], moves=[Move(_PARTITION, 1, 3)]))
    assert (done.inserted, done.duplicate) == (1, 1)
    done = writer.apply(Batch(trades=[trade(number) for number in range(2, 300)], moves=[Move(_PARTITION, 3, 4)]))
    assert (done.inserted, done.duplicate) == (297, 1)
    assert writer.offsets("kafka") == {_PARTITION: 4}


def test_a_gap_is_filled_in_parts(place: Place) -> None:
    """What was filled stays so when the same gap is found again."""
    writer = place.writer()
    gap = Gap("V", "A", NOON_US, NOON_US + 100, "ids", 7)
    writer.apply(Batch(gaps=[gap]))
    writer.apply(Batch(filled=[Span("V", "A", NOON_US + 20, NOON_US + 30), Span("W", "A", NOON_US, NOON_US + 100)]))
    assert _gaps(place) == [(0, 20, False), (20, 30, True), (30, 100, False)]
    writer.apply(Batch(gaps=[gap, gap._replace(to_us=NOON_US + 120)]))
    assert _gaps(place) == [(0, 20, False), (20, 30, True), (30, 100, False), (100, 120, False)]
    writer.apply(Batch(filled=[Span("V", "A", NOON_US - 5, NOON_US + 500)]))
    assert [filled for _, _, filled in _gaps(place)] == [True] * 4


def test_a_whole_gap_knows_how_many_are_missing(place: Place) -> None:
    writer = place.writer()
    writer.apply(Batch(gaps=[Gap("V", "A", NOON_US, NOON_US + 100, "ids", 7)]))
    assert place.rows("SELECT missing, found_by FROM gaps") == [(7, "ids")]
    writer.apply(Batch(filled=[Span("V", "A", NOON_US, NOON_US + 100)]))
    assert place.rows("SELECT missing FROM gaps") == [(7,)]


def test_what_was_heard_before_all_time_is_refused(place: Place) -> None:
    with pytest.raises(ValueError, match="A at V was heard at 0; allowed: above 0, before the year 9000"):
        place.writer().apply(Batch(heard=[Heard("V", "A", 0)]))


def test_a_gap_that_is_none_is_refused(place: Place) -> None:
    with pytest.raises(ValueError, match="gap of A at V: from 5 to 5; allowed: ascending, from 0"):
        place.writer().apply(Batch(filled=[Span("V", "A", 5, 5)]))


@pytest.mark.parametrize(("first", "begins"), [(MINUTE_US + 5, MINUTE_US), (MINUTE_US, 0)])
def test_the_minute_in_which_a_source_is_first_heard_is_known_in_part(place: Place, first: int, begins: int) -> None:
    """Or the one before it, which nobody heard the end of. Later the newest counts, and says nothing of gaps."""
    writer = place.writer()
    heard = Heard("V", "A", NOON_US + first, "7")
    writer.apply(Batch(heard=[heard, heard._replace(at_us=NOON_US + 3 * MINUTE_US, last_id="9"), heard]))
    assert place.rows("SELECT at_us, last_id FROM heard") == [(NOON_US + 3 * MINUTE_US, "9")]
    assert _gaps(place) == [(begins, first, False)]
    assert place.rows("SELECT found_by FROM gaps") == [(BEGAN,)]


def test_trades_are_removed_after_so_many_days_and_never_count_again(place: Place) -> None:
    """Their bars stay. By whole days of UTC, so that no bar is left with a part of its trades."""
    writer = place.writer()
    old = [trade(number, NOON_US - number * DAY_US // 2) for number in range(6)]
    writer.apply(Batch(trades=old))
    bars = place.bars_of_trades()
    assert writer.retain(0, NOON_US) == 0
    assert writer.retain(1, NOON_US) == 2
    assert writer.retain(1, NOON_US) == 0
    assert place.rows("SELECT min(time_us) FROM trades") == [(NOON_US - 3 * DAY_US // 2,)]
    done = writer.apply(Batch(trades=[*old, trade(9, NOON_US - 2 * DAY_US)]))
    assert (done.inserted, done.duplicate, done.too_old) == (0, 4, 3)
    assert place.bars_of_trades() == bars
    assert writer.retain(30, NOON_US) == 0
    assert writer.apply(Batch(trades=old[5:])).too_old == 1


def test_a_late_trade_of_the_first_day_that_is_kept_begins_with_the_close_before_it(place: Place) -> None:
    """Whose trades are gone, and whose bar is not."""
    writer = place.writer()
    midnight_us = NOON_US - DAY_US // 2
    writer.apply(Batch(trades=[trade(1, midnight_us - 1, "10"), trade(2, midnight_us, "20"), trade(3, NOON_US)]))
    assert writer.retain(1, NOON_US + DAY_US) == 1
    other = place.writer()
    other.apply(Batch(trades=[trade(4, midnight_us + 30_000_000, "40")]))
    rows = {row[1]: row[-2:] for row in place.bars_of_trades()}
    assert rows[midnight_us] == (60, pytest.approx(2 * math.log(2) ** 2, rel=1e-12))


def test_a_guessed_market_counts_for_a_symbol_that_nobody_described_in_any_order(place: Place) -> None:
    writer = place.writer()
    for symbol, order in (("A", (0, 1)), ("B", (1, 0)), ("C", (1,))):
        both = Symbol(symbol, market="", source="bars"), Symbol(symbol, market="XNYS", source="trades", is_guess=True)
        for each in order:
            writer.put_symbols([both[each]])
    assert place.rows("SELECT symbol, market FROM symbols ORDER BY symbol") == [("A", ""), ("B", ""), ("C", "XNYS")]


def test_a_symbol_keeps_when_it_was_first_seen(place: Place) -> None:
    """Whether its trades or its details came first."""
    writer = place.writer()
    writer.apply(Batch(trades=[trade(1)]))
    writer.put_symbols([Symbol("A", "Alpha", "", "USD", 2, "feed", 5), Symbol("B", "Beta", first_seen_us=5)])
    writer.put_symbols([Symbol("B", "Beth", first_seen_us=9)])
    assert place.rows("SELECT * FROM symbols") == [
        ("A", "Alpha", "", "USD", 2, "feed", NOON_US),
        ("B", "Beth", "", "", None, "", 5),
    ]


def test_details_that_are_not_said_stay_as_they_were(place: Place) -> None:
    """But for the market, since none means that it never closes."""
    writer = place.writer()
    writer.put_symbols([Symbol("A", "Alpha", "X", "USD", 2, "feed", 5)])
    writer.put_symbols([Symbol("A", source="file")])
    assert place.rows("SELECT * FROM symbols") == [("A", "Alpha", "", "USD", 2, "file", 5)]
