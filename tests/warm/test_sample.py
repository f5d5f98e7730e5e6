"""The sample is there to try things out: a user's own data takes its place."""

from pathlib import Path

import pytest

from app.errors import StoreError
from tests.kit.store import FakeStore
from tests.warm.running import SAMPLE_PRICES, good_rows, warm, write_csv
from warm.__main__ import main
from warm.sample import RUN_PREFIX


def _sample() -> FakeStore:
    store = warm(run=None).store
    assert store.info is not None
    assert store.info.run.startswith(RUN_PREFIX)
    assert sorted(store.rows) == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    return store


def test_a_users_data_replaces_the_sample_and_the_command_says_so(tmp_path: Path) -> None:
    store = _sample()
    outcome = warm("--prices", write_csv(tmp_path / "p.csv", good_rows(60, "MINE")), store=store, run=None)
    assert outcome.code == 0
    assert outcome.report["replaced_sample"]["symbols"] == 5
    assert outcome.report["replaced_sample"]["run"].startswith(RUN_PREFIX)
    assert sorted(store.rows) == ["MINE"]
    again = warm("--prices", write_csv(tmp_path / "p.csv", good_rows(60, "MORE")), store=store, run=None)
    assert "replaced_sample" not in again.report
    assert sorted(store.rows) == ["MINE", "MORE"]


def test_a_users_older_prices_are_published_where_the_samples_were(tmp_path: Path) -> None:
    """Never backwards holds between runs of one source, not against the sample."""
    store = _sample()
    outcome = warm("--prices", write_csv(tmp_path / "p.csv", good_rows(60, "AAPL")), store=store, run="mine")
    assert (outcome.code, outcome.report["written"], outcome.report["kept_newer"]) == (0, 1, 0)
    assert (sorted(store.rows), store.price("AAPL").run, store.views("AAPL")) == (["AAPL"], "mine", {})


def test_the_sample_replaces_itself_and_nothing_of_a_user(tmp_path: Path) -> None:
    """Given by its folder it is a user's choice like any other."""
    store = warm("--prices", write_csv(tmp_path / "p.csv", good_rows(60, "MINE")), run=None).store
    assert "replaced_sample" not in warm(store=store, run=None).report
    assert "MINE" in store.rows
    again = warm(store=store, run=None)
    assert "replaced_sample" not in again.report
    assert len(store.rows) == 6
    assert not str(warm("--prices", SAMPLE_PRICES, run=None).report["run"]).startswith(RUN_PREFIX)


def test_own_agents_are_not_joined_with_the_samples_prices_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What came of it would be called the sample's run, and the next run with prices would remove it."""
    agents = tmp_path / "agents.csv"
    agents.write_text("symbol,agent,as_of,view\nAAPL,mine,2013-03-01,0.5\n", encoding="utf-8")
    store = FakeStore()
    with pytest.raises(SystemExit) as ended:
        main(["--agents", str(agents)], open_store=lambda: store)
    assert (ended.value.code, store.rows) == (2, {})
    assert "--agents is given without --prices; allowed: with the prices that belong to them" in capsys.readouterr().err
    assert warm("--agents", agents, "--prices", SAMPLE_PRICES, store=store, run=None).code == 0
    assert main(["--agents", str(agents), "--explain", str(agents)]) == 0


def test_a_sample_that_cannot_be_removed_is_told_with_what_removes_it(tmp_path: Path) -> None:
    store = _sample()
    store.faults["withdraw"] = StoreError("unreachable", "told to fail")
    outcome = warm("--prices", write_csv(tmp_path / "p.csv", good_rows(60, "MINE")), store=store, run=None)
    assert outcome.code == 3
    assert f"decide withdraw --run {RUN_PREFIX}" in outcome.report["error"]
    assert "MINE" in store.rows
