"""Both servers, started, loaded and looked at in turns. Which of them is first changes from round to round."""

import http.client
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench import memory, scrape
from bench.addresses import Address, HttpConnection
from bench.binary.comparison import MEMORY_RATIO, READY_MS, THROUGHPUT_RATIO, Line, Side, Unpacked
from bench.peers.processes import ROOT, Process, free_address, run_python, start_redis
from bench.peers.sampling import Sample, batches, singles, take
from bench.scenario import ScenarioError

PACKAGE, BINARY = "package", "binary"
_BARS = 80
"""Of each symbol: enough for every indicator; a record is as large for any more."""
_HITS_OF = 1000
_BATCH = 100
_LARGEST_BATCH = 1000
_FILLS, _LOOKS = 10, 16
_FILLERS = 8
"""Batches at a time: even if all reach one worker they are fewer decisions than may be waited for, so that none is refused."""
_WORKERS_S = 30.0
_UNPACKED = re.compile(r"^(?:\S+ +){5}(/.*/_MEI[^/\n]+)/", re.MULTILINE)
"""In ``/proc/PID/maps``: files of the folder that PyInstaller unpacks to, which may have spaces in it; behind five columns."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How often, how long, how much. ``unkept`` starts of each come first, and read the files."""

    rounds: int
    seconds: float
    starts: int
    loads: int
    symbols: int
    unkept: int = 1


class _Worker(msgspec.Struct):
    """Of an event of /live."""

    worker: int


class Store(NamedTuple):
    """What servers start on: settings of each of the two, and the path that answers 200 once it has started."""

    name: str
    title: str
    settings: Mapping[str, Mapping[str, str]]
    ready: str


def unpacked_folders(maps: str) -> set[str]:
    """The folders that a process runs out of, by the text of its ``/proc/PID/maps``."""
    return set(_UNPACKED.findall(maps))


def folder_bytes(folder: Path) -> int:
    """Of all files in it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def in_turn(number: int) -> tuple[str, str]:
    """Who is first in which round."""
    return (PACKAGE, BINARY) if number % 2 == 0 else (BINARY, PACKAGE)


def _entries(address: Address) -> int:
    """How many symbols one of the workers holds."""
    l1 = scrape.get_json(address, "/status")["l1"]
    assert isinstance(l1, dict)
    return int(l1["entries"])


def wait_for_workers(address: Address, count: int) -> None:
    """Return once so many workers take connections: a server is ready when its first one is. Each says which it is on /live.

    Raises:
        ScenarioError: they did not come.
    """
    seen: set[int] = set()
    deadline = time.monotonic() + _WORKERS_S
    while len(seen) < count:
        if time.monotonic() > deadline:
            raise ScenarioError(f"{len(seen)} of {count} workers took connections within {_WORKERS_S:g} s")
        connection = HttpConnection(address, _WORKERS_S)
        try:
            connection.request("GET", "/live")
            answer = connection.getresponse()
            line = b"event"
            while line and not line.startswith(b"data:"):
                line = answer.readline()
            seen.add(msgspec.json.decode(line.removeprefix(b"data:"), type=_Worker).worker)
        except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
            raise ScenarioError(f"{address.url('/live')}: {error or type(error).__name__}") from error
        finally:
            connection.close()


def _memory(process: Process) -> memory.Memory:
    found = memory.of(process.pids())
    if not found.proportional:
        raise ScenarioError(f"no memory of the server was found; its log ends with\n{process.log[-1000:]}")
    return found


class Measuring:
    """Make one in an empty ``folder``, `prepare` it, and take one measurement after the other; ``stack`` ends what it started.

    Raises:
        ScenarioError: from all of them: a server did not come up, or did not answer.
    """

    def __init__(
        self, folder: Path, stack: ExitStack, commands: Mapping[str, Sequence[str]], pace: Pace, progress: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._stack = stack
        self._commands = commands
        self._pace = pace
        self._progress = progress
        self._names = [f"SIM{number:05d}" for number in range(pace.symbols)]
        self._stores: list[Store] = []
        self.wrong = 0

    def prepare(self) -> None:
        """One warmed store, and a copy of it for each; on Redis too, where there is one."""
        self._progress(f"loading {self._pace.symbols:,} symbols")
        universe = self._folder / "universe"
        script = str(ROOT / "data" / "make_universe.py")
        run_python(self._folder, {}, script, "--symbols", str(self._pace.symbols), "--bars", str(_BARS), str(universe))
        warm = ["-m", "warm", "--prices", str(universe / "prices"), "--agents", str(universe / "agents")]
        store = self._folder / "warmed"
        store.mkdir()
        run_python(self._folder, {"REDIS_URL": "", "STORE_PATH": str(store / "store.sqlite3")}, *warm)
        for name in (PACKAGE, BINARY):
            (self._folder / name / "temporary").mkdir(parents=True)
            shutil.copytree(store, self._folder / name / "warmed")
        self._stores = [
            Store("empty", "on an empty store", self._on_files("empty.sqlite3"), "/livez"),
            Store("sqlite", f"with {self._pace.symbols:,} symbols on SQLite", self._on_files("warmed/store.sqlite3"), "/readyz"),
        ]
        if redis_url := start_redis(self._folder, self._stack):
            urls = {name: f"{redis_url}/{number}" for number, name in enumerate((PACKAGE, BINARY))}
            for url in urls.values():
                run_python(self._folder, {"REDIS_URL": url}, *warm)
            settings = {name: {"REDIS_URL": url} for name, url in urls.items()}
            self._stores.append(Store("redis", f"with {self._pace.symbols:,} symbols on Redis", settings, "/readyz"))

    def _on_files(self, path: str) -> dict[str, dict[str, str]]:
        return {name: {"REDIS_URL": "", "STORE_PATH": str(self._folder / name / path)} for name in (PACKAGE, BINARY)}

    def _start(self, name: str, store: Store, workers: int = 1) -> Process:
        address = free_address()
        settings = {
            "CLOCK": "replay",
            "LOG_LEVEL": "error",
            "ACCESS": "off",
            "DRAIN_S": "0",
            "L1_TTL_S": "3600",
            "WORKERS": str(workers),
        }
        settings |= {"HOST": address.name, "PORT": str(address.port), "L1_MAX_ENTRIES": str(max(_HITS_OF, self._pace.symbols))}
        settings |= {"TMPDIR": str(self._folder / name / "temporary"), **store.settings[name]}
        process = Process([*self._commands[name], "serve"], self._folder / name, address, settings)
        process.wait_ready(store.ready)
        return process

    def starts(self) -> list[Line]:
        """Start to ready, from the moment the process was made."""
        lines = []
        for store in self._stores:
            taken: dict[str, list[float]] = {PACKAGE: [], BINARY: []}
            for number in range(1 - self._pace.unkept, self._pace.starts + 1):
                self._progress(f"start {store.title}: {max(0, number)} of {self._pace.starts}")
                for name in in_turn(number):
                    process = self._start(name, store)
                    process.stop()
                    if number > 0:
                        taken[name].append(process.ready_s * 1000.0)
            title = f"start to {'ready' if store.ready == '/readyz' else 'answering'} {store.title}"
            lines.append(
                Line.of(
                    f"start_{store.name}",
                    title,
                    "ms",
                    package=taken[PACKAGE],
                    binary=taken[BINARY],
                    most_itself=READY_MS,
                )
            )
        return lines

    def memory(self, workers: int) -> list[Line]:
        """Of the whole tree of processes after the same requests, with nothing else running but the harness."""
        taken: dict[str, list[memory.Memory]] = {PACKAGE: [], BINARY: []}
        for number in range(self._pace.loads):
            self._progress(f"memory with {workers} worker(s): {number + 1} of {self._pace.loads}")
            for name in in_turn(number):
                process = self._start(name, self._stores[1], workers)
                try:
                    wait_for_workers(process.address, workers)
                    self._fill(process, workers)
                    taken[name].append(_memory(process))
                finally:
                    process.stop()
        title = f"memory, {workers} worker{'s' * (workers > 1)}"
        parts: list[tuple[str, str, Callable[[memory.Memory], int], float | None]] = [
            ("proportional", "proportional (PSS)", lambda each: each.proportional, MEMORY_RATIO),
            ("anonymous", "of it anonymous", lambda each: each.anonymous, None),
            ("resident", "resident (RSS), shared pages counted again", lambda each: each.resident, None),
        ]
        return [
            Line.of(
                f"memory_{workers}_{part}",
                f"{title}, {what}",
                "MB",
                package=[read(each) / 1e6 for each in taken[PACKAGE]],
                binary=[read(each) / 1e6 for each in taken[BINARY]],
                digits=1,
                most=most,
            )
            for part, what, read, most in parts
        ]

    def _fill(self, process: Process, workers: int) -> None:
        """Batches until every worker holds every symbol, and then single requests.

        The system spreads connections over workers as it likes, so what each holds is asked for, on a new connection each time.
        """
        size = min(_LARGEST_BATCH, len(self._names))
        count = 8 * workers * max(1, len(self._names) // size)
        for _ in range(_FILLS):
            self._take(process, "batch", size=size, connections=_FILLERS, count=count)
            if all(_entries(process.address) == len(self._names) for _ in range(_LOOKS)):
                break
        else:
            raise ScenarioError(f"a worker did not come to hold all symbols; its log ends with\n{process.log[-1000:]}")
        self._take(process, "single", connections=32, count=10 * len(self._names))

    def _take(
        self,
        process: Process,
        kind: str,
        *,
        size: int = 1,
        connections: int,
        seconds: float | None = None,
        count: int | None = None,
    ) -> Sample:
        names = self._names if kind == "batch" else self._names[:_HITS_OF]
        requests = batches(process.address, names, size) if kind == "batch" else singles(process.address, names)
        sample = take(process, requests, connections=connections, seconds=seconds, count=count)
        self.wrong += sample.errors + sample.faults
        return sample

    def throughput(self) -> list[Line]:
        """Of decisions from memory, one worker each, both running and loaded in turns."""
        kinds = {"single": (1, 32), "batch": (min(_BATCH, len(self._names)), 1)}
        taken: dict[tuple[str, str], list[Sample]] = {}
        with ExitStack() as stack:
            servers = {}
            for name in (PACKAGE, BINARY):
                servers[name] = self._start(name, self._stores[1])
                stack.callback(servers[name].stop)
                self._fill(servers[name], 1)
            for number in range(self._pace.rounds):
                self._progress(f"throughput: round {number + 1} of {self._pace.rounds}")
                for kind, (size, connections) in kinds.items():
                    for name in in_turn(number):
                        sample = self._take(servers[name], kind, size=size, connections=connections, seconds=self._pace.seconds)
                        taken.setdefault((kind, name), []).append(sample)
        lines = []
        for kind, title in (
            ("single", "hits, 32 connections"),
            ("batch", f"batches of {kinds['batch'][0]} on one connection"),
        ):
            ours, theirs = taken[kind, PACKAGE], taken[kind, BINARY]
            figures: list[tuple[str, str, Callable[[Sample], float], int, float | None]] = [
                ("answers_per_s", "answers/s", lambda each: each.answers_per_s, 0, THROUGHPUT_RATIO),
                ("cpu_us", "CPU µs an answer", lambda each: each.cpu_us, 1, None),
                ("p50_ms", "p50 ms", lambda each: each.p50_ms, 2, None),
                ("p99_ms", "p99 ms", lambda each: each.p99_ms, 2, None),
            ]
            lines += [
                Line.of(
                    f"{kind}_{figure}",
                    title,
                    unit,
                    package=[read(each) for each in ours],
                    binary=[read(each) for each in theirs],
                    digits=digits,
                    least=least,
                )
                for figure, unit, read, digits, least in figures
            ]
        return lines

    def sides(self) -> tuple[dict[str, Side], Unpacked]:
        """What both are, and what the binary unpacks; with two workers, to see whether they share it."""
        sides: dict[str, Side] = {}
        folders: set[str] = set()
        unpacked_bytes = 0
        for name in (PACKAGE, BINARY):
            process = self._start(name, self._stores[1], 2)
            try:
                pids = process.pids()
                version = scrape.get_json(process.address, "/version")
                executable = str(Path(f"/proc/{pids[-1]}/exe").readlink())
                sides[name] = Side(command=list(self._commands[name]), version=version, executable=executable)
                if name == BINARY:
                    for pid in pids:
                        folders |= unpacked_folders(Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace"))
                    unpacked_bytes = sum(folder_bytes(Path(each)) for each in folders)
            finally:
                process.stop()
        return sides, Unpacked(
            file_bytes=Path(self._commands[BINARY][0]).stat().st_size,
            folders=len(folders),
            unpacked_bytes=unpacked_bytes,
            left_folders=sum(Path(each).exists() for each in folders),
        )
