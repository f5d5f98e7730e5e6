"""`decide ingest` with recorded trades and with Coinbase's, a process of its own that is killed, stopped and begun again."""

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.faults import SEED
from tests.kit.coinbase import Exchange
from tests.kit.servers import ROOT, clean_environment, until
from tests.stream.places import TOPIC
from warm.stream.ingest import main
from warm.stream.log import MESSAGES_MAX
from warm.stream.messages import TradeMessage, decode
from warm.stream.sqlite_log import EmbeddedLog

_WITHIN_S = 60.0
_TRADES = 4_000
_BEGAN_US = 1_700_049_600_000_000


@contextmanager
def _job(folder: Path, name: str, *arguments: str, settings: Mapping[str, str] | None = None) -> Iterator["_Job"]:
    job = _Job(folder, name, arguments, settings or {})
    try:
        yield job
    finally:
        if job.process.poll() is None:
            job.end(signal.SIGKILL)


class _Job:
    """One in ``folder``, that tells in a file of its ``name``."""

    def __init__(self, folder: Path, name: str, arguments: tuple[str, ...], settings: Mapping[str, str]) -> None:
        self._told = folder / f"{name}.told"
        environment = clean_environment({"PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1", "INGEST_PORT": "0", **settings})
        command = [sys.executable, "-m", "app", "ingest", *arguments]
        with self._told.open("wb") as told:
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=told, stderr=told)

    @property
    def told(self) -> list[dict[str, object]]:
        """What it told of."""
        return [json.loads(line) for line in self._told.read_text().splitlines()]

    def tells(self, event: str) -> None:
        """Returns once it told of that."""
        until(lambda: event in [each["event"] for each in self.told], _WITHIN_S, event, every_s=0.05)

    def end(self, number: int) -> int:
        """By a signal; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(_WITHIN_S)


def _ids(folder: Path) -> list[str]:
    """Of all trades in the log."""
    with closing(EmbeddedLog(folder / ".decide" / "stream.sqlite3")) as log:
        found = list[str]()
        with closing(log.reader([TOPIC], lambda _: None)) as reader:
            while messages := reader.poll(MESSAGES_MAX, 0):
                found += [
                    each.trade_id for each in (decode(message.value) for message in messages) if isinstance(each, TradeMessage)
                ]
    return found


def test_a_replay_that_is_killed_at_random_moments_goes_on_and_misses_none(tmp_path: Path) -> None:
    print(f"FAULT_SEED={SEED}")
    chance = random.Random(SEED)
    rows = [f"{_BEGAN_US + n * 20_000},BTC-USD,{100 + n % 7}.5,1,{n + 1}" for n in range(_TRADES)]
    path = tmp_path / "recorded.csv"
    path.write_text("timestamp,symbol,price,size,trade_id\n" + "\n".join(rows) + "\n")
    command = ("--source", "replay", "--file", str(path))
    wanted = {str(n + 1) for n in range(_TRADES)}
    for life in range(2):
        with _job(tmp_path, f"life{life}", *command, "--speed", "10") as job:
            job.tells("ingesting")
            enough = len(_ids(tmp_path)) + chance.randint(700, 1_200)
            until(partial(_has_messages, tmp_path, enough), _WITHIN_S, "it goes on", every_s=0.05)
    before = len({*_ids(tmp_path)})
    with _job(tmp_path, "last", *command, settings={"REPLAY_SPEED": "max"}) as job:
        assert job.process.wait(_WITHIN_S) == 0
    events = [each["event"] for each in job.told]
    assert events == ["ingesting", "over", "done"]
    assert (job.told[0]["resumed"], job.told[0]["speed"]) == (True, "max")
    assert 0 < before < _TRADES
    assert {*_ids(tmp_path)} == wanted
    # How far it was is written each second, which are 500 trades here.
    assert len(_ids(tmp_path)) < _TRADES + 2 * 1_000


def _has_messages(folder: Path, count: int) -> bool:
    return len(_ids(folder)) >= count


def test_files_that_cannot_be_read_are_refused_with_why(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text("date,open,high,low,close,volume\n2024-01-02,1,2,1,2,3\n")
    with _job(tmp_path, "bars", "--source", "replay", "--file", "bars.csv") as job:
        assert job.process.wait(_WITHIN_S) == 1
    assert "no file holds trades: bars.csv: it has no trades but bars" in str(job.told[-1]["error"])


def test_coinbase_fills_what_was_missed_while_it_was_killed_and_one_is_active(tmp_path: Path) -> None:
    with Exchange("BTC-USD") as exchange:
        settings = {"COINBASE_WEBSOCKET_URL": exchange.websocket_url, "COINBASE_REST_URL": exchange.rest_url}
        command = ("--source", "coinbase", "--symbols", "btcusd")

        def trades(first: int, last: int) -> None:
            for number in range(first, last + 1):
                exchange.trade("BTC-USD", number, f"{100 + number}.25", "0.5")

        def has(count: int) -> None:
            until(lambda: {*_ids(tmp_path)} >= {str(n) for n in range(1, count + 1)}, _WITHIN_S, f"{count}", every_s=0.05)

        trades(1, 1)
        with _job(tmp_path, "first", *command, settings=settings) as first:
            first.tells("connected")
            has(1)
            with _job(tmp_path, "second", *command, settings=settings) as second:
                second.tells("another_is_active")
                trades(2, 10)
                has(10)
                assert first.end(signal.SIGKILL) == -signal.SIGKILL
                trades(11, 50)
                has(50)
                assert second.end(signal.SIGTERM) == 0
    assert second.told[-1] == {"event": "stopped"}
    assert [each["missing"] for each in second.told if each["event"] == "gap"] in ([39], [40])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--source", "replay"), "--source replay needs --file FILE"),
        (("--source", "coinbase", "--seed", "7"), "--seed is nothing to --source coinbase; allowed: with synthetic"),
        (("--source", "synthetic", "--file", "a.csv"), "--file is nothing to --source synthetic; allowed: with replay"),
        (("--source", "replay", "--file", "a.csv", "--symbols", "AAPL"), "--symbols is nothing to --source replay"),
        (("--source", "coinbase", "--symbols", "AAPL"), "AAPL is no product of Coinbase; allowed: pairs as BTC-USD"),
        (("--source", "replay", "--file", "a.csv", "--speed", "2"), "choose from '1', '10', 'max', 'real-time'"),
        (("--source", "coinbase", "--coinbase-rest-url", "ftp://x"), "allowed: text matching ^https?://"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_what_is_allowed(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.replace("from 1, 10, max, real-time", "from '1', '10', 'max', 'real-time'")
