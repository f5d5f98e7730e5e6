"""Answers of a symbol that is traded again and again: made of the one before, and the same as if they were made anew."""

import re
from time import time_ns
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.answering.decider import Decider
from app.cache.loads import Lookup
from app.cache.memory import Entry
from app.domain.evidence import Evidence
from app.domain.ticks import TickRecord
from app.observe.meters import Meters
from app.payloads import BatchItem, DecideRequest, DecideResponse
from tests.kit.deciders import make_decider
from tests.kit.records import AS_OF_MS, agent_record, agent_view, evidence_of, price_record, tick_record

_ASKED = DecideRequest("AAPL")
_times = st.integers(AS_OF_MS - 1000, AS_OF_MS + 200_000)
_closed = st.sampled_from([None, None, (AS_OF_MS + 70_000, AS_OF_MS + 200_001)])


@st.composite
def _trades(draw: st.DrawFn) -> TickRecord:
    made = tick_record(
        "AAPL",
        draw(_times),
        draw(st.sampled_from(["104.5", "96.01", "90", "1000000000000.00000001", "0.0001"])),
        coverage=draw(st.sampled_from(["complete", "complete", "complete", "quiet", "gap"])),
        closed_ms=draw(_closed),
    )
    return msgspec.structs.replace(made, source=draw(st.sampled_from(["a-file", "a-file", '","source":'])))


@st.composite
def _grounds(draw: st.DrawFn) -> Evidence:
    """Bars and views that are fresh, or turn stale while trades come, or are not there."""
    bars = draw(
        st.sampled_from([price_record(), price_record(), price_record(as_of_ms=AS_OF_MS + 100_000 - 4 * 86_400_000), None])
    )
    views = draw(st.sampled_from([(agent_view("a", -0.1),), (agent_view("a", 0.9),), (agent_view("a", None),)]))
    agents = draw(st.sampled_from([agent_record(views=views), agent_record(as_of_ms=AS_OF_MS + 100_000, views=views), None]))
    return evidence_of(bars, agents, None if bars else "absent", None if agents else "absent")


def _entry(evidence: Evidence) -> Entry:
    return Entry(evidence, 0.0, 1e9, 1e9, 1e9, 0, 0, evidence.run, 1)


def _anew(decider: Decider, evidence: Evidence) -> DecideResponse:
    return decider.answer(_ASKED, "AAPL", Lookup(evidence, "l1", proven=True, age_s=0.0), decider.clock())


def _told(decider: Decider, entry: Entry) -> tuple[DecideResponse, dict[str, Any] | None]:
    body, _, _, facts = decider.render(_ASKED, entry, decider.clock())
    return msgspec.json.decode(body, type=DecideResponse), facts


@given(_grounds(), st.lists(st.tuples(_trades(), _times, st.booleans()), min_size=1, max_size=6))
def test_an_answer_after_another_trade_is_the_decision_made_anew(
    ground: Evidence, trades: list[tuple[TickRecord, int, bool]]
) -> None:
    """Bit for bit, alone and in a batch, whatever was traded and whenever it is asked for; and counted as what it is."""
    now_ms = AS_OF_MS
    decider = make_decider(now_ms=lambda: now_ms)
    decider.tiers.memory.put("AAPL", ground)
    entry = decider.tiers.memory.fresh("AAPL", 0.0)
    assert entry is not None
    for trade, moment_ms, in_batch in trades:
        now_ms = moment_ms
        decider.tiers.memory.apply("AAPL", 2, trade)
        if in_batch:
            item = decider.rendering(decider.clock()).item(_ASKED)
            assert item is not None
            found = msgspec.json.decode(item, type=BatchItem).decision
            assert found is not None
        else:
            found, facts = _told(decider, entry)
            assert (facts is None) == (found.fallback.level == "none")
        anew = _anew(decider, entry.evidence)
        assert msgspec.structs.replace(found, id=anew.id) == anew
        alike = decider.prepared("AAPL", _entry(entry.evidence), now_ms, 0.0)
        kept = entry.prepared
        assert (kept.pieces, kept.batch_pieces, kept.used, kept.more, kept.tally, kept.strength) == (
            (alike.pieces, alike.batch_pieces, alike.used, alike.more, alike.tally, alike.strength)
        )
        assert (kept.since_ms, kept.until_ms) == (alike.since_ms, alike.until_ms)


def test_a_trade_moves_what_was_prepared_and_another_source_makes_it_anew() -> None:
    """The same object, so that what it cost is not spent again; until something else is to be said."""
    now_ms = AS_OF_MS
    decider = make_decider(now_ms=lambda: now_ms)
    entry = _entry(evidence_of(price_record(), agent_record(), tick=tick_record("AAPL", AS_OF_MS, "104.5")))
    first, _ = _told(decider, entry)
    prepared = entry.prepared

    def trade(at_ms: int, **changed: object) -> DecideResponse:
        prepared.outdate()
        moved = msgspec.structs.replace(tick_record("AAPL", AS_OF_MS + at_ms, "96"), **changed)
        entry.evidence = entry.evidence.having(2, moved)
        return _told(decider, entry)[0]

    second = trade(10)
    assert entry.prepared is prepared
    assert (second.score < first.score, second.as_of) == (True, "2013-03-01T21:00:00.010Z")
    trade(20, source="another")
    assert entry.prepared is not prepared


def test_how_long_a_trade_took_to_a_decision_is_measured_at_the_first_answer_that_used_it() -> None:
    """Of one that stood there when the symbol was loaded nobody knows whether others answered with it."""
    now_ms = AS_OF_MS + 1000
    meters = Meters(version="1", policy="1", schema="s")
    decider = make_decider(lambda: now_ms, meters)
    tick = tick_record("AAPL", AS_OF_MS, "104.5", ingested_us=time_ns() // 1000)
    entry = _entry(evidence_of(price_record(), agent_record(), tick=tick))

    def count(evidence: Evidence) -> float:
        entry.evidence = evidence
        if entry.prepared is not None:
            entry.prepared.outdate()
        for _ in range(2):
            _told(decider, entry)
        found = re.search(r"^decide_tick_to_decision_seconds_count (.*)$", meters.exposition().decode(), re.MULTILINE)
        assert found is not None
        return float(found[1])

    assert count(entry.evidence) == 0
    moved = entry.evidence.having(2, tick_record("AAPL", AS_OF_MS + 10, "96", ingested_us=time_ns() // 1000))
    assert count(moved) == 1
    assert count(moved) == 1
    anew = msgspec.structs.replace(tick_record("AAPL", AS_OF_MS + 20, "97", ingested_us=time_ns() // 1000), source="another")
    assert count(moved.having(2, anew)) == 2
    assert count(moved.having(2, tick_record("AAPL", AS_OF_MS + 30, "98"))) == 2
    assert count(moved.having(2, tick_record("AAPL", AS_OF_MS + 40, "98", ingested_us=time_ns() // 1000 + 10**9))) == 3
