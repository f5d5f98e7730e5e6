"""Files of trades as each venue and tool writes them."""

import json
from typing import NamedTuple

from app.domain.prices import exact, plain
from tests.warm.trade_messages import (
    Made,
    Write,
    as_json,
    binance_event,
    binance_rest,
    binance_rest_aggregate,
    bybit_message,
    bybit_rest,
    ccxt,
    csv_lines,
    iso,
    json_document,
    json_lines,
    kraken,
    kraken_2_message,
    market_trade,
    market_trades,
    match,
    okx,
    okx_message,
    recorded,
    rest_match,
    seconds,
    ticker,
)
from tests.warm.trade_tables import arrow, parquet


class Shape(NamedTuple):
    """A shape of a file: its name, what writes trades as such, what they are then: venue, symbol and source, the µs that its
    times are cut to, whether it says ids and sides, whether its keys are those of aggregates, whether it has prices times 10,000,
    how many lines stand before the trades (None: not each line is one), and whether it is text.
    """

    file: str
    write: Write
    venue: str
    symbol: str
    source: str
    unit_us: int = 1
    ids: bool = True
    sides: bool = True
    aggregate: bool = False
    scaled: bool = False
    header: int | None = 0
    text: bool = True


MIDNIGHT_US = 1_381_118_400_000_000
"""2013-10-07 in New York."""
DAY_US = 86_400_000_000


def _ms(each: Made) -> int:
    return each.time_us // 1000


def _lean(each: Made) -> str:
    price = plain(exact(each.price) * 10_000)
    return f"{seconds_of_day(each)},{price},{each.size},NASDAQ,00000001,0"


def seconds_of_day(each: Made) -> str:
    """Milliseconds since midnight in New York, with three decimals."""
    since = (each.time_us - MIDNIGHT_US) % DAY_US
    return f"{since // 1000}.{since % 1000:03}"


_TARDIS = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"
_BYBIT = "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"
_SUBSCRIBED = {"type": "subscriptions", "channels": [{"name": "matches", "product_ids": ["BTC-USD"]}]}
_PERP, _SPOT = "BTC-USDT:USDT", "BTC-USDT"

SHAPES: dict[str, Shape] = {
    "tardis": Shape(
        "trades.csv",
        csv_lines(lambda t: f"binance-futures,BTCUSDT,{t.time_us},1,{t.number},{t.side},{t.price},{t.size}", _TARDIS),
        "binance",
        _PERP,
        "tardis",
        header=1,
    ),
    "tardis without ids": Shape(
        "trades.csv",
        csv_lines(lambda t: f"kraken,XBT/USD,{t.time_us},1,,{t.side},{t.price},{t.size}", _TARDIS),
        "kraken",
        "BTC-USD",
        "tardis",
        ids=False,
        header=1,
    ),
    "Lean's equities": Shape(
        "usa/tick/ibm/20131007_ibm_Trade_Tick.csv",
        csv_lines(_lean),
        "nasdaq",
        "IBM",
        "lean",
        ids=False,
        sides=False,
        scaled=True,
    ),
    "Lean's crypto": Shape(
        "crypto/gdax/tick/btcusd/20131007_btcusd_tick_trade.csv",
        csv_lines(lambda t: f"{t.time_us % DAY_US // 1000},{t.price},{t.size}"),
        "coinbase",
        "BTC-USD",
        "lean",
        1000,
        ids=False,
        sides=False,
    ),
    "Binance's spot trades": Shape(
        "BTCUSDT-trades-2025-01-01.csv",
        csv_lines(lambda t: f"{t.number},{t.price},{t.size},1.0,{t.time_us},{t.side == 'sell'},True"),
        "binance",
        _SPOT,
        "binance",
    ),
    "Binance's spot trades with names": Shape(
        "BTCUSDT-trades-2024-01.csv",
        csv_lines(
            lambda t: f"{t.number},{t.price},{t.size},1.0,{_ms(t)},{str(t.side == 'sell').lower()},true",
            "id,price,qty,quote_qty,time,is_buyer_maker,is_best_match",
        ),
        "binance",
        _SPOT,
        "binance",
        1000,
        header=1,
    ),
    "Binance's futures trades": Shape(
        "BTCUSDT-trades-2024-01.csv",
        csv_lines(
            lambda t: f"{t.number},{t.price},{t.size},1.0,{_ms(t)},{str(t.side == 'sell').lower()}",
            "id,price,qty,quote_qty,time,is_buyer_maker",
        ),
        "binance",
        _PERP,
        "binance",
        1000,
        header=1,
    ),
    "Binance's futures trades without names": Shape(
        "BTCUSD_PERP-trades-2022-01.csv",
        csv_lines(lambda t: f"{t.number},{t.price},{t.size},1.0,{_ms(t)},{str(t.side == 'sell').lower()}"),
        "binance",
        "BTC-USD:BTC",
        "binance",
        1000,
    ),
    "Binance's spot aggTrades": Shape(
        "BTCUSDT-aggTrades-2025-01-01.csv",
        csv_lines(lambda t: f"{t.number},{t.price},{t.size},1,9,{t.time_us},{t.side == 'sell'},True"),
        "binance",
        _SPOT,
        "binance",
        aggregate=True,
    ),
    "Binance's futures aggTrades": Shape(
        "BTCUSDT-aggTrades-2024-01-01.csv",
        csv_lines(
            lambda t: f"{t.number},{t.price},{t.size},1,9,{_ms(t)},{str(t.side == 'sell').lower()}",
            "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker",
        ),
        "binance",
        _PERP,
        "binance",
        1000,
        aggregate=True,
        header=1,
    ),
    "Binance's WebSocket": Shape(
        "ws.jsonl", json_lines(binance_event, {"result": None, "id": 1}), "binance", _SPOT, "binance", 1000, header=1
    ),
    "Binance's combined streams of futures": Shape(
        "ws.jsonl",
        json_lines(lambda t: {"stream": "btcusdt@aggTrade", "data": binance_event(t, "aggTrade", spot=False)}),
        "binance",
        _PERP,
        "binance",
        1000,
        aggregate=True,
    ),
    "Binance's REST": Shape("BTCUSDT.json", json_document(list, binance_rest), "binance", _SPOT, "binance", 1000, header=None),
    "Binance's aggregates by REST": Shape(
        "BTCUSDT.json",
        json_document(list, binance_rest_aggregate),
        "binance",
        _SPOT,
        "binance",
        1000,
        aggregate=True,
        header=None,
    ),
    "Coinbase's matches": Shape(
        "feed.ndjson",
        json_lines(match, _SUBSCRIBED, {"type": "heartbeat", "product_id": "BTC-USD"}),
        "coinbase",
        "BTC-USD",
        "coinbase",
        header=2,
    ),
    "Coinbase's last match": Shape(
        "feed.ndjson", json_lines(lambda t: match(t, "last_match")), "coinbase", "BTC-USD", "coinbase"
    ),
    "Coinbase's tickers": Shape("feed.ndjson", json_lines(ticker, _SUBSCRIBED), "coinbase", "BTC-USD", "coinbase", header=1),
    "Coinbase's tickers, recorded": Shape(
        "raw.ndjson",
        json_lines(lambda t: {"ts": 1762932011.6, "pair": "BTC-USD", "raw": json.dumps(ticker(t))}),
        "coinbase",
        "BTC-USD",
        "coinbase",
    ),
    "Coinbase's REST": Shape("BTC-USD.json", json_document(list, rest_match), "coinbase", "BTC-USD", "coinbase", header=None),
    "Coinbase's market trades": Shape("feed.jsonl", json_lines(market_trades), "coinbase", "BTC-USD", "coinbase"),
    "Coinbase's market trades by REST": Shape(
        "answer.json",
        json_document(lambda all_: {"trades": all_, "best_bid": "1", "best_ask": "2"}, market_trade),
        "coinbase",
        "BTC-USD",
        "coinbase",
        header=None,
    ),
    "cryptofeed's recording": Shape(
        "COINBASE.jsonl",
        json_lines(lambda t: recorded(market_trades(t)), {"t": "header", "format": 2, "exchange": "COINBASE"}),
        "coinbase",
        "BTC-USD",
        "coinbase",
        header=1,
    ),
    "cryptofeed's older recording": Shape(
        "COINBASE.jsonl",
        lambda trades: (
            b"configuration: {}\nwss://ws-feed <-> 1.5\n"
            + b"".join(b"1618677810.24: " + as_json(match(t)).encode() + b"\n" for t in trades)
        ),
        "coinbase",
        "BTC-USD",
        "coinbase",
        header=2,
    ),
    "Kraken's archive": Shape(
        "XBTUSD.csv",
        csv_lines(lambda t: f"{seconds(t.time_us)},{t.price},{t.size}"),
        "kraken",
        "BTC-USD",
        "kraken",
        ids=False,
        sides=False,
    ),
    "Kraken's archive, the time last": Shape(
        "XBTUSD.csv",
        csv_lines(lambda t: f"{t.price},{t.size},{seconds(t.time_us)}"),
        "kraken",
        "BTC-USD",
        "kraken",
        ids=False,
        sides=False,
    ),
    "Kraken's REST": Shape(
        "answer.json",
        json_document(lambda all_: {"error": [], "result": {"XXBTZUSD": all_, "last": "1"}}, kraken),
        "kraken",
        "BTC-USD",
        "kraken",
        header=None,
    ),
    "Kraken's WebSocket 1": Shape(
        "ws.jsonl",
        json_lines(
            lambda t: [0, [[t.price, t.size, seconds(t.time_us), t.side[0], "l", ""]], "trade", "XBT/USD"], {"event": "heartbeat"}
        ),
        "kraken",
        "BTC-USD",
        "kraken",
        ids=False,
        header=1,
    ),
    "Kraken's WebSocket 2": Shape(
        "ws.jsonl", json_lines(kraken_2_message, {"channel": "heartbeat"}), "kraken", "BTC-USD", "kraken", header=1
    ),
    "Bybit's archive of contracts": Shape(
        "BTCUSDT2024-01-01.csv",
        csv_lines(
            lambda t: f"{seconds(t.time_us, 4)},BTCUSDT,{t.side.title()},{t.size},{t.price},PlusTick,{t.number}-ab,1e+11,0.1,2",
            _BYBIT,
        ),
        "bybit",
        _PERP,
        "bybit",
        100,
        header=1,
    ),
    "Bybit's archive of spot": Shape(
        "BTCUSDT_2022-11-10.csv",
        csv_lines(lambda t: f"1,{_ms(t)},{t.price},{t.size},{t.side}", "id,timestamp,price,volume,side"),
        "bybit",
        _SPOT,
        "bybit",
        1000,
        ids=False,
        header=1,
    ),
    "Bybit's WebSocket": Shape(
        "ws.jsonl", json_lines(bybit_message, {"success": True, "op": "subscribe"}), "bybit", _PERP, "bybit", 1000, header=1
    ),
    "Bybit's REST": Shape(
        "answer.json",
        json_document(lambda all_: {"retCode": 0, "result": {"category": "linear", "list": all_}}, bybit_rest),
        "bybit",
        _PERP,
        "bybit",
        1000,
        header=None,
    ),
    "OKX's archive": Shape(
        "BTC-USDT-SWAP-trades-2024-01-01.csv",
        csv_lines(
            lambda t: f"BTC-USDT-SWAP,{t.number},{t.side},{t.price},{t.size},{_ms(t)},0",
            "instrument_name,trade_id,side,price,size,created_time,source",
        ),
        "okx",
        _PERP,
        "okx",
        1000,
        header=1,
    ),
    "OKX's older archive": Shape(
        "BTC-USDT-SWAP-trades-2022-01-01.csv",
        lambda trades: (
            csv_lines(
                lambda t: f"{t.number},{t.side.upper()},{t.size},{t.price},{_ms(t)}",
                "trade_id/交易id,side/方向,size/数量,price/价格,created_time/成交时间",
            )(trades)
            .decode()
            .encode("gb18030")
        ),
        "okx",
        _PERP,
        "okx",
        1000,
        header=1,
    ),
    "OKX's WebSocket": Shape("ws.jsonl", json_lines(okx_message, {"event": "subscribe"}), "okx", _PERP, "okx", 1000, header=1),
    "OKX's REST": Shape(
        "answer.json",
        json_document(lambda all_: {"code": "0", "msg": "", "data": all_}, okx),
        "okx",
        _PERP,
        "okx",
        1000,
        header=None,
    ),
    "plain table": Shape(
        "mine.csv",
        csv_lines(
            lambda t: f"{iso(t.time_us)},Coinbase,btc_usd,{t.price},{t.size},{t.side[0].upper()},{t.number}",
            "Trade Time,Exchange,Symbol,Price,Quantity,Taker Side,Trade ID",
        ),
        "coinbase",
        "BTC-USD",
        "table",
        header=1,
    ),
    "plain table with semicolons, quotes and nanoseconds": Shape(
        "kraken/btc-usd.csv",
        csv_lines(lambda t: f'"{t.time_us}789";"{t.price}";"{t.size}"', "ts;px;sz;"[:-1]),
        "kraken",
        "BTC-USD",
        "table",
        ids=False,
        sides=False,
        header=1,
    ),
    "plain objects": Shape("objects.jsonl", json_lines(ccxt), "unknown", "BTC-USD", "table", 1000),
    "Parquet": Shape("trades.parquet", parquet, "coinbase", "BTC-USD", "table", text=False, header=None),
    "Arrow": Shape("trades.arrow", arrow, "coinbase", "BTC-USD", "table", text=False, header=None),
}
"""By name."""
