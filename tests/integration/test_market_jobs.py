"""Jobs of the market store on a real PostgreSQL, which DATABASE_URL names."""

import json
from functools import partial
from pathlib import Path

import pytest

from app.__main__ import main
from app.market.migrating import migrations
from app.market.opening import open_writer
from tests.kit.files import put
from tests.kit.postgres import PostgresServer
from tests.market.places import PostgresPlace
from tests.warm.loads import Killed, Market, Mortal
from warm.market.load import LOADED


@pytest.fixture
def place(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PostgresPlace:
    """A database without tables."""
    monkeypatch.chdir(tmp_path)
    made = PostgresPlace(postgres_server.create())
    monkeypatch.setenv("DATABASE_URL", made.url)
    return made


def _trades(folder: Path, count: int) -> Path:
    lines = [f"{1_700_000_000_000 + number * 999},BTC-USD,kraken,{number % 7 + 1}.5,0.1\n" for number in range(count)]
    return put(folder / "mine.csv", "time,symbol,exchange,price,size\n" + "".join(lines))


def _same(writer: Mortal) -> Mortal:
    return writer


def test_a_load_that_is_killed_and_begun_again_is_one_load(place: PostgresPlace, tmp_path: Path) -> None:
    path = _trades(tmp_path, 300)
    market = Market(tmp_path)
    for last, before in ((2, True), (3, False), (1, True)):
        mortal = Mortal(open_writer(url=place.url, path=path), last, before=before)
        with pytest.raises(Killed):
            market.load(path, part=800, writer=partial(_same, mortal))
    code, report = market.load(path, part=800, writer=lambda: open_writer(url=place.url, path=path))
    assert (code, report["there"]) == (LOADED, 0)
    assert place.rows("SELECT count(*) FROM trades") == [(300,)]
    stored, right = place.bars_of_trades(), place.recomputed()
    assert [row[:-1] for row in stored] == [row[:-1] for row in right]
    assert [row[-1] for row in stored] == pytest.approx([row[-1] for row in right], rel=1e-12)
    assert market.load(path, writer=lambda: open_writer(url=place.url, path=path))[1]["files"][0]["fate"] == "unchanged"


def test_every_command_works_by_the_setting_alone(
    place: PostgresPlace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["migrate"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("".join(f"applied {each.name}\n" for each in migrations("postgres")))
    assert "(PostgreSQL) is up to date" in said
    assert main(["market", "load", str(_trades(tmp_path, 200))]) == 0
    assert json.loads(capsys.readouterr().err)["ticks"] == 1
    assert main(["warm", "--bars", "sample"]) == 0
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["given_bars"]["written"] == 12_154
    assert main(["market", "check"]) == 0
    assert "checked 200 trades in 4 minutes of 6 symbols" in capsys.readouterr().out
    place.change("UPDATE candles SET high = '99' WHERE symbol = 'BTC-USD'")
    assert main(["market", "check", "BTC-USD"]) == 1
    capsys.readouterr()
    assert main(["market", "retain", "--days", "1"]) == 0
    assert capsys.readouterr().out.startswith("removed 200 trades")


def test_a_database_that_is_away_is_the_stores_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:sesame@127.0.0.1:9/data")
    path = _trades(tmp_path, 2)
    for arguments in (["migrate"], ["market", "load", str(path)], ["market", "check"], ["market", "retain", "--days", "1"]):
        assert main(arguments) == 3, arguments
        said = capsys.readouterr()
        assert "the market store failed" in said.err
        assert "sesame" not in said.err + said.out
