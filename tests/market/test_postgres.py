"""What is PostgreSQL's own: connections that are lost, a server that is away or hangs, and others who write."""

import asyncio
import functools
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest

from app.breaker import Breaker
from app.errors import MarketError, OffsetMoved
from app.market.postgres import PostgresWriter
from app.market.postgres_reader import PostgresReader
from app.market.protocol import Batch, CandlesWanted, Gap, Move, Partition, TradesWanted
from tests.kit.postgres import PostgresServer
from tests.kit.servers import until
from tests.market.giving import trade
from tests.market.places import NOON_US, PostgresPlace

_PARTITION = Partition("kafka", "decide.trades", "id1", 3)
_ON_TRADES = """
CREATE SEQUENCE times;
CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF nextval('times') <= {times} THEN {does}; END IF; RETURN NEW; END $$;
CREATE {kind} TRIGGER fails AFTER INSERT ON {table} {when} FOR EACH ROW EXECUTE FUNCTION fails();
"""
_GONE = "PERFORM pg_terminate_backend(pg_backend_pid())"


@pytest.fixture
def place(make_postgres: Callable[[], PostgresPlace]) -> Iterator[PostgresPlace]:
    """A store whose triggers go with the test."""
    with closing(make_postgres()) as made:
        yield made
        _run(made, "DROP FUNCTION IF EXISTS fails CASCADE; DROP SEQUENCE IF EXISTS times")


def _run(place: PostgresPlace, statement: str) -> None:
    with psycopg.connect(place.url) as connection:
        connection.execute(statement.encode())


def _fails(place: PostgresPlace, does: str, times: int = 1, table: str = "trades", *, at_end: bool = False) -> None:
    """Have the database do so, the first ``times`` that a row comes; ``at_end``: once it is asked to commit."""
    kind, when = ("CONSTRAINT", "DEFERRABLE INITIALLY DEFERRED") if at_end else ("", "")
    _run(place, _ON_TRADES.format(does=does, times=times, table=table, kind=kind, when=when))


def _end_others(place: PostgresPlace) -> None:
    _run(
        place,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


async def _refused(reader: PostgresReader) -> str:
    with pytest.raises(MarketError) as caught:
        await reader.ping()
    return caught.value.reason


def test_a_read_whose_connection_is_dead_begins_again_on_a_new_one(place: PostgresPlace) -> None:
    """All that were idle are, once a server was begun anew."""
    place.writer().apply(Batch(trades=[trade(1)]))

    async def check() -> None:
        reader = PostgresReader(place.url, deadline_s=60.0)
        await asyncio.gather(*(reader.names(10, "", ()) for _ in range(20)))
        _end_others(place)
        assert len((await reader.trades(TradesWanted("A", 10))).trades) == 1
        assert reader.breaker.state == "closed"
        await reader.close()

    asyncio.run(check())


def test_statements_that_are_asked_often_are_planned_once(place: PostgresPlace) -> None:
    """Also over reads; to plan a page takes longer than to read it."""
    place.writer().apply(Batch(trades=[trade(1, NOON_US)]))
    planned = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%WITH RECURSIVE%'"

    async def check() -> None:
        reader = PostgresReader(place.url, threads=1)
        for _ in range(20):
            await reader.candles(CandlesWanted("A", "1m", 1, counts=True))
        generic, custom = await reader._read(lambda connection: connection.execute(planned).fetchone())
        assert generic > custom
        await reader.close()

    asyncio.run(check())


async def _answered(reader: PostgresReader, attempts: int = 600) -> bool:
    """Whether it is at last, within a machine's bad moments."""
    for _ in range(attempts):
        try:
            await reader.ping()
        except MarketError:
            await asyncio.sleep(0.05)
        else:
            return True
    return False


@pytest.mark.timeout(300)
def test_a_server_that_is_killed_under_writes_loses_nothing_and_has_nothing_twice(
    lasting: tuple[PostgresServer, PostgresPlace],
) -> None:
    """Trades, bars, gaps and offset are of the same batches; the same writer and the same reader go on. Meanwhile reads fail
    with an error of the market's within their deadline.
    """
    server, place = lasting
    writer, stop, acknowledged = place.writer(), threading.Event(), [0]

    def has_written(enough: int) -> bool:
        return acknowledged[0] >= enough

    def write() -> None:
        at = None
        while not stop.is_set():
            first = at or 0
            # Some of them came before; each batch leaves a gap of its own.
            trades = [trade(n, NOON_US + n * 50_000, str(10 + n % 7)) for n in range(max(0, first - 20), first + 300)]
            gap = Gap("V", "A", first + 1, first + 2, "ids")
            try:
                writer.apply(Batch(trades=trades, gaps=[gap], moves=[Move(_PARTITION, at, first + 300)]))
                at = acknowledged[0] = first + 300
            except (MarketError, OffsetMoved):
                # Whether it was written is not known where it was lost at its end: the offset says so.
                stop.wait(0.01)
                at = _offset(writer, stop)

    async def check() -> None:
        clock = asyncio.get_running_loop().time
        breaker = Breaker(failures=5, first_pause_s=0.01, longest_pause_s=0.05, clock=clock, rng=random.Random(1))
        reader = PostgresReader(place.url, deadline_s=20.0, breaker=breaker)
        for _ in range(4):
            enough = acknowledged[0] + 1_500
            await asyncio.to_thread(until, functools.partial(has_written, enough), 60, "it writes", 0.01)
            await reader.trades(TradesWanted("A", 100))
            server.kill()
            assert await _refused(reader) in ("market_error", "market_open")
            server.start()
            assert await _answered(reader)
        await reader.close()

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write)
        try:
            asyncio.run(check())
        finally:
            stop.set()
        writing.result(60)
    ((following,),) = place.rows("SELECT next FROM offsets")
    assert following >= acknowledged[0] > 0
    assert place.rows("SELECT count(*), count(DISTINCT trade_key) FROM trades") == [(following, following)]
    assert place.rows("SELECT sum(trades)::bigint FROM candles") == [(following,)]
    assert place.rows("SELECT count(*) FROM gaps") == [(following // 300,)]
    assert place.bars_of_trades() == [(*row[:-1], pytest.approx(row[-1], rel=1e-12)) for row in place.recomputed()]


def _offset(writer: Any, stop: threading.Event) -> int | None:  # noqa: ANN401 - a writer
    while not stop.is_set():
        try:
            found: int | None = writer.offsets("kafka").get(_PARTITION)
        except MarketError:
            stop.wait(0.02)
        else:
            return found
    return None


def test_a_batch_whose_connection_is_lost_before_its_end_is_written_again(place: PostgresPlace) -> None:
    """Between two calls, and in the middle of one."""
    writer = place.writer()
    writer.apply(Batch(trades=[trade(1)], moves=[Move(_PARTITION, None, 1)]))
    _end_others(place)
    assert writer.apply(Batch(trades=[trade(2)], moves=[Move(_PARTITION, 1, 2)])).inserted == 1
    _fails(place, _GONE)
    assert writer.apply(Batch(trades=[trade(3)], moves=[Move(_PARTITION, 2, 3)])).inserted == 1
    assert place.rows("SELECT count(*) FROM trades") == [(3,)]
    assert writer.offsets("kafka") == {_PARTITION: 3}


def test_of_a_transaction_that_is_lost_at_its_end_the_error_says_that_nobody_knows(place: PostgresPlace) -> None:
    """It is not written again: the same batch may come again, and its offset says whether it was."""
    writer = place.writer()
    batch = Batch(trades=[trade(1)], moves=[Move(_PARTITION, None, 1)])
    _fails(place, _GONE, table="offsets", at_end=True)
    with pytest.raises(MarketError, match="Whether the transaction was written is not known"):
        writer.apply(batch)
    assert place.rows("SELECT last_value FROM times") == [(1,)]
    assert writer.apply(batch).inserted == 1
    with pytest.raises(OffsetMoved):
        writer.apply(batch)


def test_what_the_server_breaks_off_at_its_end_was_not_written_and_is_begun_again(place: PostgresPlace) -> None:
    """It says so itself, over a connection that stands."""
    _fails(place, "RAISE EXCEPTION 'again' USING ERRCODE = '40001'", table="offsets", at_end=True)
    assert place.writer().apply(Batch(trades=[trade(1)], moves=[Move(_PARTITION, None, 1)])).inserted == 1
    assert place.rows("SELECT last_value FROM times") == [(2,)]


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_what_the_server_breaks_off_is_begun_again_so_often(place: PostgresPlace, state: str) -> None:
    writer = place.writer()
    _fails(place, f"RAISE EXCEPTION 'again' USING ERRCODE = '{state}'", times=2)
    assert writer.apply(Batch(trades=[trade(1)])).inserted == 1
    _run(place, "ALTER SEQUENCE times RESTART MINVALUE -9 START -9")
    with pytest.raises(MarketError, match="again"):
        writer.apply(Batch(trades=[trade(2)]))
    assert place.rows("SELECT count(*) FROM trades") == [(1,)]


def test_who_waits_too_long_for_another_writer_says_busy_and_goes_on_later(place: PostgresPlace) -> None:
    writer = PostgresWriter(place.url, busy_s=0.05)
    writer.apply(Batch())
    with psycopg.connect(place.url) as other:
        other.execute("UPDATE marks SET value = value WHERE name = 'writes'")
        with pytest.raises(MarketError, match="lock timeout") as caught:
            writer.apply(Batch(trades=[trade(1)]))
        assert caught.value.reason == "market_busy"
    assert writer.apply(Batch(trades=[trade(1)])).inserted == 1
    writer.close()


def test_a_transaction_may_take_longer_than_each_of_its_statements(place: PostgresPlace) -> None:
    """Each row of trades, bars and offsets costs its time."""
    writer = PostgresWriter(place.url, statement_s=3.0)
    writer.apply(Batch())
    _fails(place, "PERFORM pg_sleep(1.2)", times=9)
    _run(place, "CREATE TRIGGER fails AFTER INSERT ON candles FOR EACH ROW EXECUTE FUNCTION fails()")
    _run(place, "CREATE TRIGGER fails AFTER INSERT ON offsets FOR EACH ROW EXECUTE FUNCTION fails()")
    assert writer.apply(Batch(trades=[trade(1)], moves=[Move(_PARTITION, None, 1)])).inserted == 1
    _run(place, "CREATE OR REPLACE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(99); END'")
    with pytest.raises(MarketError) as caught:
        writer.apply(Batch(trades=[trade(2)]))
    assert caught.value.reason == "market_timeout"
    writer.close()


def test_a_writer_does_not_wait_for_ever_for_a_server_that_hangs(lasting: tuple[PostgresServer, PostgresPlace]) -> None:
    """And goes on once it is back."""
    server, place = lasting
    writer = PostgresWriter(place.url, statement_s=1.0)
    writer.apply(Batch())
    server.pause()
    try:
        with pytest.raises(MarketError) as caught:
            writer.apply(Batch(trades=[trade(1)]))
        assert caught.value.reason == "market_timeout"
    finally:
        server.go_on()
    assert place.writer().apply(Batch(trades=[trade(1)])).inserted == 1
    writer.close()


def test_of_two_writers_of_one_partition_one_moves_each_offset(place: PostgresPlace) -> None:
    """At the same time; who is beaten has written nothing of that batch."""
    writers, start = [place.writer(), place.writer()], threading.Barrier(2)

    def write(number: int) -> int:
        won = 0
        for at in range(30):
            start.wait(60)
            try:
                mine = trade(100 * number + at, NOON_US + at * 7_000_000, str(1 + number))
                writers[number].apply(Batch(trades=[mine], moves=[Move(_PARTITION, at or None, at + 1)]))
                won += 1
            except OffsetMoved:
                pass
        return won

    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(write, range(2))) == 30
    assert place.rows("SELECT count(*) FROM trades") == [(30,)]
    assert place.bars_of_trades() == [(*row[:-1], pytest.approx(row[-1], rel=1e-12)) for row in place.recomputed()]


def test_what_postgres_cannot_store_is_refused_with_its_whole_batch(place: PostgresPlace) -> None:
    writer = place.writer()
    with pytest.raises(ValueError, match="PostgreSQL cannot store it"):
        writer.apply(Batch(trades=[trade(1), trade(2, symbol="A\0")]))
    assert place.rows("SELECT * FROM trades") == []


def test_a_store_without_its_count_of_writes_is_refused(place: PostgresPlace) -> None:
    """Without it two could write at once."""
    _run(place, "DELETE FROM marks")
    try:
        with pytest.raises(MarketError, match="the table marks has no row 'writes'"):
            place.writer().apply(Batch(trades=[trade(1)]))
    finally:
        _run(place, "INSERT INTO marks VALUES ('writes', 0)")
