"""What a process that brings live data says of itself, and what is wrong with it."""

import msgspec
import pytest

from app.domain.status import SILENT_MS, STATUS_FIELDS, StatusRecord, status_record_fault, told, wrong_with
from tests.kit.records import AS_OF_MS, heard, status_record


def test_a_record_has_the_fields_of_its_fingerprint() -> None:
    assert StatusRecord.__struct_fields__ == ("schema", *STATUS_FIELDS)
    assert status_record_fault(status_record()) is None


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"began_ms": -1}, "a time is outside the years 1970 to 9000"),
        ({"last_ingestion_ms": 2**60}, "a time is outside the years 1970 to 9000"),
        ({"sources": (heard(heard_ms=2**60),)}, "a time is outside the years 1970 to 9000"),
        ({"lag_messages": -1}, "its lag is -1 messages, 0.5 s"),
        ({"lag_s": float("nan")}, "its lag is 7 messages, nan s"),
        ({"sources": (heard(),) * 21}, "21 sources where 20 are allowed, or a count below 0"),
        ({"sources": (heard(trades=-1),)}, "1 sources where 20 are allowed, or a count below 0"),
        ({"detail": "d" * 201}, "a text is longer than 200 characters"),
        ({"sources": (heard("s" * 201),)}, "a text is longer than 200 characters"),
    ],
)
def test_what_cannot_be_shown_is_a_fault(fields: dict[str, object], fault: str) -> None:
    assert status_record_fault(msgspec.structs.replace(status_record(), **fields)) == fault


def test_a_long_reason_is_cut_to_what_a_record_takes() -> None:
    assert told("short") == "short"
    assert len(told("long " * 100)) == 200
    assert status_record_fault(status_record(detail=told("long " * 100))) is None


@pytest.mark.parametrize(
    ("fields", "after_ms", "wrong"),
    [
        ({}, SILENT_MS, None),
        ({}, SILENT_MS + 1, "the stream was last heard of 30 s ago"),
        ({"state": "stopped"}, 10 * SILENT_MS, None),
        ({"state": "waiting", "detail": "market_error: away"}, 0, "the stream waits (market_error: away)"),
        ({"lag_s": 60.0}, 0, None),
        ({"lag_s": 75.4, "lag_messages": 12}, 0, "the stream is 75 s and 12 messages behind"),
    ],
)
def test_what_is_wrong_with_a_stream(fields: dict[str, object], after_ms: int, wrong: str | None) -> None:
    record = status_record(**fields)
    assert wrong_with(record, record.loaded_at_ms + after_ms) == wrong


def test_a_record_says_as_of_when_it_is() -> None:
    assert status_record().as_of_ms == AS_OF_MS
