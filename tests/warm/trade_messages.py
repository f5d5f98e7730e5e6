"""Messages of trades as each venue sends them."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from app.domain.trades import Side


class Made(NamedTuple):
    """A trade to be written: price and size as text, the taker's side, and a number for its id."""

    time_us: int
    price: str
    size: str
    side: Side
    number: int


Write = Callable[[Sequence[Made]], bytes]


MAKER = {"buy": "sell", "sell": "buy"}


def iso(time_us: int, zone: str = "Z") -> str:
    """A time in ISO 8601."""
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{time_us % 1_000_000:06}{zone}"


def seconds(time_us: int, places: int = 6) -> str:
    """A time as seconds since 1970 with so many decimals."""
    return f"{time_us // 1_000_000}.{time_us % 1_000_000:06}"[: 11 + places]


def csv_lines(line: Callable[[Made], str], header: str = "") -> Write:
    """What writes a line a trade, maybe below a line of names."""

    def write(trades: Sequence[Made]) -> bytes:
        return "".join(f"{each}\n" for each in ([header] if header else []) + [line(each) for each in trades]).encode()

    return write


def json_lines(message: Callable[[Made], Any], *before: object) -> Write:
    """What writes a message a trade, behind some of other kinds."""
    return lambda trades: "".join(f"{as_json(each)}\n" for each in [*before, *map(message, trades)]).encode()


def json_document(message: Callable[[list[Any]], Any], trade: Callable[[Made], Any]) -> Write:
    """What writes all trades in one document, over several lines."""
    return lambda trades: as_json(message([trade(each) for each in trades]), indent=1).encode()


class Digits(float):
    """A number that JSON has with these digits."""

    def __new__(cls, text: str) -> Self:
        """Of a text."""
        found = super().__new__(cls, text)
        found.text = text
        return found

    text: str


def as_json(value: object, indent: int | None = None) -> str:
    """``value`` as JSON, `Digits` with theirs."""
    digits: list[str] = []

    def marked(each: object) -> object:
        if isinstance(each, Digits):
            digits.append(each.text)
            return f"@{len(digits) - 1}@"
        if isinstance(each, dict):
            return {key: marked(inner) for key, inner in each.items()}
        return [marked(inner) for inner in each] if isinstance(each, list) else each

    text = json.dumps(marked(value), indent=indent)
    for number, each in enumerate(digits):
        text = text.replace(f'"@{number}@"', each)
    return text


def match(each: Made, kind: str = "match") -> dict[str, Any]:
    """Coinbase's, whose side is the maker's."""
    orders = {"maker_order_id": "27fff20b", "taker_order_id": "1da6ce16", "sequence": 7}
    made = {"side": MAKER[each.side], "size": each.size, "price": each.price, "product_id": "BTC-USD", "time": iso(each.time_us)}
    return {"type": kind, "trade_id": each.number, **orders, **made}


def ticker(each: Made) -> dict[str, Any]:
    """Coinbase's, whose side is the taker's."""
    made = {"price": each.price, "side": each.side, "time": iso(each.time_us), "last_size": each.size}
    return {"type": "ticker", "sequence": 1, "product_id": "BTC-USD", "best_bid": "1", "trade_id": each.number, **made}


def market_trade(each: Made) -> dict[str, Any]:
    """A trade of Coinbase's Advanced Trade, whose side is the maker's."""
    made = {"price": each.price, "size": each.size, "time": iso(each.time_us), "side": MAKER[each.side].upper()}
    return {"product_id": "BTC-USD", "trade_id": str(each.number), **made}


def market_trades(each: Made) -> dict[str, Any]:
    """Its message."""
    event = {"type": "update", "trades": [market_trade(each)]}
    return {"channel": "market_trades", "timestamp": iso(each.time_us), "sequence_num": 0, "events": [event]}


def rest_match(each: Made) -> dict[str, Any]:
    """A trade of Coinbase Exchange's REST."""
    return {name: value for name, value in match(each).items() if name in ("time", "trade_id", "price", "size", "side")}


def kraken(each: Made) -> list[Any]:
    """A trade of Kraken's REST."""
    return [each.price, each.size, Digits(seconds(each.time_us) + "7"), each.side[0], "l", "", each.number]


def kraken_2_message(each: Made) -> dict[str, Any]:
    """Kraken's, version 2."""
    made = {"side": each.side, "price": Digits(each.price), "qty": Digits(each.size), "timestamp": iso(each.time_us)}
    return {
        "channel": "trade",
        "type": "update",
        "data": [{"symbol": "BTC/USD", "ord_type": "limit", "trade_id": each.number} | made],
    }


def bybit_message(each: Made) -> dict[str, Any]:
    """Bybit's, of a contract."""
    made = {
        "T": each.time_us // 1000,
        "S": each.side.title(),
        "v": each.size,
        "p": each.price,
        "i": f"{each.number}-ab",
        "BT": False,
    }
    return {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1, "data": [{"s": "BTCUSDT", "L": "PlusTick"} | made]}


def bybit_rest(each: Made) -> dict[str, Any]:
    """A trade of Bybit's REST."""
    made = {"price": each.price, "size": each.size, "side": each.side.title(), "time": str(each.time_us // 1000)}
    return {"execId": f"{each.number}-ab", "symbol": "BTCUSDT", "isBlockTrade": False} | made


def okx(each: Made) -> dict[str, Any]:
    """A trade of OKX's."""
    made = {"tradeId": str(each.number), "px": each.price, "sz": each.size, "side": each.side, "ts": str(each.time_us // 1000)}
    return {"instId": "BTC-USDT-SWAP"} | made


def okx_message(each: Made, **more: str) -> dict[str, Any]:
    """OKX's, with ``more`` in its trade."""
    return {"arg": {"channel": "trades", "instId": "BTC-USDT-SWAP"}, "data": [okx(each) | more]}


def binance_event(each: Made, event: str = "trade", *, spot: bool = True) -> dict[str, Any]:
    """Binance's, of spot or of futures."""
    made = {"s": "BTCUSDT", "p": each.price, "q": each.size, "T": each.time_us // 1000, "m": each.side == "sell"}
    return {"e": event, "E": 1, "a" if event == "aggTrade" else "t": each.number} | made | ({"M": True} if spot else {})


def binance_rest(each: Made) -> dict[str, Any]:
    """A trade of Binance's REST."""
    made = {
        "price": each.price,
        "qty": each.size,
        "quoteQty": "1",
        "time": each.time_us // 1000,
        "isBuyerMaker": each.side == "sell",
    }
    return {"id": each.number, "isBestMatch": True} | made


def binance_rest_aggregate(each: Made) -> dict[str, Any]:
    """An aggregate of Binance's REST."""
    made = {"p": each.price, "q": each.size, "f": 1, "l": 9, "T": each.time_us // 1000, "m": each.side == "sell", "M": True}
    return {"a": each.number} | made


def ccxt(each: Made) -> dict[str, Any]:
    """A trade of ccxt's."""
    made = {"side": each.side, "price": Digits(each.price), "amount": Digits(each.size), "id": str(each.number)}
    return {"timestamp": each.time_us // 1000, "datetime": iso(each.time_us), "symbol": "BTC/USD"} | made


def recorded(message: object) -> dict[str, Any]:
    """``message`` as cryptofeed records it."""
    return {"t": "recv", "conn": "COINBASE.ws.2", "ts": 1786309548.6, "data": json.dumps(message)}
