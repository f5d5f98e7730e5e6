"""Price files as people have them: read right, or refused with the way round."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.warm.people import (
    CLOSE,
    COINS,
    DAYS,
    HOUR,
    HOURS,
    MIDNIGHT,
    OHLCV,
    WEEK,
    Bar,
    at_open,
    comma,
    document,
    plain,
    read,
    seconds,
    stamp,
    table,
)  # fmt: skip
from tests.warm.running import utc


def dollars(bar: Bar) -> tuple[str, ...]:
    """As Nasdaq writes a row."""
    opened, high, low, close = (f"${price}" for price in bar.prices)
    return bar.at.strftime("%m/%d/%Y"), close, str(bar.volume), opened, high, low


def quoted(bar: Bar) -> tuple[str, ...]:
    """As Investing writes a row."""
    opened, high, low, close = (f'"{price:,}"' for price in bar.prices)
    return f'"{bar.at:%m/%d/%Y}"', close, opened, high, low, f'"{bar.volume / 1000:.2f}K"', '"0.10%"'


def objects(made: list[Bar], stamp: str = "date", kind: Callable[[float], object] = float) -> list[dict[str, object]]:
    """Rows, newest first."""
    return [{stamp: str(bar.at), **{name: kind(getattr(bar, name)) for name in OHLCV}} for bar in reversed(made)]


ISO_MS = {name: {str(bar.day_s * 1000): getattr(bar, name) for bar in DAYS} for name in OHLCV}
CHART = {
    "meta": {"symbol": "AAPL", "dataGranularity": "1d", "exchangeTimezoneName": "America/New_York"},
    "timestamp": [at_open(bar) for bar in DAYS],
    "indicators": {
        "quote": [{name: [getattr(bar, name) for bar in DAYS] for name in OHLCV}],
        "adjclose": [{"adjclose": [bar.close for bar in DAYS]}],
    },
}
GERMAN = ("Datum", "Eröffnung", "Hoch", "Tief", "Schluss", "Volumen")
TUSHARE = ("ts_code", "trade_date", *OHLCV[:4], "pre_close", "vol", "amount")
SHARES = {
    "daily stamps at the open": ("AAPL.csv", table(("time", *OHLCV), ((at_open(bar), *bar[1:]) for bar in DAYS))),
    "Nasdaq": ("AAPL.csv", table(("Date", "Close/Last", "Volume", "Open", "High", "Low"), map(dollars, DAYS[::-1]))),
    "US dates": ("AAPL.csv", plain(DAYS, lambda day: f"{day.month}/{day.day}/{day.year}")),
    "slashes": ("AAPL.csv", plain(DAYS, lambda day: day.strftime("%Y/%m/%d"))),
    "months' names": ("AAPL.csv", plain(DAYS, lambda day: day.strftime('"%b %d, %Y"'))),
    "bhavcopy": ("AAPL.csv", plain(DAYS, lambda day: day.strftime("%d-%b-%Y").upper())),
    "Investing": (
        "AAPL Historical Data.csv",
        table(('"Date"', '"Price"', '"Open"', '"High"', '"Low"', '"Vol."', '"Change %"'), map(quoted, DAYS[::-1])),
    ),
    "Yahoo's chart": ("chart.json", document({"chart": {"result": [CHART], "error": None}})),
    "pandas' columns": ("AAPL.json", document({name.title(): values for name, values in ISO_MS.items()})),
    "pandas' index": ("AAPL.json", document({str(bar.at): dict(zip(OHLCV, bar[1:], strict=True)) for bar in DAYS})),
    "pandas' split": (
        "AAPL.json",
        document({"columns": OHLCV, "index": [str(bar.at) for bar in DAYS], "data": [bar[1:] for bar in DAYS]}),
    ),
    "pandas' values": ("AAPL.json", document([[bar.day_s * 1000, *bar[1:]] for bar in DAYS])),
    "Finnhub": (
        "AAPL.json",
        document({"s": "ok", "t": [bar.day_s for bar in DAYS], **{n[0]: [getattr(b, n) for b in DAYS] for n in OHLCV}}),
    ),
    "Twelve Data": (
        "t.json",
        document({"meta": {"symbol": "AAPL", "interval": "1day"}, "values": objects(DAYS, "datetime", str), "status": "ok"}),
    ),
    "several of Twelve Data": (
        "t.json",
        document({"AAPL": {"meta": {"symbol": "AAPL", "interval": "1day"}, "values": objects(DAYS, "datetime", str)}}),
    ),
    "FMP": ("f.json", document({"symbol": "AAPL", "historical": objects(DAYS)})),
    "several of FMP": ("f.json", document({"historicalStockList": [{"symbol": "AAPL", "historical": objects(DAYS)}]})),
    "FinRL": (
        "train_data.csv",
        table(("", "date", *OHLCV, "tic", "day"), ((at, *bar, "AAPL", bar.at.weekday()) for at, bar in enumerate(DAYS))),
    ),
    "Kaggle": ("all_stocks_5yr.csv", table(("date", *OHLCV, "Name"), ((*bar, "AAPL") for bar in DAYS))),
    "stooq's text": (
        "aapl.us.txt",
        table(
            [f"<{name}>" for name in ("TICKER", "PER", "DATE", "TIME", *OHLCV[:4], "VOL", "OPENINT")],
            (("AAPL.US", "D", bar.at.strftime("%Y%m%d"), "000000", *bar[1:], 0) for bar in DAYS),
        ),
    ),
    "NinjaTrader's days": ("AAPL.Last.txt", table((), ((bar.at.strftime("%Y%m%d"), *bar[1:]) for bar in DAYS), ";")),
    "a notice above": ("AAPL.csv", "# from somewhere\n\nsep=;\n" + table(("Date", *OHLCV), DAYS, ";")),
    "quantmod": (
        "AAPL.csv",
        table(("", *(f"AAPL.{name.title()}" for name in OHLCV), "AAPL.Adjusted"), ((*bar, bar.close) for bar in DAYS)),
    ),
    "a flattened frame": (
        "prices.csv",
        table(("Date", *(f"{name.title()}_AAPL" for name in OHLCV)), DAYS),
    ),
    "prices with their currency": (
        "AAPL.csv",
        table(("Date", *OHLCV), ((bar.at, *(f"{value} USD" for value in bar[1:5]), bar.volume) for bar in DAYS)),
    ),
    "French": ("AAPL.csv", plain(DAYS, head=("Date", "Ouverture", "Plus haut", "Plus bas", "Clôture", "Volume"))),
    "Portuguese": ("AAPL.csv", plain(DAYS, head=("Data", "Abertura", "Máxima", "Mínima", "Fechamento", "Volume"))),
    "Italian": ("AAPL.csv", plain(DAYS, head=("Data", "Apertura", "Massimo", "Minimo", "Chiusura", "Volume"))),
    "traditional Chinese": ("AAPL.csv", plain(DAYS, head=("日期", "開盤價", "最高價", "最低價", "收盤價", "成交股數"))),
    "Korean": ("AAPL.csv", plain(DAYS, head=("날짜", "시가", "고가", "저가", "종가", "거래량"))),
    "TradingAgents' cache": ("AAPL-YFin-data-2023-01-01-2023-11-18.csv", plain(DAYS)),
    "two compact dates": ("yahoofinance-AAPL-20230101-20231118.csv", plain(DAYS)),
    "a date and a time": ("AAPL_20231118_161500.csv", plain(DAYS)),
    "TradingView's name": ("NASDAQ_AAPL, 1D.csv", plain(DAYS)),
    "downloaded twice": ("AAPL (1).csv", plain(DAYS)),
}


@pytest.mark.parametrize("name", SHARES)
def test_a_shares_days_are_read_whatever_wrote_them(name: str, tmp_path: Path) -> None:
    file, content = SHARES[name]
    assert read(tmp_path, {file: content}) == {"AAPL": (DAYS[-1].close, CLOSE)}


@pytest.mark.parametrize(
    ("file", "content", "symbol"),
    [
        ("SAP.DE.csv", table(("Date", *OHLCV), ((bar.at, *map(comma, bar[1:5]), bar.volume) for bar in DAYS), ";"), "SAP.DE"),
        ("SAP.DE.csv", table(GERMAN, ((f"{bar.at:%d.%m.%Y}", *map(comma, bar[1:])) for bar in DAYS), ";"), "SAP.DE"),
        ("XETR_SAP, 1D.csv", plain(DAYS), "SAP.DE"),
        (
            "SH#600519.txt",
            table(("日期", "开盘", "最高", "最低", "收盘", "成交量"), DAYS, "\t").encode("gbk"),
            "600519.SH",
        ),
        (
            "600519.SH.csv",
            table(TUSHARE, (("600519.SH", f"{bar.at:%Y%m%d}", *bar[1:5], 1, bar.volume, 1) for bar in DAYS)),
            "600519.SH",
        ),
        (
            "x.csv",
            table(
                ("日期", "股票代码", "开盘", "收盘", "最高", "最低", "成交量"),
                ((bar.at, "600519", bar.open, bar.close, bar.high, bar.low, bar.volume) for bar in DAYS),
            ),
            "600519.SH",
        ),
        (
            "x.csv",
            table(
                ("日期", "股票代码", "开盘", "收盘", "最高", "最低"),
                ((bar.at, 1, bar.open, bar.close, bar.high, bar.low) for bar in DAYS),
            ),
            "000001.SZ",
        ),
    ],
    ids=["decimal comma", "German", "TradingView's exchange", "Tongdaxin", "tushare", "akshare", "akshare without zeros"],
)
def test_shares_of_other_exchanges_are_read(file: str, content: str | bytes, symbol: str, tmp_path: Path) -> None:
    """The symbol says its exchange, whose close is when the last row's is known: Xetra's 17:30, China's 15:00."""
    known = utc(2023, 11, 17, 16, 30) if symbol == "SAP.DE" else utc(2023, 11, 17, 7)
    assert read(tmp_path, {file: content}) == {symbol: (DAYS[-1].close, known)}


PAIRS = {
    "CryptoDataDownload": (
        "Binance_ETHUSDT_1h.csv",
        "https://www.example.org\n"
        + table(
            ("Unix", "Date", "Symbol", *OHLCV[:4], "Volume ETH", "Volume USDT", "tradecount"),
            ((seconds(b.at) * 1000, f"{b.at:%F %T}", "ETHUSDT", *b[1:], 5 * b.volume, 9) for b in reversed(COINS)),
        ),
        "ETH-USDT",
        COINS,
    ),
    "ccxt's two columns": (
        "ETH_USDT-1h.csv",
        table(("timestamp", "datetime", *OHLCV), ((seconds(b.at) * 1000, f"{b.at:%F %T}", *b[1:]) for b in COINS)),
        "ETH-USDT",
        COINS,
    ),
    "Kraken's archive": ("XBTUSD_60.csv", table((), ((seconds(b.at), *b[1:], 9) for b in COINS)), "BTC-USD", COINS),
    "an exchange's name": ("bybit_ETH_USDT_1h.csv", plain(COINS, stamp("%F %T")), "ETH-USDT", COINS),
    "TradingView's perpetual": ("BYBIT_ETHUSDT.P, 60.csv", plain(COINS, seconds), "ETH-USDT:USDT", COINS),
    "OKX's archive": (
        "candles.csv",
        table(
            ("instrument_name", *OHLCV[:4], "vol", "vol_ccy", "vol_quote", "open_time", "confirm"),
            (("ETH-USDT-SWAP", *b[1:], 1, 1, seconds(b.at) * 1000, 1) for b in COINS),
        ),
        "ETH-USDT:USDT",
        COINS,
    ),
    "Dukascopy": (
        "GBPUSD.csv",
        plain(HOURS, stamp("%d.%m.%Y %H:%M:%S.000"), ("Gmt time", *OHLCV)),
        "GBP-USD",
        HOURS,
    ),
    "MetaTrader's name": ("GBPUSD_H1.csv", plain(HOURS, stamp("%F %T")), "GBP-USD", HOURS),
    "no volume": ("USDCHF_1h.csv", table(("time", *OHLCV[:4]), ((f"{b.at:%F %T}", *b[1:5]) for b in HOURS)), "USD-CHF", HOURS),
    "an empty volume": (
        "EUR_USD Historical Data.csv",
        table(("Date", *OHLCV), ((f"{b.at:%F %T}", *b[1:5], "") for b in HOURS)),
        "EUR-USD",
        HOURS,
    ),
    "Hyperliquid": (
        "x.json",
        document(
            [
                {"T": seconds(b.at) * 1000 + 3_599_999, "t": seconds(b.at) * 1000, "s": "ETHUSDC", "i": "1h", "n": 4}
                | {name[0]: str(getattr(b, name)) for name in OHLCV}
                for b in COINS
            ]
        ),
        "ETH-USDC",
        COINS,
    ),
    "MetaStock, zeros lost": (
        "gbpusd.txt",
        table(
            [f"<{name}>" for name in ("TICKER", "DTYYYYMMDD", "TIME", *OHLCV[:4], "VOL")],
            (("GBPUSD", f"{b.at:%Y%m%d}", int(f"{b.at:%H%M}"), *b[1:]) for b in HOURS),
        ),
        "GBP-USD",
        HOURS,
    ),
    "no heading": ("ETHUSD_1hour_sample.txt", table((), ((f"{b.at:%F %T}", *b[1:]) for b in COINS)), "ETH-USD", COINS),
    "no heading, decimal comma": (
        "GBPUSD_1h.csv",
        table((), ((f"{b.at:%d.%m.%Y %H:%M}", *map(comma, b[1:5]), b.volume) for b in HOURS), ";"),
        "GBP-USD",
        HOURS,
    ),
    "compact moments": ("ETH-USD.csv", plain(COINS, stamp("%Y%m%d%H%M")), "ETH-USD", COINS),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_pairs_hours_are_read_whatever_wrote_them(name: str, tmp_path: Path) -> None:
    file, content, symbol, made = PAIRS[name]
    assert read(tmp_path, {file: content}) == {symbol: (made[-1].close, HOUR)}


@pytest.mark.parametrize(
    ("file", "symbol"),
    [
        ("BTC-PERP.csv", "BTC-USD:USD"), ("BTC-USDT-SWAP.csv", "BTC-USDT:USDT"), ("GBPUSD=X.csv", "GBP-USD"),
        ("NZDCAD_D1.csv", "NZD-CAD"), ("currency_daily_ETH_USD.csv", "ETH-USD"), ("BTC.csv", "BTC"),
        ("FOREXCOM_EURUSD, 1D.csv", "EUR-USD"),
    ],
)  # fmt: skip
def test_days_of_markets_that_never_close_end_at_midnight(file: str, symbol: str, tmp_path: Path) -> None:
    assert read(tmp_path, {file: plain(WEEK)}) == {symbol: (WEEK[-1].close, MIDNIGHT)}
