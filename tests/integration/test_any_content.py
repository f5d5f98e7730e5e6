"""Whatever stands in a SQLite store: reads answer or say that they cannot, and a publication puts it right."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.domain.vector import AS_OF_MAX_MS
from app.errors import StoreError
from app.store.protocol import RECORD_MAX_BYTES
from app.store.sqlite import EmbeddedStore
from tests.integration.reading import read_all
from tests.kit.clock import Clock
from tests.kit.emptying import remove_file
from tests.kit.records import AS_OF_MS, raw_of, row, run_info

_values = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=8) | st.binary(max_size=8)
_TABLES = {
    "records": ("symbol", "price_as_of_ms", "price", "agents_as_of_ms", "agents"),
    "histories": ("symbol", "history"),
    "changes": ("run", "symbols"),
    "change_times": ("id", "at_ms"),
    "keys": ("id", "record"),
    "run": ("only_one", "info"),
}
_rows = st.sampled_from(sorted(_TABLES)).flatmap(
    lambda table: st.tuples(st.just(table), st.tuples(*(_values for _ in _TABLES[table])))
)


def _insert(path: Path, table: str, values: tuple[Any, ...]) -> None:
    columns = _TABLES[table]
    with closing(sqlite3.connect(path)) as connection, connection, suppress(sqlite3.Error):
        marks = ", ".join("?" * len(columns))
        connection.execute(f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({marks})", values)  # noqa: S608 - names of ours


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(rows=st.lists(_rows, min_size=1, max_size=6))
# An entry of the feed that is no text.
@example(rows=[("changes", ("r", b"\xff"))])
def test_any_rows_are_read_or_refused_and_a_publication_goes_on(
    rows: list[tuple[str, tuple[Any, ...]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every read is a value or a StoreError; afterwards a run is published, whole, and known."""
    path = tmp_path_factory.mktemp("any") / "store.sqlite3"

    async def work() -> None:
        store = EmbeddedStore(path)
        await store.publish_run([row("A"), row("B")], run_info("r1"))
        for table, values in rows:
            _insert(path, table, values)
        await read_all(store, ["A", "B"])
        published = await store.publish_run([row("A", AS_OF_MS + 1), row("B", AS_OF_MS + 1)], run_info("r2"))
        info = await store.run_info()
        assert info is not None
        assert info.run == "r2"
        assert 0 <= info.newest_as_of_ms < AS_OF_MAX_MS
        stored = await store.get_many(["A", "B"])
        assert published.written + published.kept_newer == 4
        assert all(each.known for each in stored)
        await store.close()

    asyncio.run(work())


@pytest.mark.parametrize("as_of_ms", [2**62, AS_OF_MAX_MS, -1, "text"])
def test_a_time_that_no_record_can_have_is_replaced_and_is_not_the_newest(as_of_ms: object, tmp_path: Path) -> None:
    """Else it would stay for ever, and the server could not start."""
    path = tmp_path / "store.sqlite3"

    async def work() -> None:
        store = EmbeddedStore(path)
        await store.publish_run([row("A"), row("B")], run_info("r1"))
        _insert(path, "records", ("A", as_of_ms, b"x", as_of_ms, b"x"))
        _insert(path, "records", ("POISON", as_of_ms, b"x", as_of_ms, b"x"))
        published = await store.publish_run([row("A")], run_info("r2"))
        assert (published.written, published.kept_newer) == (2, 0)
        info = await store.run_info()
        assert info is not None
        assert info.newest_as_of_ms == AS_OF_MS
        await store.close()

    asyncio.run(work())


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO records (symbol) VALUES (CAST(x'ff' AS TEXT)), (x'4142'), (x'ff'), (''), ('a b')",
        *(f"UPDATE sqlite_sequence SET seq = {seq}" for seq in ("'abc'", "NULL", "9223372036854775807", "9e999", "x'ff'", "0")),  # noqa: S608 - numbers of ours
        "INSERT INTO changes (id, run, symbols) VALUES (9223372036854775807, 'r', 'A')",
        "INSERT INTO changes (id, run, symbols) VALUES (-5, 'r', CAST(x'ff' AS TEXT))",
    ],
)
def test_what_no_version_ever_wrote_stops_neither_a_listing_nor_the_feed_nor_a_run(sql: str, tmp_path: Path) -> None:
    """Everything is read as if it were not there, and the next run, whether or not it prunes, is heard of, once."""
    path = tmp_path / "store.sqlite3"

    async def work() -> None:
        store = EmbeddedStore(path)
        await store.publish_run([row("A"), row("B")], run_info("r1"))
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(sql)
        assert await store.symbols() == ["A", "B"]
        for run, prune in (("r2", False), ("r3", True)):
            position = await store.feed_position()
            assert (await store.changes(position, 0.0)).symbols == ()
            await store.publish_run([row("A"), row("B")], run_info(run), prune=prune)
            changes = await store.changes(position, 0.0)
            assert (changes.symbols, changes.lost) == (("A", "B"), False)
            again = await store.changes(changes.last_id, 0.0)
            assert (again.symbols, again.lost) == ((), False)
            info = await store.run_info()
            assert info is not None
            assert (info.run, info.symbols) == (run, 2)
        await store.close()

    asyncio.run(work())


@pytest.mark.parametrize("run", ["r\nMAINPID=1", "\x1b[2J", "r" * 201])
def test_a_runs_name_that_no_line_may_have_is_refused(run: str, tmp_path: Path) -> None:
    """It goes to systemd in a protocol of lines, and to people's terminals."""
    path = tmp_path / "store.sqlite3"

    async def work() -> None:
        store = EmbeddedStore(path)
        await store.publish_run([row("A")], run_info("r1"))
        _insert(path, "run", (1, msgspec.msgpack.encode(run_info(run))))
        with pytest.raises(StoreError, match="its name is"):
            await store.run_info()
        await store.close()

    asyncio.run(work())


def test_a_change_that_is_too_long_counts_as_lost(tmp_path: Path) -> None:
    """What it was meant to say cannot be known; the feed goes on behind it."""
    path = tmp_path / "store.sqlite3"

    async def work() -> None:
        store = EmbeddedStore(path)
        await store.publish_run([row("A")], run_info("r1"))
        position = await store.feed_position()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("INSERT INTO changes (run, symbols) VALUES ('r', CAST(zeroblob(70000000) AS TEXT))")
        changes = await store.changes(position, 0.0)
        assert (changes.symbols, changes.lost) == ((), True)
        await store.publish_run([row("A", AS_OF_MS + 1)], run_info("r2"))
        assert (await store.changes(changes.last_id, 0.0)).symbols == ("A",)
        await store.close()

    asyncio.run(work())


def test_a_run_info_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"

    async def work() -> None:
        store = EmbeddedStore(path)
        await store.publish_run([row("A")], run_info("r1"))
        _insert(path, "run", (1, b"\x87\xa1x" + b"\x91" * 200_000 + b"\xc0"))
        with pytest.raises(StoreError):
            await store.run_info()
        await store.close()

    asyncio.run(work())


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE histories SET history = zeroblob(100000000)",
        # The length of a text ends at its first NUL.
        "UPDATE histories SET history = CAST(zeroblob(100000000) AS TEXT)",
        "UPDATE run SET info = zeroblob(100000000)",
        "INSERT INTO keys VALUES ('a', zeroblob(100000000))",
        "INSERT INTO changes (run, symbols) VALUES ('r', CAST(zeroblob(100000000) AS TEXT))",
    ],
)
def test_no_value_of_a_hundred_megabytes_is_taken_into_memory(sql: str, tmp_path: Path) -> None:
    """The most that all reads together ever hold is a third of one; what else there is, the keys say, is read as ever."""
    path = tmp_path / "store.sqlite3"

    async def fill() -> None:
        store = EmbeddedStore(path)
        await store.publish_run([row("A")], run_info("r1"))
        await store.put_key("b", b"2")
        await store.close()

    asyncio.run(fill())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql)
    read = subprocess.run([sys.executable, "-c", _READ_ALL, str(path)], check=True, capture_output=True, text=True, timeout=60)
    assert int(read.stdout) < 33_000


_READ_ALL = """
import asyncio, sys
from pathlib import Path
from app.store.sqlite import EmbeddedStore
from tests.integration.reading import read_all

def peak_kb():
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))

async def work():
    store = EmbeddedStore(Path(sys.argv[1]))
    await store.ping()
    before = peak_kb()
    await read_all(store, ["A"])
    assert (await store.keys())["b"] == b"2"
    print(peak_kb() - before)
    await store.close()

asyncio.run(work())
"""


def test_a_value_beyond_the_bound_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"

    async def work() -> None:
        store = EmbeddedStore(path)
        await store.publish_run([row("A"), row("B")], run_info("r1"))
        _insert(path, "records", ("A", AS_OF_MS, b"x" * (RECORD_MAX_BYTES + 1), AS_OF_MS, b"y" * RECORD_MAX_BYTES))
        _insert(path, "histories", ("A", b"x" * (RECORD_MAX_BYTES + 1)))
        large, plain = await store.get_many(["A", "B"])
        assert (raw_of(large, "price"), len(raw_of(large, "agents") or b"")) == (b"", RECORD_MAX_BYTES)
        assert raw_of(plain, "price")
        assert await store.record("history", "A") == b""
        await store.close()

    asyncio.run(work())


def test_a_listing_of_a_file_that_was_made_anew_is_of_that_file(tmp_path: Path) -> None:
    """The connection for listings is not the feed's, so it looks for itself."""
    path = tmp_path / "store.sqlite3"

    async def work() -> None:
        store, other = EmbeddedStore(path), EmbeddedStore(path)
        await store.publish_run([row("OLD")], run_info("r1"))
        assert await store.symbols() == ["OLD"]
        remove_file(path)
        await other.publish_run([row("NEW")], run_info("r2"))
        assert await store.symbols() == ["NEW"]
        await store.close()
        await other.close()

    asyncio.run(work())


def test_a_decision_does_not_wait_behind_listings(tmp_path: Path) -> None:
    """Thirty listings of 20,000 symbols are asked for first; one symbol's read is there before the last of them."""
    path = tmp_path / "store.sqlite3"

    async def work() -> None:
        # By a clock that stands none of them waits too long, however slow the machine is.
        store = EmbeddedStore(path, clock=lambda: 0.0)
        await store.publish_run([row("A")], run_info("r1"))
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executemany("INSERT INTO records (symbol) VALUES (?)", ((f"S{number}",) for number in range(20_000)))
        order: list[str] = []

        async def note(name: str, read: Any) -> None:  # noqa: ANN401 - any coroutine
            await read
            order.append(name)

        reads = [note("listing", store.symbols()) for _ in range(30)]
        await asyncio.gather(*reads, note("decision", store.get_many(["A"])))
        assert order.index("decision") < 15
        await store.close()

    asyncio.run(work())


def test_reads_that_nobody_waits_for_any_more_are_not_begun(tmp_path: Path) -> None:
    """After a stall of six seconds four hundred are in the queue; the next one comes as if they were not."""
    clock = Clock()

    async def work() -> None:
        store = EmbeddedStore(tmp_path / "store.sqlite3", clock=clock)
        await store.publish_run([row("A")], run_info("r1"))
        await store.record("history", "A")
        statements: list[str] = []
        store._long_thread.submit(lambda: store._long_reader().set_trace_callback(statements.append)).result()
        stall = threading.Event()
        store._long_thread.submit(stall.wait)
        reads = [asyncio.ensure_future(store.record("history", "A")) for _ in range(400)]
        await asyncio.sleep(0)
        clock.now += 6.0
        last = asyncio.ensure_future(store.record("history", "A"))
        await asyncio.sleep(0)
        stall.set()
        assert await last
        assert {str(error.reason) for error in await asyncio.gather(*reads, return_exceptions=True)} == {"l2_timeout"}  # type: ignore[union-attr]
        assert len(statements) == 1
        await store.close()

    asyncio.run(work())


def test_a_read_and_the_look_for_an_empty_store_are_of_one_moment(tmp_path: Path) -> None:
    """The first publication comes between them: the symbol was not there, and so was no run."""
    path = tmp_path / "store.sqlite3"

    class Slow(EmbeddedStore):
        """Publishes, through another connection, between the two."""

        def _reader(self) -> Any:  # noqa: ANN401 - a connection that does something in between
            connection = super()._reader()
            outer = self

            class Between:
                def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the connection
                    return getattr(connection, name)

                def execute(self, sql: str, *parameters: Any) -> Any:  # noqa: ANN401 - as the connection
                    if "FROM run" in sql:
                        outer.publish_first()
                    return connection.execute(sql, *parameters)

            return Between()

        def publish_first(self) -> None:
            """By a store of its own."""

            async def work() -> None:
                other = EmbeddedStore(path)
                await other.publish_run([row("A")], run_info("r1"))
                await other.close()

            asyncio.run(work())

    async def work() -> None:
        store = Slow(path)
        with pytest.raises(StoreError) as raised:
            await store.get_many(["A"])
        assert raised.value.reason == "l2_empty"
        await store.close()

    asyncio.run(work())
