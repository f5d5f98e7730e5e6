"""Bad data in two running servers on one store: taken back by the command, or by emptying the store, while callers ask."""

import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx
import pytest

from tests.e2e.publishing import publish
from tests.kit.emptying import empty_store
from tests.kit.records import AS_OF_MS, row, run_info
from tests.kit.servers import ROOT, DecideServer, clean_environment, decide_server, until

_DAY_MS = 86_400_000
_LEASE_S = 1.0
_SOON_S = 5.0
"""Within this everything is as it should be; the machine may be busy."""


class Answer(NamedTuple):
    """What a caller got, of which run (None: of none, or no decision at all), asked for when."""

    asked: float
    status: int
    run: str | None
    level: str | None


class Caller:
    """Asks one server for AAPL all the while, by itself and in a batch in turns."""

    def __init__(self, server: DecideServer) -> None:
        self._url = server.url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.answers: list[Answer] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def since(self, moment: float) -> list[Answer]:
        """Those that were asked for after it."""
        return [each for each in self.answers if each.asked >= moment]

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=20) as client:
            while not self._over.wait(0.002):
                self.answers.append(self._alone(client) if len(self.answers) % 2 else self._in_batch(client))

    def _alone(self, client: httpx.Client) -> Answer:
        asked = time.monotonic()
        answer = client.post("/decide", json={"symbol": "AAPL"})
        return _answer(asked, answer.status_code, answer.json() if answer.status_code == 200 else None)

    def _in_batch(self, client: httpx.Client) -> Answer:
        asked = time.monotonic()
        item = client.post("/decide/batch", json={"symbols": ["IBM", "AAPL"]}).json()["answers"][1]
        return _answer(asked, 200 if item["problem"] is None else item["problem"]["status"], item["decision"])


def _answer(asked: float, status: int, decision: dict[str, Any] | None) -> Answer:
    if decision is None:
        return Answer(asked, status, None, None)
    return Answer(asked, status, decision["cache"]["run"], decision["fallback"]["level"])


class Scene:
    """Two servers on one store, callers at both, and what may be done to the store."""

    def __init__(self, url: str, folder: Path, stack: ExitStack) -> None:
        self.url, self.path = url, folder / "store.sqlite3"
        self.where = {"REDIS_URL": url} if url else {"STORE_PATH": str(self.path)}
        self._folder = folder
        self.publish("good", AS_OF_MS, "AAPL", "IBM")
        servers = []
        for name in ("one", "other"):
            (folder / name).mkdir()
            settings = {"CLOCK": "replay", "LOG_LEVEL": "error", "L1_LEASE_S": str(_LEASE_S), "feed_wait_ms": "200"}
            servers.append(stack.enter_context(decide_server(folder / name, **self.where, **settings)))
        for server in servers:
            server.wait_ready()
        self.callers = [stack.enter_context(Caller(server)) for server in servers]

    def publish(self, run: str, as_of_ms: int, *symbols: str) -> None:
        """As a warm job does."""
        rows = [row(symbol, as_of_ms, run) for symbol in symbols]
        publish(self.url or self.path, rows, run_info(run, as_of_ms, len(rows)))

    def withdraw(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """The command, as it is entered."""
        command = [sys.executable, "-m", "app", "withdraw", *arguments]
        environment = clean_environment({**self.where, "PYTHONPATH": str(ROOT)})
        return subprocess.run(command, cwd=self._folder, env=environment, capture_output=True, text=True, timeout=60, check=False)

    def empty(self) -> None:
        """FLUSHALL, or the file deleted."""
        empty_store(self.url, self.path)

    def all_get(self, status: int, run: str | None) -> float:
        """Wait until all callers get this, fresh; when it was so."""

        def reached() -> bool:
            last = [caller.answers[-1] for caller in self.callers if caller.answers]
            return [(each.status, each.run, each.level or "none") for each in last] == [(status, run, "none")] * len(self.callers)

        until(reached, _SOON_S, f"{status} of run {run} at both servers", every_s=0.01)
        return time.monotonic()

    def nobody_gets(self, run: str, since: float) -> None:
        """No answer to what was asked since then is of ``run``, and there were many."""
        answers = [each for caller in self.callers for each in caller.since(since)]
        assert len(answers) > 20
        assert [each for each in answers if each.run == run] == []


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    """Of an empty Redis, or empty for SQLite."""
    return str(request.getfixturevalue("redis_url")) if request.param == "redis" else ""


@pytest.mark.parametrize("arguments", [("--run", "bad"), ("aapl",)], ids=["run", "symbol"])
def test_what_is_taken_back_under_load_is_served_by_no_server_and_older_data_then_is(
    arguments: tuple[str, ...], url: str, tmp_path: Path
) -> None:
    """Not fresh nor in any other way, a lease after the command has ended; all servers agree, and other symbols stay."""
    with ExitStack() as stack:
        scene = Scene(url, tmp_path, stack)
        scene.all_get(200, "good")
        scene.publish("bad", AS_OF_MS + _DAY_MS, "AAPL")
        scene.all_get(200, "bad")
        ran = scene.withdraw(*arguments)
        done = time.monotonic()
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.startswith("withdrew 1 price record and 1 agent record of 1 symbol: AAPL\nwritten by 1 run: bad\n")
        assert "\nleft: 1 symbol; newest record: IBM of 2013-03-01 21:00:00 UTC, run good\n" in ran.stdout
        scene.all_get(404, None)
        scene.publish("again", AS_OF_MS, "AAPL")
        scene.all_get(200, "again")
        time.sleep(max(0.0, done + 2 * _LEASE_S - time.monotonic()))
    scene.nobody_gets("bad", done + _LEASE_S)


def test_a_store_that_was_emptied_and_warmed_anew_is_what_every_server_answers_with(url: str, tmp_path: Path) -> None:
    """A record dated ten years ahead outlives that in no worker, whoever asked for it before."""
    with ExitStack() as stack:
        scene = Scene(url, tmp_path, stack)
        scene.publish("bad", AS_OF_MS + 3652 * _DAY_MS, "AAPL", "IBM")
        until(
            lambda: all(caller.answers[-1:] and caller.answers[-1].run == "bad" for caller in scene.callers), _SOON_S, "bad data"
        )
        scene.empty()
        scene.publish("right", AS_OF_MS, "AAPL", "IBM")
        done = time.monotonic()
        time.sleep(2 * _LEASE_S)
    scene.nobody_gets("bad", done + _LEASE_S)
    runs = {each.run for caller in scene.callers for each in caller.since(done + _LEASE_S)}
    assert runs == {"right"}
