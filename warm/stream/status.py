"""What the consumer says of itself, for servers: how it is, how far behind, and what it heard of each source."""

from collections.abc import Callable, Mapping
from operator import attrgetter

from app.domain.records import STATUS
from app.domain.status import SOURCES_MAX, STATUS_SCHEMA, STREAM, ProcessState, SourceHeard, StatusRecord, told
from app.store.codec import encode
from app.store.protocol import Record
from warm.stream.sifting import Heard


class Status:
    """``log`` is the log's kind."""

    def __init__(self, log: str, now_us: Callable[[], int]) -> None:
        self._log, self._now_us = log, now_us
        self._began_ms = now_us() // 1000
        self._last_ms: int | None = None
        self._sources: dict[str, SourceHeard] = {}

    def take(self, heard: Mapping[str, Heard], *, has_trades: bool) -> None:
        """A batch was written, with trades or without."""
        if has_trades:
            self._last_ms = self._now_us() // 1000
        for source, each in heard.items():
            before = self._sources.get(source) or SourceHeard(source, 0, 0, 0, 0)
            self._sources[source] = SourceHeard(
                source,
                max(before.heard_ms, each.heard_ms),
                max(before.newest_ms, each.newest_us // 1000),
                before.messages + each.messages,
                before.trades + each.trades,
            )
        if len(self._sources) > SOURCES_MAX:
            kept = sorted(self._sources.values(), key=attrgetter("heard_ms"))[-SOURCES_MAX:]
            self._sources = {each.source: each for each in kept}

    def record(self, state: ProcessState, detail: str, lag: tuple[int, float], newest_us: int) -> Record:
        """As it is now; ``newest_us`` is the time of the newest message of all symbols."""
        now_ms = self._now_us() // 1000
        sources = tuple(sorted(self._sources.values(), key=attrgetter("source")))
        value = StatusRecord(
            STATUS_SCHEMA, newest_us // 1000, now_ms, "", now_ms,
            state, told(detail), told(self._log), self._began_ms, *lag, self._last_ms, sources,
        )  # fmt: skip
        return Record(STATUS.name, STREAM, encode(value))
