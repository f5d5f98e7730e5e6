"""A consumer with all that it is between: a log, a market store, L2."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from app.domain.records import TICK
from app.domain.ticks import TickRecord
from app.market.following import StreamWriter
from app.store.codec import decode
from app.store.sqlite import EmbeddedStore
from tests.market.places import NOON_US
from tests.market.places import Place as Market
from tests.stream.places import TOPIC
from warm.stream.consumer import Consumer, Places
from warm.stream.features import FEATURES, FeatureTopic
from warm.stream.log import Log, Outgoing
from warm.stream.messages import (
    PRICE_TOPIC,
    CancelMessage,
    Content,
    GapMessage,
    HeartbeatMessage,
    PriceMessage,
    TradeMessage,
    encode,
)
from warm.stream.metrics import ConsumerMeters
from warm.stream.prices import Prices, PriceStore
from warm.stream.sifting import Rules
from warm.stream.sqlite_log import EmbeddedLog
from warm.stream.ticks import Ticks

if TYPE_CHECKING:
    from warm.stream.spans import ConsumerSpans

SECOND_US = 1_000_000
RULES = Rules(5 * SECOND_US)
SYMBOL, VENUE = "BTC-USD", "coinbase"


def trade(number: int, second: float | None = None, *, symbol: str = SYMBOL, venue: str = VENUE, **fields: Any) -> TradeMessage:  # noqa: ANN401
    """The one of that id, so many seconds after noon (by default as many as its id)."""
    time_us = NOON_US + int((number if second is None else second) * SECOND_US)
    said: dict[str, Any] = {"price": Decimal(100 + number), "size": Decimal(1), "sequential": True, **fields}
    return TradeMessage(schema=1, symbol=symbol, time_us=time_us, venue=venue, trade_id=str(number), **said)


def cancel(number: int, second: float) -> CancelMessage:
    """Of the trade of that id."""
    return CancelMessage(schema=1, symbol=SYMBOL, time_us=NOON_US + int(second * SECOND_US), venue=VENUE, trade_id=str(number))


def heartbeat(second: float, last: int | None = None) -> HeartbeatMessage:
    """Of a source whose last trade had that id."""
    return HeartbeatMessage(
        schema=1, symbol=SYMBOL, time_us=NOON_US + int(second * SECOND_US), venue=VENUE,
        last_id="" if last is None else str(last), sequential=last is not None,
    )  # fmt: skip


def gap(first: float, last: float, *, filled: bool = False, second: float | None = None) -> GapMessage:
    """From the one second to the other, told at the end of it."""
    first_us, last_us = (NOON_US + int(each * SECOND_US) for each in (first, last))
    at_us = last_us if second is None else NOON_US + int(second * SECOND_US)
    return GapMessage(
        schema=1, symbol=SYMBOL, time_us=at_us, venue=VENUE, from_us=first_us, to_us=last_us, found_by="source", filled=filled
    )


def price(second: float, digits: str, provider: str = "yfinance", symbol: str = SYMBOL, currency: str = "USD") -> PriceMessage:
    """What a provider gave for so many seconds after noon."""
    time_us = NOON_US + int(second * SECOND_US)
    return PriceMessage(
        schema=1, symbol=symbol, time_us=time_us, provider=provider, price=Decimal(digits), currency=currency
    )  # fmt: skip


class _UntilRead(threading.Event):
    """Is set once all that the log has is used; not before the consumer had a turn."""

    def __init__(self, log: Log, writer: StreamWriter) -> None:
        super().__init__()
        self._log, self._writer, self._asked = log, writer, 0
        self._until = time.monotonic() + 60

    def is_set(self) -> bool:
        self._asked += 1
        marks, offsets = self._log.watermarks(TOPIC) | self._log.watermarks(PRICE_TOPIC), self._writer.offsets(self._log.name)
        assert time.monotonic() < self._until, "it does not come to the end"
        return self._asked > 2 and all(offsets.get(each, 0) == mark.high for each, mark in marks.items())


class Rig:
    """``market`` is a market store's place; L2 is in ``folder``, and so is the log with a clock of its own, unless ``open_log``
    opens another. Rows of features are published where there is a ``window_size``.
    """

    def __init__(
        self,
        market: Market,
        folder: Path,
        *,
        partitions: int = 1,
        open_log: Callable[[], Log] | None = None,
        window_size: int = 0,
    ) -> None:
        self.market, self.folder, self.window_size = market, folder, window_size
        self.now_us = NOON_US + 86_400 * SECOND_US
        self._open_log = open_log or (lambda: EmbeddedLog(folder / "log.sqlite3", clock_ms=lambda: self.now_us // 1000))
        self.log = self._open_log()
        self.log.create(TOPIC, partitions)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.meters = ConsumerMeters()

    def append(self, *contents: Content | bytes | None, topic: str = TOPIC, **headers: str) -> None:
        """One message each, by its symbol's key; prices into the topic of theirs."""
        said = tuple((name, value.encode()) for name, value in headers.items())
        messages: dict[str, list[Outgoing]] = {}
        for each in contents:
            is_raw = each is None or isinstance(each, bytes)
            key = SYMBOL if is_raw else each.symbol  # type: ignore[union-attr]
            value = each if is_raw else encode(each)  # type: ignore[arg-type]
            where = PRICE_TOPIC if isinstance(each, PriceMessage) else topic
            messages.setdefault(where, []).append(Outgoing(key.encode(), value, said))  # type: ignore[arg-type]
        if PRICE_TOPIC in messages:
            self.log.create(PRICE_TOPIC, 1)
        for where, some in messages.items():
            self.log.append(where, some)

    def consume(
        self,
        *,
        batch_max: int = 1_000,
        rules: Rules = RULES,
        log: Callable[[Log], Log] = lambda it: it,
        writer: Callable[[StreamWriter], StreamWriter] = lambda it: it,
        store: Callable[[PriceStore], PriceStore] = lambda it: it,
        stop: threading.Event | None = None,
        spans: "ConsumerSpans | None" = None,
    ) -> None:
        """A consumer that begins, uses all that there is, and ends. What it works on may be wrapped."""
        own_log, own_store = self._open_log(), self.store()
        own_writer = self.market.writer()
        ticks = (Ticks if spans is None else spans.ticks)(
            store(own_store), 0.0, self.meters, self._say, time.monotonic, self._now_us
        )
        prices = Prices(self.market.reader(), store(self.store()), self.meters, self._say, lambda: self.now_us)
        used_log, used_writer, features = log(own_log), writer(own_writer), None
        if self.window_size:
            features = FeatureTopic(used_log, TOPIC, used_writer, self.window_size, self.meters)
        places = Places(used_log, TOPIC, used_writer, ticks, prices, features)
        try:
            until = _UntilRead(own_log, own_writer) if stop is None else stop
            Consumer(places, rules, self.meters, self._say, until, batch_max=batch_max, spans=spans).run()
            prices.step()
        finally:
            prices.close()
            ticks.close(own_store.close)
            own_log.close()
            own_writer.close()

    def store(self) -> EmbeddedStore:
        """L2, once more."""
        return EmbeddedStore(self.folder / "store.sqlite3")

    def _now_us(self) -> int:
        return self.now_us

    def _say(self, event: str, **facts: Any) -> None:  # noqa: ANN401
        self.told.append((event, facts))

    def tick(self, symbol: str = SYMBOL) -> TickRecord | None:
        """What L2 has of a symbol's last trade; all of one load."""

        async def read() -> bytes | None:
            store = self.store()
            try:
                return await store.record(TICK.name, symbol)
            finally:
                await store.close()

        raw = asyncio.run(read())
        return None if raw is None else msgspec.structs.replace(decode(TICK, raw, symbol), loaded_at_ms=0, ingested_us=None)

    def ids(self) -> list[str]:
        """Of all trades that are stored and count, in their order."""
        rows = self.market.rows("SELECT trade_id FROM trades_in_full WHERE NOT cancelled ORDER BY symbol, venue, trade_key")
        return [each for (each,) in rows]

    def feature_rows(self) -> list[bytes]:
        """The values of all messages of that topic."""
        with closing(self.log.reader([FEATURES], lambda _: None)) as reader:
            return [each.value or b"" for some in iter(lambda: reader.poll(1_000, 0), []) for each in some]

    def open_gaps(self) -> list[tuple[Any, ...]]:
        """In seconds after noon: from when to when trades are lacking, spans that touch together."""
        found: list[list[Any]] = []
        statement = (
            "SELECT symbol, venue, from_us, to_us FROM gaps WHERE filled_us IS NULL AND found_by <> 'began' ORDER BY 1, 2, 3"
        )
        for symbol, venue, from_us, to_us in self.market.rows(statement):
            first, last = ((each - NOON_US) / SECOND_US for each in (from_us, to_us))
            if found and found[-1][:2] == [symbol, venue] and found[-1][3] == first:
                found[-1][3] = last
            else:
                found.append([symbol, venue, first, last])
        return [tuple(each) for each in found]

    def spans(self) -> list[tuple[float, float]]:
        """Of the one symbol."""
        return [(first, last) for _, _, first, last in self.open_gaps()]

    def counted(self, name: str) -> float:
        """What the consumers have counted together."""
        return self.meters.registry.get_sample_value(f"decide_stream_{name}") or 0.0

    def averages(self) -> Sequence[Any]:
        """Prices of providers and their averages, but for what tells of their arrival."""
        of = "symbol, provider, currency, time_us"
        prices = self.market.rows(f"SELECT {of}, price, told_us FROM prices ORDER BY {of}")  # noqa: S608 - ours
        averages = f"SELECT {of}, average, prices, first_us FROM averages ORDER BY {of}"  # noqa: S608 - as above
        return prices, self.market.rows(averages)

    def all(self, symbols: Iterable[str]) -> Sequence[Any]:
        """What must not depend on how it came: trades, bars, open gaps, ticks."""
        trades = self.market.rows(
            "SELECT symbol, venue, trade_key, time_us, price, size, cancelled FROM trades_in_full ORDER BY 1, 2, 3"
        )
        return trades, self.market.bars_of_trades(), self.open_gaps(), [self.tick(each) for each in symbols]

    def close(self) -> None:
        """The log."""
        self.log.close()
