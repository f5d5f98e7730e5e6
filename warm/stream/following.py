"""What the consumer knows of each symbol. All of it stands in the market store, and is read from there whenever that is easier
than to tell what a batch did; there is no other state.
"""

from collections.abc import Iterable, Sequence

from app.domain.candles import MINUTE_US
from app.domain.symbols import currency_of
from app.domain.ticks import TickCoverage, TickRecord, tick_of
from app.domain.trades import Trade
from app.market.following import Known, StreamWriter
from app.market.protocol import Applied, Heard
from warm.market.ticks import closed_ms
from warm.stream.ids import Ids, number_of

GAP_COUNTS_US = 60 * MINUTE_US
"""How long after a gap that nobody fills it is said of ticks."""


class Series:
    """A symbol at a venue: when it was heard last, and its ids, if they count by one."""

    __slots__ = ("at_us", "ids", "symbol", "venue")

    def __init__(self, heard: Heard) -> None:
        self.venue, self.symbol, self.at_us = heard.venue, heard.symbol, heard.at_us
        self.ids = Ids(number_of(heard.last_id), heard.last_us, heard.missing)

    def heard(self) -> Heard:
        """As it is stored."""
        ids = self.ids
        return Heard(self.venue, self.symbol, self.at_us, "" if ids.last is None else str(ids.last), ids.last_us, ids.missing)


class Followed:
    """A symbol: its last trade (None: none), the time of the newest message of any type that told of it, and its open gaps.
    ``ingested_us``: when the source had the first message of the batch that brought trades last; None after a start.
    """

    __slots__ = ("gaps", "ingested_us", "last", "newest_us", "symbol")

    def __init__(self, symbol: str, known: Known) -> None:
        self.symbol, self.last, self.gaps = symbol, known.last, known.gaps
        self.ingested_us: int | None = None
        last_us = 0 if known.last is None else known.last.time_us
        self.newest_us = max((each.at_us for each in known.heard), default=last_us)
        self.newest_us = max(self.newest_us, last_us)

    def take(self, trade: Trade) -> None:
        """A trade that is stored now, and was not."""
        last = self.last
        if trade.size and (
            last is None or trade.time_us > last.time_us or (trade.time_us == last.time_us and trade.order > last.order)
        ):
            self.last = trade

    def coverage(self) -> TickCoverage:
        """Of the time up to now."""
        if any(each.to_us > self.newest_us - GAP_COUNTS_US for each in self.gaps):
            return "gap"
        return "complete" if self.last is None or self.last.time_us == self.newest_us else "quiet"

    def tick(self, now_ms: int) -> TickRecord | None:
        """Its record; None without a trade."""
        last = self.last
        if last is None:
            return None
        return tick_of(
            last,
            as_of_us=self.newest_us,
            loaded_at_ms=now_ms,
            coverage=self.coverage(),
            currency=currency_of(self.symbol),
            closed_ms=closed_ms(self.symbol, last.time_us // 1000, last.venue),
            ingested_us=self.ingested_us,
        )


class State:
    """Of all symbols that were heard; ``writer`` is of the store that has it."""

    def __init__(self, writer: StreamWriter) -> None:
        self._writer = writer
        self.symbols: dict[str, Followed] = {}
        self.series: dict[tuple[str, str], Series] = {}
        self._learn(writer.known())

    def followed(self, symbol: str) -> Followed:
        """That one, read from the store where it was not heard yet."""
        if symbol not in self.symbols:
            self._learn(self._writer.known([symbol]))
        return self.symbols[symbol]

    def one_series(self, venue: str, symbol: str) -> Series | None:
        """That one; None if it was not heard yet."""
        self.followed(symbol)
        return self.series.get((venue, symbol))

    def take(self, trades: Sequence[Trade], applied: Applied, changed: Iterable[str]) -> None:
        """``trades`` were written, and of the ``changed`` symbols more than trades. Where not all were new and count, the store
        says what is so now.

        Whatever else is made of trades takes them here, too: new ones as they come, or all anew.
        """
        if applied.inserted < len(trades) or applied.cancelled:
            changed = {*changed, *(each.symbol for each in trades)}
        else:
            symbols = self.symbols
            for trade in trades:
                symbols[trade.symbol].take(trade)
        if changed:
            self._learn(self._writer.known(sorted(changed)))

    def _learn(self, known: dict[str, Known]) -> None:
        for symbol, each in known.items():
            self.symbols[symbol] = Followed(symbol, each)
            for heard in each.heard:
                self.series[heard.venue, symbol] = Series(heard)
