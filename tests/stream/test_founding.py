"""A simulated market: made once, whoever is killed in it, and gone on with from its last trades."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from app.domain.records import HISTORY, PRICE
from app.domain.trades import SIMULATED, Trade, trade_key
from app.domain.vector import DUE_BARS, PRICE_NAMES, HistoryRecord, PriceRecord
from app.market.following import StreamWriter
from app.market.protocol import Batch, CandlesWanted, Heard, Move, Symbol
from app.store.codec import decode
from app.store.sqlite import EmbeddedStore
from tests.kit.emptying import remove_file
from tests.kit.records import tick
from tests.market.conftest import make_place, make_postgres, place  # noqa: F401 - fixtures
from tests.market.places import DAY_US, MINUTE_US, NOON_US
from tests.market.places import Place as Market
from tests.stream.places import TOPIC
from tests.warm.loads import Killed
from warm.errors import InputRefused
from warm.stream.log import Outgoing
from warm.stream.messages import TradeMessage, encode
from warm.stream.sqlite_log import EmbeddedLog
from warm.stream.synthetic.founding import Market as Simulated
from warm.stream.synthetic.founding import found, last_in_log
from warm.stream.synthetic.process import SYMBOLS
from warm.stream.synthetic.random_walk import Walked
from warm.stream.synthetic.records import publish_prices

_TWO = ("AAPL", "TSLA")
_NOW_US = NOON_US + 34_567_890
_WRITES = ("apply", "put_bars", "put_symbols")


def _found(writer: StreamWriter, now_us: int = _NOW_US, *, symbols: Sequence[str] = _TWO, seed: int | None = 7) -> Simulated:
    return found(writer, {}, symbols=symbols, seed=seed, interval_us=3_000_000, now_us=now_us)


def _rows(place: Market) -> list[list[tuple[Any, ...]]]:  # noqa: F811 - that of a market
    """All that is stored, but for when it was written."""
    return [
        place.rows(f"SELECT {columns} FROM {table} ORDER BY 1, 2, 3")  # noqa: S608 - words of ours
        for table, columns in (
            ("symbols", "symbol, name, market, currency, price_scale, source"),
            ("candles", "symbol, interval, start_us, source, open, high, low, close, volume, notional, trades, revision"),
            ("offsets", "log, topic, topic_id, next"),
            ("heard", "venue, symbol, at_us, last_id, last_us, missing"),
            ("gaps", "venue, symbol, from_us, to_us, found_by"),
        )
    ]


def _trade(number: int, price: str, symbol: str = "AAPL", time_us: int = _NOW_US) -> TradeMessage:
    return TradeMessage(
        schema=1, symbol=symbol, time_us=time_us, venue=SIMULATED, trade_id=str(number), price=Decimal(price), size=Decimal(1),
        source=SIMULATED, sequential=True,
    )  # fmt: skip


def test_the_default_symbols_have_names_and_a_market_that_never_closes(place: Market) -> None:  # noqa: F811 - the fixture
    made = found(place.writer(), {}, symbols=[*SYMBOLS], seed=None, interval_us=3_000_000, now_us=_NOW_US)
    assert place.rows("SELECT symbol, name, market, currency, source FROM symbols ORDER BY symbol") == [
        ("AAPL", "Apple", "simulated", "USD", "simulated"), ("AMZN", "Amazon", "simulated", "USD", "simulated"),
        ("GOOGL", "Alphabet", "simulated", "USD", "simulated"), ("MSFT", "Microsoft", "simulated", "USD", "simulated"),
        ("TSLA", "Tesla", "simulated", "USD", "simulated"),
    ]  # fmt: skip
    counted = place.rows("SELECT interval, source, count(*) FROM candles GROUP BY interval, source ORDER BY interval")
    assert counted == [("1d", "simulated", 5 * 150), ("1m", "simulated", 5 * 1440)]
    assert made.states.keys() == SYMBOLS.keys()
    assert made.last_us == NOON_US - 1


class _Mortal:
    """A writer whose process is killed at its ``last`` write, ``before`` that is done or after."""

    def __init__(self, writer: StreamWriter, last: int, *, before: bool) -> None:
        self._writer, self._left, self._before = writer, last, before

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of what it wraps
        of_writer = getattr(self._writer, name)
        if name not in _WRITES:
            return of_writer

        def write(*given: Any) -> Any:  # noqa: ANN401 - as above
            self._left -= 1
            if self._left < 0 and self._before:
                raise Killed
            done = of_writer(*given)
            if self._left < 0:
                raise Killed
            return done

        return write


@pytest.mark.parametrize("before", [True, False])
def test_killed_at_any_write_it_makes_each_symbol_and_its_past_once(make_place: Callable[[], Market], before: bool) -> None:  # noqa: F811, FBT001 - as above
    whole = make_place()
    made, expected = _found(whole.writer(), symbols=["AAPL"]), _rows(whole)
    whole.close()
    killed, writes = True, 0
    while killed:
        store = make_place()
        writer: Any = _Mortal(store.writer(), writes, before=before)
        try:
            _found(writer, symbols=["AAPL"])
            killed = False
        except Killed:
            pass
        # By then the minute in which it began is chosen.
        is_late = writes > 2
        again = _found(store.writer(), _NOW_US + (60 * MINUTE_US if is_late else 0), symbols=["AAPL"])
        assert again.states == made.states
        assert _rows(store) == expected
        store.close()
        writes += 1
    assert writes == 7


def test_a_market_is_gone_on_with_by_its_own_seed_or_none(place: Market) -> None:  # noqa: F811 - as above
    made = _found(place.writer())
    before = _rows(place)
    assert _found(place.writer(), _NOW_US + DAY_US, seed=None).states == made.states
    with pytest.raises(InputRefused, match="--seed is 8, and this simulated market began with 7; allowed: 7, or none"):
        _found(place.writer(), seed=8)
    assert _rows(place) == before


def test_a_real_symbol_does_not_become_a_simulated_one(place: Market) -> None:  # noqa: F811 - as above
    place.writer().put_symbols([Symbol("TSLA", market="XNYS", source="table")])
    with pytest.raises(InputRefused, match="TSLA is real in this market store"):
        _found(place.writer())
    assert place.rows("SELECT count(*) FROM candles") == [(0,)]


def test_prices_go_on_from_the_last_trade_that_was_stored(place: Market) -> None:  # noqa: F811 - as above
    _found(place.writer())
    stored = [_stored(30_000, "55.5"), _stored(30_001, "56.78")]
    place.writer().apply(Batch(stored))
    made = _found(place.writer(), _NOW_US + DAY_US)
    assert made.states["AAPL"] == Walked(5678, 30_001)
    assert made.states["TSLA"].step > 28_000
    assert made.last_us == stored[-1].time_us


def test_prices_go_on_from_the_last_trade_in_the_log_that_nobody_used_yet(place: Market, tmp_path: Path) -> None:  # noqa: F811 - as above
    _found(place.writer())
    with closing(EmbeddedLog(tmp_path / "log.sqlite3")) as log:
        log.create(TOPIC, 3)
        trades = [_trade(number, f"{number}.5", symbol) for number in range(1, 7) for symbol in (*_TWO, "MSFT")]
        foreign = replace(_trade(99, "1"), venue="nasdaq")
        _append(log, trades, [encode(foreign), b"no message", encode(replace(_trade(98, "1"), trade_id="x"))])
        writer = place.writer()
        found_in = last_in_log(log, TOPIC, writer, _TWO)
        assert {symbol: each.trade_id for symbol, each in found_in.items()} == {"AAPL": "6", "TSLA": "6"}
        made = found(writer, found_in, symbols=_TWO, seed=None, interval_us=3_000_000, now_us=_NOW_US)
        assert made.states == {"AAPL": Walked(650, 6), "TSLA": Walked(650, 6)}
        # What the consumer used stands in the market store.
        writer.apply(Batch(moves=[Move(each, None, mark.high) for each, mark in log.watermarks(TOPIC).items()]))
        assert last_in_log(log, TOPIC, writer, _TWO) == {}
        for each, mark in log.watermarks(TOPIC).items():
            writer.apply(Batch(moves=[Move(each, mark.high, mark.high + 5)]))
        # A log that lost its newest messages is read from its beginning.
        assert last_in_log(log, TOPIC, writer, _TWO).keys() == {*_TWO}
        assert last_in_log(log, "another", writer, _TWO) == {}


def test_the_day_in_which_it_began_lacks_nothing(place: Market) -> None:  # noqa: F811 - as above
    """Else it would be partial, and whoever carries price records on would end before it."""
    made = _found(place.writer())
    first = made.states["AAPL"].step + 1
    trades = [_stored(first, "55.5"), _stored(first + 1, "56.78")]
    place.writer().apply(Batch(trades, heard=[Heard(SIMULATED, "AAPL", _NOW_US + DAY_US, str(first + 1), _NOW_US)]))
    page = place.read(lambda reader: reader.candles(CandlesWanted("AAPL", "1d", 2, descending=True)))
    assert [(each.coverage, each.close) for each in page.bars[:1]] == [("complete", Decimal("56.78"))]
    assert page.gaps == ()
    (heard,) = place.writer().known(["TSLA"])["TSLA"].heard
    assert (heard.at_us, heard.last_id) == (NOON_US, str(made.states["TSLA"].step))


def test_price_records_follow_from_the_days_that_are_over(tmp_path: Path) -> None:
    market = Market(tmp_path / "market.sqlite3")
    _found(market.writer())
    assert _published(market, tmp_path) == len(_TWO)
    price, history = _records(tmp_path)
    assert (price.as_of_ms, price.interval_s, price.run) == (NOON_US // DAY_US * DAY_US // 1000, 86_400, SIMULATED)
    assert None not in dict(zip(PRICE_NAMES, price.values, strict=True)).values()
    assert price.due_ms == tuple(price.as_of_ms + days * DAY_US // 1000 for days in range(1, DUE_BARS + 1))
    assert (len(history.closes), history.closes[-1]) == (120, dict(zip(PRICE_NAMES, price.values, strict=True))["close"])
    # After a restart the same records stand there; a day later those of the day that is over by then.
    assert _published(market, tmp_path) == len(_TWO)
    market.writer().apply(Batch([_stored(30_000, "55.5")]))
    assert _published(market, tmp_path, _NOW_US + DAY_US) == len(_TWO)
    later, _ = _records(tmp_path)
    assert later.as_of_ms == price.as_of_ms + DAY_US // 1000
    assert dict(zip(PRICE_NAMES, later.values, strict=True))["close"] == 55.5
    market.close()


def test_of_price_records_those_that_l2_lacks_can_be_made_alone(tmp_path: Path) -> None:
    """It may have been emptied, and know nothing, or no more than what a stream wrote since."""
    market = Market(tmp_path / "market.sqlite3")
    _found(market.writer())
    assert _published(market, tmp_path, lacking=True) == len(_TWO)
    assert _published(market, tmp_path, lacking=True) == 0
    made = _records(tmp_path)
    remove_file(tmp_path / "store.sqlite3")

    async def upsert() -> None:
        store = EmbeddedStore(tmp_path / "store.sqlite3")
        await store.upsert([tick("AAPL")])
        await store.close()

    asyncio.run(upsert())
    assert _published(market, tmp_path, lacking=True) == len(_TWO)
    assert _records(tmp_path) == made
    market.close()


def _stored(number: int, price: str) -> Trade:
    key = trade_key(str(number))
    return Trade(SIMULATED, "AAPL", key, _NOW_US + number, Decimal(price), Decimal(1), str(number), "buy", SIMULATED)


def _published(market: Market, folder: Path, now_us: int = _NOW_US, *, lacking: bool = False) -> int:
    return publish_prices(market.reader, lambda: EmbeddedStore(folder / "store.sqlite3"), _TWO, now_us, lacking=lacking)


def _records(folder: Path) -> tuple[PriceRecord, HistoryRecord]:
    async def read() -> list[bytes | None]:
        store = EmbeddedStore(folder / "store.sqlite3")
        try:
            return [await store.record(kind.name, "AAPL") for kind in (PRICE, HISTORY)]
        finally:
            await store.close()

    price, history = asyncio.run(read())
    assert price is not None
    assert history is not None
    return decode(PRICE, price, "AAPL"), decode(HISTORY, history, "AAPL")


def _append(log: EmbeddedLog, trades: Sequence[TradeMessage], others: Sequence[bytes]) -> None:
    log.append(TOPIC, [Outgoing(each.symbol.encode(), encode(each)) for each in trades])
    log.append(TOPIC, [Outgoing(b"AAPL", each) for each in others])
