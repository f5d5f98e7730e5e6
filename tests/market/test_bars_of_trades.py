"""Bars are a function of the set of trades, in every store."""

import itertools
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.prices import EXACT, exact, plain
from app.domain.trades import Trade, trade_key
from app.market.protocol import Batch, Cancel, Minute, Symbol, Writer
from app.market.writing import StoreWriter
from tests.market.giving import sessions, trade
from tests.market.places import MINUTE_US, NOON_US, SECOND_US, Place

_SESSIONS = sessions(date(2023, 11, 15), [3], opens_min=721)
"""From 12:01 to 12:04."""
_PRICES = ["0.00000001", "123456789.123456789", "1e-8", "0.123456789012345678", "7.10", "100", "9999999999.999999999999999999"]

_trades = st.lists(
    st.builds(
        lambda venue, symbol, number, at, price, size, closing: Trade(
            venue, symbol, trade_key(str(number)), NOON_US + at, exact(price), exact(size), str(number), "sell", "feed", closing
        ),
        st.sampled_from("VW"),
        st.sampled_from("AB"),
        st.integers(0, 60) | st.just(10**21),
        st.sampled_from([0, 1, 59_999_999, 4 * MINUTE_US, 4 * MINUTE_US + SECOND_US]) | st.integers(0, 6 * MINUTE_US),
        st.sampled_from(_PRICES) | st.integers(1, 10**6).map(str),
        st.sampled_from([*_PRICES, "0"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=30,
    unique_by=lambda each: (each.venue, each.symbol, each.key),
)
_cancels = st.lists(
    st.builds(Cancel, st.sampled_from("VW"), st.sampled_from("AB"), st.integers(0, 60).map(lambda n: trade_key(str(n))))
)


def _steps(draw: st.DrawFn, trades: Sequence[Trade], cancels: Sequence[Cancel]) -> list[Callable[[Writer], object]]:
    """What writes all of it, in some order and some batches; trades may come again. ``B`` is of a market with sessions."""
    events: list[Trade | Cancel] = [*trades, *draw(st.lists(st.sampled_from(trades), max_size=10)), *cancels]
    shuffled = draw(st.permutations(events))
    cuts = sorted(draw(st.sets(st.integers(0, len(shuffled)), max_size=6)) | {0, len(shuffled)})
    batches = [
        Batch(
            trades=[each for each in shuffled[first:last] if isinstance(each, Trade)],
            cancels=[each for each in shuffled[first:last] if isinstance(each, Cancel)],
        )
        for first, last in itertools.pairwise(cuts)
    ]
    steps: list[Callable[[Writer], object]] = [lambda writer, batch=batch: writer.apply(batch) for batch in batches]  # type: ignore[misc]
    for step in (
        lambda writer: writer.put_sessions("X", _SESSIONS),
        lambda writer: writer.put_symbols([Symbol("B", market="X")]),
    ):
        steps.insert(draw(st.integers(0, len(steps))), step)
    return steps


@given(st.data())
@settings(max_examples=80)
def test_any_order_split_and_repetition_give_the_rows_that_sql_makes(
    make_place: Callable[[], Place], data: st.DataObject
) -> None:
    """Of several venues and symbols, with trades cancelled before and after they came, and with sessions known at any time."""
    trades, cancels = data.draw(_trades), data.draw(_cancels)
    rows = []
    for grids in (100, 1):
        place = make_place()
        writer = place.writer(grids)
        for step in data.draw(st.composite(_steps)(trades, cancels)):
            step(writer)
        writer.close()
        rows.append(place.bars_of_trades())
    assert rows[0] == rows[1]
    recomputed = place.recomputed()
    assert [row[:-1] for row in rows[0]] == [row[:-1] for row in recomputed]
    assert [row[-1] for row in rows[0]] == pytest.approx([row[-1] for row in recomputed], rel=1e-12, abs=0)


def test_what_a_writer_keeps_of_a_symbol_does_not_grow_with_time(place: Place) -> None:
    """A trade that comes late to a minute of which nothing is kept counts all the same."""
    writer = place.writer(8_192)
    for minute in range(40):
        at_us = NOON_US + minute * MINUTE_US
        writer.apply(Batch(trades=[trade(2 * minute, at_us), trade(2 * minute + 1, at_us + 7 * SECOND_US, "11")]))
    assert isinstance(writer, StoreWriter)
    assert len(writer._minutes._grids) < 10
    writer.apply(Batch(trades=[trade(100, NOON_US + 3 * SECOND_US, "12")]))
    assert [row[-1] for row in place.bars_of_trades()] == pytest.approx([row[-1] for row in place.recomputed()], rel=1e-12, abs=0)


@pytest.mark.parametrize("written", [*_PRICES, "0.000000000000000001", "1" + "0" * 29, "1." + "0" * 17 + "1"])
def test_prices_and_sizes_come_out_digit_for_digit(place: Place, written: str) -> None:
    """Without an exponent, and without the zeros behind them; so do the bar's."""
    writer = place.writer()
    writer.apply(Batch(trades=[trade(1, price=written, size=written)]))
    digits = format(Decimal(written), "f")
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    assert place.rows("SELECT price, size FROM trades") == [(digits, digits)]
    assert place.bars_of_trades()[0][2:7] == (digits,) * 5
    assert place.bars_of_trades()[0][7] == plain(EXACT.multiply(exact(written), exact(written)))


def test_a_sum_of_very_large_and_very_small_sizes_loses_nothing(place: Place) -> None:
    writer = place.writer()
    sizes = ["0.000000000000000000000000000001", "100000000000000000000000000000", "0.5"]
    for number, size in enumerate(sizes):
        writer.apply(Batch(trades=[trade(number, price="0.3", size=size)]))
    volume = "100000000000000000000000000000.500000000000000000000000000001"
    assert place.bars_of_trades()[0][6:8] == (volume, "30000000000000000000000000000.1500000000000000000000000000003")


def test_trades_of_one_microsecond_stand_in_the_order_of_their_ids(place: Place) -> None:
    """As numbers, also beyond 64 bits; the venue's go before."""
    writer = place.writer()
    for number, price in ((10, "2"), (9, "1"), (10**21, "4"), (11, "3")):
        writer.apply(Batch(trades=[trade(number, price=price)]))
    assert place.bars_of_trades()[0][2:6] == ("1", "4", "1", "4")
    writer.apply(Batch(trades=[trade(1, venue="W", price="5"), trade(99, venue="U", price="0.5")]))
    assert place.bars_of_trades()[0][2:6] == ("0.5", "5", "0.5", "5")


def test_a_trade_without_a_size_makes_no_bar_and_is_kept(place: Place) -> None:
    done = place.writer().apply(Batch(trades=[trade(1, size="0")]))
    assert (done.inserted, done.touched) == (1, ())
    assert place.rows("SELECT size FROM trades") == [("0",)]
    assert place.bars_of_trades() == []


def test_what_was_done_is_told(place: Place) -> None:
    """New and known trades, within one batch too, and the minutes that changed; a later minute begins with another close."""
    writer = place.writer()
    first, second, third = (Minute("A", NOON_US + number * MINUTE_US) for number in range(3))
    done = writer.apply(Batch(trades=[trade(1), trade(2, NOON_US + MINUTE_US, "12"), trade(1)]))
    assert done[:5] == (2, 1, 0, (first, second), ())
    assert writer.apply(Batch(trades=[trade(2, NOON_US + MINUTE_US, "12")]))[:5] == (0, 1, 0, (), ())
    done = writer.apply(Batch(trades=[trade(3, NOON_US + 1, "11"), trade(4, NOON_US + 2 * MINUTE_US)]))
    assert done[:5] == (2, 0, 0, (first, second, third), (first,))


def test_a_bar_has_a_new_revision_once_it_is_not_the_newest(place: Place) -> None:
    """One that is born late has its second; a bar that a late trade leaves as it was keeps its own."""
    writer = place.writer()

    def revisions() -> list[int]:
        return [revision for (revision,) in place.rows("SELECT revision FROM candles ORDER BY start_us")]

    for number in range(3):
        writer.apply(Batch(trades=[trade(number, NOON_US + 3 * MINUTE_US + number)]))
    assert revisions() == [1]
    done = writer.apply(Batch(trades=[trade(8, NOON_US)]))
    assert done.revised == (Minute("A", NOON_US),)
    assert revisions() == [2, 1]
    writer.apply(Batch(trades=[trade(9, NOON_US + 1), trade(10, NOON_US + 4 * MINUTE_US)]))
    assert revisions() == [3, 1, 1]
    writer.apply(Batch(trades=[trade(9, NOON_US + 1)]))
    assert revisions() == [3, 1, 1]


def test_a_cancelled_trade_is_marked_and_leaves_its_bar(place: Place) -> None:
    """Also one that comes after it was cancelled; a bar without others goes."""
    writer = place.writer()
    writer.apply(Batch(trades=[trade(1, price="10"), trade(2, price="99"), trade(3, NOON_US + MINUTE_US)]))
    done = writer.apply(Batch(cancels=[Cancel("V", "A", trade_key("2")), Cancel("V", "A", trade_key("3"))]))
    assert done.touched == (Minute("A", NOON_US), Minute("A", NOON_US + MINUTE_US))
    assert [row[3] for row in place.bars_of_trades()] == ["10"]
    writer.apply(Batch(cancels=[Cancel("V", "A", trade_key("7"))]))
    done = writer.apply(Batch(trades=[trade(7, price="98")]))
    assert (done.inserted, done.touched) == (1, ())
    assert place.rows("SELECT trade_id FROM trades WHERE cancelled ORDER BY trade_id") == [(None,)] * 3
    assert place.bars_of_trades() == [row for row in place.recomputed() if row[0] == "A"]


def test_a_second_writer_is_seen_by_the_first(place: Place) -> None:
    """Neither goes on from what it knew of a minute before the other wrote."""
    one, other = place.writer(), place.writer()
    for number in range(8):
        writer = (one, other)[number % 2]
        writer.apply(Batch(trades=[trade(number, NOON_US + number * 7 * SECOND_US, str(10 + number % 3))]))
    assert place.bars_of_trades() == [(*row[:-1], pytest.approx(row[-1], rel=1e-12)) for row in place.recomputed()]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (trade(1, price="0"), "trade '1' of A at V: price is 0; allowed: above 0"),
        (trade(1, size="-1"), "trade '1' of A at V: size is -1; allowed: 0 and above"),
        (trade(1, -5), "time_us is -5; allowed: from 0, before the year 9000"),
    ],
)
def test_a_trade_that_cannot_be_is_refused_with_its_whole_batch(place: Place, wrong: Trade, said: str) -> None:
    writer = place.writer()
    writer.apply(Batch())
    with pytest.raises(ValueError, match=said):
        writer.apply(Batch(trades=[trade(2), wrong]))
    assert place.rows("SELECT * FROM trades") == []
