"""Answers and archives of exchanges, written from bars: `at` (when one begins), open, high, low, close, volume."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

Bars = Sequence[Any]


def as_json(document: object) -> bytes:
    """``document``, encoded."""
    return json.dumps(document).encode()


def as_ms(at: datetime) -> int:
    """Milliseconds."""
    return round(at.timestamp() * 1000)


def headless_csv(made: Bars) -> bytes:
    """Kraken's archive: seconds, no line of names, trades at last."""
    return "".join(f"{as_ms(bar.at) // 1000},{','.join(map(str, bar[1:]))},9\n" for bar in made).encode()


def kraken_json(made: Bars) -> bytes:
    """Kraken's answer: a mean price before the volume."""
    rows = [[as_ms(bar.at) // 1000, *map(str, bar[1:5]), "100.0", str(bar.volume), 7] for bar in made]
    return as_json({"error": [], "result": {"XXBTZUSD": rows, "last": 1}})


def bybit_json(made: Bars) -> bytes:
    """Bybit's answer for a perpetual, newest first."""
    rows = [[str(as_ms(bar.at)), *map(str, bar[1:]), "1.0"] for bar in reversed(made)]
    return as_json({"retCode": 0, "result": {"category": "linear", "symbol": "XRPUSDT", "list": rows}})


def okx_json(made: Bars) -> bytes:
    """OKX's answer, newest first."""
    rows = [[str(as_ms(bar.at)), *map(str, bar[1:]), "1.0", "1.0", "1"] for bar in reversed(made)]
    return as_json({"code": "0", "msg": "", "data": rows})


def series_json(made: Bars) -> bytes:
    """Lists of stamps and prices, as Finnhub and charts have them."""
    names = ("t", "o", "h", "l", "c", "v")
    values = [[as_ms(bar.at) // 1000 for bar in made], *([bar[at] for bar in made] for at in range(1, 6))]
    return as_json(dict(zip(names, values, strict=True)) | {"s": "ok"})
