"""Recorded trades once more, as fast as they came, ten times as fast, or as fast as the log takes them.

Times are as recorded, but at ``real-time``: that is as fast as they came, with the times moved so that the first is now. Moved
trades are others than those that were recorded, and their ids say so. Their ids count by one for nobody: a file need not have
all of them. At its end each symbol is heard once more, so that nobody waits for what comes late.
"""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Literal

import msgspec

from app.domain.candles import SECOND_US
from app.errors import MarketError, OffsetMoved
from app.market.protocol import TIME_MAX_US, Writer
from warm.market.telling import Teller, Words
from warm.stream.ingesting import Begun, Target
from warm.stream.log import MESSAGES_MAX, LogError, Outgoing
from warm.stream.messages import HeartbeatMessage
from warm.stream.sifting import LATE_US, REPLAY
from warm.stream.sources.recordings import Recordings, Wanted
from warm.stream.telling import outgoing, trade_message

NAME = REPLAY
Speed = Literal["1", "10", "max", "real-time"]
_AT_ONCE = 5_000
"""Messages that are made before they go to the log."""
_KEEP_EVERY_US = 1_000_000
DONE, REFUSED = 0, 1
WORDS = Words("ingest", "Replay", ("files_read", "trades", "refused", "seconds", "trades_per_s"))


class ReplaySource:
    """Of ``recordings``; ``say`` is told where the market store fails."""

    def __init__(self, recordings: Recordings, speed: Speed, say: Callable[..., None]) -> None:
        self._recordings, self._say = recordings, say
        self._times = None if speed == "max" else 10 if speed == "10" else 1
        self._is_moved = speed == "real-time"
        self._coming = iter(recordings)
        self._next = next(self._coming, None)
        self._began: tuple[int, int] | None = None
        self._kept_us = 0
        self._newest: dict[tuple[str, str], int] = {}

    def next_us(self, now_us: int) -> int | None:
        """When the next trade is due."""
        if self._next is None:
            return None
        if self._times is None or self._began is None:
            return now_us
        began_us, first_us = self._began
        return began_us + (self._next[0].time_us - first_us) // self._times

    def make(self, now_us: int) -> list[Outgoing]:
        """Trades that are due."""
        made = list[Outgoing]()
        if not 0 <= now_us - self._kept_us < _KEEP_EVERY_US:
            self._kept_us = now_us
            self._keep()
        while self._next is not None and len(made) < _AT_ONCE:
            trade, file, reached = self._next
            if self._began is None:
                self._began = now_us, trade.time_us
            if self._times is not None and (self.next_us(now_us) or 0) > now_us:
                break
            if self._is_moved:
                began_us, first_us = self._began
                moved = f"{trade.key}@{reached.began_us}"
                trade = msgspec.structs.replace(trade, time_us=trade.time_us + began_us - first_us, key=moved, trade_id=moved)
            made.append(outgoing(trade_message(trade), now_us, NAME))
            self._newest[trade.venue, trade.symbol] = trade.time_us
            self._recordings.on_way(file, reached)
            self._next = next(self._coming, None)
        return made

    def last(self, now_us: int) -> Iterator[Outgoing]:
        """Of each symbol that was told a heartbeat from when nothing of it is late any more."""
        for (venue, symbol), time_us in self._newest.items():
            heard_us = min(time_us + LATE_US + SECOND_US, TIME_MAX_US - 1)
            yield outgoing(HeartbeatMessage(schema=1, symbol=symbol, time_us=heard_us, venue=venue), now_us, NAME)

    def _keep(self) -> None:
        try:
            self._recordings.keep()
        except MarketError as error:
            # Some messages more would be there twice after a SIGKILL now.
            self._say("not_kept", error=str(error))


class Replay:
    """A whole one. How far it is stands in the market store that ``open_writer`` opens, and ``teller`` shows it; ``now_us`` tells
    epoch microseconds.
    """

    def __init__(
        self,
        wanted: Wanted,
        speed: Speed,
        max_rejects: float,
        open_writer: Callable[[], Writer],
        teller: Teller,
        now_us: Callable[[], int],
    ) -> None:
        self._wanted, self._speed, self._max_rejects, self._open_writer = wanted, speed, max_rejects, open_writer
        self._teller, self._now_us = teller, now_us
        self._recordings: Recordings | None = None
        self._began_s = time.monotonic()

    def begin(self, say: Callable[..., None], target: Target) -> Begun:
        """Where the log has them already; InputRefused: there is nothing that can be read."""
        topic_id, writer = target.create(), self._open_writer()
        try:
            self._recordings = recordings = Recordings(self._wanted, writer, topic_id, self._teller, self._now_us())
            source = ReplaySource(recordings, self._speed, say)
        except BaseException:
            writer.close()
            raise
        told = {"files": [str(each) for each in self._wanted.paths], "speed": self._speed, "resumed": recordings.resumed}

        def close(is_over: bool) -> None:  # noqa: FBT001 - as a source has it
            try:
                if is_over:
                    last = source.last(self._now_us())
                    while some := list(islice(last, MESSAGES_MAX)):
                        target.log.append(target.topic, some)
                (recordings.forget if is_over else recordings.keep)()
            except (LogError, MarketError, OffsetMoved) as error:
                say("not_kept", error=str(error))
            finally:
                writer.close()

        return Begun(source, topic_id, told, recordings.taken, close)

    def end(self, error: str = "") -> int:
        """Tell how it ended; the exit code."""
        done = self._recordings
        report: dict[str, Any] = {}
        if done is not None:
            seconds, refused = time.monotonic() - self._began_s, done.rejects.total
            report = {
                "trades": done.trades, "refused": refused, "reasons": done.rejects.report(), "files_read": done.files,
                "seconds": round(seconds, 3), "trades_per_s": round(done.trades / seconds),
            }  # fmt: skip
            error = error or next(iter(done.refused.values()), "")
            report["warnings"] = [each for each in done.refused.values() if each != error]
            if not error and refused > self._max_rejects * (done.trades + refused):
                rows = done.trades + refused
                error = f"{refused} of {rows} rows are no trades, more than --max-rejects {self._max_rejects:g} allows"
        code = REFUSED if error else DONE
        report |= {"exit_code": code} | ({"error": error} if error else {})
        self._teller.close(report)
        return code
