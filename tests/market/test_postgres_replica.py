"""Reads that come from a streaming replica: one that lags, that is in the way of what it replays, or that is away."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from app.errors import MarketError, MigrationRefused
from app.market.opening import migrate, open_reader
from app.market.postgres_reader import PostgresReader
from app.market.protocol import Batch, Gap
from app.payloads import HealthResponse
from tests.kit.clock import Clock
from tests.kit.house import make_breaker
from tests.kit.postgres import PostgresServer
from tests.kit.servers import until
from tests.kit.serving import Served, decoded
from tests.market.giving import trade
from tests.market.places import PostgresPlace

_HELD = """
CREATE TABLE holding (it integer); INSERT INTO holding VALUES (1);
ALTER TABLE gaps RENAME TO hidden;
CREATE FUNCTION holds() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN IF EXISTS (SELECT FROM holding) THEN PERFORM pg_sleep(99); END IF; RETURN true; END $$;
CREATE VIEW gaps AS SELECT * FROM hidden WHERE holds()
"""


class _Pair(NamedTuple):
    primary: PostgresServer
    replica: PostgresServer

    def url_of(self, place: PostgresPlace) -> str:
        """That of the same database on the replica."""
        return self.replica.url(place.url.split("/")[3].split("?")[0])


@pytest.fixture(scope="module")
def pair(postgres_server: PostgresServer) -> Iterator[_Pair]:
    """One of the module's own. Nobody waits for whoever is in the way of the replica."""
    primary = PostgresServer(postgres_server.programs, synchronous_commit="on")
    replica = PostgresServer(primary.programs, primary, max_standby_streaming_delay="0")
    yield _Pair(primary, replica)
    replica.stop()
    primary.stop()


@pytest.fixture
def place(pair: _Pair) -> Iterator[PostgresPlace]:
    """A database on both, migrated, with a trade."""
    made = PostgresPlace(pair.primary.create())
    made.writer().apply(Batch(trades=[trade(1)]))
    _catch_up(pair)
    yield made
    made.close()


def _ask(url: str, statement: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(statement.encode()).fetchone()
        return None if row is None else row[0]


def _catch_up(pair: _Pair) -> None:
    """Once the replica has all that the primary has now."""
    at = _ask(pair.primary.url(), "SELECT pg_current_wal_lsn()")
    until(lambda: bool(_ask(pair.replica.url(), f"SELECT pg_last_wal_replay_lsn() >= '{at}'")), 60, "it catches up", 0.02)


def test_reads_come_from_the_replica_as_far_as_it_is(pair: _Pair, place: PostgresPlace) -> None:
    """One that lags answers with what it has; writes go to the primary."""

    async def check() -> None:
        reader = open_reader(url=place.url, read_url=pair.url_of(place), path=Path("unused"), deadline_s=60.0)
        assert (await reader.names(10, "", ())).symbols == ["A"]
        await asyncio.to_thread(_ask, pair.replica.url(), "SELECT pg_wal_replay_pause()")
        place.writer().apply(Batch(trades=[trade(1, symbol="B")]))
        assert (await reader.names(10, "", ())).symbols == ["A"]
        await asyncio.to_thread(_ask, pair.replica.url(), "SELECT pg_wal_replay_resume()")
        await asyncio.to_thread(_catch_up, pair)
        assert (await reader.names(10, "", ())).symbols == ["A", "B"]
        await reader.close()

    asyncio.run(check())


def test_what_is_read_is_never_migrated_though_it_could_be_written(pair: _Pair) -> None:
    """One that lags behind a migration is refused until it has it; that is no outage of its own."""
    url = pair.primary.create()
    on_replica = pair.url_of(PostgresPlace(url))

    async def check() -> None:
        for read_url in (url, on_replica):
            await asyncio.to_thread(_catch_up, pair)
            reader = open_reader(url=url, read_url=read_url, path=Path("unused"), deadline_s=60.0)
            with pytest.raises(MigrationRefused, match=r"0001_market\.sql is not applied"):
                await reader.names(10, "", ())
            await reader.close()
        assert _ask(url, "SELECT to_regclass('migrations')") is None
        reader = PostgresReader(on_replica, deadline_s=60.0, breaker=make_breaker(Clock(), 1))
        with pytest.raises(MigrationRefused):
            await reader.names(10, "", ())
        await asyncio.to_thread(migrate, url=url, path=Path("unused"))
        await asyncio.to_thread(_catch_up, pair)
        assert (await reader.names(10, "", ())).symbols == []
        await reader.close()

    asyncio.run(check())


def test_a_read_in_the_way_of_what_a_replica_replays_begins_again(pair: _Pair, place: PostgresPlace) -> None:
    """The replica cancels it; the next attempt sees what was replayed. It is no outage."""
    place.change(_HELD)
    place.change("INSERT INTO hidden (symbol, venue, from_us, to_us, found_by) VALUES ('A', 'V', 1, 2, 'ids')")
    _catch_up(pair)
    sleeps = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"

    async def check() -> None:
        reader = PostgresReader(pair.url_of(place), deadline_s=60.0, breaker=make_breaker(Clock(), 1))
        read = asyncio.create_task(reader.gaps("A", 0, 9))
        await asyncio.to_thread(until, lambda: bool(_ask(pair.replica.url(), sleeps)), 60, "it reads", 0.02)
        await asyncio.to_thread(place.change, "TRUNCATE holding")
        assert await read == [Gap("V", "A", 1, 2, "ids")]
        assert reader.breaker.opened == 0
        await reader.close()

    asyncio.run(check())


def test_health_says_that_a_replica_is_away_until_it_is_back(pair: _Pair, place: PostgresPlace) -> None:
    """The primary is not read in its place, and is written on."""
    clock = Clock()
    reader = PostgresReader(pair.url_of(place), deadline_s=60.0, breaker=make_breaker(clock, 2))
    with Served(open_reader=lambda: reader, database_url=place.url, database_read_url=pair.url_of(place)) as served:

        def database() -> tuple[str, str | None]:
            found = decoded(served.get("/health"), HealthResponse)
            return found.database.state, found.database.detail

        until(lambda: database() == ("ok", None), 60, "it is read", 0.02)
        pair.replica.kill()
        try:
            assert [database() for _ in range(3)] == [("unreachable", "market_error")] * 2 + [("unreachable", "market_open")]
            answer = served.get("/symbols?details=true")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert place.writer().apply(Batch(trades=[trade(1, symbol="C")])).inserted == 1
        finally:
            pair.replica.start()

        def is_back() -> bool:
            clock.now += 60.0
            return database() == ("ok", None)

        until(is_back, 60, "it is back", 0.02)
        _catch_up(pair)
        assert "C" in served.get("/symbols?details=true").json()["symbols"]
        served.runner.run(served.parts.market.close())


def test_a_replica_that_is_always_in_the_way_is_busy(pair: _Pair, place: PostgresPlace) -> None:
    """It was asked twice, and says why; it is no outage."""
    place.change("ALTER TABLE gaps RENAME TO hidden")
    place.change(
        "CREATE FUNCTION says() RETURNS boolean LANGUAGE plpgsql STABLE AS "
        "$$ BEGIN RAISE 'conflict with recovery' USING ERRCODE = '40001'; END $$"
    )
    place.change("CREATE VIEW gaps AS SELECT * FROM hidden WHERE says()")
    _catch_up(pair)

    async def check() -> None:
        reader = PostgresReader(pair.url_of(place), deadline_s=60.0, breaker=make_breaker(Clock(), 1))
        with pytest.raises(MarketError, match="conflict with recovery") as caught:
            await reader.gaps("A", 0, 1)
        assert (caught.value.reason, reader.breaker.opened) == ("market_busy", 0)
        await reader.close()

    asyncio.run(check())
