"""What tells how a price file is read, where its rows could be read in two ways; and what is refused, with the way round."""

import zipfile
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.warm.people import (
    CLOSE,
    COINS,
    DAYS,
    HOUR,
    HOURS,
    LAST_DAY,
    MIDNIGHT,
    NOW_MS,
    OHLCV,
    WEEK,
    at_open,
    comma,
    document,
    hours,
    plain,
    read,
    refusal,
    run,
    seconds,
    sessions,
    stamp,
    table,
    zipped,
)  # fmt: skip
from tests.warm.running import utc
from warm.calendar.sessions import open_session
from warm.files.find import find_sources
from warm.files.prices.reader import Alike, Reckoning, read_file
from warm.files.recognise import FORMATS


def test_thousands_and_the_decimal_sign_are_told_by_all_prices(tmp_path: Path) -> None:
    """``41,234.50`` and ``41.234,50`` are one number; where every comma could be either, nothing is guessed."""
    english = table(("Date", *OHLCV), ((bar.at, *(f'"{value:,}"' for value in bar[1:])) for bar in WEEK))
    assert read(tmp_path / "a", {"BTC-USD.csv": english}) == {"BTC-USD": (WEEK[-1].close, MIDNIGHT)}
    german = table(("Date", *OHLCV), ((bar.at, *map(comma, bar[1:])) for bar in WEEK), ";")
    assert read(tmp_path / "b", {"BTC-USD.csv": german}) == {"BTC-USD": (WEEK[-1].close, MIDNIGHT)}
    either = table(("Date", *OHLCV), ((bar.at, *(f'"{round(value):,}"' for value in bar[1:])) for bar in WEEK))
    assert "can be a thousands or a decimal sign" in refusal(tmp_path / "c", {"BTC-USD.csv": either})


def test_thousands_may_stand_apart_by_narrow_spaces(tmp_path: Path) -> None:
    """As in French; a line of such numbers is none of tickers."""
    rows = ((bar.at, *(f"{value + 1000:,}".replace(",", " ").replace(".", ",") for value in bar[1:])) for bar in WEEK)
    french = table(("Date", *OHLCV), rows, ";").replace(" ", "\u202f")
    assert read(tmp_path, {"BTC-EUR.csv": french}) == {"BTC-EUR": (WEEK[-1].close + 1000, MIDNIGHT)}


def test_thousands_may_begin_far_below(tmp_path: Path) -> None:
    rows = [(LAST_DAY - timedelta(days=10_000 - at), 990.0, 995.0, 985.0, 990.0, 5) for at in range(10_000)]
    content = table(("date", *OHLCV), [*rows, (LAST_DAY, 990.0, '"1,010.5"', 985.0, '"1,000.5"', 5)])
    assert read(tmp_path, {"AAPL.csv": content}) == {"AAPL": (1000.5, CLOSE)}


def test_a_date_that_may_be_two_wants_an_option(tmp_path: Path) -> None:
    few = [bar._replace(at=date(2023, 3, day)) for day, bar in enumerate(DAYS[:9], 1)]
    content = plain(few, stamp("%m/%d/%Y"))
    assert "--date-order mdy or dmy says it" in refusal(tmp_path / "a", {"AAPL.csv": content})
    for order, known in (("mdy", utc(2023, 3, 9, 21)), ("dmy", utc(2023, 9, 3, 20))):
        options = ("--date-order", order, "--interval", "1M" if order == "dmy" else "1d")
        assert read(tmp_path / order, {"AAPL.csv": content}, *options)["AAPL"][1] >= known
    mixed = content + "13/3/2023,1,1,1,1,1\n3/14/2023,1,1,1,1,1\n"
    assert "no order that fits all" in refusal(tmp_path / "b", {"AAPL.csv": mixed})


def test_a_clock_that_nobody_knows_wants_an_option(tmp_path: Path) -> None:
    """MetaTrader's stamps are its broker's, in each of its exports."""
    names = [f"<{name}>" for name in ("DATE", "TIME", *OHLCV[:4], "TICKVOL", "VOL", "SPREAD")]
    exports = {
        "a/GBPUSD60.csv": table((), ((f"{b.at:%Y.%m.%d}", f"{b.at:%H:%M}", *b[1:]) for b in HOURS)),
        "b/GBPUSD.csv": table(names, ((f"{b.at:%Y.%m.%d}", f"{b.at:%H:%M:%S}", *b[1:], 0, 8) for b in HOURS), "\t"),
        "c/GBPUSD.csv": plain(HOURS, stamp("%F %T"), ("time", *OHLCV[:4], "tick_volume")),
        "d/GBPUSDm60.csv": table((), ((f"{b.at:%Y.%m.%d %H:%M}", *b[1:]) for b in HOURS)),
        "e/GBPUSD.txt": table((), ((f"{b.at:%Y%m%d %H%M%S}", *b[1:]) for b in HOURS), ";"),
    }
    for name, content in exports.items():
        folder = tmp_path / name[0]
        assert "--naive-timezone says it" in refusal(folder, {name: content})
        athens = read(folder, {name: content}, "--naive-timezone", "Europe/Athens")
        assert athens == {"GBP-USD": (HOURS[-1].close, HOUR - 2 * 3_600_000)}


def test_histdatas_clock_is_new_yorks_winter_time_all_year(tmp_path: Path) -> None:
    """Also in summer; its name says minutes whatever the rows are."""
    summer = [bar._replace(at=bar.at - timedelta(days=120)) for bar in HOURS]
    content = table((), ((f"{b.at:%Y%m%d %H%M%S}", *b[1:5], 0) for b in summer), ";")
    found = read(tmp_path, {"DAT_ASCII_GBPUSD_M1_2023.csv": content})
    assert found == {"GBP-USD": (HOURS[-1].close, utc(2023, 7, 20, 12))}


def test_ninjatraders_export_ends_its_bars_in_utc(tmp_path: Path) -> None:
    content = table((), ((f"{b.at:%Y%m%d %H%M%S}", *b[1:]) for b in COINS), ";")
    assert read(tmp_path, {"AAPL.Last.txt": content}) == {"AAPL": (COINS[-1].close, utc(2023, 11, 17, 6))}


def test_a_stamp_of_the_last_second_ends_its_bar(tmp_path: Path) -> None:
    """CoinMarketCap's days."""
    rows = ((f"{bar.at}T00:00:00.000Z", "2781", *bar[1:], f"{bar.at}T23:59:59.999Z") for bar in WEEK)
    content = table(("timeOpen", "name", *OHLCV, "timestamp"), rows, ";")
    assert read(tmp_path, {"BTC-USD.csv": content}) == {"BTC-USD": (WEEK[-1].close, MIDNIGHT - 1)}


def test_columns_of_stamps_that_disagree_are_refused(tmp_path: Path) -> None:
    content = table(("date", "timestamp", *OHLCV), ((bar.at, seconds(COINS[0].at), *bar[1:]) for bar in DAYS))
    assert "columns 'date' and 'timestamp' both mean 'date' and disagree" in refusal(tmp_path, {"AAPL.csv": content})


@pytest.mark.parametrize(
    ("symbol", "first", "known", "note"),
    [
        ("XYZ", date(2023, 9, 1), utc(2023, 11, 3, 20), None),
        ("XYZ", date(2023, 9, 4), utc(2023, 11, 12, 21), None),
        ("XYZ", date(2023, 9, 3), utc(2023, 11, 11, 21), "by Sundays, taken for their first days: --stamps close"),
        ("2222.SR", date(2023, 8, 31), utc(2023, 11, 2, 12), None),
        ("2222.SR", date(2023, 9, 2), utc(2023, 11, 10, 12), "by Saturdays, taken for their first days: --stamps close"),
        ("BTC-USD", date(2023, 9, 1), utc(2023, 11, 10), None),
    ],
    ids=["Fridays", "Mondays", "Sundays", "Riyadh's Thursdays", "Riyadh's Saturdays", "Fridays of what never closes"],
)
def test_a_weeks_label_may_be_its_last_day(symbol: str, first: date, known: int, note: str | None, tmp_path: Path) -> None:
    """The last session's is; that of the day before a week's first session may be, which is said. Alone, and beside another
    market in the same file.
    """
    weeks = [bar._replace(at=first + timedelta(weeks=at)) for at, bar in enumerate(DAYS[:10])]
    other = [bar._replace(at=bar.at - timedelta(days=first.weekday() - 2)) for bar in weeks]
    names = ("symbol", "date", *OHLCV)
    alone, both = ([(symbol, *bar) for bar in weeks] + [("SAP.DE", *bar) for bar in more] for more in ([], other))
    for number, rows in enumerate((alone, both)):
        outcome = run(tmp_path / str(number), {"weeks.csv": table(names, rows)})
        assert outcome.store.price(symbol).as_of_ms == known
        notes = outcome.report["files"][0].get("notes", [])
        assert len(notes) == (note is not None)
        assert note is None or note in notes[0]
        assert outcome.report["rejects"] == 0
    objects = [{"symbol": symbol} | {name: str(getattr(bar, name)) for name in OHLCV} | {"date": str(bar.at)} for bar in weeks]
    assert read(tmp_path / "rows", {"weeks.json": document(objects)}) == {symbol: (weeks[-1].close, known)}


def test_bars_at_weekends_of_what_is_no_coin_are_told(tmp_path: Path) -> None:
    outcome = run(tmp_path, {"WIDGET.csv": plain(WEEK)})
    assert "--calendar always" in outcome.report["files"][0]["notes"][0]


def test_an_interval_that_is_out_of_date_yields(tmp_path: Path) -> None:
    """The days ended in summer; the hours are of today."""
    old = [bar._replace(at=bar.at - timedelta(days=100)) for bar in WEEK]
    outcome = run(tmp_path, {"BTC_USDT-1d.csv": plain(old), "BTC_USDT-1h.csv": plain(COINS, stamp("%F %T"))})
    price = outcome.store.price("BTC-USDT")
    assert (price.interval_s, price.as_of_ms, outcome.report["left_out"]) == (3600, HOUR, 30)


def test_the_longest_interval_wins_over_a_weekend(tmp_path: Path) -> None:
    """Days that end on Friday beside hours of Monday are up to date."""
    monday = [bar._replace(at=bar.at.replace(day=20, hour=14) + timedelta(hours=at)) for at, bar in enumerate(COINS[:6])]
    outcome = run(tmp_path, {"AAPL_1d.csv": plain(DAYS), "AAPL_1h.csv": plain(monday, stamp("%F %TZ"))})
    assert outcome.store.price("AAPL").interval_s == 86_400


def test_the_longest_interval_wins_over_a_week_of_holidays(tmp_path: Path) -> None:
    """Shanghai's days end on Thursday, 28 September; its hours go on after the golden week."""
    days = [bar._replace(at=bar.at - timedelta(days=50)) for bar in DAYS]
    hours = [bar._replace(at=bar.at.replace(month=10, day=9, hour=2) + timedelta(hours=at)) for at, bar in enumerate(COINS[:4])]
    outcome = run(tmp_path, {"600519.SH_1d.csv": plain(days), "600519.SH_1h.csv": plain(hours, stamp("%F %TZ"))})
    assert outcome.store.price("600519.SH").interval_s == 86_400


@pytest.mark.parametrize("changed", [0, 7])
def test_two_exports_of_the_same_sessions_are_no_mistake(changed: int, tmp_path: Path) -> None:
    """Volumes may differ, prices not."""
    stamped = table(("time", *OHLCV), ((at_open(bar), *bar[1:5], bar.volume + changed) for bar in DAYS[10:]))
    outcome = run(tmp_path / "a", {"AAPL.csv": plain(DAYS), "AAPL (1).csv": stamped})
    assert (outcome.code, outcome.report["bars"], outcome.report["rejects"]) == (0, 30, 0)
    assert sum(each.get("repeated", 0) for each in outcome.report["files"]) == 20
    half = plain([bar._replace(open=1.0, high=1.0, low=1.0, close=1.0) for bar in DAYS])
    assert "duplicate_timestamp" in refusal(tmp_path / "b", {"AAPL.csv": plain(DAYS), "AAPL (1).csv": half})


def wide(symbols: list[str], *more: tuple[object, ...]) -> str:
    """A wide table as yfinance writes it."""
    names = [name.title() for name in OHLCV]
    head = [("Price", *(name for name in names for _ in symbols)), ("Ticker", *(symbols * 5)), ("Date", *[""] * 5 * len(symbols))]
    rows = [(bar.at, *(value for value in bar[1:] for _ in symbols)) for bar in DAYS]
    return table((), [*head, *rows, *more])


def test_a_wide_table_holds_any_tickers_and_a_day_that_has_not_begun(tmp_path: Path) -> None:
    symbols = ["M&M.NS", "TCS.NS"]
    found = read(tmp_path, {"nse.csv": wide(symbols, ("2023-11-20", *[""] * 8, 55, 0))})
    assert found == dict.fromkeys(symbols, (DAYS[-1].close, utc(2023, 11, 17, 10)))


def test_a_row_without_high_low_and_close_is_no_bar(tmp_path: Path) -> None:
    """Yahoo's rows of null, AI-Trader's last day, which has only been opened: counted, and no rejects."""
    outcome = run(tmp_path / "a", {"AAPL.csv": plain(DAYS) + "2023-11-20,null,null,null,null,null\n"})
    assert (outcome.report["bars"], outcome.report["rejects"], outcome.report["files"][0]["no_price"]) == (30, 0, 1)
    keys = ("1. buy price", "2. high", "3. low", "4. sell price", "5. volume")
    days: dict[str, dict[str, str]] = {str(bar.at): dict(zip(keys, map(str, bar[1:]), strict=True)) for bar in DAYS}
    days["2023-11-20"] = {"1. buy price": "80"}
    meta = {"1. Information": "Daily Prices", "2. Symbol": "AAPL", "5. Time Zone": "US/Eastern"}
    merged = document({"Meta Data": meta, "Time Series (Daily)": days}) + "\n"
    assert read(tmp_path / "b", {"merged.jsonl": merged}) == {"AAPL": (DAYS[-1].close, CLOSE)}


def test_alpha_vantages_coins_never_close(tmp_path: Path) -> None:
    keys = ("1. open", "2. high", "3. low", "4. close", "5. volume")
    series = {str(bar.at): dict(zip(keys, map(str, bar[1:]), strict=True)) for bar in WEEK}
    meta = {"1. Information": "Daily Prices for Digital Currency", "2. Symbol": "BTC", "5. Time Zone": "UTC"}
    content = document({"Meta Data": meta, "Time Series (Daily)": series})
    assert read(tmp_path, {"daily_prices_BTC.json": content}) == {"BTC-USD": (WEEK[-1].close, MIDNIGHT)}


def test_binances_fields_may_be_separated_by_bars(tmp_path: Path) -> None:
    """As some mirrors of its archive have them."""
    rows = ((seconds(b.at) * 1000, *b[1:], seconds(b.at) * 1000 + 3_599_999, 1.0, 7, 1.0, 0.5, 0) for b in COINS)
    assert read(tmp_path, {"ETHBTC-1h-2023-11.csv": table((), rows, "|")}) == {"ETH-BTC": (COINS[-1].close, HOUR)}


def test_leans_forex_is_the_mean_of_bid_and_ask(tmp_path: Path) -> None:
    """It has no trades."""
    rows = [(f"{bar.at:%Y%m%d} 00:00", *bar[1:5], 0, *(round(price + 0.02, 2) for price in bar.prices), 0) for bar in sessions()]
    archive = zipped("eurusd.csv", table((), rows))
    ((symbol, (close, known)),) = read(tmp_path, {"forex/oanda/daily/eurusd.zip": archive}).items()
    assert (symbol, known) == ("EUR-USD", MIDNIGHT)
    assert close == pytest.approx(DAYS[-1].close + 0.01)


def test_prices_without_names_in_another_order_are_refused(tmp_path: Path) -> None:
    """Bitfinex has the close before high and low; Kraken's archive has not."""
    rows = [[seconds(bar.at) * 1000, bar.open, bar.close, bar.high, bar.low, bar.volume] for bar in COINS]
    assert "their order is not open" in refusal(tmp_path / "a", {"BTC_USD-1h.json": document(rows)})
    assert "their order is not open" in refusal(tmp_path / "b", {"BTC_USD-1h.csv": table((), rows)})


def test_okxs_candle_that_is_not_over_is_left_out(tmp_path: Path) -> None:
    rows = [[str(seconds(bar.at) * 1000), *map(str, bar[1:]), "1", "1", "1"] for bar in reversed(COINS)]
    rows[0][-1] = "0"
    found = read(tmp_path, {"ETH-USDT_1h.json": document({"code": "0", "data": rows})})
    assert found == {"ETH-USDT": (COINS[-2].close, HOUR - 3_600_000)}


def test_an_option_says_the_symbol(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"my own data.csv": plain(DAYS)}
    assert "--symbol 'my own data.csv=AAPL' says it" in refusal(tmp_path, files)
    for said, symbol in (("my own data.csv=brk-b", "BRK.B"), ("my*=GBPUSD=X", "GBP-USD"), (f"{tmp_path}/*.csv=XYZ", "XYZ")):
        assert list(read(tmp_path, files, "--symbol", said)) == [symbol]
    assert "fits no file of prices" in refusal(tmp_path, files, "--symbol", "my*=XYZ", "--symbol", "other.csv=XYZ")
    two = table(("symbol", "date", *OHLCV), ((symbol, *bar) for symbol in ("AAA", "BBB") for bar in DAYS))
    assert "it has several symbols" in refusal(tmp_path / "two", {"two.csv": two}, "--symbol", "two.csv=XYZ")
    with pytest.raises(SystemExit):
        run(tmp_path, files, "--symbol", "XYZ")


def test_text_that_is_no_table_is_skipped(tmp_path: Path) -> None:
    texts: dict[str, str | bytes] = {"README.txt": "Some, words, of, a, kind\n", "empty.txt": "", "bytes.txt": b"\xff\xfe\x00"}
    outcome = run(tmp_path, {"AAPL.csv": plain(DAYS), **texts})
    assert {each["file"]: each["fate"] for each in outcome.report["files"]} == {
        "AAPL.csv": "loaded", **dict.fromkeys(texts, "skipped")
    }  # fmt: skip


def test_files_with_the_same_stamps_are_understood_once(tmp_path: Path) -> None:
    """Ten thousand small files of an archive took longer for their stamps than for all else; none gets another's meaning."""
    week, always = plain(sessions(), head=("date", *OHLCV)), plain(sessions(weekends=True))
    files = {f"AA{letter}.csv": week for letter in "ABCDEFGH"}
    files |= {
        "SAP.DE.csv": week,
        "BTC-USD.csv": week,
        "VOD.L.csv": week,
        "ETH-USD.csv": always,
        "BTC.csv": always,
        "ZZB.csv": always,
    }
    files |= {"ZZC-1h.csv": plain(hours()), "ZZD.csv": plain(sessions(40)), "ZZE.csv": week}
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    sources, _ = find_sources(tmp_path / "many.zip")
    reckoning = Reckoning(session=open_session(None, None, None), now_ms=NOW_MS)

    def made(alike: Alike | None) -> list[object]:
        parts = [read_file(source, FORMATS["table"], 0, reckoning, alike) for source in sources]
        return [(part.frame.rows(), part.symbols.rows(), part.interval, part.told) for part in parts]

    alike = Alike()
    together, apart = made(alike), made(None)
    assert together == apart
    assert alike.made == 9, "AAA to AAH once; BTC, whose bars tell that it is a coin, is not compared"
