"""What is told of a page of symbols, in every store."""

import random
from collections.abc import Callable, Sequence
from contextlib import closing
from decimal import Decimal
from typing import Any

from app.domain.candles import SECOND_US
from app.domain.prices import EXACT
from app.domain.trades import trade_key
from app.market.details import details
from app.market.protocol import Batch, Cancel, Details, Export, Symbol
from tests.market.counted import Counted
from tests.market.giving import bar, trade
from tests.market.places import DAY_US, MINUTE_US, NOON_US, Place, PostgresPlace


def _fill(place: Place, symbols: int, seed: int) -> None:
    """Trades at two venues, minutes and days of two sources: of some symbols all, of some none, around a day before noon."""
    rng, writer = random.Random(seed), place.writer()
    number = 0
    for name in (f"S{each:03}" for each in range(symbols)):
        if rng.random() < 0.5:
            times = sorted(NOON_US - rng.randrange(3 * DAY_US) for _ in range(30))
            trades = []
            for at_us in times:
                number += 1
                size = rng.choice(("0", "0.5", "1", "2.25"))
                trades.append(trade(number, at_us, size=size, symbol=name, venue=rng.choice("UV")))
            writer.apply(Batch(trades=trades, cancels=[Cancel(trades[-1].venue, name, trade_key(str(number)))]))
        for source in "xy":
            if rng.random() < 0.5:
                first_us = NOON_US - rng.randrange(3 * DAY_US) // MINUTE_US * MINUTE_US
                starts = sorted({first_us + rng.randrange(1_000) * MINUTE_US for _ in range(200)})
                bars = [bar(each, volume=str(rng.randrange(1, 9))) for each in starts]
                writer.put_bars(Export(name, "1m", source, bars))
            if rng.random() < 0.5:
                day_us = NOON_US // DAY_US * DAY_US - rng.randrange(3) * DAY_US
                writer.put_bars(Export(name, "1d", source, [bar(day_us - DAY_US, volume="7"), bar(day_us, volume="77")]))
    writer.put_symbols([Symbol("S999", "None of it")])


def _expected(place: Place, symbol: str, order: Sequence[str], now_us: int) -> tuple[Any, ...]:
    """As one reads it from the rows: last trade, volume, kinds."""
    times = place.rows(
        f"SELECT max(time_us) FROM trades_in_full WHERE symbol = '{symbol}' AND NOT cancelled AND size <> '0'"  # noqa: S608 - ours
    )
    rows = place.rows(f"SELECT interval, source, start_us, volume FROM candles WHERE symbol = '{symbol}' ORDER BY start_us")  # noqa: S608 - ours
    volume = None
    for interval in ("1m", "1d"):
        for source in ("trades", *order):
            new = [row[3] for row in rows if row[:2] == (interval, source) and row[2] > now_us - DAY_US]
            if new and volume is None:
                volume = Decimal(0)
                for each in new if interval == "1m" else new[-1:]:
                    volume = EXACT.add(volume, Decimal(each))
    return times[0][0], volume, tuple(sorted({row[:2] for row in rows}))


def test_details_of_a_page_are_those_of_its_rows(place: Place) -> None:
    """Last trades, volumes and kinds, whatever there is of a symbol, and at any moment within a block."""
    _fill(place, 40, seed=5)
    for now_us, order in ((NOON_US + 7 * SECOND_US, "xy"), (NOON_US - 17 * MINUTE_US, "yx"), (NOON_US + 5 * DAY_US, "xy")):
        found = place.read(lambda reader: reader.symbols(100), *order, now_us=now_us)
        assert [each.symbol.symbol for each in found][-1] == "S999"
        for each in found:
            name = each.symbol.symbol
            assert (name, each.last_trade_us, each.volume_day, each.kinds) == (name, *_expected(place, name, order, now_us))
        assert place.read(lambda reader: reader.symbols(7, found[10].symbol.symbol), *order, now_us=now_us) == found[11:18]  # noqa: B023 - as above


def test_details_take_so_many_statements_whatever_the_number_of_symbols(place: Place) -> None:
    _fill(place, 40, seed=6)

    def told(limit: int) -> tuple[list[Details], int]:
        with place.contents() as contents:
            counted = Counted(contents._connection)
            return details(counted, limit, "", "xy", NOON_US), counted.statements

    assert [told(limit)[1] for limit in (3, 40)] == [5, 5]
    assert told(3)[0] == told(40)[0][:3]


def test_no_statement_of_details_is_compiled_by_the_database(make_postgres: Callable[[], PostgresPlace]) -> None:
    """It would take longer than all of them."""
    with closing(make_postgres()) as place, place.contents() as contents:
        assert contents._connection.execute("SHOW jit").fetchall() == [("off",)]
