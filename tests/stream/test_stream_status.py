"""What the consumer says of itself, in L2 and in its metrics."""

import asyncio
from collections.abc import Sequence

import pytest

from app.domain.records import STATUS
from app.domain.status import STREAM, StatusRecord
from app.errors import MarketError, StoreError
from app.market.following import StreamWriter
from app.market.protocol import Applied, Batch
from app.store.codec import decode
from app.store.protocol import Record, RunInfo, Upserted
from tests.market.places import NOON_US
from tests.stream.rig import RULES, SYMBOL, Rig, heartbeat, trade
from warm.stream.metrics import ConsumerMeters
from warm.stream.sifting import Heard
from warm.stream.status import Status
from warm.stream.ticks import Ticks

_NOON_MS = NOON_US // 1000


def _status(rig: Rig) -> StatusRecord | None:
    async def read() -> bytes | None:
        store = rig.store()
        try:
            return await store.record(STATUS.name, STREAM)
        finally:
            await store.close()

    raw = asyncio.run(read())
    return None if raw is None else decode(STATUS, raw, None)


def test_the_consumer_says_what_it_heard_of_each_source_and_that_it_was_stopped(rig: Rig) -> None:
    rig.append(trade(1), trade(2), source="coinbase")
    rig.append(heartbeat(9, 2), b"no json", source="coinbase")
    rig.append(trade(1, 5, symbol="ETH-USD"), source="replay")
    rig.append(trade(2, 6, symbol="ETH-USD"))
    rig.consume()
    said = _status(rig)
    assert said is not None
    assert (said.state, said.detail, said.log, said.lag_messages, said.lag_s) == ("stopped", "", "sqlite", 0, 0.0)
    assert (said.as_of_ms, said.sequence) == (_NOON_MS + 9_000, said.loaded_at_ms)
    assert said.last_ingestion_ms is not None
    found = [(each.source, each.newest_ms - _NOON_MS, each.messages, each.trades) for each in said.sources]
    assert found == [("", 6_000, 1, 1), ("coinbase", 9_000, 3, 2), ("replay", 5_000, 1, 1)]
    assert {each.heard_ms for each in said.sources} == {rig.now_us // 1000}
    of_sources = {
        each: rig.meters.registry.get_sample_value("decide_trades_ingested_total", {"source": each})
        for each in ("none", "coinbase", "replay")
    }
    assert of_sources == {"none": 1, "coinbase": 2, "replay": 1}
    last_s = rig.meters.registry.get_sample_value("decide_last_ingestion_timestamp_seconds")
    assert last_s == pytest.approx(said.last_ingestion_ms / 1000, abs=60)


def test_an_empty_l2_stays_empty_where_nothing_can_be_served(rig: Rig) -> None:
    """Else a server on it would be ready, with nothing."""
    rig.append(b"no json")
    rig.consume()
    assert _status(rig) is None


class _Failing:
    """A market store that fails at its first batch."""

    def __init__(self, wrapped: StreamWriter) -> None:
        self._wrapped, self._fails = wrapped, True

    def __getattr__(self, name: str) -> object:
        return getattr(self._wrapped, name)

    def apply(self, batch: Batch) -> Applied:
        fails, self._fails = self._fails, False
        if fails and batch.trades:
            raise MarketError("market_error", "away")
        return self._wrapped.apply(batch)


def test_it_says_what_it_waits_for(rig: Rig) -> None:
    rig.append(trade(1))
    rig.consume()
    said: list[StatusRecord] = []

    class Listening:
        """L2, where each status is heard."""

        def __init__(self, wrapped: object) -> None:
            self._wrapped = wrapped

        def __getattr__(self, name: str) -> object:
            return getattr(self._wrapped, name)

        async def upsert(self, records: Sequence[Record]) -> Upserted:
            said.extend(decode(STATUS, each.value, None) for each in records if each.kind == STATUS.name)
            done: Upserted = await self._wrapped.upsert(records)  # type: ignore[attr-defined]
            return done

    rig.append(trade(2))
    rig.consume(writer=_Failing, store=Listening)  # type: ignore[arg-type]
    assert [(each.state, each.detail) for each in said if each.state == "waiting"] == [("waiting", "market_error")]
    assert said[-1].state == "stopped"


class _Away:
    """L2 that does not answer."""

    async def run_info(self) -> RunInfo | None:
        raise StoreError("unreachable", "away")

    async def upsert(self, records: Sequence[Record]) -> Upserted:
        raise AssertionError(records)

    async def close(self) -> None:
        """Nothing."""


def test_while_l2_is_away_nothing_is_said_and_nothing_fails() -> None:
    store = _Away()
    ticks = Ticks(store, 0.0, ConsumerMeters(), lambda *_, **__: None)
    ticks.tell(Record(STATUS.name, STREAM, b""))
    ticks.close(store.close)


def test_of_more_sources_than_a_record_takes_those_that_were_heard_last_are_told() -> None:
    status, meters = Status("sqlite", lambda: NOON_US), ConsumerMeters()
    for number in range(30):
        heard = Heard()
        heard.heard_ms, heard.messages, heard.trades = number, 1, 1
        status.take({f"source-{number:02}": heard}, has_trades=True)
        meters.heard({f"source-{number:02}": 1})
    said = decode(STATUS, status.record("running", "", (0, 0.0), NOON_US).value, None)
    assert [each.source for each in said.sources] == [f"source-{number:02}" for number in range(10, 30)]
    assert meters.registry.get_sample_value("decide_trades_ingested_total", {"source": "source-19"}) == 1
    assert meters.registry.get_sample_value("decide_trades_ingested_total", {"source": "other"}) == 10


def test_how_long_a_trade_took_from_its_source_to_the_log_is_measured(rig: Rig) -> None:
    rig.append(trade(1), ingest_time_us=str(rig.now_us - 250_000))
    rig.consume()
    assert rig.counted("tick_to_log_seconds_count") == 1
    assert rig.counted("tick_to_log_seconds_sum") == pytest.approx(0.25)
    rig.append(trade(2))
    rig.consume(rules=RULES)
    assert rig.counted("tick_to_log_seconds_count") == 1
    assert rig.tick(SYMBOL) is not None


def test_a_header_that_is_no_time_measures_nothing_and_stops_nothing(rig: Rig) -> None:
    rig.append(trade(1), ingest_time_us="9" * 18)
    rig.consume()
    assert rig.counted("tick_to_log_seconds_count") == 0
    assert rig.tick(SYMBOL) is not None
