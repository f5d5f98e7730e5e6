"""`decide live` in an empty folder: prices move, decisions follow, and no process is left, however it ends."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from app.market.protocol import Symbol
from app.market.sqlite import EmbeddedWriter
from tests.e2e.publishing import is_alive
from tests.kit.servers import ROOT, clean_environment, free_port, until

_WITHIN_S = 90.0
_PARTS = ("serve", "ingest", "stream")
_COUNTED = {"decide_ready", "decide_ingest_messages_total", "decide_stream_messages_total"}


class Live:
    """It, in a folder of its own."""

    def __init__(self, folder: Path, *arguments: str, **settings: str) -> None:
        self.port, self.folder = free_port(), folder
        self.url = f"http://127.0.0.1:{self.port}"
        given = {"PORT": str(self.port), "INGESTION_INTERVAL_SECONDS": "0.2", "DRAIN_S": "0", **settings}
        environment = clean_environment({"PYTHONPATH": str(ROOT), **given})
        command = [sys.executable, "-P", "-m", "app", "live", *arguments]
        with (folder / "live.log").open("wb") as log:
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)

    def events(self) -> list[dict[str, Any]]:
        """All that it and its parts told of."""
        lines = (self.folder / "live.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def pids(self, part: str) -> list[int]:
        """The process of each life of a part."""
        return [each["pid"] for each in self.events() if each["event"] == "started" and each.get("part") == part]

    def family(self) -> set[int]:
        """The processes of all parts' last lives, with those that they started."""
        found = {self.pids(each)[-1] for each in _PARTS}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                # Behind the name, which may have anything in it: state, parent, group.
                _, _, group, *_ = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(group) in found:
                found.add(int(path.parent.name))
        return found

    def answer(self, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """What the server says; None while it says nothing that is of use."""
        try:
            with httpx.Client(base_url=self.url, timeout=20) as client:
                answered = client.get(path) if body is None else client.post(path, json=body)
        except httpx.TransportError:
            return None
        return answered.json() if answered.status_code == 200 else None

    def price(self) -> float | None:
        """The latest of AAPL by a trade."""
        found = self.answer("/price/latest?symbol=AAPL")
        return None if found is None or found["venue"] != "simulated" else found["price"]

    def numbers(self, order: str) -> list[int]:
        """Ids of the first, or the last, trades of AAPL that were stored."""
        found = self.answer(f"/trades?symbol=AAPL&start=0&limit=1000&order={order}")
        return [int(each["trade_id"]) for each in found["data"]]

    def moves(self) -> bool:
        """Returns once the price is another one than it is now."""
        assert self.process.poll() is None, (self.folder / "live.log").read_text()
        until(lambda: self.price() is not None, _WITHIN_S, "there is a price")
        before = self.price()
        until(lambda: self.price() not in (None, before), _WITHIN_S, "the price moves")
        return True

    def end(self, number: int) -> int:
        """By a signal; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(_WITHIN_S)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """Running, with prices that move."""
    made = Live(tmp_path)
    try:
        made.moves()
        yield made
    finally:
        if made.process.poll() is None:
            made.end(signal.SIGTERM)


def _gone(pids: set[int]) -> None:
    until(lambda: not any(map(is_alive, pids)), _WITHIN_S, "no process is left")


def test_in_an_empty_folder_prices_move_and_decisions_follow(live: Live) -> None:
    decided = live.answer("/decide", {"symbol": "AAPL"})
    assert decided["inputs"]["price"]["status"] == "present"
    tick = decided["inputs"]["tick"]
    assert (tick["status"], tick["source"], tick["coverage"] in ("complete", "quiet")) == ("present", "simulated", True)
    assert decided["fallback"] == {"used": True, "level": "price_only", "reason": "agents_absent"}

    def follows() -> bool:
        return bool(live.answer("/decide", {"symbol": "AAPL"})["inputs"]["tick"]["price"] != tick["price"])

    until(follows, _WITHIN_S, "the decision follows")
    symbols = live.answer("/symbols?details=true")["details"]
    assert {each["symbol"]: (each["name"], each["market"]) for each in symbols} == {
        "AAPL": ("Apple", "simulated"), "AMZN": ("Amazon", "simulated"), "GOOGL": ("Alphabet", "simulated"),
        "MSFT": ("Microsoft", "simulated"), "TSLA": ("Tesla", "simulated"),
    }  # fmt: skip
    assert len(live.answer("/candles?symbol=AAPL&interval=1d&limit=1000")["data"]) in (151, 152)
    assert live.answer("/candles?symbol=AAPL&interval=1h")["data"]
    family = live.family()
    assert len(family) >= 4
    assert live.end(signal.SIGTERM) == 0
    _gone(family)
    assert [each["event"] for each in live.events() if each["event"] in ("died", "killed", "cannot_live")] == []


def _counts(live: Live, accept: str) -> dict[str, float]:
    """What the server's own /metrics has of these names."""
    answered = httpx.get(f"{live.url}/metrics", headers={"accept": accept})
    assert answered.status_code == 200
    read = openmetrics.text_string_to_metric_families if "openmetrics" in accept else text_string_to_metric_families
    samples = [sample for family in read(answered.text) for sample in family.samples]
    assert len({(each.name, *sorted(each.labels.items())) for each in samples}) == len(samples)
    return {each.name: each.value for each in samples if each.name in _COUNTED}


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_the_server_shows_what_source_and_stream_count_and_itself_where_they_are_away(live: Live, accept: str) -> None:
    until(lambda: _counts(live, accept).keys() == _COUNTED, _WITHIN_S, "all is shown")
    before = _counts(live, accept)
    of_jobs = _COUNTED - {"decide_ready"}
    until(lambda: all(_counts(live, accept).get(each, 0) > before[each] for each in of_jobs), _WITHIN_S, "messages are counted")
    # It stands still, and so does its port.
    os.kill(live.pids("ingest")[-1], signal.SIGSTOP)
    try:
        assert _counts(live, accept).keys() == _COUNTED - {"decide_ingest_messages_total"}
    finally:
        os.kill(live.pids("ingest")[-1], signal.SIGCONT)
    os.kill(live.pids("stream")[-1], signal.SIGKILL)
    until(partial(_has_lives, live, "stream", 2), _WITHIN_S, "the stream is started anew")
    until(lambda: _counts(live, accept).keys() == _COUNTED, _WITHIN_S, "all is shown again")


def test_the_log_sends_nobody_to_load_what_the_source_brings(live: Live) -> None:
    (first,) = [each["event"] for each in live.events() if str(each["event"]).startswith("data in ")]
    assert first.endswith("store.sqlite3: none yet; the source brings it")
    assert "decide warm" not in (live.folder / "live.log").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="NO LINUX: there is no systemd")
def test_the_end_of_its_server_alone_is_not_told_systemd_as_the_units(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(0.0)
        live = Live(tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify"), DRAIN_S="0.5")
        try:
            live.moves()
            os.kill(live.pids("serve")[-1], signal.SIGTERM)
            until(partial(_has_lives, live, "serve", 2), _WITHIN_S, "the server is started anew")
            assert live.moves()
            said = list[str]()
            with contextlib.suppress(BlockingIOError):
                while True:
                    said.append(systemd.recv(4096).decode())
            assert any("STATUS=Draining" in each for each in said)
            assert sum("READY=1" in each for each in said) == 2
            assert not [each for each in said if "STOPPING=1" in each]
        finally:
            live.end(signal.SIGTERM)


def _has_lives(live: Live, part: str, count: int) -> bool:
    return len(live.pids(part)) == count


def test_each_part_that_is_killed_is_started_anew_and_prices_move_on(live: Live) -> None:
    for part in _PARTS:
        before = live.family()
        os.kill(live.pids(part)[-1], signal.SIGKILL)
        until(partial(_has_lives, live, part, 2), _WITHIN_S, f"{part} is started anew")
        assert live.moves()
        assert [(each["part"], each["exit_code"]) for each in live.events() if each["event"] == "died"][-1] == (part, -9)
        # Nothing of its life before is left.
        _gone(before - live.family())
    family = live.family()
    assert live.end(signal.SIGINT) == 0
    _gone(family)


@pytest.mark.skipif(sys.platform != "linux", reason="NO PRCTL: only Linux's kernel ends children with their parent")
def test_if_it_is_killed_itself_no_process_is_left_and_the_next_goes_on(live: Live) -> None:
    family, last = live.family(), live.numbers("desc")[0]
    assert live.end(signal.SIGKILL) == -signal.SIGKILL
    _gone(family)
    again = Live(live.folder)
    try:
        assert again.moves()
        numbers = again.numbers("asc")
        assert numbers == [*range(numbers[0], numbers[0] + len(numbers))]
        assert again.numbers("desc")[0] > last
        # The past was made once.
        assert len(again.answer("/candles?symbol=AAPL&interval=1d&limit=1000")["data"]) in (151, 152)
    finally:
        assert again.end(signal.SIGTERM) == 0


def _refused(folder: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    environment = clean_environment({"PYTHONPATH": str(ROOT), "DRAIN_S": "0", **settings})
    command = [sys.executable, "-P", "-m", "app", "live", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_what_cannot_be_is_told_once_and_nothing_is_started(tmp_path: Path) -> None:
    for arguments, settings, said in (
        ((), {"PORT": "0", "L1_TTL_S": "x"}, "settings: PORT is '0'; allowed: a whole number"),
        ((), {"CLOCK": "replay"}, "settings: CLOCK is 'replay'; allowed with decide live: wall"),
        (("--symbols", "A,A"), {}, "--symbols: A is there twice; allowed: once"),
    ):
        refused = _refused(tmp_path, *arguments, **settings)
        assert refused.returncode == 2
        assert refused.stderr.count(said) == 1
    assert [*tmp_path.iterdir()] == []


def test_a_port_that_is_taken_ends_all_of_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = _refused(tmp_path, PORT=port)
        assert refused.returncode == 4
        assert f"PORT is {port}; cannot listen there" in refused.stderr


def test_real_symbols_of_the_market_store_stay_real(tmp_path: Path) -> None:
    with closing(EmbeddedWriter(tmp_path / ".decide" / "market.sqlite3")) as writer:
        writer.put_symbols([Symbol("TSLA", market="XNYS", source="table")])
    refused = _refused(tmp_path, PORT=str(free_port()))
    assert refused.returncode == 2
    assert "TSLA is real in this market store" in refused.stderr
    assert "keep simulated trades in a market store of their own" in refused.stderr
