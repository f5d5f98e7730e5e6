"""Shapes of one vendor's files that differ from its example: other endpoints, other versions, other options."""

import io
import json
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.kit.files import put
from tests.warm.running import Outcome, utc, warm

NOW_MS = 1_800_000_000_000


def run(folder: Path, *more: object) -> Outcome:
    """Warm from the prices in a folder; it must go well."""
    outcome = warm("--prices", folder, *more, now_ms=NOW_MS)
    assert outcome.code == 0, outcome.report["error"]
    return outcome


def series(name: str, stamps: list[str], *, adjusted: bool = False, interval: str | None = None) -> str:
    """Alpha Vantage's document."""
    bar = {"1. open": "10", "2. high": "12", "3. low": "9", "4. close": "11"}
    bar |= {"5. adjusted close": "5.5", "6. volume": "7"} if adjusted else {"5. volume": "7"}
    meta = {"2. Symbol": "IBM"} | ({} if interval is None else {"4. Interval": interval})
    return json.dumps({"Meta Data": meta, name: dict.fromkeys(stamps, bar)})


@pytest.mark.parametrize(
    ("name", "stamps", "interval_s", "as_of"),
    [
        ("Time Series (Daily)", ["2024-01-05", "2024-01-04", "2024-01-03"], 86_400, (2024, 1, 5, 21)),
        ("Weekly Time Series", ["2024-01-19", "2024-01-12", "2024-01-05"], 7 * 86_400, (2024, 1, 19, 21)),
        ("Monthly Adjusted Time Series", ["2024-03-28", "2024-02-29", "2024-01-31"], 2_629_800, (2024, 3, 28, 20)),
    ],
)
def test_alpha_vantages_longer_series_are_stamped_by_their_last_session(
    name: str, stamps: list[str], interval_s: int, as_of: tuple[int, ...], tmp_path: Path
) -> None:
    """A week ends with its last session's close, not a week later."""
    put(tmp_path / "av.json", series(name, stamps))
    record = run(tmp_path).store.price("IBM")
    assert (record.interval_s, record.as_of_ms) == (interval_s, utc(*as_of))


def test_alpha_vantages_adjusted_closes_adjust(tmp_path: Path) -> None:
    """They are half the closes all the way, so nothing changes on the scale of the last bar."""
    put(tmp_path / "av.json", series("Time Series (Daily)", ["2024-01-05", "2024-01-04"], adjusted=True))
    assert run(tmp_path).store.price("IBM").values[0] == 11.0


def test_alpha_vantages_documents_may_be_lines(tmp_path: Path) -> None:
    one = series("Time Series (60min)", ["2024-01-05 15:00:00", "2024-01-05 14:00:00"], interval="60min")
    put(tmp_path / "merged.jsonl", f"{one}\n{one.replace('IBM', 'AAPL')}\n")
    store = run(tmp_path).store
    assert {symbol: store.price(symbol).as_of_ms for symbol in store.rows} == dict.fromkeys(("AAPL", "IBM"), utc(2024, 1, 5, 21))


DAYS = [date(2024, 1, 2) + timedelta(days=number) for number in range(5)]
FIELDS = ("Open", "High", "Low", "Close", "Volume")
VALUES = (10.0, 12.0, 9.0, 11.0, 500.0)


@pytest.mark.parametrize("by_ticker", [False, True])
@pytest.mark.parametrize("zone", ["", "-05:00"])
def test_yfinances_layouts_are_read(by_ticker: bool, zone: str, tmp_path: Path) -> None:  # noqa: FBT001
    tickers, prices = ["MSFT"] * 5 + ["BRK-B"] * 5, list(FIELDS) * 2
    lines = [["Ticker", *tickers], ["Price", *prices]] if by_ticker else [["Price", *prices], ["Ticker", *tickers]]
    index = ["Datetime" if zone else "Date", *[""] * 10]
    if not by_ticker:
        lines.append(index)
    hours = [f"2024-01-02 {hour}:30:00{zone}" for hour in range(10, 15)]
    stamps = hours if zone else [day.isoformat() for day in DAYS]
    lines += [[stamp, *map(str, VALUES * 2)] for stamp in stamps]
    put(tmp_path / "yf.csv", "\n".join(",".join(line) for line in lines) + "\n")
    store = run(tmp_path).store
    assert sorted(store.rows) == ["BRK.B", "MSFT"]
    assert store.price("BRK.B").as_of_ms == (utc(2024, 1, 2, 20, 30) if zone else utc(2024, 1, 6, 21))


def test_yfinances_table_in_parquet_is_read(tmp_path: Path) -> None:
    frame: dict[str, list[object]] = {"Date": [datetime.combine(day, datetime.min.time()) for day in DAYS]}
    frame |= {
        str((field, ticker)): [value] * 5 for ticker in ("AAPL", "MSFT") for field, value in zip(FIELDS, VALUES, strict=True)
    }
    out = io.BytesIO()
    pl.DataFrame(frame).write_parquet(out)
    put(tmp_path / "yf.parquet", out.getvalue())
    store = run(tmp_path).store
    assert sorted(store.rows) == ["AAPL", "MSFT"]
    assert store.price("AAPL").values[0] == 11.0


def test_a_wide_table_without_a_column_is_refused(tmp_path: Path) -> None:
    head = "Price,Close,High,Low,Open,Volume\nTicker,AAA,AAA,AAA,AAA,BBB\nDate,,,,,\n"
    put(tmp_path / "yf.csv", head + "2024-01-02,1,1,1,1,1\n")
    outcome = warm("--prices", tmp_path, now_ms=NOW_MS)
    assert "symbol 'BBB' has no column for 'close'" in outcome.report["error"]


@pytest.mark.parametrize(
    ("file", "text", "symbol", "as_of"),
    [
        ("flat.csv", ("ticker,volume,open,close,high,low,window_start,transactions\n"
         "AAA,5,10,11,12,9,1704205800000000000,3\nAAA,5,10,11,12,9,1704205860000000000,3\n"), "AAA", (2024, 1, 2, 14, 32)),
        ("futures.csv/ETHUSDT-1m.csv", ("open_time,open,high,low,close,volume,close_time,quote_volume,count,a,b,ignore\n"
         "1704067200000,10,12,9,11,5,1704067259999,1,1,1,1,0\n1704067260000,10,12,9,11,5,1704067319999,1,1,1,1,0\n"),
         "ETH-USDT", (2024, 1, 1, 0, 2)),
        ("stooq.txt.csv", ("<TICKER>,<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>\nAAPL.US,20240102,10,12,9,11,5\n"
         "AAPL.US,20240103,10,12,9,11,5\n"), "AAPL", (2024, 1, 3, 21)),
        ("NVDA.csv", ",open,high,low,close,volume\n2024-01-02,10,12,9,11,5\n2024-01-03,10,12,9,11,5\n", "NVDA", (2024, 1, 3, 21)),
        ("week.csv", "symbol,date,open,high,low,close,volume\n"
         + "".join(f"AAA,{date(2024, 1, 1) + timedelta(weeks=number)},10,12,9,11,5\n" for number in range(5)), "AAA",
         (2024, 2, 4, 21)),
        ("month.csv", "symbol,date,open,high,low,close,volume\n"
         + "".join(f"AAA,2024-{month:02}-01,10,12,9,11,5\n" for month in range(1, 7)), "AAA", (2024, 6, 30, 20)),
        ("XBTUSD.json", ('{"candles": [{"time": 1704067200, "o": "10", "h": "12", "l": "9", "c": "11", "v": "5"},'
         ' {"time": 1704153600, "o": "10", "h": "12", "l": "9", "c": "11", "v": "5"}]}'), "BTC-USD", (2024, 1, 3)),
    ],
    ids=["Polygon's flat files", "Binance's futures", "stooq", "pandas' index", "weeks", "months", "a pair in days"],
)  # fmt: skip
def test_other_shapes_are_read(file: str, text: str, symbol: str, as_of: tuple[int, ...], tmp_path: Path) -> None:
    put(tmp_path / file, text)
    store = run(tmp_path).store
    assert list(store.rows) == [symbol]
    assert store.price(symbol).as_of_ms == utc(*as_of)
