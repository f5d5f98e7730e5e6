"""The one file beside the package: start, memory, throughput, and what it unpacks. Both serve the same Redis, and take turns.

Start to ready is from making the process to the first 200 of /readyz, files in the system's cache. Memory is that of the whole
tree of processes (bootloader, main process, workers) after the same requests. The package should run on the CPython that is in
the file, and on an interpreter other than this program's; what is not so is said.
"""

import http.client
import os
import re
import shlex
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from bench import memory, scrape
from bench.addresses import Address, HttpConnection
from bench.peers.catalogue import Server, decide
from bench.peers.experiments import Case, Pace, Progress, in_order, table
from bench.peers.findings import Goal, Line, Table
from bench.peers.processes import Process
from bench.peers.sampling import batches, singles, take
from bench.peers.world import World, symbols_of
from bench.scenario import ScenarioError

READY_MS, MEMORY_RATIO, THROUGHPUT_RATIO = 2000.0, 1.10, 0.95
PACKAGE, BINARY = "package", "binary"
_SYMBOLS_MAX = 10_000
_HITS_OF, _BATCH, _LARGEST_BATCH = 1000, 100, 1000
_FILLS, _LOOKS = 10, 16
_FILLERS = 8
"""Batches at a time: even if all reach one worker they are fewer decisions than may be waited for, so that none is refused."""
_WORKERS_S = 30.0
_UNPACKED = re.compile(r"^(?:\S+ +){5}(/.*/_MEI[^/\n]+)/", re.MULTILINE)
"""In ``/proc/PID/maps``: files of the folder that PyInstaller unpacks to, which may have spaces in it; behind five columns."""


class Unpacked(msgspec.Struct, frozen=True, kw_only=True):
    """What one file unpacks to while it runs with two workers: ``folders`` is 1 where they share it, ``left_folders`` are there
    after the server was stopped.
    """

    file_bytes: int
    folders: int
    unpacked_bytes: int
    left_folders: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. ``notes`` are what a reader must know to compare the two, where it is not as it should be."""

    lines: list[Line]
    tables: list[Table]
    unpacked: Unpacked
    notes: list[str]

    @property
    def wrong(self) -> int:
        """Answers that were wrong or lost."""
        return sum(row.errors + row.faults for each in self.tables for row in each.rows)

    def goals(self) -> list[Goal]:
        """What there is to reach."""
        found = []
        for line in self.lines:
            if line.name == "start":
                value, most, what, digits = line.binary, READY_MS, line.title, 0
            elif line.name.startswith("memory"):
                value, most, what, digits = line.ratio, MEMORY_RATIO, f"{line.title}, × the package's", 3
            else:
                continue
            found.append(
                Goal(what=what, goal=f"at most {most:,g}", found=f"{value.median:,.{digits}f}", met=value.median <= most)
            )
        for each in self.tables:
            ratio = each.row(BINARY).ratio
            assert ratio is not None
            times = 1 / ratio.median
            goal = f"at least {THROUGHPUT_RATIO:g}"
            found.append(
                Goal(
                    what=f"{each.title}, answers/s × the package's",
                    goal=goal,
                    found=f"{times:.3g}",
                    met=times >= THROUGHPUT_RATIO,
                )
            )
        unpacked = self.unpacked
        for what, wanted, number in (
            ("answers that were wrong or lost", 0, self.wrong),
            ("folders that two workers unpack to", 1, unpacked.folders),
            ("folders left behind", 0, unpacked.left_folders),
        ):
            found.append(Goal(what=what, goal=str(wanted), found=str(number), met=number == wanted))
        return found


class _Worker(msgspec.Struct):
    """Of an event of /live."""

    worker: int


def command_of(option: str, text: str) -> list[str]:
    """The words of a command, its program as an absolute path: servers run in folders of their own.

    Raises:
        ScenarioError: there is no such program.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ScenarioError(f"{option} is {text!r}: {error}; allowed: a command, quoted as a shell has it") from error
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise ScenarioError(f"{option} is {text!r}; allowed: the path of a program that may be run")
    # A link is not followed: by it an environment's Python knows which it is.
    return [os.path.abspath(program), *words[1:]]  # noqa: PTH100 - as said


def unpacked_folders(maps: str) -> set[str]:
    """The folders that a process runs out of, by the text of its ``/proc/PID/maps``."""
    return set(_UNPACKED.findall(maps))


def folder_bytes(folder: Path) -> int:
    """Of all files in it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def notes(package: tuple[str, str], binary: tuple[str, str], own_executable: str) -> list[str]:
    """What is not as it should be; of both servers Python's version and what they are run by."""
    found = []
    if package[0] != binary[0]:
        found.append(f"The package runs on Python {package[0]}, the file on {binary[0]}: ratios are of the two interpreters too.")
    if package[1] == own_executable:
        found.append(
            "The package runs on the harness's own interpreter and shares its files' pages with it, which makes its proportional "
            "memory smaller than it would be alone; the file shares none."
        )
    return found


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


def _entries(address: Address) -> int:
    """How many symbols one of the workers holds."""
    l1 = scrape.get_json(address, "/status")["l1"]
    assert isinstance(l1, dict)
    return int(l1["entries"])


class Measuring:
    """Make one in a world, and `compare`.

    Raises:
        ScenarioError: a server did not come up, or did not answer.
    """

    def __init__(self, world: World, commands: Mapping[str, Sequence[str]], pace: Pace, progress: Progress) -> None:
        self._world, self._commands, self._pace, self._progress = world, commands, pace, progress
        self._names = symbols_of(max(size for size in pace.sizes if size <= _SYMBOLS_MAX))

    def _server(self, name: str, workers: int = 1) -> Server:
        entries = str(max(_HITS_OF, len(self._names)))
        settings = {"WORKERS": str(workers), "L1_MAX_ENTRIES": entries, "L1_TTL_S": "3600", "TMPDIR": "{folder}"}
        made = decide(name, {PACKAGE: "Package", BINARY: "One file"}[name], **settings)
        return msgspec.structs.replace(made, command=(*self._commands[name], "serve"))

    def _turns(self, number: int) -> list[str]:
        return in_order((PACKAGE, BINARY), number, alternate=True)

    def compare(self) -> Comparison:
        """Everything."""
        self._progress(f"loading {len(self._names):,} symbols")
        self._world.load(len(self._names))
        unpacked, told = self._sides()
        return Comparison(
            lines=[self._starts(), *self._memory(1), *self._memory(2)], tables=self._throughput(), unpacked=unpacked, notes=told
        )

    def _starts(self) -> Line:
        taken: dict[str, list[float]] = {PACKAGE: [], BINARY: []}
        # The first of each reads its files.
        for number in range(self._pace.rounds + 1):
            self._progress(f"start: {number} of {self._pace.rounds}")
            for name in self._turns(number):
                process = self._world.start(self._server(name))
                process.stop()
                taken[name].append(process.ready_s * 1000.0)
        title = f"start to ready with {len(self._names):,} symbols on Redis, ms"
        return Line.of("start", title, package=taken[PACKAGE][1:], binary=taken[BINARY][1:])

    def _memory(self, workers: int) -> list[Line]:
        """Of the whole tree of processes after the same requests, with nothing else running but the harness and Redis."""
        taken: dict[str, list[memory.Memory]] = {PACKAGE: [], BINARY: []}
        for number in range(min(self._pace.rounds, 3)):
            self._progress(f"memory with {workers} worker(s): {number + 1}")
            for name in self._turns(number):
                process = self._world.start(self._server(name, workers))
                try:
                    wait_for_workers(process.address, workers)
                    self._fill(process, workers)
                    taken[name].append(memory.of(process.pids()))
                finally:
                    process.stop()
        parts: list[tuple[str, str, Callable[[memory.Memory], int]]] = [
            ("memory", "PSS", lambda each: each.proportional),
            ("anonymous", "of it anonymous", lambda each: each.anonymous),
            ("resident", "RSS, shared pages counted again", lambda each: each.resident),
        ]
        return [
            Line.of(
                f"{part}_{workers}",
                f"memory, {workers} worker{'s' * (workers > 1)}, {what}, MB",
                package=[read(each) / 1e6 for each in taken[PACKAGE]],
                binary=[read(each) / 1e6 for each in taken[BINARY]],
            )
            for part, what, read in parts
        ]

    def _fill(self, process: Process, workers: int) -> None:
        """Batches until every worker holds every symbol, and then single requests.

        The system spreads connections over workers as it likes, so what each holds is asked for, on a new connection each time.
        """
        size = min(_LARGEST_BATCH, len(self._names))
        count = 8 * workers * max(1, len(self._names) // size)
        for _ in range(_FILLS):
            take(process, batches(process.address, self._names, size), connections=_FILLERS, count=count)
            if all(_entries(process.address) == len(self._names) for _ in range(_LOOKS)):
                break
        else:
            raise ScenarioError(f"a worker did not come to hold all symbols; its log ends with\n{process.log[-1000:]}")
        take(process, singles(process.address, self._names), count=10 * len(self._names))

    def _throughput(self) -> list[Table]:
        """Of decisions from memory, one worker each, both running and loaded in turns."""
        servers = [self._server(name) for name in (PACKAGE, BINARY)]
        running: list[tuple[Server, Process]] = []
        size = min(_BATCH, len(self._names))
        try:
            for server in servers:
                running.append((server, self._world.start(server)))
                self._fill(running[-1][1], 1)
            singly = [
                Case(
                    name=server.name,
                    title=server.title,
                    process=process,
                    requests=singles(process.address, self._names[:_HITS_OF]),
                )
                for server, process in running
            ]
            many = [
                msgspec.structs.replace(case, requests=batches(case.process.address, self._names, size), decisions=size)
                for case in singly
            ]
            title = f"Batches of {size} on one connection"
            return [
                table("hits", "Hits, 32 connections", singly, self._pace, self._progress, alternate=True),
                table("batches", title, many, self._pace, self._progress, connections=1, alternate=True),
            ]
        finally:
            for _, process in running:
                process.stop()

    def _sides(self) -> tuple[Unpacked, list[str]]:
        """What the file unpacks, with two workers, to see whether they share it; and notes."""
        sides: dict[str, tuple[str, str]] = {}
        folders: set[str] = set()
        unpacked_bytes = 0
        for name in (PACKAGE, BINARY):
            process = self._world.start(self._server(name, 2))
            try:
                wait_for_workers(process.address, 2)
                pids = process.pids()
                executable = str(Path(f"/proc/{pids[-1]}/exe").readlink())
                sides[name] = str(scrape.get_json(process.address, "/version").get("python")), executable
                if name == BINARY:
                    for pid in pids:
                        folders |= unpacked_folders(Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace"))
                    unpacked_bytes = sum(folder_bytes(Path(each)) for each in folders)
            finally:
                process.stop()
        unpacked = Unpacked(
            file_bytes=Path(self._commands[BINARY][0]).stat().st_size,
            folders=len(folders),
            unpacked_bytes=unpacked_bytes,
            left_folders=sum(Path(each).exists() for each in folders),
        )
        return unpacked, notes(sides[PACKAGE], sides[BINARY], str(Path("/proc/self/exe").readlink()))


def size(unpacked: Unpacked) -> str:
    """What the file takes, in a sentence."""
    return (
        f"The file has {unpacked.file_bytes / 1e6:.1f} MB and unpacks {unpacked.unpacked_bytes / 1e6:.1f} MB into "
        f"{unpacked.folders} folder(s) with two workers; {unpacked.left_folders or 'nothing'} of that is left after the stop."
    )
