"""Rows of features on their way from the consumer to a topic of their own, each once nothing is waited for any more.

A row is of a symbol and a second: the state of its market after that second's last trade. It is published once its partition
brought a message `LATE_S` past that second. Trades that come later change no row that was published.

Rows are appended within the transaction that writes what they are made of, before its end. So of what is written all rows are
published, and how far that is, the times say at which symbols were heard last: there is nothing else to be remembered. Killed
between append and end, the next consumer makes the same rows of the same messages, byte for byte, and appends them once more.

For that a row must not depend on how messages were read together. So what changes the past (a late message, a cancel, a gap) is
told of together only with messages before which no row was released (`FeatureTopic.takes`).
"""

from collections.abc import Iterable, Sequence
from functools import partial

import msgspec

from app.domain.candles import SECOND_US
from app.domain.feature_rows import FeatureRows, Windowed
from app.domain.features import HOUR_US, Features
from app.domain.trades import Trade
from app.market.following import StreamWriter
from app.market.protocol import Applied, Batch, Partition
from app.market.windows import Moment
from warm.stream.following import State
from warm.stream.log import MESSAGES_MAX, Log, Outgoing, partition_of
from warm.stream.messages import SCHEMA, Content, HeartbeatMessage, Told, TradeMessage, headers_of
from warm.stream.metrics import ConsumerMeters
from warm.stream.sifting import LATE_US, Sifted

FEATURES = "decide.features"
LATE_S = LATE_US // SECOND_US
_RETENTION_MS = 7 * 86_400_000
_AT_ONCE = 50
"""Symbols that are read in one transaction, so that nobody waits for long to write."""
_IN_ORDER = TradeMessage, HeartbeatMessage
"""What changes nothing that was before it, unless it is late."""
_BEGIN = f'{{"schema":{SCHEMA},"type":"features",'.encode()
_encode = msgspec.json.Encoder().encode


class _Clock:
    """Of a partition: the second of its newest message, and its rows. ``has_moved``: in this batch, so that rows are released.
    ``anew``: symbols that may have trades that wait, since before the start.
    """

    __slots__ = ("anew", "has_moved", "newest_s", "rows")

    def __init__(self, newest_s: int, size: int) -> None:
        self.newest_s, self.rows = newest_s, FeatureRows(Windowed(size), newest_s - LATE_S)
        self.has_moved, self.anew = False, set[str]()


class FeatureTopic:
    """The rows of what a consumer reads of ``topic``, whose messages are keyed by their symbols. ``size`` is `WINDOW_SIZE`."""

    def __init__(self, log: Log, topic: str, writer: StreamWriter, size: int, meters: ConsumerMeters) -> None:
        self._log, self._topic, self._writer, self._size, self._meters = log, topic, writer, size, meters
        self._clocks: dict[int, _Clock] = {}
        self._of: dict[str, _Clock] = {}
        self._gaps: dict[str, list[tuple[int, int]]] = {}
        self._calendar = 0

    def begin(self, state: State) -> None:
        """Know nothing but what stands in the store, as ``state`` has it."""
        partitions = max(1, len(self._log.watermarks(self._topic)))
        self._log.create(FEATURES, partitions, _RETENTION_MS)
        with self._writer.moment() as moment:
            self._calendar = moment.calendar()
        newest_us: dict[int, int] = {}
        for (_, symbol), series in state.series.items():
            number = partition_of(symbol.encode(), partitions)
            newest_us[number] = max(series.at_us, newest_us.get(number, 0))
        self._clocks = {number: _Clock(at_us // SECOND_US, self._size) for number, at_us in newest_us.items()}
        self._gaps.clear()
        self._of.clear()
        for symbol, followed in state.symbols.items():
            clock = self._clocks.get(partition_of(symbol.encode(), partitions))
            if clock is not None and followed.last is not None and followed.last.time_us // SECOND_US >= clock.rows.from_s:
                self._of[symbol] = clock
                clock.anew.add(symbol)

    def takes(self, partition: Partition, content: Content) -> bool:
        """Whether a message, none of a price, can be told of together with those before it. If so, it is."""
        second = content.time_us // SECOND_US
        clock = self._clocks.get(partition.partition)
        if clock is None:
            clock = self._clocks[partition.partition] = _Clock(second, self._size)
        if clock.has_moved and (second < clock.newest_s - LATE_S or not isinstance(content, _IN_ORDER)):
            return False
        if second > clock.newest_s:
            clock.newest_s, clock.has_moved = second, True
        self._of[content.symbol] = clock
        return True

    def apply(self, batch: Batch, sifted: Sifted) -> Applied:
        """Write ``batch``, which is what ``sifted`` says, and publish the rows for which nothing is waited any more.

        Raises:
            LogError: they cannot be appended; then the batch is not written either.
        """
        clocks = {self._of[symbol] for symbol in sifted.symbols}
        wanted = {each.symbol for each in sifted.trades}.union(*(clock.anew for clock in clocks))
        unknown = sorted(symbol for symbol in wanted if symbol not in self._of[symbol].rows.windowed)
        for first in range(0, len(unknown), _AT_ONCE):
            with self._writer.moment() as moment:
                for symbol in unknown[first : first + _AT_ONCE]:
                    self._put(moment, symbol)
        for clock in clocks:
            clock.anew.clear()
        return self._writer.apply(batch, partial(self._publish, sifted, clocks))

    def _publish(self, sifted: Sifted, clocks: Iterable[_Clock], moment: Moment, new: Sequence[Trade]) -> None:
        anew = self._anew(sifted, moment, new)
        parts: dict[_Clock, list[Trade]] = {}
        for trade in new:
            if trade.symbol not in anew:
                parts.setdefault(self._of[trade.symbol], []).append(trade)
        for clock, trades in parts.items():
            anew |= clock.rows.add(trades)
        for symbol in anew:
            self._put(moment, symbol)
        for symbol in sifted.changed & self._gaps.keys():
            self._gaps[symbol] = self._lost(moment, symbol)
        rows = list[Features]()
        for clock in clocks:
            rows += clock.rows.release(clock.newest_s - LATE_S, self._gaps)
            clock.has_moved = False
            self._meters.late_for_features.inc(clock.rows.late)
            clock.rows.late = 0
        for first in range(0, len(rows), MESSAGES_MAX):
            self._log.append(FEATURES, [_message(each) for each in rows[first : first + MESSAGES_MAX]])
        self._meters.feature_rows.inc(len(rows))

    def _anew(self, sifted: Sifted, moment: Moment, new: Sequence[Trade]) -> set[str]:
        """Known symbols of which the store has something else than what new trades make of what is known."""
        anew = {each.symbol for each in sifted.cancels}
        if len(new) < len(sifted.trades):
            # Whoever wrote the others: of those that wait all are to be there, and no other ones.
            known = set(map(id, new))
            others = (each for each in sifted.trades if id(each) not in known)
            anew |= {each.symbol for each in others if each.time_us // SECOND_US >= self._of[each.symbol].rows.from_s}
        if (calendar := moment.calendar()) != self._calendar:
            self._calendar = calendar
            for symbol, clock in self._of.items():
                if [*moment.closes(symbol)] != [*clock.rows.windowed.closes.get(symbol, ())]:
                    anew.add(symbol)
        return {symbol for symbol in anew if symbol in self._of[symbol].rows.windowed}

    def _put(self, moment: Moment, symbol: str) -> None:
        """Read what is stored of a symbol; trades that wait are those up to the newest message."""
        clock = self._of[symbol]
        from_us = clock.rows.from_s * SECOND_US
        waiting = moment.trades(symbol, from_us, (clock.newest_s + 1) * SECOND_US)
        clock.rows.put(symbol, moment.windows(symbol, from_us, self._size), waiting)
        self._gaps[symbol] = self._lost(moment, symbol)

    def _lost(self, moment: Moment, symbol: str) -> list[tuple[int, int]]:
        """Gaps that count in rows to come."""
        since_us = self._of[symbol].rows.from_s * SECOND_US - HOUR_US
        return [(each.from_us, each.to_us) for each in moment.lacking(symbol) if each.to_us > since_us]


def _message(row: Features) -> Outgoing:
    value = _BEGIN + _encode(row)[1:]
    return Outgoing(row.symbol.encode(), value, headers_of(Told(event_us=row.time_s * SECOND_US)))
