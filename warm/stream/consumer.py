"""The consumer: from the log into the market store, in one transaction with its offsets, and from there into L2. Prices of
providers stand in a topic of their own, and go the same way, as far as the market store.

Poll; put what cannot be used among the dead letters, and have that acknowledged; write all else, with the offsets, in one
transaction; publish the tick records. Killed between any two of these it begins anew where the store says, and what it repeats
changes nothing. Whatever fails, it lets go of all that it knows, waits, and begins anew in the same way: it passes nothing over.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from app.domain.status import TELL_S, ProcessState
from app.domain.trades import SIMULATED
from app.errors import DecideError, MarketError, OffsetMoved
from app.market.following import StreamWriter
from app.market.protocol import Move, Partition
from warm.errors import InputRefused
from warm.market.listing import Listing
from warm.stream.dead_letters import dead_letter, topic_of_dead_letters
from warm.stream.features import FeatureTopic
from warm.stream.following import State
from warm.stream.log import (
    BYTES_MAX,
    MESSAGES_MAX,
    Log,
    LogError,
    Message,
    OffsetOutOfRange,
    Outgoing,
    Reader,
    partition_of,
    size_of,
)
from warm.stream.messages import PRICE_TOPIC, source_of, told
from warm.stream.metrics import ConsumerMeters
from warm.stream.prices import Clock, Prices
from warm.stream.sifting import Rules, Sifted, sift
from warm.stream.status import Status
from warm.stream.ticks import Ticks

if TYPE_CHECKING:
    from warm.stream.spans import ConsumerSpans

BATCH_MAX = 5_000
_POLL_S = 0.05
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0
_LET_GO_S = 1.0
"""Who took over is given so long before it is looked whether he goes on."""
_LOOK_S = 1.0
"""How often lag is looked at."""


class Places(NamedTuple):
    """From where to where. ``topic`` is the log's. ``features``: where rows of features go, if anywhere."""

    log: Log
    topic: str
    writer: StreamWriter
    ticks: Ticks
    prices: Prices
    features: FeatureTopic | None = None


class Consumer:
    """Of one topic of trades, and of prices. ``say`` is told of what happens, an event and its facts; ``stop`` ends it between
    two batches. ``spans``: where trades are traced.
    """

    def __init__(
        self,
        places: Places,
        rules: Rules,
        meters: ConsumerMeters,
        say: Callable[..., None],
        stop: threading.Event,
        *,
        batch_max: int = BATCH_MAX,
        spans: "ConsumerSpans | None" = None,
    ) -> None:
        self._log, self._topic, self._writer, self._ticks, self._prices, self._features = places
        self._rules, self._meters, self._say, self._stop, self._batch_max = rules, meters, say, stop, batch_max
        self._spans = spans
        self._offsets: dict[Partition, int | None] = {}
        self._read_ms: dict[Partition, int] = {}
        self._newest: Sequence[Message] = ()
        self._gone: dict[Partition, int] = {}
        self._state: State | None = None
        self._listing = Listing(self._writer)
        self._look_at = self._tell_at = 0.0
        self._lag, self._newest_us = (0, 0.0), 0
        self._status = Status(self._log.name, lambda: time.time_ns() // 1000)

    def run(self) -> None:
        """Until it is to stop. What waits for L2 then is published by whoever begins next."""
        pause_s = _FIRST_PAUSE_S
        while not self._stop.is_set():
            reader = self._log.reader([self._topic, PRICE_TOPIC], self._begin, shared=True)
            try:
                while not self._stop.is_set():
                    self._step(reader)
                    pause_s = _FIRST_PAUSE_S
                if self._state is not None:
                    self._ticks.publish(self._state, now=True)
                    self._commit(reader)
            except (LogError, MarketError, OffsetMoved) as error:
                event, reason = "failed", getattr(error, "reason", "")
                if isinstance(error, OffsetMoved):
                    event, reason, pause_s = "let_go", "offset_moved", max(pause_s, _LET_GO_S)
                self._meters.failures.labels(reason).inc()
                self._say(event, error=str(error), again_in_s=pause_s)
                # Not the error's text, which has paths and hosts: anybody may read it.
                self._tell("waiting", reason)
                self._stop.wait(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            finally:
                reader.close()
                self._newest_us = self._heard_us()
                self._state = None
                self._offsets.clear()
                self._gone.clear()
        self._tell("stopped")

    def _step(self, reader: Reader) -> None:
        """One batch, or none."""
        try:
            messages = reader.poll(self._batch_max, self._ticks.wait_s(_POLL_S))
        except OffsetOutOfRange as error:
            self._pass_over(reader, error)
            return
        state = self._state
        if state is None:
            # Partitions may have come with that poll: others may have written of them until now, and died before they published.
            state, self._listing = State(self._writer), Listing(self._writer)
            self._state = state
            if self._features is not None:
                self._features.begin(state)
            self._ticks.add(state.symbols)
            self._prices.follow(Clock(each.symbol, each.newest_us, each.newest_us) for each in state.symbols.values())
        if messages:
            self._take(reader, messages, state)
        self._ticks.publish(state)
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_S
            self._look(reader)
            if time.monotonic() >= self._tell_at:
                self._tell("running")

    def _tell(self, state: ProcessState, detail: str = "") -> None:
        """Say how it is."""
        self._tell_at = time.monotonic() + TELL_S
        if newest_us := self._heard_us():
            self._ticks.tell(self._status.record(state, detail, self._lag, newest_us))

    def _heard_us(self) -> int:
        """The time of the newest message of all symbols, as far as it was known last; 0 where none is."""
        if self._state is None:
            return self._newest_us
        return max((each.newest_us for each in self._state.symbols.values()), default=0)

    def _commit(self, reader: Reader) -> None:
        reader.commit({each: offset for each, offset in self._offsets.items() if offset is not None})

    def _begin(self, partition: Partition) -> int | None:
        stored = self._writer.offsets(self._log.name)
        # Who had the partition until now has written of its symbols, and told of what was gone.
        self._state = None
        self._gone.pop(partition, None)
        found = self._offsets[partition] = stored.get(partition)
        former = [each for each in stored if each.topic == partition.topic and each.topic_id != partition.topic_id]
        if found is None and former:
            self._say("topic_anew", topic=partition.topic, partition=partition.partition, topic_id=partition.topic_id)
        return found

    def _take(self, reader: Reader, messages: Sequence[Message], state: State) -> None:
        came_ns, features = time.time_ns(), self._features
        sifted = sift(messages, state, self._rules, None if features is None else features.takes)
        taken = messages[: sifted.taken]
        for message in reversed(messages[sifted.taken :]):
            reader.seek(message.partition, message.offset)
        gone = self._gone.keys() & {each.partition for each in taken} if self._gone else set[Partition]()
        for partition in gone:
            # Which prices are gone, nobody can tell, and their averages are of those that came.
            if partition.topic != PRICE_TOPIC:
                self._tell_gone(partition, sifted)
        for topic in dict.fromkeys(each.partition.topic for each, _ in sifted.dead):
            self._bury(topic, [each for each in sifted.dead if each[0].partition.topic == topic])
        moves = [
            Move(partition, self._offsets.get(partition), offset)
            for partition, offset in reader.positions.items()
            if offset != self._offsets.get(partition) and (partition in gone or partition not in self._gone)
        ]
        self._list(sifted)
        batch = sifted.batch(moves)
        began = time.perf_counter()
        applied = self._writer.apply(batch) if features is None else features.apply(batch, sifted)
        seconds = time.perf_counter() - began
        self._meters.applied(applied, seconds)
        if self._spans is not None:
            self._spans.wrote(taken, sifted, came_ns, seconds)
        self._offsets.update({each.partition: each.next for each in moves})
        self._meters.lost.inc(sum(self._gone.pop(each) for each in gone))
        state.take(sifted.trades, applied, sifted.changed)
        sources = {source_of(value): each for value, each in sifted.sources.items()}
        self._status.take(sources, has_trades=bool(applied.inserted))
        self._meters.heard({source: each.trades for source, each in sources.items()})
        self._meters.messages.inc(len(taken))
        self._meters.batch.observe(len(taken))
        self._meters.late.inc(sifted.late)
        self._meters.prices.inc(len(sifted.prices))
        self._meters.gaps.inc(len(batch.gaps))
        self._newest = taken
        told_us = taken[-1].timestamp_ms * 1000
        clocks = [Clock(each, state.symbols[each].newest_us, told_us) for each in sifted.symbols]
        self._prices.follow(clocks, applied.touched, sifted.changed)
        first = taken[0]
        came_us = told(first.headers).ingest_us
        if came_us is not None:
            self._meters.to_log.observe(max(0.0, first.timestamp_ms / 1000 - came_us / 1e6))
        for symbol in {each.symbol for each in sifted.trades}:
            state.symbols[symbol].ingested_us = came_us
        self._ticks.add(sifted.symbols, came_us or first.timestamp_ms * 1000)

    def _list(self, sifted: Sifted) -> None:
        """Tell the market store whose sessions symbols have that it may not know yet: then bars at closes are right at once."""
        for venue, symbols in sifted.begun.items():
            # Where a venue is not what the symbol is said to be, that stays.
            with suppress(InputRefused):
                self._listing.tell(symbols, venue, SIMULATED if venue == SIMULATED else None)

    def _bury(self, source: str, dead: Sequence[tuple[Message, DecideError]]) -> None:
        """Put messages of a topic among its dead letters; returns once that is durable."""
        topic, part, size = topic_of_dead_letters(source), list[Outgoing](), 0
        self._log.create(topic, max(1, len(self._log.watermarks(source))))
        for message, error in dead:
            letter = dead_letter(message, error)
            size += size_of(letter)
            if part and (size > BYTES_MAX or len(part) == MESSAGES_MAX):
                self._log.append(topic, part)
                part, size = [], size_of(letter)
            part.append(letter)
        self._log.append(topic, part)
        message, error = dead[0]
        where = f"{message.partition.topic}/{message.partition.partition}/{message.offset}"
        self._say("dead_letters", count=len(dead), first=where, error=str(error))

    def _pass_over(self, reader: Reader, error: OffsetOutOfRange) -> None:
        """Go on with the oldest message that there is. Of a log that lost its newest ones all is read again: it changes nothing
        that is known, and who knows which of them are new?
        """
        partition, offset, (low, high) = error.partition, error.offset, error.watermarks
        lost = max(0, low - offset)
        self._say(
            "messages_gone" if lost else "log_went_back",
            topic=partition.topic, partition=partition.partition, offset=offset, low=low, high=high,
        )  # fmt: skip
        if lost:
            self._gone[partition] = self._gone.get(partition, 0) + lost
        reader.seek(partition, low)

    def _tell_gone(self, partition: Partition, sifted: Sifted) -> None:
        partitions = len(self._log.watermarks(partition.topic))
        sifted.gone(lambda symbol: partition_of(symbol.encode(), partitions) == partition.partition)

    def _look(self, reader: Reader) -> None:
        marks, now_ms = self._log.watermarks(self._topic) | self._log.watermarks(PRICE_TOPIC), time.time_ns() // 1_000_000
        self._commit(reader)
        self._read_ms.update((each.partition, each.timestamp_ms) for each in self._newest)
        lags, self._newest = {}, ()
        for partition, position in reader.positions.items():
            if partition in marks:
                behind = max(0, marks[partition].high - position)
                read_ms = self._read_ms.get(partition, now_ms)
                lags[partition] = behind, max(0, now_ms - read_ms) / 1000 if behind else 0.0
        self._meters.lag(lags)
        self._lag = sum(messages for messages, _ in lags.values()), max((seconds for _, seconds in lags.values()), default=0.0)
