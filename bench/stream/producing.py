"""Trades into a log: ``python -m bench.stream.producing LOG SYMBOLS COUNT [RATE]`` writes so many, at once or so many a second.

Trade number n costs 100 + n / 1,000,000, so a price tells which trade it was; ids are numbers too. Of those that are written at a
rate each is appended when it is due, as a source does; else 5,000 at once.
"""

import sys
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from warm.stream.log import Log, Outgoing
from warm.stream.messages import Told, TradeMessage, encode, headers_of
from warm.stream.sqlite_log import EmbeddedLog

__all__ = ["TOPIC", "create", "number_of", "price_of", "produce", "produce_at", "symbols_of", "trade"]

SOURCE = "bench"
TOPIC, PARTITIONS = "decide.trades", 1
_AT_ONCE = 5_000
_FIRST, _STEP = Decimal(100), Decimal("0.000001")


def symbols_of(count: int) -> list[str]:
    """So many names, of a market that never closes."""
    return [f"B{number:04d}-USD" for number in range(count)]


def price_of(number: int) -> Decimal:
    """Of the trade of that number, below 100 million."""
    return _FIRST + number * _STEP


def number_of(price: str | float | Decimal) -> int:
    """Of the trade that cost so much."""
    return round((Decimal(str(price)) - _FIRST) / _STEP)


def trade(symbol: str, number: int, time_us: int) -> Outgoing:
    """As a source writes it."""
    message = TradeMessage(
        schema=1, symbol=symbol, time_us=time_us, venue=SOURCE, trade_id=str(number), price=price_of(number), size=Decimal(1),
        side="buy", source=SOURCE,
    )  # fmt: skip
    return Outgoing(symbol.encode(), encode(message), headers_of(Told(event_us=time_us, ingest_us=time_us, source=SOURCE)))


def create(path: Path) -> EmbeddedLog:
    """The log with its topic."""
    log = EmbeddedLog(path)
    log.create(TOPIC, PARTITIONS)
    return log


def produce(log: Log, symbols: Sequence[str], first: int, count: int) -> None:
    """Trades from number ``first`` on, a tenth of a millisecond apart and up to now, each symbol in its turn."""
    began_us = time.time_ns() // 1000 - count * 100
    for start in range(first, first + count, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, first + count))
        log.append(TOPIC, [trade(symbols[each % len(symbols)], each, began_us + (each - first) * 100) for each in numbers])


def produce_at(log: Log, symbols: Sequence[str], count: int, rate_per_s: float, first: int = 0) -> None:
    """Each when it is due; those that are due together are appended together."""
    began, done = time.perf_counter(), 0
    while done < count:
        due = min(count, int((time.perf_counter() - began) * rate_per_s) + 1)
        if due > done:
            now_us = time.time_ns() // 1000
            log.append(TOPIC, [trade(symbols[each % len(symbols)], first + each, now_us) for each in range(done, due)])
            done = due
        time.sleep(max(0.0, began + done / rate_per_s - time.perf_counter()))


def main(path: str, symbols: str, count: str, rate_per_s: str = "", first: str = "0") -> None:
    """Entry point."""
    log = create(Path(path))
    if rate_per_s:
        produce_at(log, symbols_of(int(symbols)), int(count), float(rate_per_s), int(first))
    else:
        produce(log, symbols_of(int(symbols)), int(first), int(count))
    log.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
