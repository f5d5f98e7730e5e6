"""What people and programs call the columns of a price table. Case, surrounding spaces and ``<>`` do not matter."""

from collections.abc import Sequence

from warm.bars.reading import BAR

REQUIRED = ("symbol", *BAR)
OPTIONAL = ("adj_close",)


def _by_alias(names: dict[str, Sequence[str]]) -> dict[str, str]:
    return {alias: own for own, aliases in names.items() for alias in aliases}


ALIASES = _by_alias({
    "symbol": (
        "ticker", "sym", "code", "instrument", "s", "tic", "ts_code", "instrument_name", "instid", "inst_id",
        "product_id", "stock_code", "股票代码", "证券代码", "代码", "合约代码", "交易对",
    ),
    "date": (
        "timestamp", "datetime", "time", "t", "window_start", "open_time", "open time", "unix", "unix timestamp",
        "dtyyyymmdd", "gmt time", "local time", "date/time", "date time", "date_time", "time (utc)", "date (utc)",
        "datetime (utc)", "timestamp (utc)", "utc time", "datetime_utc", "date_utc", "time_utc", "timestamp_utc",
        "trade_date", "trade date", "日期", "时间", "交易日期", "交易时间", "日期时间", "开盘时间", "datum", "fecha",
        "日付", "날짜",
    ),
    "open": (
        "o", "opening_price", "open price", "open_price", "openprice", "开盘", "开盘价", "eröffn.", "eröffnung",
        "apertura", "abertura", "ouverture", "ouv.", "px_open", "始値", "시가", "開盤", "開盤價",
    ),
    "high": (
        "h", "high price", "high_price", "highprice", "最高", "最高价", "hoch", "máximo", "máxima", "massimo", "plus haut",
        "px_high", "高値", "고가", "最高價",
    ),
    "low": (
        "l", "low price", "low_price", "lowprice", "最低", "最低价", "tief", "mínimo", "mínima", "minimo", "plus bas", "px_low",
        "安値", "저가", "最低價",
    ),
    "close": (
        "c", "close/last", "close price", "close_price", "closeprice", "收盘", "收盘价", "schluss", "schlusskurs",
        "cierre", "fechamento", "chiusura", "clôture", "px_last", "終値", "종가", "收盤", "收盤價",
    ),
    "volume": ("v", "vol", "vol.", "成交量", "volumen", "px_volume", "出来高", "거래량", "成交股數"),
    "adj_close": ("adj close", "adjclose", "adj. close", "adjusted close", "adjusted_close", "adjusted"),
})  # fmt: skip
"""Column names that mean one of ours: those of pandas, yfinance, Alpaca and Polygon (``t o h l c v``; ``n``, their trades, and
``vw``, their mean price, are passed over), stooq, Binance, Nasdaq, FinRL, tushare and akshare."""

WEAK = _by_alias({
    "symbol": ("name", "asset", "pair", "coin", "stock", "security", "名称"),
    "date": (
        "start", "start_time", "starttime", "start_at", "begins_at", "timeopen", "time_open", "opentime", "open_at",
        "data", "ts", "time_period_start", "period_start", "candle_date_time_utc", "bar_time", "candle_date_time", "day",
    ),
    "close": ("price", "trade_price", "last", "latest", "zuletzt", "último", "ultimo", "dernier", "最新价"),
    "volume": (
        "tickvol", "tick_volume", "tick volume", "real_volume", "volume btc", "volume eth", "volume_(btc)",
        "volume (btc)", "base_volume", "volume_base", "basevolume", "trade_volume", "total volume", "total_volume",
        "tottrdqty", "ttl_trd_qnty", "volumefrom", "shares traded", "candle_acc_trade_volume",
    ),
})  # fmt: skip
"""Names that mean one of ours only where no other column does: Investing's ``Price`` is a close, and a table of many shares may
call their symbols ``Name``."""

CHINESE = {"股票代码", "证券代码", "代码"}
"""Columns of China's numbers, which have six digits."""

UTC_NAMES = {name for name in (*ALIASES, *WEAK) if "utc" in name or "gmt" in name}
"""Columns of stamps whose name says their time zone."""

CLOCKS = {"time", "时间", "交易时间"}
"""Columns that are times of day beside one of dates."""

METATRADER = {"tickvol", "tick_volume"}
"""Columns that only MetaTrader writes."""

PERIODS = ("per", "interval", "timeframe", "bar_interval", "resolution")
"""Columns that name the interval of each row."""
