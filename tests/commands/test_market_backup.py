"""``decide market backup`` and ``restore``."""

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from app.__main__ import main
from app.domain.trades import Trade
from app.market.protocol import Batch
from app.market.sqlite import EmbeddedWriter


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a store with a trade."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "market.sqlite3"
    _write(path, 1)
    return path


def _write(path: Path, number: int) -> None:
    writer = EmbeddedWriter(path)
    trade = Trade("v", "A", str(number), 1_700_000_000_000_000 + number, Decimal(1), Decimal(1), str(number))
    writer.apply(Batch(trades=[trade]))
    writer.close()


def _run(path: Path, *arguments: str) -> int:
    return main(["market", *arguments, "--market-path", str(path)])


def _count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM trades").fetchone()[0])


def test_a_store_is_copied_and_put_back(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(path, "backup", "one.sqlite3") == 0
    size = path.parent.joinpath("one.sqlite3").stat().st_size
    assert capsys.readouterr().out == f"copied to one.sqlite3, {size:,} bytes, checked\n"
    _write(path, 2)
    assert _run(path, "restore", "one.sqlite3") == 1
    said = capsys.readouterr().err
    assert said.startswith(f"not restored: the last change of {path} is of ")
    assert said.endswith("; --force replaces it\n")
    assert _run(path, "restore", "one.sqlite3", "--force") == 0
    assert capsys.readouterr().out == f"restored {path} from one.sqlite3\n"
    assert _count(path) == 1
    _write(path, 3)
    assert _run(path, "backup", "two.sqlite3") == 0
    assert _run(path, "restore", "one.sqlite3", "--force") == 0
    capsys.readouterr()
    assert _run(path, "backup", "two.sqlite3") == 1
    assert capsys.readouterr().err.startswith("not copied: two.sqlite3 is a newer backup (its last change is of ")
    assert _run(path, "backup", "two.sqlite3", "--force") == 0


def test_backups_of_a_folder_are_named_after_their_time_and_the_oldest_go(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = path.parent / "backups"
    folder.mkdir()
    names = [f"market-2024010{day}T000000Z.sqlite3" for day in range(1, 6)]
    for name in (*names, "mine.sqlite3", "market-notes.txt"):
        folder.joinpath(name).write_text("x", encoding="utf-8")
    assert _run(path, "backup", "backups", "--keep", "3") == 0
    assert capsys.readouterr().out.endswith(" bytes, checked; removed 3 older\n")
    left = sorted(each.name for each in folder.iterdir())
    assert left[:3] == ["market-20240104T000000Z.sqlite3", "market-20240105T000000Z.sqlite3", left[2]]
    assert left[3:] == ["market-notes.txt", "mine.sqlite3"]
    assert _count(folder / left[2]) == 1
    assert _run(path, "backup", "new/folder/") == 0
    assert len([*path.parent.joinpath("new", "folder").iterdir()]) == 1


def test_where_copying_fails_no_older_backup_goes(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = path.parent / "backups"
    folder.mkdir()
    folder.joinpath("market-20240101T000000Z.sqlite3").write_text("x", encoding="utf-8")
    folder.joinpath("market-20240102T000000Z.sqlite3").write_text("x", encoding="utf-8")
    path.write_text("no database " * 100, encoding="utf-8")
    assert _run(path, "backup", "backups", "--keep", "1") == 3
    assert capsys.readouterr().err.startswith("not copied: market_error: ")
    assert len([*folder.iterdir()]) == 2


def test_what_cannot_be_put_back_is_said(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(path, "restore", "none.sqlite3") == 3
    assert capsys.readouterr().err == "not restored: market_error: there is no backup at none.sqlite3\n"
    with closing(sqlite3.connect("other.sqlite3")) as connection:
        connection.execute("CREATE TABLE x (y)")
    assert _run(path, "restore", "other.sqlite3") == 1
    assert capsys.readouterr().err == "not restored: market_error: other.sqlite3 is no market store\n"


def test_on_postgresql_the_line_for_its_own_tool_is_said_without_the_url(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:sesame@host/data")
    assert _run(path, "backup", "a.dump") == 2
    said = capsys.readouterr().err
    assert said.endswith('pg_dump --format=custom --file=a.dump "$DATABASE_URL"\n')
    assert _run(path, "restore", "a.dump") == 2
    said += capsys.readouterr().err
    assert said.endswith('pg_restore --clean --if-exists --single-transaction --dbname="$DATABASE_URL" a.dump\n')
    assert "sesame" not in said


def test_keeping_some_of_a_file_is_refused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _run(path, "backup", "one.sqlite3", "--keep", "3")
    assert ended.value.code == 2
    assert "--keep is given with a file; allowed: with a folder, whose name ends in /" in capsys.readouterr().err
