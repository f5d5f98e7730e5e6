"""Stamps in whatever way they are written, and the lengths of bars that their distances tell."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from app.domain.intervals import INTERVALS
from warm.calendar.intervals import bars_a_year, interval_named, spacing
from warm.errors import InputRefused
from warm.files.names import read_name
from warm.files.read import Source
from warm.files.stamps import read_stamps

SOURCE = Source(Path("/data/p.csv"), "p.csv")
NEW_YORK, TOKYO, ZULU = ZoneInfo("America/New_York"), ZoneInfo("Asia/Tokyo"), ZoneInfo("UTC")


def one(stamp: object, zone: ZoneInfo = ZULU) -> tuple[datetime | None, date | None]:
    """The moment and the day that one stamp is understood as."""
    stamps = read_stamps(SOURCE, pl.Series("date", [stamp]), zone, NEW_YORK)
    moment_ms, day = stamps.table.select("stamp_ms", "day").row(0)
    return None if moment_ms is None else datetime.fromtimestamp(moment_ms / 1000, UTC), day


MOMENT = datetime(2024, 1, 2, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "stamp",
    [
        "2024-01-02T15:30:00Z", "2024-01-02 15:30", "2024-01-02T15:30:00", "20240102 15:30", "2024-01-02T10:30:00-05:00",
        "2024-01-02 16:30:00+0100", "2024-01-02 15:30:00 UTC", "2024-01-02T15:30:00.000000Z", "1704209400", "1704209400000",
        "2024/1/2 15:30", "2024.01.02 15:30:00", "02.01.2024 15:30:00.000", "20240102 153000", "20240102153000", "202401021530",
        "Jan 2, 2024 03:30 PM", "2-Jan-2024 15:30", "02.01.2024 16:30:00.000 GMT+0100", 202401021530,
        1704209400, 1704209400000, 1704209400000000, 1704209400000000000, 1704209400.0, MOMENT, MOMENT.replace(tzinfo=None),
    ],
    ids=repr,
)  # fmt: skip
def test_a_moment_is_understood_however_it_is_written(stamp: object) -> None:
    assert one(stamp) == (MOMENT, None)


@pytest.mark.parametrize(
    "stamp",
    [
        "2024-01-02",
        "20240102",
        "2024年1月2日",
        "Tue, Jan 2, 2024",
        date(2024, 1, 2),
        "2024-01-02 00:00:00",
        "2024-01-02T05:00:00Z",
    ],
)
def test_a_date_and_midnight_are_a_day(stamp: object) -> None:
    assert one(stamp)[1] == date(2024, 1, 2)


@pytest.mark.parametrize("stamp", ["2024-02-30", "02/01/2024", "yesterday", "", None, "2024-01-02T25:00"])
def test_what_is_no_stamp_is_null(stamp: str | None) -> None:
    stamps = read_stamps(SOURCE, pl.Series("date", [stamp, "2024-01-03"]), ZULU, NEW_YORK)
    assert stamps.table.get_column("stamp_ms").null_count() == 1


def test_a_local_time_follows_daylight_saving() -> None:
    """Of two half past one in autumn the first; an hour that spring leaves out is no time."""
    assert one("2024-07-01 09:30", NEW_YORK)[0] == datetime(2024, 7, 1, 13, 30, tzinfo=UTC)
    assert one("2024-11-03 01:30", NEW_YORK)[0] == datetime(2024, 11, 3, 5, 30, tzinfo=UTC)
    assert one("2024-03-10 02:30", NEW_YORK)[0] is None
    assert one(datetime(2024, 1, 2, 9, 0), TOKYO)[0] == datetime(2024, 1, 2, 0, 0, tzinfo=UTC)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (["1/2/2024", "1/29/2024"], date(2024, 1, 2)),
        (["1/2/2024", "29/1/2024"], date(2024, 2, 1)),
        (["1/2/24", "1/29/24"], date(2024, 1, 2)),
        (["1.2.2024", "2.2.2024"], date(2024, 2, 1)),
        (["1/2/2024", "1/3/2024"], None),
        (["24/03/08", "24/03/09"], None),
        (["29/1/2024", "1/29/2024"], None),
    ],
)
def test_a_columns_dates_have_one_order(column: list[str], expected: date | None) -> None:
    series = pl.Series("date", column)
    if expected is None:
        with pytest.raises(InputRefused, match="dates such as"):
            read_stamps(SOURCE, series, ZULU, NEW_YORK)
    else:
        assert read_stamps(SOURCE, series, ZULU, NEW_YORK).table.item(0, "day") == expected


@pytest.mark.parametrize("number", [20240102, 5, 1e300, -1704209400])
def test_a_number_that_is_no_time_is_refused(number: float) -> None:
    """A date written as a number could be days, or a count: nobody guesses."""
    with pytest.raises(InputRefused, match="column 'date' holds"):
        one(number)


@pytest.mark.parametrize(
    ("text", "interval"),
    [("1m", "1m"), ("60min", "1h"), ("1M", "1M"), ("1mo", "1M"), ("1D", "1d"), ("1wk", "1w"), ("24h", "1d"), ("90m", None),
     ("5 minutes", "5m"), ("h", None), ("BTC", None)],
)  # fmt: skip
def test_an_interval_is_understood_in_each_ones_words(text: str, interval: str | None) -> None:
    """Binance's, yfinance's, Alpha Vantage's; a month is no minute."""
    assert interval_named(text) == interval


@pytest.mark.parametrize("interval", [each for each in INTERVALS if each != "1M"])
def test_spacing_tells_every_interval(interval: str) -> None:
    stamps = [1_704_067_200_000 + number * INTERVALS[interval] * 1000 for number in range(60) if number % 7]
    found = spacing(pl.DataFrame({"symbol": ["A"] * len(stamps), "stamp_ms": stamps}), dates=False)
    assert (found.interval, found.share) == (interval, 1.0)


@pytest.mark.parametrize(("step", "interval"), [("1d", "1d"), ("1w", "1w"), ("1mo", "1M")])
def test_dates_tell_days_weeks_and_months(step: str, interval: str) -> None:
    days = pl.date_range(date(2023, 1, 2), date(2024, 1, 2), step, eager=True)
    days = days.filter(days.dt.weekday() < 6) if step == "1d" else days
    stamps = days.cast(pl.Datetime("ms")).dt.epoch("ms")
    found = spacing(pl.DataFrame({"symbol": ["A"] * len(days), "stamp_ms": stamps}), dates=True)
    assert found.interval == interval


def test_two_sessions_with_a_weekend_between_them_are_days() -> None:
    stamps = [int(datetime(2024, 1, day, tzinfo=UTC).timestamp() * 1000) for day in (5, 8)]
    assert spacing(pl.DataFrame({"symbol": ["A", "A"], "stamp_ms": stamps}), dates=True).interval == "1d"


def test_irregular_bars_have_a_small_share() -> None:
    start = datetime(2024, 1, 2, tzinfo=UTC)
    stamps = [int((start + timedelta(seconds=0.37 * number**2)).timestamp() * 1000) for number in range(60)]
    assert spacing(pl.DataFrame({"symbol": ["A"] * 60, "stamp_ms": stamps}), dates=False).share < 0.9


@pytest.mark.parametrize(
    ("interval", "never_closes", "expected"),
    [("1d", False, 252), ("1d", True, 365), ("1h", False, 252 * 6.5), ("1h", True, 8760), ("1m", False, 252 * 390),
     ("12h", False, 252), ("1w", False, 52), ("1w", True, 52), ("1M", False, 12), ("3d", False, 84)],
)  # fmt: skip
def test_bars_a_year_are_those_of_the_market(interval: str, never_closes: bool, expected: float) -> None:  # noqa: FBT001
    assert bars_a_year(interval, never_closes=never_closes) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("stem", "named"),
    [
        ("AAPL", ("AAPL", None)),
        ("aapl_1d", ("AAPL", "1d")),
        ("BRK-B", ("BRK.B", None)),
        ("BTC_USDT-5m", ("BTC-USDT", "5m")),
        ("BTC_USDT_USDT-1h-futures", ("BTC-USDT:USDT", "1h")),
        ("BTCUSDT-1h-2024-01", ("BTC-USDT", "1h")),
        ("BTCUSDT-1m-2024-01-15", ("BTC-USDT", "1m")),
        ("coinbase_SOL-USD_candles", ("SOL-USD", None)),
        ("ltcusd_trade", ("LTC-USD", None)),
        ("daily_prices_AAPL", ("AAPL", None)),
        ("^GSPC", ("^GSPC", None)),
        ("AAPL-2023-01-01-to-2023-03-09", ("AAPL", None)),
        ("20230308T161500Z_AAPL_5m", ("AAPL", "5m")),
        ("AAPL_01-29-2023_03-08-2023", ("AAPL", None)),
        ("TSLA_5m_2023Q1", ("TSLA", "5m")),
        ("HKEX_700, 1D", ("0700.HK", "1d")),
        ("EURUSD_Candlestick_1_Hour_BID_06.03.2023-08.03.2023", ("EUR-USD", "1h")),
        ("EURUSD.pro_H4", ("EUR-USD", None, "4h")),
        ("GBPUSDm1440", ("GBP-USD", None, "1d")),
        ("my data", (None, None, None)),
        ("TVC_GOLD, 1D", ("TVC:GOLD", "1d", None)),
        ("HKEX_700, 1D", ("0700.HK", "1d", None)),
        ("XBTUSD_60", ("BTC-USD", None, "1h")),
        ("BTC-PERPETUAL", ("BTC-USD:BTC", None)),
        ("Bitcoin_2_8_2023-3_9_2023_historical_data_coinmarketcap", ("BTC-USD", None)),
        ("sh.600519", ("600519.SH", None)),
        ("prices2024", (None, None)),
        ("portfolio", (None, None)),
        ("ES 12-06.Last", (None, None)),
        ("foo_BTC_USDT", (None, None)),
        ("mystuff_ETH", (None, None)),
        ("prices", (None, None)),
        ("daily", (None, None)),
        ("my own file", (None, None, None)),
        ("2024-01", (None, None)),
        ("1h", (None, "1h")),
        ("", (None, None)),
    ],
)
def test_a_files_name_tells_symbol_and_interval_or_nothing(stem: str, named: tuple[str | None, ...]) -> None:
    assert read_name(stem) == (*named, *[None] * (3 - len(named)))
