"""Bars of trades at the close of a session, whenever that is known."""

from collections.abc import Callable
from datetime import date

import pytest

from app.market.protocol import Batch, Minute, Symbol, Writer
from tests.market.giving import sessions, trade
from tests.market.places import DAY_US, MINUTE_US, NOON_US, SECOND_US, Place

_DAY = date(2023, 11, 15)
_CLOSE_US = NOON_US + 4 * MINUTE_US
_TRADES = [
    trade(1, _CLOSE_US - 1),
    trade(2, _CLOSE_US + SECOND_US - 1),
    trade(3, _CLOSE_US + SECOND_US),
    trade(4, _CLOSE_US + 14 * MINUTE_US, closing=True),
    trade(5, _CLOSE_US + 15 * MINUTE_US, closing=True),
]
_LAST, _AFTER = _CLOSE_US - MINUTE_US, _CLOSE_US

_know_symbol: Callable[[Writer], object] = lambda writer: writer.put_symbols([Symbol("A", market="X")])  # noqa: E731 - a step
_know_sessions: Callable[[Writer], object] = lambda writer: writer.put_sessions("X", sessions(_DAY, [4], 720))  # noqa: E731 - as above
_trade: Callable[[Writer], object] = lambda writer: writer.apply(Batch(trades=_TRADES))  # noqa: E731 - as above


def _counts(place: Place) -> dict[int, int]:
    return {row[1]: row[8] for row in place.bars_of_trades()}


@pytest.mark.parametrize(
    "steps",
    [
        (_know_symbol, _know_sessions, _trade),
        (_trade, _know_symbol, _know_sessions),
        (_know_sessions, _trade, _know_symbol),
    ],
)
def test_the_close_and_its_print_belong_to_the_last_minute(place: Place, steps: tuple[Callable[[Writer], object], ...]) -> None:
    writer = place.writer()
    for step in steps:
        step(writer)
    assert _counts(place) == {_LAST: 3, _AFTER: 1, _CLOSE_US + 15 * MINUTE_US: 1}


def test_a_close_that_is_earlier_than_was_known_moves_its_trades(place: Place) -> None:
    """And a market that never closes has none to move."""
    writer = place.writer()
    for step in (_know_symbol, _trade, _know_sessions):
        step(writer)
    writer.put_sessions("X", sessions(_DAY, [600], 720))
    assert _counts(place) == {_LAST: 1, _AFTER: 2, _CLOSE_US + 14 * MINUTE_US: 1, _CLOSE_US + 15 * MINUTE_US: 1}
    _know_sessions(writer)
    assert _counts(place)[_LAST] == 3
    writer.put_symbols([Symbol("A")])
    assert _counts(place)[_LAST] == 1


def test_bars_whose_trades_were_removed_stay_as_they_are(place: Place) -> None:
    """Also where a close is known later that is the first moment that is kept."""
    writer = place.writer()
    midnight_us = NOON_US - DAY_US // 2
    writer.apply(Batch(trades=[trade(1, midnight_us - 1), trade(2, midnight_us)]))
    writer.retain(1, NOON_US + DAY_US)
    bars = place.bars_of_trades()
    _know_symbol(writer)
    writer.put_sessions("X", sessions(date(2023, 11, 14), [60], 1_380))
    assert place.bars_of_trades()[0] == bars[0]
    assert writer.apply(Batch(trades=[trade(3, midnight_us + 1)])).touched == ()
    assert place.bars_of_trades()[0] == bars[0]


def test_sessions_take_the_place_of_those_of_the_same_days(place: Place) -> None:
    """A day that turned out a holiday has none any more, and other days stay."""
    writer = place.writer()
    writer.put_sessions("X", sessions(_DAY, [10, 10, 10, 10]))
    writer.put_sessions("X", sessions(date(2023, 11, 16), [20, None, 20]))
    assert place.rows("SELECT day, (closes_us - opens_us) / 60000000 FROM sessions ORDER BY day") == [
        ("2023-11-15", 10),
        ("2023-11-16", 20),
        ("2023-11-18", 20),
    ]
    with pytest.raises(ValueError, match="market is '' with 0 sessions; allowed: a name, and at least one"):
        writer.put_sessions("", [])


def test_a_closing_print_is_found_where_it_is_the_only_trade(place: Place) -> None:
    writer = place.writer()
    writer.apply(Batch(trades=[_TRADES[3]]))
    for step in (_know_symbol, _know_sessions):
        step(writer)
    assert _counts(place) == {_LAST: 1}
    done = writer.apply(Batch(trades=[trade(9, _LAST)]))
    assert done.touched == (Minute("A", _LAST),)
    assert place.bars_of_trades() == place.recomputed()
