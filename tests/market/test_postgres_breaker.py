"""Which failures of reads mean that PostgreSQL is away, and which do not."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest

from app.breaker import Breaker
from app.errors import MarketError
from app.market.postgres_opening import MIGRATING
from app.market.postgres_reader import PostgresReader
from app.market.protocol import Batch, CandlesWanted
from tests.kit.clock import Clock
from tests.kit.house import make_breaker
from tests.kit.postgres import PostgresServer
from tests.kit.servers import until
from tests.market.places import PostgresPlace

_FAILURES = 3
_WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
_SAYS = """
ALTER TABLE gaps RENAME TO hidden;
CREATE FUNCTION says() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE 'it' USING ERRCODE = '{}'; END $$;
CREATE VIEW gaps AS SELECT * FROM hidden WHERE says()
"""


@pytest.fixture
def place(make_postgres: Callable[[], PostgresPlace]) -> Iterator[PostgresPlace]:
    """A migrated database."""
    with closing(make_postgres()) as made:
        yield made


def _breaker(clock: Callable[[], float]) -> Breaker:
    return make_breaker(clock, _FAILURES)


@contextmanager
def _changed(place: PostgresPlace, change: str, undo: str) -> Iterator[None]:
    with psycopg.connect(place.url) as connection:
        connection.execute(change.encode())
    try:
        yield
    finally:
        with psycopg.connect(place.url) as connection:
            connection.execute(undo.encode())


async def _reason(reader: PostgresReader) -> str:
    """Why a read of gaps fails; empty if it does not."""
    try:
        await reader.gaps("A", 0, 1)
    except MarketError as error:
        return error.reason
    return ""


async def _slow(reader: PostgresReader, reads: int) -> set[str]:
    """Why so many reads at once fail, of what another holds."""
    found = await asyncio.gather(*(reader.candles(CandlesWanted("A", "1m", 10)) for _ in range(reads)), return_exceptions=True)
    return {each.reason if isinstance(each, MarketError) else repr(each) for each in found}


async def _opened(reader: PostgresReader) -> None:
    """Once the breaker is open."""
    await asyncio.to_thread(until, lambda: reader.breaker.state == "open", 60, "it opens", 0.02)


async def _recovered(reader: PostgresReader, clock: Clock) -> None:
    for _ in range(600):
        clock.now += 60.0
        if await _reason(reader) == "":
            break
    assert reader.breaker.state == "closed"


def test_reads_past_their_deadline_leave_a_breaker_closed_while_the_database_is_well(place: PostgresPlace) -> None:
    """More of them in a row than failures open it. Quick reads beside them go on, and so does a ping where all threads are
    taken. Nothing is left of them, and their connections serve the next ones.
    """

    async def check() -> None:
        reader = PostgresReader(place.url, deadline_s=4.0, breaker=_breaker(asyncio.get_running_loop().time))
        await asyncio.gather(*(reader.names(10, "", ()) for _ in range(4)))
        with psycopg.connect(place.url) as other:
            other.execute("LOCK TABLE symbols")
            slow = asyncio.create_task(_slow(reader, 4))
            await asyncio.sleep(0.05)
            assert await _reason(reader) == ""
            assert await slow == {"market_timeout"}
            slow = asyncio.create_task(_slow(reader, 12))
            await asyncio.sleep(0.05)
            assert (reader.pool.in_use, reader.pool.waiting) == (8, 4)
            await reader.ping()
            assert await slow == {"market_timeout"}
        assert (await reader.candles(CandlesWanted("A", "1m", 10))).bars == ()
        assert reader.breaker.opened == 0
        await reader.close()

    asyncio.run(check())


def test_a_connection_that_waits_past_its_deadline_for_others_is_slow(place: PostgresPlace) -> None:
    """Whoever migrates may hold what a new one looks at first."""

    async def check() -> None:
        reader = PostgresReader(place.url, deadline_s=0.5, breaker=_breaker(Clock()))
        with psycopg.connect(place.url) as other:
            other.execute("LOCK TABLE migrations")
            for _ in range(2 * _FAILURES):
                assert await _reason(reader) == "market_timeout"
        await reader.close()
        assert reader.breaker.state == "closed"

    asyncio.run(check())


def test_reads_of_a_database_that_another_migrates_are_refused_at_once(place: PostgresPlace) -> None:
    """It may take minutes, and neither a thread nor the end of the server waits for it."""

    async def check() -> None:
        with psycopg.connect(place.url) as other:
            other.execute("DROP SCHEMA public CASCADE")
            other.execute("CREATE SCHEMA public")
            other.commit()
            other.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATING,))
            reader = PostgresReader(place.url, deadline_s=60.0, migrates=True, breaker=_breaker(Clock()))
            assert [await _reason(reader) for _ in range(2 * _FAILURES)] == ["market_busy"] * (2 * _FAILURES)
            await reader.close()
            assert reader.breaker.state == "closed"
        reader = PostgresReader(place.url, deadline_s=60.0, migrates=True, breaker=_breaker(Clock()))
        assert await _reason(reader) == ""
        await reader.close()

    asyncio.run(check())


def test_a_read_that_never_got_its_thread_says_nothing_of_the_database(place: PostgresPlace) -> None:
    """Failures in a row stay what they are, and if it was the breaker's probe the next read is one."""
    now, entered, go = Clock(), threading.Event(), threading.Event()

    def clock() -> float:
        if threading.current_thread() is not threading.main_thread():
            entered.set()
            assert go.wait(60)
        return now()

    async def late(reader: PostgresReader) -> None:
        entered.clear()
        go.clear()
        read = asyncio.create_task(_reason(reader))
        await asyncio.to_thread(entered.wait, 60)
        # It has just got its thread.
        now.now += 61.0
        go.set()
        assert await read == "market_timeout"

    async def check() -> None:
        reader = PostgresReader(place.url, deadline_s=60.0, clock=clock, breaker=_breaker(now))
        for _ in range(_FAILURES - 1):
            reader.breaker.failed()
        await late(reader)
        reader.breaker.failed()
        await _opened(reader)
        now.now += 60.0
        await late(reader)
        await _opened(reader)
        await reader.ping()
        assert reader.breaker.state == "closed"
        await reader.close()

    asyncio.run(check())


@pytest.mark.parametrize(
    ("state", "reason", "is_away"),
    [
        *(("58030", "market_error", True), ("53200", "market_error", True), ("XX001", "market_error", True)),
        *(("22012", "market_error", False), ("40001", "market_busy", False), ("57014", "market_timeout", False)),
    ],
)
def test_what_the_database_says_of_itself_counts_and_what_it_says_of_a_read_does_not(
    place: PostgresPlace, state: str, reason: str, *, is_away: bool
) -> None:
    async def check() -> None:
        reader = PostgresReader(place.url, deadline_s=60.0, breaker=_breaker(Clock()))
        assert [await _reason(reader) for _ in range(_FAILURES)] == [reason] * _FAILURES
        assert reader.breaker.state == ("open" if is_away else "closed")
        await reader.close()

    with _changed(place, _SAYS.format(state), "DROP VIEW gaps; DROP FUNCTION says; ALTER TABLE hidden RENAME TO gaps"):
        asyncio.run(check())


def test_a_database_without_connections_is_away(place: PostgresPlace) -> None:
    """And back once there are some."""
    clock = Clock()
    few = "CREATE ROLE few LOGIN CONNECTION LIMIT 0; GRANT SELECT ON ALL TABLES IN SCHEMA public TO few"

    async def check() -> None:
        reader = PostgresReader(place.url.replace("decide@", "few@"), deadline_s=60.0, breaker=_breaker(clock))
        assert [await _reason(reader) for _ in range(4)] == ["market_error"] * 3 + ["market_open"]
        with psycopg.connect(place.url) as connection:
            connection.execute("ALTER ROLE few CONNECTION LIMIT 5")
        await _recovered(reader, clock)
        await reader.close()

    with _changed(place, few, "DROP OWNED BY few; DROP ROLE few"):
        asyncio.run(check())


def test_a_statement_that_others_cancel_is_asked_again_once(place: PostgresPlace) -> None:
    with psycopg.connect(place.url) as other, psycopg.connect(place.url, autocommit=True) as admin:
        other.execute("LOCK TABLE gaps")

        def cancel() -> bool:
            found = admin.execute(_WAITING).fetchall()
            return any(admin.execute("SELECT pg_cancel_backend(%s)", each).fetchone() for each in found)

        async def check() -> None:
            reader = PostgresReader(place.url, deadline_s=60.0)
            read = asyncio.create_task(_reason(reader))
            await asyncio.to_thread(until, cancel, 60, "it waits", 0.02)
            await asyncio.to_thread(other.rollback)
            assert await read == ""
            await reader.close()

        asyncio.run(check())


def test_a_hung_server_costs_its_deadline_and_after_some_reads_nothing(lasting: tuple[PostgresServer, PostgresPlace]) -> None:
    """It answers not even that it cancels. Who asks then is refused at once, but for one that looks whether it is back. Nobody
    makes the reader anew.
    """
    server, place = lasting
    place.writer().apply(Batch())
    clock = Clock()

    async def check() -> None:
        reader = PostgresReader(place.url, deadline_s=0.5, breaker=_breaker(clock))
        await _recovered(reader, clock)
        server.pause()
        try:
            assert await asyncio.gather(*(_reason(reader) for _ in range(_FAILURES))) == ["market_timeout"] * _FAILURES
            await _opened(reader)
            assert await _reason(reader) == "market_open"
            clock.now += 60.0
            assert await _reason(reader) == "market_timeout"
            await _opened(reader)
        finally:
            server.go_on()
        assert await _reason(reader) == "market_open"
        await _recovered(reader, clock)
        await reader.close()

    asyncio.run(check())


def test_a_server_that_is_killed_opens_the_breaker_and_one_that_is_back_closes_it(
    lasting: tuple[PostgresServer, PostgresPlace],
) -> None:
    server, place = lasting
    place.writer().apply(Batch())
    clock = Clock()

    async def check() -> None:
        reader = PostgresReader(place.url, deadline_s=60.0, breaker=_breaker(clock))
        assert await _reason(reader) == ""
        await asyncio.to_thread(server.kill)
        assert [await _reason(reader) for _ in range(4)] == ["market_error"] * 3 + ["market_open"]
        await asyncio.to_thread(server.start)
        await _recovered(reader, clock)
        await reader.close()

    asyncio.run(check())
