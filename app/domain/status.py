"""What a process that brings live data says of itself, as a global record: servers know it by that alone."""

from typing import Literal, get_args

import msgspec

from app.domain.vector import AS_OF_MAX_MS, ValueHeader, fingerprint

STREAM = "stream"
"""The key of the consumer's."""
TELL_S = 5.0
"""How often a process says how it is."""
SILENT_MS = 30_000
"""One that has said nothing for so long is not there."""
BEHIND_S = 60.0
"""A log is behind if so old messages are not read yet."""
SOURCES_MAX = 20
_TEXT_MAX = 200

ProcessState = Literal["running", "waiting", "stopped"]


class SourceHeard(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A ``source`` by the name in its messages' headers: when the log took the last of them, the newest time that they told of
    (both epoch milliseconds), and how many of them and of trades there were since the process began.
    """

    source: str
    heard_ms: int
    newest_ms: int
    messages: int
    trades: int


STATUS_FIELDS: tuple[str, ...] = (
    "as_of_ms",
    "loaded_at_ms",
    "run",
    "sequence",
    "state",
    "detail",
    "log",
    "began_ms",
    "lag_messages",
    "lag_s",
    "last_ingestion_ms",
    "sources",
)
STATUS_SCHEMA: str = fingerprint("decide-status-1", STATUS_FIELDS, get_args(ProcessState), SourceHeard.__struct_fields__)


class StatusRecord(ValueHeader, array_like=True, frozen=True, gc=False):
    """As a process was at ``loaded_at_ms``, which is its ``sequence``, too. ``as_of_ms`` is that of the newest tick.

    ``waiting``: for what is away, ``detail`` has the error's name. ``log`` is its kind, ``lag_messages`` are not read yet, the
    last one that was read is ``lag_s`` old (0: all were). A trade was written last at ``last_ingestion_ms``, None: not since it
    began.
    """

    state: ProcessState
    detail: str
    log: str
    began_ms: int
    lag_messages: int
    lag_s: float
    last_ingestion_ms: int | None
    sources: tuple[SourceHeard, ...]


def status_record_fault(record: StatusRecord) -> str | None:
    """What is wrong with a decoded one, or None. It is shown as it stands."""
    heard = [each for source in record.sources for each in (source.heard_ms, source.newest_ms)]
    times_ms = [record.as_of_ms, record.loaded_at_ms, record.began_ms, record.last_ingestion_ms or 0, *heard]
    if not all(0 <= each < AS_OF_MAX_MS for each in times_ms):
        return "a time is outside the years 1970 to 9000"
    if record.lag_messages < 0 or not 0 <= record.lag_s < AS_OF_MAX_MS:
        return f"its lag is {record.lag_messages} messages, {record.lag_s} s"
    if len(record.sources) > SOURCES_MAX or any(min(each.messages, each.trades) < 0 for each in record.sources):
        return f"{len(record.sources)} sources where {SOURCES_MAX} are allowed, or a count below 0"
    if any(len(each) > _TEXT_MAX for each in (record.detail, record.log, *(source.source for source in record.sources))):
        return f"a text is longer than {_TEXT_MAX} characters"
    return None


def told(text: str) -> str:
    """As much of it as a status has."""
    return text if len(text) <= _TEXT_MAX else f"{text[: _TEXT_MAX - 1]}…"


def wrong_with(record: StatusRecord, now_ms: int) -> str | None:
    """What is wrong with that process at ``now_ms`` of the wall clock, None if nothing is. One that was stopped is not wrong."""
    if record.state == "stopped":
        return None
    if now_ms - record.loaded_at_ms > SILENT_MS:
        return f"the stream was last heard of {(now_ms - record.loaded_at_ms) / 1000:.0f} s ago"
    if record.state == "waiting":
        return f"the stream waits ({record.detail})"
    if record.lag_s > BEHIND_S:
        return f"the stream is {record.lag_s:.0f} s and {record.lag_messages} messages behind"
    return None
