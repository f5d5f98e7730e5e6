"""How PostgreSQL is opened: migrated once and in order, and told of without passwords."""

import asyncio
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.errors import MarketError, MigrationRefused, SettingsError
from app.market.migrating import migrations
from app.market.opening import migrate, open_reader, open_writer
from app.market.postgres_opening import Link, connect, migrate_database, target_of
from app.market.postgres_opening import migrate as apply_to
from app.market.protocol import Batch
from tests.kit.postgres import PostgresServer
from tests.kit.servers import ROOT
from tests.market.racing import applied_by_two

_SQL = {
    "0001_one.sql": "CREATE TABLE one (text text);\nINSERT INTO one VALUES ('a;b %s'); -- and so on;\n",
    "0002_two.sql": "CREATE TABLE two (number integer);\nINSERT INTO two\nVALUES (2)",
}
_MIGRATE = """
import sys
from app.market.migrating import migrations
from app.market.postgres_opening import Link, migrate
link = Link.connect(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(len(migrate(link, migrations(sys.argv[2]), "here")))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With two migrations."""
    for name, text in _SQL.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_migrations_are_applied_once_in_order_and_never_changed(folder: Path, postgres_server: PostgresServer) -> None:
    """One that fails leaves nothing, and those before it stay."""
    with Link.connect(postgres_server.create()) as link:
        assert apply_to(link, migrations(folder)[:1], "here") == ["0001_one.sql"]
        assert apply_to(link, migrations(folder), "here", clock_us=lambda: 5) == ["0002_two.sql"]
        assert apply_to(link, migrations(folder), "here") == []
        assert link.execute("SELECT text, number FROM one, two").fetchall() == [("a;b %s", 2)]
        (folder / "0003_three.sql").write_text(
            "CREATE TABLE three (a integer);\nINSERT INTO nowhere VALUES (1);", encoding="utf-8"
        )
        with pytest.raises(psycopg.errors.UndefinedTable, match="nowhere"):
            apply_to(link, migrations(folder), "here")
        assert link.execute("SELECT to_regclass('three'), count(*) FROM migrations").fetchall() == [(None, 2)]
        link.rollback()
        (folder / "0001_one.sql").write_text("CREATE TABLE other (text text);", encoding="utf-8")
        with pytest.raises(MigrationRefused, match=r"here: 0001_one\.sql is not the file that was applied.*Put back the file"):
            apply_to(link, migrations(folder), "here")


def test_two_processes_at_once_apply_each_migration_once(folder: Path, postgres_server: PostgresServer) -> None:
    """The sum of what both applied is all of them, whoever was first."""
    assert applied_by_two(_MIGRATE, postgres_server.create(), str(folder)) == 2


def test_a_store_that_is_not_migrated_is_refused_until_it_is(postgres_server: PostgresServer) -> None:
    """To whoever may not migrate it; what settings ask for is opened, and migrated by the command once."""
    url = postgres_server.create()
    place: dict[str, Any] = {"url": url, "path": Path("unused"), "migrates": False}

    async def ping(**more: Any) -> None:  # noqa: ANN401 - as the opening has them
        reader = open_reader(**place, deadline_s=60.0, **more)
        try:
            await reader.ping()
        finally:
            await reader.close()

    with closing(open_writer(**place)) as writer, pytest.raises(MigrationRefused, match=r"0001_market\.sql is not applied"):
        writer.apply(Batch())
    with pytest.raises(MigrationRefused, match=r"0001_market\.sql is not applied to it yet"):
        asyncio.run(ping())
    assert migrate(**place) == [each.name for each in migrations("postgres")]
    assert migrate_database(url) == []
    with closing(open_writer(**place)) as writer:
        writer.apply(Batch())
    asyncio.run(ping(read_url=url))


def test_a_network_that_swallows_what_is_sent_ends_a_connection_within_half_a_minute(postgres_server: PostgresServer) -> None:
    """Unless the URL says otherwise; and each statement has its bound, at the server and here."""
    url = f"{postgres_server.create()}&keepalives_idle=99"
    migrate_database(url)
    link = connect(target_of(url), migrates=False, within_s=60.0, statement_s=7.5).link
    found = link.info.get_parameters()
    assert [found[f"keepalives_{each}"] for each in ("idle", "interval", "count")] == ["99", "5", "3"]
    assert found["tcp_user_timeout"] == "30000"
    assert (link.execute("SHOW statement_timeout").fetchone(), link.statement_s) == (("7500ms",), 7.5)
    link.close()


@pytest.mark.parametrize(
    "url",
    [
        *("postgresql://me:sec%ret@127.0.0.1/x", "postgresql://me:secret@127.0.0.1/x?nothing=1", "postgresql://me:secret@[::1/x"),
        *("postgresql://me:secret/x@db:5432/decide", "postgresql://me:x@sec@127.0.0.1/x"),
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(
        SettingsError, match=r"^DATABASE_URL or DATABASE_READ_URL is \(hidden\); allowed: postgresql://"
    ) as caught:
        open_writer(url=url, path=Path("unused"))
    assert "sec" not in str(caught.value)


def test_a_database_that_cannot_be_reached_is_told_without_its_password() -> None:
    url = "postgresql://me:secret@127.0.0.1:1/x"
    for failing in (
        lambda: open_writer(url=url, path=Path("unused")).apply(Batch()),
        lambda: migrate(url=url, path=Path("unused")),
    ):
        with pytest.raises(MarketError, match=r"PostgreSQL at 127\.0\.0\.1:1/x: connection failed") as caught:
            failing()
        assert "secret" not in str(caught.value)


def test_a_driver_that_is_not_installed_is_told_with_what_brings_it() -> None:
    program = "import sys; sys.modules['psycopg'] = None; from app.market.opening import migrate; migrate(url='x', path='')"
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, cwd=ROOT)
    assert "DATABASE_URL is set and PostgreSQL's driver is not installed" in done.stderr
    assert "requirements-postgres.lock" in done.stderr
