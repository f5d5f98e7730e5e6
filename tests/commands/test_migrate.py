"""``decide migrate``."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.__main__ import main
from app.market.migrating import migrations


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_migrations_are_applied_once_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "market.sqlite3"
    names = [each.name for each in migrations("sqlite")]
    assert main(["migrate", "--market-path", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        *(f"applied {name}" for name in names),
        f"the market store ({path}) is up to date",
    ]
    assert main(["migrate", "--market-path", str(path)]) == 0
    assert capsys.readouterr().out == f"the market store ({path}) is up to date; there was nothing to apply\n"


def test_a_store_that_was_migrated_otherwise_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "market.sqlite3"
    assert main(["migrate", "--market-path", str(path)]) == 0
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO migrations VALUES (9999, '9999_later.sql', 'x', 0)")
    capsys.readouterr()
    assert main(["migrate", "--market-path", str(path)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("not migrated: market_error: ")
    assert "9999_later.sql was applied to it, which this version of Decide does not know" in said.err
    assert said.err.count("\n") == 1


def test_what_is_no_store_and_what_cannot_be_written_is_the_stores_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.joinpath("text").write_text("no database " * 100, encoding="utf-8")
    for path in ("text", "text/market.sqlite3"):
        assert main(["migrate", "--market-path", path]) == 3
        assert capsys.readouterr().err.startswith("the market store failed, each migration is applied or not: market_error: ")


def test_a_wrong_setting_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["migrate", "--database-url", "postgresql://u:sesame@h/d"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "--database-url-file" in said
    assert "sesame" not in said
