"""`decide withdraw`: what it takes, what it says and with which code it ends, on both stores."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from app.commands.withdraw import main, tell
from app.domain.aliases import Aliases
from app.store.opening import open_store
from app.store.protocol import Row, Stored, Withdrawn
from tests.kit.records import AS_OF_MS, row, run_info

_YEARS_MS = 10 * 365 * 86_400_000


class Shop:
    """A store with AAPL and BTC-USDT of run good, and newer ones of AAPL of run bad; and the command on it."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._path = folder / "store.sqlite3"
        self.options = ["--store-path", str(self._path)]
        if url:
            (folder / "url").write_text(url, encoding="ascii")
            self.options = ["--redis-url-file", str(folder / "url")]
        self.publish([row("AAPL", run="good"), row("BTC-USDT", run="good")], "good")
        self.publish([row("AAPL", AS_OF_MS + _YEARS_MS, "bad")], "bad")

    def publish(self, rows: list[Row], run: str) -> int:
        """Records written."""

        async def work() -> int:
            store = open_store(redis_url=self._url, store_path=self._path, key_prefix="decide:1")
            try:
                return (await store.publish_run(rows, run_info(run))).written
            finally:
                await store.close()

        return asyncio.run(work())

    def held(self, *symbols: str) -> list[Stored]:
        """What the store has."""

        async def work() -> list[Stored]:
            store = open_store(redis_url=self._url, store_path=self._path, key_prefix="decide:1")
            try:
                return await store.get_many(symbols)
            finally:
                await store.close()

        return asyncio.run(work())

    def withdraw(self, *arguments: str) -> int:
        """The exit code."""
        return main([*self.options, *arguments])


@pytest.fixture(params=["sqlite", "redis"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """One of each kind."""
    return Shop(request.getfixturevalue("redis_url") if request.param == "redis" else "", tmp_path)


def test_a_run_is_taken_back_and_it_is_said_what_that_was_and_what_is_left(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shop.withdraw("--run", "bad") == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.splitlines() == [
        "withdrew 1 price record and 1 agent record of 1 symbol: AAPL",
        "written by 1 run: bad",
        "left: 1 symbol; newest record: BTC-USDT of 2013-03-01 21:00:00 UTC, run good",
        "next: load what is right (`decide warm --prices FILES --agents FILES`); it counts, also where it is older",
    ]
    assert shop.publish([row("AAPL", run="again")], "again") == 2


def test_symbols_are_taken_back_in_whatever_spelling(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert shop.withdraw("btcusdt", "aapl", "AAPL") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == [
        "withdrew 2 price records and 2 agent records of 2 symbols: AAPL, BTC-USDT",
        "written by 2 runs: bad, good",
        "there is nothing in the store now",
    ]
    assert [each.known for each in shop.held("AAPL", "BTC-USDT")] == [False, False]


def test_a_symbol_that_is_not_there_is_named_and_the_others_go(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """With a code of its own: a slip must not look like success."""
    assert shop.withdraw("AAPL", "APPL") == 1
    said = capsys.readouterr()
    assert said.err == "not in the store: APPL\n"
    assert said.out.startswith("withdrew 1 price record and 1 agent record of 1 symbol: AAPL\n")


def test_a_symbol_that_is_kept_under_another_name_is_told_with_that(capsys: pytest.CaptureFixture[str]) -> None:
    """Callers may use it, and nothing of that name is in the store."""
    done = Withdrawn((), {"price": 0, "agents": 0}, (), ("BTC-USD", "X"), 2, 0, "", "", "")
    assert tell(done, "", Aliases({"BTC-USD": "BTC-USDT"})) == 1
    assert "not in the store: BTC-USD, X; BTC-USD is kept as BTC-USDT; nothing was removed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [(["MSFT", "x"], "MSFT, X"), (["--run", "ugly\x1b"], "any record of run ugly\ufffd (cache.run of an answer")],
)
def test_nothing_that_matches_is_an_error_that_says_so(
    arguments: list[str], missing: str, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shop.withdraw(*arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"not in the store: {missing}")
    assert "; nothing was removed; left: 2 symbols; newest record: AAPL of 2023-02-27 21:00:00 UTC, run bad\n" in said.err
    assert all(each.known for each in shop.held("AAPL", "BTC-USDT"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "SYMBOLs or --run RUN"),
        (["AAPL", "--run", "bad"], "one of the two"),
        (["--run", ""], "'' is no run; allowed: "),
        (["AA PL"], "'AA PL' is no symbol; allowed: 1 to 32 of A-Z"),
        (["\N{LATIN SMALL LETTER LONG S}"], "is no symbol; allowed: "),
        (["AAPL", "--key-prefix", "a b"], "is not allowed; allowed: "),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_done(
    arguments: list[str], says: str, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        shop.withdraw(*arguments)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err
    assert all(each.known for each in shop.held("AAPL", "BTC-USDT"))


def test_a_store_that_does_not_answer_has_a_code_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "store.sqlite3").write_text("this is no database, but a text that is long enough to be one\n" * 20)
    assert main(["--store-path", str(tmp_path / "store.sqlite3"), "AAPL"]) == 3
    assert "either all of it was removed or nothing; try again: l2_error: SQLite at " in capsys.readouterr().err


def test_a_setting_that_is_wrong_is_told_as_by_every_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--redis-url-file", str(tmp_path / "none"), "AAPL"]) == 2
    assert capsys.readouterr().err.startswith("settings: REDIS_URL_FILE")


_MANY: dict[str, Callable[[Withdrawn], Withdrawn]] = {
    "withdrew 14 price records of 14 symbols: S0, S1, S10, S11, S12, S13, S2, S3, S4, S5, S6, S7 and 2 more\n"
    "left: 1,234 symbols\n": lambda done: done,
    "written by 1 run: r\ufffd\n": lambda done: done._replace(runs=("r\x1b",)),
    "withdrew 2 price records, 1 agent record and 3 tick records of": lambda done: done._replace(
        records={"price": 2, "agents": 1, "tick": 3}
    ),
}


@pytest.mark.parametrize("says", _MANY)
def test_long_lists_are_cut_and_what_was_stored_acts_on_no_terminal(says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A record that cannot be read is of no run; if none of those left can be, there is no newest one."""
    symbols = tuple(sorted(f"S{number}" for number in range(14)))
    assert tell(_MANY[says](Withdrawn(symbols, {"price": 14, "agents": 0}, (), (), 1234, 0, "", "", "1")), "") == 0
    assert says in capsys.readouterr().out
