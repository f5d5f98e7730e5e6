"""Records to bytes and back: what was written is read, and nothing else is."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.records import AGENTS, HISTORY, KINDS, PRICE
from app.domain.vector import (
    AS_OF_MAX_MS,
    DUE_BARS,
    DUE_MAX_MS,
    HISTORY_SCHEMA,
    HISTORY_SCHEMA_1,
    PRICE_NAMES,
    SCHEMA,
    VIEWS_MAX,
    AgentRecord,
    AgentView,
    HistoryRecord,
    PriceRecord,
    history_record_fault,
)
from app.errors import RecordError
from app.store.codec import decode, encode
from tests.kit.records import AS_OF_MS, agent_record, agent_view, failed_view, history_record, price_record

_times = st.integers(0, AS_OF_MAX_MS - 1)
_text = st.text(max_size=20)
_values = st.tuples(*(st.none() | st.floats(allow_nan=False, allow_infinity=False) for _ in PRICE_NAMES))
_views = st.builds(agent_view, _text, st.none() | st.floats(-1, 1), _times, st.none() | st.floats(0, 1)) | st.builds(failed_view)


@st.composite
def _price_records(draw: st.DrawFn) -> PriceRecord:
    as_of_ms, interval_s = draw(_times), draw(st.integers(1, 10**7))
    ahead_ms = sorted(draw(st.sets(st.integers(1, DUE_MAX_MS), min_size=DUE_BARS, max_size=DUE_BARS)))
    due_ms = tuple(as_of_ms + each for each in ahead_ms)
    return PriceRecord(SCHEMA, as_of_ms, draw(_times), draw(_text), "AAPL", interval_s, draw(_values), due_ms)


@st.composite
def _agent_records(draw: st.DrawFn) -> AgentRecord:
    views = tuple(draw(st.lists(_views, max_size=5)))
    newest_ms = max((each.as_of_ms for each in views), default=draw(_times))
    return AgentRecord(SCHEMA, newest_ms, draw(_times), draw(_text), "AAPL", views)


@st.composite
def _histories(draw: st.DrawFn) -> HistoryRecord:
    times_ms = tuple(sorted(draw(st.sets(_times, min_size=1, max_size=120))))
    closes = tuple(draw(st.floats(allow_nan=False, allow_infinity=False)) for _ in times_ms)
    interval_s = draw(st.integers(1, 10**7))
    return HistoryRecord(HISTORY_SCHEMA, times_ms[-1], draw(_times), draw(_text), "AAPL", interval_s, times_ms, closes)


@given(_price_records(), _agent_records(), _histories())
def test_what_was_encoded_is_decoded(price: PriceRecord, agents: AgentRecord, history: HistoryRecord) -> None:
    assert decode(HISTORY, encode(history), "AAPL") == history
    assert decode(PRICE, encode(price), "AAPL") == price
    assert decode(AGENTS, encode(agents), "AAPL") == agents


def _must_be_refused(raw: bytes) -> str:
    reasons = set()
    for kind in KINDS.all:
        with pytest.raises(RecordError) as refused:
            decode(kind, raw, "AAPL")
        reasons.add(refused.value.reason)
    assert reasons <= {"corrupt", "schema_mismatch"}
    return reasons.pop()


def test_every_truncation_is_corrupt() -> None:
    for whole in (encode(price_record()), encode(agent_record()), encode(history_record(bars=3))):
        for length in range(len(whole)):
            assert _must_be_refused(whole[:length]) == "corrupt"


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(raw: bytes) -> None:
    _must_be_refused(raw)


@given(st.data())
def test_a_damaged_history_is_refused_or_still_valid(data: st.DataObject) -> None:
    raw = bytearray(encode(history_record()))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        record = decode(HISTORY, bytes(raw), "AAPL")
    except RecordError:
        return
    assert (record.symbol, record.schema, history_record_fault(record)) == ("AAPL", HISTORY_SCHEMA, None)


@given(st.sampled_from([encode(price_record()), encode(agent_record())]), st.data())
def test_a_damaged_record_is_refused_or_still_valid(whole: bytes, data: st.DataObject) -> None:
    raw = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    for kind in KINDS.inputs:
        try:
            record = decode(kind, bytes(raw), "AAPL")
        except RecordError:
            continue
        assert (record.symbol, record.schema) == ("AAPL", kind.schema)
        if isinstance(record, PriceRecord):
            assert all(value is None or math.isfinite(value) for value in record.values)


def test_a_record_of_another_vector_is_a_mismatch_and_not_misread() -> None:
    """The fingerprint is looked at before anything else, even if the rest could not be read."""
    for record in (price_record(), agent_record()):
        foreign = msgspec.structs.replace(record, schema="0" * 16)
        assert _must_be_refused(encode(foreign)) == "schema_mismatch"
    assert _must_be_refused(msgspec.msgpack.encode(["0" * 16, 1, 2, "run", "an older layout"])) == "schema_mismatch"


@pytest.mark.parametrize(
    "record",
    [
        msgspec.structs.replace(price_record(), values=price_record().values[:-1]),
        msgspec.structs.replace(price_record(), values=(*price_record().values, 1.0)),
        price_record(close=math.nan),
        price_record(close=math.inf),
        msgspec.structs.replace(price_record(), interval_s=0),
        msgspec.structs.replace(price_record(), as_of_ms=-1),
        msgspec.structs.replace(price_record(), as_of_ms=AS_OF_MAX_MS),
        price_record(symbol="MSFT"),
    ],
)
def test_a_price_record_that_breaks_a_rule_is_corrupt(record: PriceRecord) -> None:
    with pytest.raises(RecordError, match="corrupt"):
        decode(PRICE, encode(record), "AAPL")


@pytest.mark.parametrize(
    "record",
    [
        agent_record(views=(AgentView("a", "view", None, None, AS_OF_MS),)),
        agent_record(views=(AgentView("a", "failed", 0.5, None, AS_OF_MS),)),
        agent_record(views=(AgentView("a", "summary", None, None, AS_OF_MS),)),
        agent_record(views=(agent_view("a", 1.5),)),
        agent_record(views=(agent_view("a", math.nan),)),
        agent_record(views=(agent_view("a", 0.5, confidence=-0.1),)),
        agent_record(views=(agent_view("a", 0.5, as_of_ms=-5),)),
        agent_record(as_of_ms=AS_OF_MAX_MS, views=()),
        agent_record(views=(agent_view("a", 0.5, as_of_ms=AS_OF_MS + 1),)),
        agent_record(symbol="MSFT"),
    ],
)
def test_an_agent_record_that_breaks_a_rule_is_corrupt(record: AgentRecord) -> None:
    with pytest.raises(RecordError, match="corrupt"):
        decode(AGENTS, encode(record), "AAPL")


def test_names_and_order_have_this_fingerprint() -> None:
    """If this fails, stored records must be warmed again: say so in the CHANGELOG, and put the new fingerprint here."""
    assert SCHEMA == "58da68e1fd2ee18c"


def test_a_history_of_another_layout_is_a_mismatch_and_leaves_the_vector_alone() -> None:
    """It has a fingerprint of its own: if this fails, histories are missing until the next warm, and nothing else is."""
    assert HISTORY_SCHEMA == "76a8bdcefd638ae2"
    foreign = msgspec.structs.replace(history_record(), schema=SCHEMA)
    assert _must_be_refused_as_history(encode(foreign)) == "schema_mismatch"
    assert _must_be_refused_as_history(encode(history_record(symbol="MSFT"))) == "corrupt"
    with pytest.raises(RecordError, match="schema_mismatch"):
        decode(PRICE, encode(history_record()), "AAPL")


def test_a_history_of_before_is_read_and_says_not_of_how_many_bars() -> None:
    record = msgspec.structs.replace(history_record(), schema=HISTORY_SCHEMA_1)
    of_before = msgspec.msgpack.encode(msgspec.msgpack.decode(encode(record))[:-2])
    assert decode(HISTORY, of_before, "AAPL") == record
    assert (record.bars, record.is_of_store) == (0, False)


def _must_be_refused_as_history(raw: bytes) -> str:
    with pytest.raises(RecordError) as refused:
        decode(HISTORY, raw, "AAPL")
    return refused.value.reason


def test_a_record_of_more_agents_than_a_decision_looks_at_has_the_newest() -> None:
    """Whoever wrote it: of equal age the more confident ones, then by name; in the order of the record."""
    old = [agent_view(f"old-{number}", 0.1, AS_OF_MS - 1) for number in range(300)]
    new = [agent_view(f"new-{number:03}", 0.1, AS_OF_MS, confidence=number / 200) for number in range(VIEWS_MAX + 20)]
    record = agent_record(views=(*old, *new))
    kept = decode(AGENTS, encode(record), "AAPL").views
    assert [each.agent for each in kept] == [f"new-{number:03}" for number in range(20, VIEWS_MAX + 20)]
    alike = agent_record(views=tuple(agent_view(f"agent-{number:03}", 0.1) for number in reversed(range(2 * VIEWS_MAX))))
    assert {each.agent for each in decode(AGENTS, encode(alike), "AAPL").views} == {
        f"agent-{number:03}" for number in range(VIEWS_MAX)
    }
