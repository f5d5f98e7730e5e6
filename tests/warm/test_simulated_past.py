"""The past of a simulated market: bars that nest, and a price that goes on from them."""

import asyncio
from contextlib import closing
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from app.domain.trades import SIMULATED
from app.market.opening import open_reader
from app.market.protocol import Bar, CandlesWanted, Export, GivenBar, Symbol
from app.market.sqlite import EmbeddedWriter
from warm.stream.synthetic.past import Past, past
from warm.stream.synthetic.process import Process
from warm.stream.synthetic.processes import PROCESSES

_MINUTE_US, _DAY_US = 60_000_000, 86_400_000_000
_UNTIL_US = 1_767_225_600_000_000 + 15 * 3_600_000_000 + 17 * _MINUTE_US
_each_process = pytest.mark.parametrize("process", [make(7) for make in PROCESSES.values()], ids=[*PROCESSES])


def _whole(bars: list[GivenBar]) -> tuple[Any, ...]:
    return (
        bars[0].open,
        max(each.high for each in bars),
        min(each.low for each in bars),
        bars[-1].close,
        sum(each.volume for each in bars),
    )


@_each_process
def test_the_past_is_days_that_were_over_and_a_day_of_minutes(process: Process[Any]) -> None:
    found, _ = past(process, "AAPL", 7, _UNTIL_US + 34_567_890)
    midnight_us = _UNTIL_US - _UNTIL_US % _DAY_US
    assert [each.start_us for each in found.days] == [midnight_us - back * _DAY_US for back in range(150, 0, -1)]
    assert _UNTIL_US - _DAY_US <= found.minutes[0].start_us < _UNTIL_US - _DAY_US + 10 * _MINUTE_US
    assert 0 < _UNTIL_US - found.minutes[-1].start_us < 10 * _MINUTE_US
    assert len(found.minutes) >= 1420
    for bar in (*found.days, *found.minutes):
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.trades is not None
        assert bar.volume >= bar.trades >= 1
    for bar in found.minutes:
        assert bar.notional is not None
        assert bar.low <= bar.notional / bar.volume <= bar.high


@_each_process
def test_a_days_bar_holds_the_minutes_that_are_known_of_it(process: Process[Any]) -> None:
    """All of them, if the past ends at midnight; then it is their sum."""
    found, _ = past(process, "AAPL", 7, _UNTIL_US)
    yesterday = found.days[-1]
    minutes = [each for each in found.minutes if each.start_us < yesterday.start_us + _DAY_US]
    _, high, low, close, volume = _whole(minutes)
    assert yesterday.high >= high
    assert yesterday.low <= low
    assert (yesterday.close, yesterday.volume > volume, yesterday.notional) == (close, True, None)
    at_midnight, _ = past(process, "AAPL", 7, _UNTIL_US - _UNTIL_US % _DAY_US)
    (day,), minutes = at_midnight.days[-1:], at_midnight.minutes
    assert (day.open, day.high, day.low, day.close, day.volume) == _whole(minutes)
    assert day.trades == sum(each.trades or 0 for each in minutes)
    assert day.notional == sum(each.notional or Decimal(0) for each in minutes)


@_each_process
def test_prices_go_on_without_a_jump_from_bar_to_bar_and_to_the_first_trade(process: Process[Any]) -> None:
    found, state = past(process, "AAPL", 7, _UNTIL_US)
    for bars in (found.days, found.minutes):
        assert all(abs(after.open / before.close - 1) <= Decimal("0.021") for before, after in pairwise(bars))
    made, _ = process.minute("AAPL", state, _UNTIL_US)
    assert abs(made[0].price / 100 / float(found.minutes[-1].close) - 1) <= 0.021
    # Trades of the minutes have numbers, too.
    assert made[0].number == 1 + sum(each.trades or 0 for each in found.minutes)


@_each_process
def test_the_past_follows_from_seed_symbol_and_moment(process: Process[Any]) -> None:
    found = past(process, "AAPL", 7, _UNTIL_US, days=3)
    assert past(process, "AAPL", 7, _UNTIL_US, days=3) == found
    assert past(process, "MSFT", 7, _UNTIL_US, days=3) != found
    assert len(found[0].days) == 3


def _read(path: Path, interval: str) -> list[Bar]:
    async def read() -> list[Bar]:
        reader = open_reader(path=path, url="", read_url="", deadline_s=60.0)
        try:
            return list((await reader.candles(CandlesWanted("AAPL", interval, 2_000))).bars)
        finally:
            await reader.close()

    return asyncio.run(read())


def _put(path: Path, found: Past) -> None:
    with closing(EmbeddedWriter(path)) as writer:
        writer.put_symbols([Symbol("AAPL", market=SIMULATED, source=SIMULATED)])
        for interval, bars in (("1d", found.days), ("1m", found.minutes)):
            writer.put_bars(Export("AAPL", interval, SIMULATED, bars))


def test_in_the_market_store_todays_bar_is_what_its_minutes_make(tmp_path: Path) -> None:
    """And the days before are as they were made, also that of which only some minutes are known."""
    found, _ = past(PROCESSES["random-walk"](7), "AAPL", 7, _UNTIL_US)
    path = tmp_path / "market.sqlite3"
    _put(path, found)
    *before, today = _read(path, "1d")
    assert [(each.start_us, each.open, each.high, each.low, each.close, each.volume) for each in before] == [
        (each.start_us, each.open, each.high, each.low, each.close, each.volume) for each in found.days
    ]
    minutes = [each for each in found.minutes if each.start_us >= today.start_us]
    assert (today.open, today.high, today.low, today.close, today.volume) == _whole(minutes)
    assert len(_read(path, "1m")) == 1440
    assert all(each.session is None for each in _read(path, "1h"))
