"""Migrations are applied once, in order, and never changed."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.errors import MarketError, MigrationRefused
from app.market.migrating import Done, migrations, pending
from app.market.protocol import Batch
from app.market.sqlite import EmbeddedWriter
from app.market.sqlite_opening import connect, migrate, statements
from app.market.sqlite_reader import EmbeddedReader
from tests.market.giving import export, minutes
from tests.market.places import DAY_US, MINUTE_US, NOON_US, Place
from tests.market.racing import applied_by_two

_SQL = {
    "0001_one.sql": "CREATE TABLE one (text TEXT);\nINSERT INTO one VALUES ('a;b'); -- and so on;\n",
    "0002_two.sql": "CREATE TABLE two (number INTEGER);\nINSERT INTO two\nVALUES (2)",
}
_MIGRATE = """
import sqlite3, sys
from app.market.migrating import migrations
from app.market.sqlite_opening import migrate
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
print("ready", flush=True)
sys.stdin.readline()
print(len(migrate(connection, migrations(sys.argv[2]), sys.argv[1])))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With two migrations."""
    path = tmp_path / "sql"
    path.mkdir()
    for name, sql in _SQL.items():
        (path / name).write_text(sql, encoding="utf-8")
    return path


@pytest.fixture
def database(tmp_path: Path) -> Callable[[], "closing[sqlite3.Connection]"]:
    """Opens one."""
    return lambda: closing(sqlite3.connect(tmp_path / "database", isolation_level=None))


def test_each_is_applied_once_and_in_order(folder: Path, database: Callable[[], "closing[sqlite3.Connection]"]) -> None:
    """Those that come later are applied to what is there."""
    with database() as connection:
        assert migrate(connection, migrations(folder)[:1], "here") == ["0001_one.sql"]
        assert migrate(connection, migrations(folder), "here", clock_us=lambda: 5) == ["0002_two.sql"]
        assert migrate(connection, migrations(folder), "here") == []
        assert connection.execute("SELECT text, number FROM one, two").fetchall() == [("a;b", 2)]
        assert connection.execute("SELECT number, name, applied_at_us FROM migrations WHERE number = 2").fetchall() == [
            (2, "0002_two.sql", 5)
        ]


def test_one_that_fails_leaves_nothing(folder: Path, database: Callable[[], "closing[sqlite3.Connection]"]) -> None:
    """And those before it stay."""
    (folder / "0003_three.sql").write_text("CREATE TABLE three (a);\nINSERT INTO nowhere VALUES (1);", encoding="utf-8")
    with database() as connection:
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            migrate(connection, migrations(folder), "here")
        assert not connection.in_transaction
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        assert tables == {"one", "two", "migrations"}


def test_a_changed_one_is_refused_by_name_and_with_what_to_do(
    folder: Path, database: Callable[[], "closing[sqlite3.Connection]"]
) -> None:
    with database() as connection:
        migrate(connection, migrations(folder), "here")
        (folder / "0001_one.sql").write_text("CREATE TABLE other (text TEXT);", encoding="utf-8")
        with pytest.raises(MigrationRefused, match=r"here: 0001_one\.sql is not the file that was applied.*Put back the file"):
            migrate(connection, migrations(folder), "here")


def test_an_unknown_or_missing_one_is_refused(folder: Path) -> None:
    ours = migrations(folder)
    done = [Done(each.number, each.name, each.sha256) for each in ours]
    with pytest.raises(MigrationRefused, match=r"here: 0003_new\.sql was applied.*Run the version that applied it"):
        pending(ours, [*done, Done(3, "0003_new.sql", "")], "here")
    with pytest.raises(MigrationRefused, match=r"here: 0002_two\.sql was applied to it, and 0001_one\.sql was not"):
        pending(ours, done[1:], "here")


@pytest.mark.parametrize("name", ["0004_four.sql", "0001_again.sql", "three.sql"])
def test_files_out_of_order_are_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("", encoding="utf-8")
    with pytest.raises(
        MigrationRefused, match=r"000._\w+\.sql is out of order; allowed: the name 000.|three.sql is out of order"
    ):
        migrations(folder)


def test_statements_end_where_sqlite_says_so() -> None:
    assert statements("A;\nB ';\n';\n-- c;\nD") == ["A;", "B ';\n';", "-- c;\nD"]


def test_two_processes_at_once_apply_each_once(folder: Path, tmp_path: Path) -> None:
    """The sum of what both applied is all of them, whoever was first."""
    assert applied_by_two(_MIGRATE, str(tmp_path / "database"), str(folder)) == 2


def test_a_store_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    place = Place(tmp_path / "market.sqlite3")
    writer = place.writer()
    writer.apply(Batch())
    writer.close()
    with closing(sqlite3.connect(place.path)) as connection, connection:
        connection.execute("INSERT INTO migrations VALUES (99, '0099_later.sql', '', 0)")
    with pytest.raises(MigrationRefused, match=r"0099_later\.sql was applied"):
        place.writer().apply(Batch())
    with pytest.raises(MarketError, match=r"0099_later\.sql was applied"):
        place.read(lambda reader: reader.ping())


def test_who_may_not_migrate_says_so(tmp_path: Path) -> None:
    """Until somebody else has; readers and others alike."""
    path = tmp_path / "market.sqlite3"
    with pytest.raises(MigrationRefused, match=r"0001_market\.sql is not applied to it yet"):
        connect(path, 1.0, migrates=False)

    async def ping() -> None:
        reader = EmbeddedReader(path, deadline_s=60.0, migrates=False)
        try:
            await reader.ping()
        finally:
            await reader.close()

    with pytest.raises(MarketError, match=r"0001_market\.sql is not applied to it yet"):
        asyncio.run(ping())
    with closing(EmbeddedWriter(path)) as writer:
        writer.apply(Batch())
    connect(path, 1.0, migrates=False).close()
    asyncio.run(ping())


def test_blocks_that_stand_are_told_how_many_minutes_they_have(place: Place) -> None:
    """By the second migration, of a store of the first."""
    with closing(place.writer()) as writer:
        writer.put_bars(export("x", [*minutes(0, 70), *range(NOON_US + DAY_US, NOON_US + 3 * DAY_US, 7 * MINUTE_US)]))
    there = place.blocks()
    assert {each[-1] for each in there} >= {15, 60}
    second = [each for each in migrations(place.database) if each.number == 2]
    place.change("ALTER TABLE blocks DROP COLUMN minutes")
    for statement in statements(second[0].sql):
        place.change(statement)
    assert place.blocks() == there
