"""Servers as processes: started, watched from outside through /proc, stopped. Linux only, as CPU time a request needs /proc."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench import memory
from bench.addresses import TcpAddress, UnixAddress, free_port
from bench.scenario import ScenarioError

ROOT = Path(__file__).resolve().parent.parent.parent
_START_S = 60.0
_STOP_S = 15.0
_LOOK_S = 0.005
_OK = b" 200 "
_numbers = itertools.count(1)


def free_address() -> TcpAddress:
    """A loopback port nobody listens on."""
    return TcpAddress("127.0.0.1", free_port())


def _stat(pid: int) -> tuple[int, float] | None:
    """Parent and CPU seconds of a process, and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()
    except OSError:
        return None
    return int(fields[1]), sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def descendants(parents: Mapping[int, int], ancestor: int) -> list[int]:
    """``ancestor`` and all that descend from it, parents first; ``parents`` has each process's parent."""
    found = [ancestor]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
    return descendants({each: stat[0] for each in pids if (stat := _stat(each)) is not None}, pid)


def cpu_of(pids: Iterable[int]) -> float:
    """CPU seconds of these processes so far."""
    return sum(stat[1] for pid in pids if (stat := _stat(pid)) is not None)


class Process:
    """One server and its children, listening on ``address``."""

    def __init__(
        self, command: Sequence[str], folder: Path, address: TcpAddress | UnixAddress, environment: Mapping[str, str]
    ) -> None:
        self.address = address
        self.ready_s = 0.0
        self.started_at = time.perf_counter()
        self._log = folder / f"server-{next(_numbers)}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, stdout=log, stderr=log
            )

    def wait_ready(self, path: str) -> None:
        """Return once a GET of ``path`` answers 200, or anybody listens if there is no path; ``ready_s`` is how long it took.

        Raises:
            ScenarioError: it ended, or took too long.
        """
        while time.perf_counter() - self.started_at < _START_S:
            if self._process.poll() is not None:
                break
            if self._answers(path):
                self.ready_s = time.perf_counter() - self.started_at
                return
            time.sleep(_LOOK_S)
        self.stop()
        raise ScenarioError(f"a server did not start; the end of its log:\n{self.log[-2000:]}")

    @property
    def log(self) -> str:
        """What it said."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _answers(self, path: str) -> bool:
        try:
            with self.address.connect(2.0) as connection:
                if not path:
                    return True
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {self.address.host}\r\nConnection: close\r\n\r\n".encode())
                return _OK in connection.recv(64)
        except OSError:
            return False

    def pids(self) -> list[int]:
        """The process and all that descend from it."""
        return tree(self._process.pid)

    def cpu_s(self) -> float:
        """CPU seconds of all of them so far."""
        return cpu_of(self.pids())

    def largest_resident_mb(self) -> float:
        """Resident memory of the largest of them: the one worker, where there is one."""
        return max(memory.of([pid]).resident for pid in self.pids()) / 1e6

    def kill(self) -> None:
        """As if the machine had lost it."""
        self._process.kill()

    def stop(self) -> None:
        """End it, and whatever of it is left."""
        pids = self.pids()
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in pids[1:]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def run_python(folder: Path, environment: Mapping[str, str], *arguments: str, python: str = sys.executable) -> str:
    """What ``python`` prints, run with ``arguments`` in ``folder``, with Decide's own modules at hand.

    Raises:
        ScenarioError: it did not end well.
    """
    done = subprocess.run(
        [python, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ScenarioError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr[-1000:]}")
    return done.stdout


def start_redis(folder: Path) -> Process | None:
    """A Redis that keeps nothing, at ``redis://`` and its address's host; None without a redis-server."""
    executable = shutil.which("redis-server")
    if executable is None:
        return None
    address = free_address()
    command = [executable, "--port", str(address.port), "--save", "", "--dir", str(folder), "--loglevel", "warning"]
    process = Process(command, folder, address, {})
    process.wait_ready("")
    return process
