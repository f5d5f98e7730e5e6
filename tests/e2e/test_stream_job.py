"""`decide stream`, a process of its own: what is put into the log is what a server answers."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from tests.e2e.publishing import publish as publish_records
from tests.kit.records import row, run_info
from tests.kit.servers import ROOT, DecideServer, clean_environment, decide_server, free_port, until
from tests.market.places import Place
from tests.stream.days import days_before, publish, put, records, row_of
from tests.stream.places import TOPIC
from tests.stream.rig import Rig, heartbeat, trade
from warm.stream.log import Outgoing
from warm.stream.messages import HeartbeatMessage, TradeMessage, encode
from warm.stream.sqlite_log import EmbeddedLog

_WITHIN_S = 30.0
_SYMBOL = "BTC-USD"
_NAMES = {"STORE_PATH": "store.sqlite3", "MARKET_PATH": "market.sqlite3", "STREAM_PATH": "log.sqlite3"}


class Job:
    """It, with its files in a folder that a server can share."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.settings = {name: str(folder / file) for name, file in _NAMES.items()}
        self.log = EmbeddedLog(Path(self.settings["STREAM_PATH"]))
        self.log.create(TOPIC, 1)
        self._number = 0

    def start(self) -> None:
        """Returns once it listens."""
        environment = clean_environment({"PYTHONPATH": str(ROOT), "STREAM_PORT": str(self.port), **self.settings})
        with (self.folder / "job.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", "stream"], cwd=self.folder, env=environment, stdout=log, stderr=log
            )
        until(self._lives, _WITHIN_S, "it listens")

    def _lives(self) -> bool:
        assert self.process.poll() is None, (self.folder / "job.log").read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/livez").status_code == 200
        except httpx.TransportError:
            return False

    def trade(self, price: str, number: int | None = None) -> None:
        """One of now: the next one, or that ``number``."""
        self._number = self._number + 1 if number is None else number
        made = TradeMessage(
            schema=1, symbol=_SYMBOL, time_us=time.time_ns() // 1000, venue="v", trade_id=str(self._number),
            price=Decimal(price), size=Decimal(1), sequential=True,
        )  # fmt: skip
        self.log.append(TOPIC, [Outgoing(_SYMBOL.encode(), encode(made))])

    def heartbeat(self, last: int) -> None:
        """One of now."""
        made = HeartbeatMessage(
            schema=1, symbol=_SYMBOL, time_us=time.time_ns() // 1000, venue="v", last_id=str(last), sequential=True
        )
        self.log.append(TOPIC, [Outgoing(_SYMBOL.encode(), encode(made))])

    def counted(self, name: str) -> float:
        """By its metrics."""
        for line in httpx.get(f"http://127.0.0.1:{self.port}/metrics").text.splitlines():
            if line.startswith(f"decide_stream_{name} "):
                return float(line.split()[1])
        raise AssertionError(f"no {name}")

    def end(self, number: int) -> int:
        """By a signal; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(_WITHIN_S)

    def events(self) -> list[str]:
        """What it told of."""
        return [json.loads(line)["event"] for line in (self.folder / "job.log").read_text().splitlines()]


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    """Running."""
    (tmp_path / "job").mkdir(0o700)
    with _running(tmp_path / "job") as made:
        yield made


@contextmanager
def _running(folder: Path) -> Iterator[Job]:
    made = Job(folder)
    made.start()
    with closing(made.log):
        try:
            yield made
        finally:
            if made.process.poll() is None:
                made.end(signal.SIGKILL)


def _shown(server: DecideServer, price: str, coverage: str) -> None:
    def is_so() -> bool:
        answer = httpx.get(f"{server.url}/price/latest?symbol={_SYMBOL}")
        if answer.status_code != 200:
            return False
        found = json.loads(answer.content, parse_float=Decimal, parse_int=Decimal)
        return (found["price"], found["coverage"]) == (Decimal(price), coverage)

    until(is_so, _WITHIN_S, f"{price} {coverage}", 0.02)


def test_a_trade_in_the_log_is_the_latest_price_and_a_loss_is_told(job: Job, tmp_path: Path) -> None:
    job.trade("101.5")
    with decide_server(tmp_path, **job.settings) as server:
        _shown(server, "101.5", "complete")
        job.trade("0.1234567890123456789")
        _shown(server, "0.1234567890123456789", "complete")
        job.heartbeat(3)
        _shown(server, "0.1234567890123456789", "gap")
        job.trade("103")
        _shown(server, "103", "complete")
        job.heartbeat(3)
        _shown(server, "103", "quiet")
        gaps = httpx.get(f"{server.url}/candles?symbol={_SYMBOL}&interval=1m").json()["gaps"]
        assert [each for each in gaps if each["filled_time"] is None and each["found_by"] != "began"] == []
    assert job.counted("trades_total") == 3


@pytest.mark.parametrize("found_by", ["ids", "heartbeat"])
def test_a_gap_shows_in_each_answer_within_a_second_and_goes_when_it_is_filled(job: Job, found_by: str, tmp_path: Path) -> None:
    as_of_ms = time.time_ns() // 1_000_000 - 3_600_000
    publish_records(Path(job.settings["STORE_PATH"]), [row(_SYMBOL, as_of_ms)], run_info(as_of_ms=as_of_ms))
    job.trade("100", 1)
    with decide_server(tmp_path, **job.settings) as server, server.client() as client:

        def shown() -> tuple[bool, ...]:
            candles = client.get(f"/candles?symbol={_SYMBOL}&interval=1m")
            latest = client.get(f"/price/latest?symbol={_SYMBOL}")
            decided = client.post("/decide", json={"symbol": _SYMBOL})
            assert {each.status_code for each in (candles, latest, decided)} == {200}
            gaps = [each for each in candles.json()["gaps"] if each["filled_time"] is None and each["found_by"] != "began"]
            return bool(gaps), latest.json()["coverage"] == "gap", decided.json()["fallback"]["reason"] == "tick_gap"

        def takes(*, gap: bool) -> float:
            return until(lambda: shown() == (gap,) * 3, _WITHIN_S, f"the gap shows: {gap}", 0.01)

        _shown(server, "100", "complete")
        seconds = []
        for number in (2, 4, 6):
            takes(gap=False)
            if found_by == "ids":
                job.trade("101", number + 1)
            else:
                job.heartbeat(number)
            seconds.append(takes(gap=True))
            job.trade("102", number)
            takes(gap=False)
            if found_by == "heartbeat":
                job.trade("101", number + 1)
        # On a machine that does much else some take longer.
        assert min(seconds) < 1.0


def test_it_ends_with_what_it_has_begun_and_another_goes_on(job: Job, tmp_path: Path) -> None:
    job.trade("1")
    until(lambda: job.counted("trades_total") == 1, _WITHIN_S, "the trade is stored")
    assert job.end(signal.SIGTERM) == 0
    assert job.events() == ["following", "stopped"]
    job.trade("2")
    job.start()
    until(lambda: job.counted("trades_total") == 1, _WITHIN_S, "the next one is stored")
    assert job.end(signal.SIGKILL) == -signal.SIGKILL
    job.trade("3")
    job.start()
    with decide_server(tmp_path, **job.settings) as server:
        _shown(server, "3", "complete")
        trades = httpx.get(f"{server.url}/trades?symbol={_SYMBOL}&start=0").json()["data"]
        assert [each["trade_id"] for each in trades] == ["1", "2", "3"]
    assert job.end(signal.SIGINT) == 0


def test_health_tells_how_the_stream_is_and_that_it_was_stopped(job: Job, tmp_path: Path) -> None:
    job.trade("1")
    with decide_server(tmp_path, **job.settings) as server:

        def state() -> str | None:
            log = httpx.get(f"{server.url}/health").json()["log"]
            return None if log is None else str(log["state"])

        until(lambda: state() == "ok", _WITHIN_S, "the stream is well")
        assert job.end(signal.SIGTERM) == 0
        until(lambda: state() == "stopped", _WITHIN_S, "it is told that it was stopped")
        assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_the_price_record_is_computed_anew_once_its_day_is_over(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir(0o700)
    market = Place(tmp_path / "job" / "market.sqlite3")
    with closing(market), closing(Rig(market, tmp_path / "job")) as rig:
        days = days_before(60)
        put(rig, days)
        publish(rig, row_of(days))
        with _running(tmp_path / "job") as job:
            rig.append(heartbeat(-43_260), trade(1, 0), trade(2, 100), heartbeat(43_202, 2))
            over_ms = days[-1].end_us // 1000 + 86_400_000
            until(lambda: records(rig)[0].as_of_ms == over_ms, _WITHIN_S, "the day's record is there")
            until(lambda: job.counted("price_records_total") == 1, _WITHIN_S, "it is counted")
            assert records(rig)[1].closes[-1] == 102
            assert job.end(signal.SIGTERM) == 0


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        environment = clean_environment({"PYTHONPATH": str(ROOT), "STREAM_PORT": str(port)})
        command = [sys.executable, "-m", "app", "stream"]
        ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert f"STREAM_PORT is {port}" in ran.stderr
    assert "allowed: a free port, or 0" in ran.stderr
