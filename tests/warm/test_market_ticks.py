"""The last trade of each symbol goes from the market store into L2."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from app.domain.records import KINDS, TICK
from app.domain.ticks import TickRecord
from app.domain.trades import Trade, trade_key
from app.market.protocol import Batch
from app.market.sqlite import EmbeddedWriter
from app.market.sqlite_reader import EmbeddedReader
from app.store.codec import decode
from app.store.opening import open_store
from warm.market.ticks import closed_ms, publish_ticks
from warm.publish import JobStore

_AT_US = 1_700_000_000_000_001
_NOW_MS = _AT_US // 1000 + 1


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def _trade(number: int, at_us: int, price: str, symbol: str = "BTC-USDT", size: str = "1") -> Trade:
    return Trade("kraken", symbol, trade_key(str(number)), at_us, Decimal(price), Decimal(size), str(number), "buy", "table")


def _open_store(folder: Path) -> JobStore:
    return open_store(redis_url="", store_path=folder / "store.sqlite3", key_prefix="decide")


def _ticks(folder: Path, *symbols: str) -> list[TickRecord | None]:
    async def read() -> list[TickRecord | None]:
        store = _open_store(folder)
        try:
            stored = await store.get_many(symbols)
        finally:
            await store.close()
        raws = [(each, found.records.get("tick")) for each, found in zip(symbols, stored, strict=True)]
        return [None if raw is None else decode(TICK, raw, each) for each, raw in raws]

    return asyncio.run(read())


def _publish(folder: Path, symbols: list[str] | None, *trades: Trade) -> int:
    path = folder / "market.sqlite3"
    writer = EmbeddedWriter(path)
    writer.apply(Batch(trades=trades))
    writer.close()
    return publish_ticks(lambda: EmbeddedReader(path, deadline_s=60.0), lambda: _open_store(folder), symbols, _NOW_MS)


def test_the_last_trade_comes_out_digit_for_digit_and_an_older_file_sets_none_back(tmp_path: Path) -> None:
    assert KINDS.places["tick"] >= 0
    last = _trade(2, _AT_US, "123456789.123456789", size="0.00000001")
    assert _publish(tmp_path, ["BTC-USDT"], _trade(1, _AT_US - 1, "5"), last, _trade(3, _AT_US + 1, "7", size="0")) == 1
    (tick,) = _ticks(tmp_path, "BTC-USDT")
    assert tick is not None
    assert (tick.price, tick.size, tick.time_us) == ("123456789.123456789", "0.00000001", _AT_US)
    assert (tick.currency, tick.venue, tick.coverage, tick.closed_ms) == ("USDT", "kraken", "partial", None)
    _publish(tmp_path, ["BTC-USDT"], _trade(4, _AT_US - 10**9, "1"))
    assert _ticks(tmp_path, "BTC-USDT") == [tick]


def test_a_trade_ahead_of_the_clock_is_not_the_last_one(tmp_path: Path) -> None:
    """No later one could take its place until then. A clock may be 300 s slow."""
    early, slow = _trade(1, _AT_US, "5"), _trade(2, (_NOW_MS + 300_000) * 1000, "6", "ETH-USDT")
    ahead = [_trade(3, (_NOW_MS + 300_000) * 1000 + 1, "7"), _trade(4, 4_000_000_000_000_000, "8", "SOL-USDT")]
    assert _publish(tmp_path, None, early, slow, *ahead) == 2
    assert [each and each.price for each in _ticks(tmp_path, "BTC-USDT", "ETH-USDT", "SOL-USDT")] == ["5", "6", None]


def test_of_all_symbols_those_have_ticks_that_have_trades(tmp_path: Path) -> None:
    many = [_trade(1, _AT_US, "5", f"C{number:03}-USD") for number in range(450)]
    assert _publish(tmp_path, None, *many) == 450
    assert all(_ticks(tmp_path, "C000-USD", "C449-USD"))
    assert _publish(tmp_path, ["C001-USD", "NONE-USD"]) == 1


@pytest.mark.parametrize(
    ("symbol", "at", "closed"),
    [
        ("AAPL", "2024-03-08T15:00:00", ("2024-03-08T21:00:00", "2024-03-11T13:30:00")),
        ("AAPL", "2024-03-08T21:00:00", ("2024-03-08T21:00:00", "2024-03-11T13:30:00")),
        ("AAPL", "2024-03-08T12:00:00", ("2024-03-07T21:00:00", "2024-03-08T14:30:00")),
        ("AAPL", "2024-03-10T12:00:00", ("2024-03-10T12:00:00", "2024-03-11T13:30:00")),
        ("AAPL", "2024-07-03T16:00:00", ("2024-07-03T17:00:00", "2024-07-05T13:30:00")),
        ("AAPL", "1990-03-09T23:00:00", ("1990-03-09T21:00:00", "1990-03-12T14:30:00")),
        ("7203.T", "2024-03-08T05:00:00", ("2024-03-08T06:00:00", "2024-03-11T00:00:00")),
        ("ES=F", "2024-03-07T15:00:00", ("2024-03-07T22:00:00", "2024-03-07T23:00:00")),
    ],
)
def test_a_trade_of_an_exchange_knows_when_that_is_closed_next(symbol: str, at: str, closed: tuple[str, str]) -> None:
    """By its calendar; after the last close, that is past already."""
    assert closed_ms(symbol, _ms(at)) == tuple(map(_ms, closed))


def test_a_pair_is_traded_at_any_time() -> None:
    assert closed_ms("BTC-USD", _ms("2024-03-09T00:00:00")) is None


def test_a_simulated_market_never_closes_whatever_its_symbols_are_called() -> None:
    assert closed_ms("AAPL", _ms("2024-03-08T20:59:30"), "simulated") is None
