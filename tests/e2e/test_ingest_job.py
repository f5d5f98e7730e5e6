"""`decide ingest`, a process of its own: a simulated market, whose prices go on whatever happens to it."""

import asyncio
import json
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from app.errors import StoreError
from app.store.sqlite import EmbeddedStore
from tests.e2e.faults import SEED
from tests.kit.emptying import remove_file
from tests.kit.servers import ROOT, clean_environment, free_port, until
from tests.stream.places import TOPIC
from warm.stream.log import MESSAGES_MAX
from warm.stream.messages import TradeMessage, decode
from warm.stream.sqlite_log import EmbeddedLog
from warm.stream.synthetic.process import SYMBOLS

_WITHIN_S = 60.0
_COMMAND = (sys.executable, "-m", "app", "ingest", "--source", "synthetic")


class Job:
    """One in ``folder``, that tells in a file of its ``name``."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self._folder, self._told = folder, folder / f"{name}.log"
        given = {"PYTHONPATH": str(ROOT), "INGESTION_INTERVAL_SECONDS": "0.1", "INGEST_PORT": "0"}
        environment = clean_environment(given)
        with self._told.open("wb") as told:
            self.process = subprocess.Popen([*_COMMAND, *arguments], cwd=folder, env=environment, stdout=told, stderr=told)

    def events(self) -> list[str]:
        """What it told of."""
        return [json.loads(line)["event"] for line in self._told.read_text().splitlines()]

    def told(self, event: str) -> bool:
        """Whether it told of that."""
        assert self.process.poll() is None, self._told.read_text()
        return event in self.events()

    def end(self, number: int) -> int:
        """By a signal; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(_WITHIN_S)


@contextmanager
def _job(folder: Path, name: str, *arguments: str) -> Iterator[Job]:
    made = Job(folder, name, *arguments)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.end(signal.SIGKILL)


def _trades(folder: Path, symbol: str = "AAPL") -> list[TradeMessage]:
    """All that the log has of a symbol."""
    with closing(EmbeddedLog(folder / ".decide" / "stream.sqlite3")) as log:
        reader, found = log.reader([TOPIC], lambda _: None), list[TradeMessage]()
        with closing(reader):
            while messages := reader.poll(MESSAGES_MAX, 0):
                found += [each for each in (decode(message.value) for message in messages) if isinstance(each, TradeMessage)]
    return [each for each in found if each.symbol == symbol]


def test_prices_go_on_from_the_last_one_whenever_it_is_ended_and_one_is_active(tmp_path: Path) -> None:
    counted = 0

    def grows() -> bool:
        return len(_trades(tmp_path)) > counted + 2

    with _job(tmp_path, "first") as first:
        until(lambda: first.told("ingesting"), _WITHIN_S, "it begins")
        with _job(tmp_path, "second") as second:
            until(lambda: second.told("another_is_active"), _WITHIN_S, "the second one waits")
            until(grows, _WITHIN_S, "there are trades")
            assert first.end(signal.SIGKILL) == -signal.SIGKILL
            counted = len(_trades(tmp_path))
            until(grows, _WITHIN_S, "the second one goes on")
            assert second.events() == ["another_is_active", "ingesting"]
            assert second.end(signal.SIGTERM) == 0
    counted = len(_trades(tmp_path))
    with _job(tmp_path, "third") as third:
        until(grows, _WITHIN_S, "the third one goes on")
        assert third.end(signal.SIGINT) == 0
    assert third.events() == ["ingesting", "stopped"]
    _in_order(_trades(tmp_path))


def _in_order(trades: list[TradeMessage]) -> None:
    assert all(int(after.trade_id) == int(before.trade_id) + 1 for before, after in pairwise(trades))
    assert all(after.time_us > before.time_us for before, after in pairwise(trades))
    assert all(abs(after.price / before.price - 1) <= 0.02 for before, after in pairwise(trades))


def test_killed_at_random_moments_it_loses_and_doubles_nothing(tmp_path: Path) -> None:
    print(f"FAULT_SEED={SEED}")
    chance = random.Random(SEED)
    for life in range(8):
        with _job(tmp_path, f"life{life}"):
            time.sleep(chance.uniform(0, 3))
    counted = len(_trades(tmp_path))
    with _job(tmp_path, "last") as last:
        until(lambda: len(_trades(tmp_path)) > counted + 2, _WITHIN_S, "it goes on")
        assert last.end(signal.SIGTERM) == 0
    for symbol in SYMBOLS:
        _in_order(_trades(tmp_path, symbol))
    with closing(sqlite3.connect(tmp_path / ".decide" / "market.sqlite3")) as market:
        assert market.execute("SELECT count(*) FROM symbols").fetchone() == (len(SYMBOLS),)
        bars = market.execute("SELECT interval, source, count(*) FROM candles GROUP BY interval, source ORDER BY interval")
        assert bars.fetchall() == [("1d", "simulated", 150 * len(SYMBOLS)), ("1m", "simulated", 1440 * len(SYMBOLS))]


@pytest.mark.parametrize("market", [".decide/market.sqlite3", "kept.sqlite3"])
def test_where_its_files_are_removed_it_begins_anew(market: str, tmp_path: Path) -> None:
    """With what the market store has, if that is still there; it has the lease of the log that there is now."""
    with _job(tmp_path, "job", "--market-path", market) as job:
        until(lambda: len(_trades(tmp_path)) > 2, _WITHIN_S, "there are trades")
        (tmp_path / ".decide").rename(tmp_path / "removed")
        until(lambda: job.events().count("ingesting") == 2, _WITHIN_S, "it begins anew")
        until(lambda: len(_trades(tmp_path)) > 2, _WITHIN_S, "there are trades again")
        assert "log_anew" in job.events()
        with _job(tmp_path, "second") as second:
            until(lambda: second.told("another_is_active"), _WITHIN_S, "there is one lease")
        with closing(sqlite3.connect(tmp_path / market)) as connection:
            assert connection.execute("SELECT count(*) FROM symbols WHERE market = 'simulated'").fetchone() == (5,)
        assert job.end(signal.SIGTERM) == 0


def test_it_shows_what_it_puts_into_the_log(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"

    def counted(name: str) -> float:
        lines = httpx.get(f"{url}/metrics").text.splitlines()
        return float(next(line.split()[-1] for line in lines if line.startswith(f"decide_ingest_{name}")))

    with _job(tmp_path, "job", "--ingest-port", str(port)) as job:
        until(lambda: job.told("ingesting"), _WITHIN_S, "it begins")
        assert httpx.get(f"{url}/livez").json() == {"status": "ok"}
        until(lambda: counted('trades_total{source="synthetic"}') > 20, _WITHIN_S, "there are trades")
        assert counted('messages_total{source="synthetic"}') > counted("append_seconds_count") > 0
        assert abs(time.time() - counted("last_append_timestamp_seconds")) < _WITHIN_S
        assert counted("append_failures_total") == 0
        assert job.end(signal.SIGTERM) == 0


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [*_COMMAND, "--ingest-port", str(taken.getsockname()[1])]
        environment = clean_environment({"PYTHONPATH": str(ROOT)})
        ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert "settings: INGEST_PORT is " in ran.stderr
    assert "allowed: a free port, or 0" in ran.stderr


def _priced(store: Path) -> list[str]:
    """Kinds of the records that L2 has of AAPL and TSLA."""

    async def read() -> list[str]:
        opened = EmbeddedStore(store)
        try:
            return [kind for each in await opened.get_many(["AAPL", "TSLA"]) for kind in each.records]
        except StoreError:
            # It is made just now.
            return []
        finally:
            await opened.close()

    return asyncio.run(read()) if store.exists() else []


def test_price_records_that_l2_lost_are_made_anew_while_it_goes_on(tmp_path: Path) -> None:
    store = tmp_path / ".decide" / "store.sqlite3"
    with _job(tmp_path, "job") as job:
        until(lambda: job.told("ingesting"), _WITHIN_S, "it begins")
        assert _priced(store) == ["price", "price"]
        remove_file(store)
        until(lambda: _priced(store) == ["price", "price"], _WITHIN_S, "the records are there again")
        assert job.told("prices_anew")
        assert job.end(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--source", "nobody"), "invalid choice: 'nobody'"),
        (("--seed", "-1"), "allowed: a whole number, at least 0"),
        (("--symbols", "AAPL,AAPL"), "AAPL is there twice; allowed: once"),
        (("--ingestion-interval-seconds", "0"), "allowed: a number, at least 0.01 and at most 3,600"),
    ],
)
def test_what_it_cannot_be_told_is_refused_with_what_is_allowed(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    command = [*_COMMAND, *arguments]
    environment = clean_environment({"PYTHONPATH": str(ROOT)})
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert [*tmp_path.iterdir()] == []
