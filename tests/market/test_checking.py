"""What is stored against what its trades make."""

import random
from collections.abc import Callable
from contextlib import closing
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.trades import Trade, refusal, trade_key
from app.market.checking import EXAMPLES_MAX, Checked, check_symbol
from app.market.exports import refusal as export_refusal
from app.market.protocol import Batch, Cancel, Export, Gap, GivenBar, Session, Symbol
from tests.market.places import DAY_US, MINUTE_US, NOON_US, SECOND_US, Place


def _trade(number: int, at_us: int, price: str = "10", *, venue: str = "v", size: str = "1", closing: bool = False) -> Trade:
    return Trade(venue, "A", trade_key(str(number)), at_us, Decimal(price), Decimal(size), str(number), closing=closing)


def _checked(place: Place) -> Checked:
    with place.contents() as contents:
        return check_symbol(contents, "A")


def _change(place: Place, statement: str) -> None:
    place.change(statement)


_SESSION = Session(date(2023, 11, 15), NOON_US - 3_600 * SECOND_US, NOON_US + 300 * SECOND_US)


@settings(max_examples=25)
@given(
    drawn=st.lists(
        st.tuples(st.integers(-400, 1500), st.integers(1, 50), st.sampled_from(("v", "w")), st.booleans(), st.booleans()),
        min_size=1,
        max_size=40,
    ),
    cuts=st.integers(1, 4),
)
def test_whatever_a_store_was_given_is_right(
    drawn: list[tuple[int, int, str, bool, bool]], cuts: int, make_place: Callable[[], Place]
) -> None:
    """Across a session's close, with closing prints, cancelled trades, two venues and trades of size 0."""
    with closing(make_place()) as place:
        writer = place.writer()
        writer.put_sessions("X", [_SESSION])
        writer.put_symbols([Symbol("A", market="X")])
        trades = [
            _trade(number, NOON_US + second * SECOND_US + number, str(price), venue=venue, size="01"[kept], closing=prints)
            for number, (second, price, venue, prints, kept) in enumerate(drawn)
        ]
        for cut in range(cuts):
            writer.apply(Batch(trades=trades[cut::cuts]))
        writer.apply(Batch(cancels=[Cancel(each.venue, "A", each.key) for each in trades[::5]]))
        found = _checked(place)
        assert found.counts == {}, found.faults
        assert found.trades == sum(each.size > 0 for number, each in enumerate(trades) if number % 5)


def _three_days(place: Place) -> None:
    rng = random.Random(1)
    times = sorted(NOON_US + rng.randrange(3 * DAY_US) for _ in range(300))
    place.writer().apply(Batch(trades=[_trade(number, at, str(rng.randint(1, 9))) for number, at in enumerate(times)]))


_REST = "open, high, low, close, volume, notional, trades, rv, covered_s, is_partial, revision, minutes"
_ONE_MORE = f"INSERT INTO blocks SELECT symbol, source, interval, 0, {_REST} FROM blocks WHERE interval = '1d' LIMIT 1"  # noqa: S608


@pytest.mark.parametrize(
    ("statement", "kind", "said"),
    [
        (
            "UPDATE candles SET high = '99' WHERE start_us = (SELECT min(start_us) FROM candles)",
            "wrong",
            "high is 99, its trades",
        ),
        ("UPDATE candles SET rv = 5.0 WHERE start_us = (SELECT min(start_us) FROM candles)", "wrong", "rv is 5.0, its trades"),
        ("UPDATE candles SET covered_s = 61 WHERE start_us = (SELECT min(start_us) FROM candles)", "wrong", "covered_s is 61"),
        ("DELETE FROM candles WHERE start_us = (SELECT min(start_us) FROM candles)", "missing", "and it is not there"),
        ("DELETE FROM candles WHERE start_us = (SELECT max(start_us) FROM candles)", "missing", "and it is not there"),
        (
            "UPDATE candles SET start_us = 60000000 WHERE start_us = (SELECT min(start_us) FROM candles)",
            "superfluous",
            "no trade",
        ),
        ("DELETE FROM trades WHERE time_us = (SELECT max(time_us) FROM trades)", "superfluous", "no trade makes it"),
        ("DELETE FROM blocks WHERE interval = '1d'", "missing blocks", "the block is not there"),
        ("DELETE FROM blocks WHERE interval = '15m'", "missing blocks", "the block is not there"),
        (
            "UPDATE blocks SET volume = '7.5' WHERE interval = '1h'",
            "wrong blocks",
            "volume of the block is 7.5, its minutes make",
        ),
        ("UPDATE blocks SET minutes = 77 WHERE interval = '1d'", "wrong blocks", "minutes of the block is 77, its minutes make"),
        (_ONE_MORE, "superfluous blocks", "no minute makes"),
    ],
)
def test_what_is_not_what_its_trades_make_is_found_and_said(statement: str, kind: str, said: str, place: Place) -> None:
    _three_days(place)
    assert _checked(place).counts == {}
    _change(place, statement)
    found = _checked(place)
    assert found.counts[kind] > 0
    assert any(said in each.what for each in found.faults)
    assert len(found.faults) <= EXAMPLES_MAX


def test_prices_are_said_in_plain_digits(place: Place) -> None:
    place.writer().apply(Batch(trades=[_trade(1, NOON_US, "0.00000001")]))
    _change(place, "UPDATE candles SET high = '1000'")
    assert [each.what for each in _checked(place).faults] == ["high is 1000, its trades make 0.00000001"]
    refused = [(Decimal("1E-8"), Decimal("-1E-8")), (Decimal("-1E+3"), Decimal(1))]
    assert [refusal(*each) for each in refused] == [
        "size is -0.00000001; allowed: 0 and above",
        "price is -1000; allowed: above 0",
    ]
    least = Decimal("1E-8")
    tiny = GivenBar(NOON_US, least, least, 2 * least, least, Decimal(1))
    said = export_refusal(Export("A", "1d", "x", (tiny,)))
    assert said is not None
    assert ": open 0.00000001, high 0.00000001, low 0.00000002, close 0.00000001; allowed: above 0, low up to high" in said


def test_blocks_of_given_minutes_are_looked_at_too(place: Place) -> None:
    five, one = Decimal(5), Decimal(1)
    bars = [GivenBar(NOON_US + number * MINUTE_US, five, five, five, five, one) for number in range(120)]
    place.writer().put_bars(Export("A", "1m", "feed", bars))
    assert _checked(place).counts == {}
    _change(place, "DELETE FROM blocks WHERE source = 'feed' AND interval = '1h'")
    (fault,) = _checked(place).faults
    assert (fault.source, fault.interval, fault.start_us) == ("feed", "1h", NOON_US)


def test_of_bars_whose_trades_were_removed_nothing_is_said(place: Place) -> None:
    """But the first one that is kept begins with the close before it."""
    writer = place.writer()
    midnight_us = NOON_US + DAY_US // 2
    writer.apply(Batch(trades=[_trade(1, midnight_us - 1, "10"), _trade(2, midnight_us, "20"), _trade(3, NOON_US + DAY_US)]))
    assert writer.retain(1, NOON_US + 2 * DAY_US) == 1
    found = _checked(place)
    assert (found.counts, found.trades, found.minutes) == ({}, 2, 2)


def test_gaps_are_listed_until_they_are_filled(place: Place) -> None:
    gap = Gap("v", "A", NOON_US, NOON_US + MINUTE_US, "ids", 3)
    filled = Gap("v", "A", NOON_US - DAY_US, NOON_US - DAY_US + MINUTE_US, "ids", 3, NOON_US)
    place.writer().apply(Batch(trades=[_trade(1, NOON_US)], gaps=[gap, filled]))
    assert _checked(place).gaps == (gap,)
