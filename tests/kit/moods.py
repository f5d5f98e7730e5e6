"""A made-up input of decisions, whose changes carry it: a mood, written by nobody's run."""

from dataclasses import replace

import msgspec

from app.domain.records import KINDS, Kind
from app.domain.vector import fingerprint
from app.store.codec import encode
from app.store.protocol import Record
from tests.kit.records import AS_OF_MS

SCHEMA = fingerprint("mood-1")


class MoodRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How the market feels about a symbol, in [-1, 1]."""

    schema: str
    as_of_ms: int
    loaded_at_ms: int
    run: str
    sequence: int
    symbol: str
    mood: float


def mood_fault(record: MoodRecord) -> str | None:
    """What is wrong with it, or None."""
    return None if -1.0 <= record.mood <= 1.0 else f"mood is {record.mood}, outside [-1, 1]"


MOOD = Kind(
    name="mood",
    plural="moods",
    decoder=msgspec.msgpack.Decoder(MoodRecord),
    schema=SCHEMA,
    fault=mood_fault,
    is_input=True,
    life_ms=lambda *_: 60_000.0,
    carries_value=True,
)
WITH_MOODS = KINDS.adding(MOOD)
MOODS_BESIDE = KINDS.adding(replace(MOOD, is_input=False))
"""Moods that no decision rests on."""


def mood_record(symbol: str = "AAPL", as_of_ms: int = AS_OF_MS, sequence: int = 0, mood: float = 0.5) -> MoodRecord:
    """One of them."""
    return MoodRecord(SCHEMA, as_of_ms, as_of_ms + 1000, "", sequence, symbol, mood)


def mood(symbol: str = "AAPL", as_of_ms: int = AS_OF_MS, sequence: int = 0, mood: float = 0.5) -> Record:
    """One of them, to be upserted."""
    return Record("mood", symbol, encode(mood_record(symbol, as_of_ms, sequence, mood)))
