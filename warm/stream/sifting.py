"""What a batch of messages says: what is written of them, and which cannot be used."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from app.domain.averages import Price
from app.domain.intervals import DAY_S
from app.domain.trades import Trade, trade_key
from app.errors import DecideError
from app.market.marks import DeadMark, Missing
from app.market.protocol import TIME_MAX_US, Batch, Cancel, Gap, Move, Partition, Span
from app.market.protocol import Heard as HeardOf
from warm.stream.following import Followed, Series, State
from warm.stream.ids import found, lost, number_of
from warm.stream.log import Message
from warm.stream.messages import (
    PRICE_TOPIC,
    SOURCE,
    CancelMessage,
    Content,
    GapMessage,
    HeartbeatMessage,
    MessageRefused,
    PriceMessage,
    TradeMessage,
    decode,
    told,
)

REPLAY = "replay"
"""The source, in a message's headers, whose times are taken as they were recorded."""
LATE_US = 2_000_000
"""A trade is late if it was so long before the newest that is known of its symbol."""
_DAY_US = DAY_S * 1_000_000
_LATEST_US = TIME_MAX_US - 3
"""Of any source: a gap ends behind it."""

Takes = Callable[[Partition, Content], bool]
"""Whether a message of a partition can be told of together with those before."""


class WrongClock(DecideError):
    """A live source's message says a time that cannot be."""


class WrongTopic(DecideError):
    """A message is of a type that its topic is not for."""


class Rules(NamedTuple):
    """Of live sources. ``skew_us``: how far ahead of the log's clock a message may be. ``retention_days``: older trades are not
    kept (0: all are).
    """

    skew_us: int
    retention_days: int = 0


class _Touched(NamedTuple):
    """A series that the batch tells of, as it was before, and the time of the first of its messages."""

    series: Series
    followed: Followed
    missing: tuple[Missing, ...]
    before_us: int | None
    first_us: int


class Heard:
    """Of a source in a batch: when the log took its last message (epoch milliseconds), the newest time that one told of, and how
    many messages and trades there were.
    """

    __slots__ = ("heard_ms", "messages", "newest_us", "trades")

    def __init__(self) -> None:
        self.heard_ms = self.newest_us = self.messages = self.trades = 0


class Sifted:
    """Messages up to ``taken``; ``dead`` are those that cannot be used, and why. ``changed`` are symbols of which more changed
    than that trades came. ``sources`` are by what headers have. ``begun``: symbols that were heard for the first time, by venue.
    """

    def __init__(self, state: State, takes: Takes | None = None) -> None:
        self._state, self._takes = state, takes
        self.trades: list[Trade] = []
        self.cancels: list[Cancel] = []
        self.prices: list[Price] = []
        self.gaps: list[Gap] = []
        self.filled: list[Span] = []
        self.dead: list[tuple[Message, DecideError]] = []
        self.changed: set[str] = set()
        self.sources: dict[bytes, Heard] = {}
        self.begun: dict[str, list[str]] = {}
        self.taken = self.late = 0
        self._touched: dict[tuple[str, str], _Touched] = {}
        self._partition: Partition | None = None
        self._is_of_prices = False

    @property
    def symbols(self) -> set[str]:
        """Those that the messages tell of."""
        return {symbol for _, symbol in self._touched}

    def batch(self, moves: Sequence[Move]) -> Batch:
        """What is written, with the offsets behind it."""
        self._compare()
        dead = [DeadMark(each.partition.topic_id, each.partition.partition, each.offset) for each, _ in self.dead]
        return Batch(self.trades, self.cancels, self.gaps, self.filled, list(self._heard()), moves, dead, self.prices)

    def gone(self, is_concerned: Callable[[str], bool]) -> None:
        """Messages before these are gone. Where ids tell what they were, that is known; of other symbols that are
        ``is_concerned`` a gap goes as far as the next message, or as this batch.
        """
        newest_us = max((each.series.at_us for each in self._touched.values()), default=0)
        for key, series in self._state.series.items():
            touched = self._touched.get(key)
            before_us = series.at_us if touched is None else touched.before_us
            if before_us is not None and series.ids.last is None and is_concerned(series.symbol):
                to_us = max(newest_us if touched is None else touched.first_us, before_us + 1)
                self.gaps.append(Gap(series.venue, series.symbol, before_us, to_us, "log"))
                self.changed.add(series.symbol)

    def _touch(self, venue: str, symbol: str, time_us: int) -> _Touched:
        series, followed = self._state.one_series(venue, symbol), self._state.followed(symbol)
        before_us = None if series is None else series.at_us
        if series is None:
            series = self._state.series[venue, symbol] = Series(HeardOf(venue, symbol, time_us))
            self.begun.setdefault(venue, []).append(symbol)
        made = self._touched[venue, symbol] = _Touched(series, followed, series.ids.missing, before_us, time_us)
        return made

    def take(self, content: Content, message: Message) -> bool:
        """One message; whether it can be told of together with those before.

        Raises:
            WrongTopic: as it stands.
        """
        partition = message.partition
        if partition is not self._partition:
            self._partition, self._is_of_prices = partition, partition.topic == PRICE_TOPIC
        if self._is_of_prices or not isinstance(content, TradeMessage):
            return self._take_other(content, message)
        if self._takes is not None and not self._takes(partition, content):
            return False
        venue, symbol, time_us = content.venue, content.symbol, content.time_us
        touched = self._touched.get((venue, symbol)) or self._touch(venue, symbol, time_us)
        series, followed = touched.series, touched.followed
        self.trades.append(content.trade())
        if content.sequential and (number := number_of(content.trade_id)) is not None:
            ids = series.ids
            if number - 1 == ids.last:
                ids.last, ids.last_us = number, time_us
            else:
                ids.came(number, time_us)
        # As it mostly is, the newest one.
        if time_us > followed.newest_us:
            series.at_us = followed.newest_us = time_us
        else:
            self.late += time_us < followed.newest_us - LATE_US
            series.at_us = max(series.at_us, time_us)
        return True

    def _take_other(self, content: Content, message: Message) -> bool:
        if isinstance(content, PriceMessage) is not self._is_of_prices:
            allowed = "price" if self._is_of_prices else f"all others; price in {PRICE_TOPIC}"
            raise WrongTopic(f"type is {content.__struct_config__.tag} in {message.partition.topic}; allowed: {allowed}")
        if isinstance(content, PriceMessage):
            told_us = told(message.headers).ingest_us or 0
            self.prices.append(Price(content.symbol, content.provider, content.time_us, content.price, content.currency, told_us))
            return True
        if isinstance(content, GapMessage) and not content.filled and self._is_filled(content):
            return False
        if self._takes is not None and not self._takes(message.partition, content):
            return False
        venue, symbol, time_us = content.venue, content.symbol, content.time_us
        touched = self._touched.get((venue, symbol)) or self._touch(venue, symbol, time_us)
        series, followed = touched.series, touched.followed
        if isinstance(content, HeartbeatMessage):
            if content.sequential and (number := number_of(content.last_id)) is not None:
                series.ids.told(number, time_us)
        elif isinstance(content, GapMessage):
            self._take_gap(content, series)
        elif isinstance(content, CancelMessage):
            self.cancels.append(Cancel(venue, symbol, trade_key(content.trade_id)))
            self.changed.add(symbol)
        series.at_us, followed.newest_us = max(series.at_us, time_us), max(followed.newest_us, time_us)
        return True

    def _take_gap(self, gap: GapMessage, series: Series) -> None:
        self.changed.add(gap.symbol)
        if gap.filled:
            self.filled.append(Span(gap.venue, gap.symbol, gap.from_us, gap.to_us))
            series.ids.fill(gap.from_us, gap.to_us)
        else:
            self.gaps.append(Gap(gap.venue, gap.symbol, gap.from_us, gap.to_us, gap.found_by, gap.missing))

    def _is_filled(self, gap: GapMessage) -> bool:
        """Whether a message before it says that something of it was filled, which is written behind all gaps."""
        return any(
            (each.venue, each.symbol) == (gap.venue, gap.symbol) and each.from_us < gap.to_us and gap.from_us < each.to_us
            for each in self.filled
        )

    def _compare(self) -> None:
        """Find gaps and what was filled by the ids that were missing before, and are now."""
        for (venue, symbol), touched in self._touched.items():
            before, after = touched.missing, touched.series.ids.missing
            if before is not after:
                self.changed.add(symbol)
                for each in lost(before, after):
                    count = each.last - each.first + 1
                    self.gaps.append(Gap(venue, symbol, each.from_us, each.to_us, "ids", count))
                self.filled += [Span(venue, symbol, *span) for span in found(before, after)]

    def _heard(self) -> Iterator[HeardOf]:
        for (venue, symbol), touched in self._touched.items():
            if touched.before_us is None:
                # What began then does not depend on how many messages were read together.
                yield HeardOf(venue, symbol, touched.first_us)
            yield touched.series.heard()


def sift(messages: Sequence[Message], state: State, rules: Rules, takes: Takes | None = None) -> Sifted:
    """What ``messages`` say, up to one that ``takes`` says cannot be told of together with those before. It changes ``state``,
    which is worth nothing any more where that is not written.
    """
    sifted = Sifted(state, takes)
    skew_us, take, sources = rules.skew_us, sifted.take, sifted.sources
    for message in messages:
        try:
            content = decode(message.value)
            at_us = message.timestamp_ms * 1000
            if content.time_us > at_us + skew_us or rules.retention_days:
                _check_clock(content, message, at_us, rules)
            is_taken = take(content, message)
        except (MessageRefused, WrongClock, WrongTopic) as error:
            sifted.dead.append((message, error))
        else:
            if not is_taken:
                return sifted
            # Written out, since it is done for each message.
            source = b""
            for name, value in message.headers:
                if name == SOURCE:
                    source = value
                    break
            heard = sources.get(source) or sources.setdefault(source, Heard())
            heard.messages += 1
            heard.trades += content.__class__ is TradeMessage
            if message.timestamp_ms > heard.heard_ms:  # noqa: PLR1730 - a call would take longer
                heard.heard_ms = message.timestamp_ms
            if content.time_us > heard.newest_us:  # noqa: PLR1730 - as above
                heard.newest_us = content.time_us
        sifted.taken += 1
    return sifted


def _check_clock(content: Content, message: Message, at_us: int, rules: Rules) -> None:
    """Raises:
    WrongClock: as it stands.
    """
    latest_us, oldest_us = at_us + rules.skew_us, 0
    if rules.retention_days and isinstance(content, TradeMessage):
        oldest_us = (at_us // _DAY_US - rules.retention_days) * _DAY_US
    if not oldest_us <= content.time_us <= latest_us and (told(message.headers).source != REPLAY or content.time_us > _LATEST_US):
        raise WrongClock(f"time_us is {content.time_us}; allowed of a live source: {oldest_us} to {latest_us}")
