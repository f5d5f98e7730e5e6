"""The real server, and commands, where nobody takes what they print: nothing waits for a reader, or ends for want of one."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.publishing import is_alive, publish_universe
from tests.kit.servers import ROOT, clean_environment, connect, free_port, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="NO LINUX: a pipe's size and a process's children are told there")
_PATIENCE_S = 20.0
_GRACE_S = 3


class _Server:
    """With a pipe of one page for its output, which is full from the first moment unless somebody reads."""

    def __init__(self, folder: Path, command: str, stdout: int) -> None:
        publish_universe(folder / "store.sqlite3")
        self.port = free_port()
        settings = {"PORT": str(self.port), "STORE_PATH": str(folder / "store.sqlite3"), "CLOCK": "replay", "DRAIN_S": "0"}
        environment = clean_environment(
            {**settings, "SHUTDOWN_GRACE_S": str(_GRACE_S), "LOG_SAMPLE_EVERY": "1", "PYTHONPATH": str(ROOT)}
        )
        self.process = subprocess.Popen(["sh", "-c", command, "sh", sys.executable], cwd=folder, env=environment, stdout=stdout)

    def ask(self, path: str = "/readyz") -> bytes:
        """The answer to a GET; empty if there is none."""
        try:
            with connect(self.port, 5) as wire:
                wire.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                return b"".join(iter(lambda: wire.recv(65_536), b""))
        except OSError:
            return b""

    def wait_ready(self) -> None:
        """Return once it is."""
        until(lambda: self.ask().startswith(b"HTTP/1.1 200"), _PATIENCE_S, "it is ready", 0.05)

    def fill(self) -> None:
        """Have it log more than its output takes."""
        for _ in range(50):
            assert self.ask().startswith(b"HTTP/1.1 200")

    def children(self) -> list[int]:
        """Its workers."""
        pid = self.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


@contextmanager
def _server(folder: Path, command: str = 'exec "$1" -m app serve', stdout: int = subprocess.DEVNULL) -> Iterator[_Server]:
    server = _Server(folder, command, stdout)
    try:
        server.wait_ready()
        yield server
    finally:
        for pid in (*(server.children() if server.process.poll() is None else ()), server.process.pid):
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        server.process.wait(10)


@contextmanager
def _narrow_pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("also_stderr", ["", " 2>&1"])
def test_a_server_whose_output_nobody_reads_serves_and_stops(tmp_path: Path, also_stderr: str) -> None:
    """At the first signal, within the grace, with 0: its lines are lost."""
    with _narrow_pipe() as (_, writer), _server(tmp_path, f'exec "$1" -m app serve{also_stderr}', writer) as server:
        server.fill()
        server.process.terminate()
        assert server.process.wait(_GRACE_S + _PATIENCE_S) == 0


def test_no_worker_outlives_a_main_process_that_is_killed_while_nobody_reads(tmp_path: Path) -> None:
    with _narrow_pipe() as (_, writer), _server(tmp_path, stdout=writer) as server:
        server.fill()
        left = server.children()
        server.process.kill()
        server.process.wait(10)
        until(lambda: not any(map(is_alive, left)), _GRACE_S + _PATIENCE_S, "its workers end", 0.05)


@pytest.mark.parametrize("output", [">&-", "2>&-", ">&- 2>&- <&-", ">/dev/full", ">/dev/full 2>&1"])
def test_a_server_without_an_output_starts_serves_and_stops(tmp_path: Path, output: str) -> None:
    """Whether it was closed or takes nothing; no file that is opened later gets the lines."""
    with _server(tmp_path, f'exec "$1" -m app serve {output}') as server:
        server.fill()
        server.process.terminate()
        assert server.process.wait(_GRACE_S + _PATIENCE_S) == 0
    assert (tmp_path / "store.sqlite3").read_bytes().startswith(b"SQLite format 3\0")


def test_lines_that_could_not_be_written_are_counted(tmp_path: Path) -> None:
    with _server(tmp_path, 'exec "$1" -m app serve >/dev/full') as server:
        server.fill()

        def lost() -> float:
            lines = server.ask("/metrics").decode().splitlines()
            return float(next(line for line in lines if line.startswith("decide_log_lines_dropped_total ")).split()[1])

        until(lambda: lost() >= 50, _PATIENCE_S, "they are counted", 0.1)


def test_a_reader_who_has_left_makes_no_stop_a_failure(tmp_path: Path) -> None:
    """As `decide serve | head` does; and nobody else is told of each line."""
    reader, writer = os.pipe()
    with _server(tmp_path, 'exec "$1" -m app serve 2>errors', writer) as server:
        os.close(writer)
        os.close(reader)
        server.fill()
        server.process.terminate()
        assert server.process.wait(_GRACE_S + _PATIENCE_S) == 0
    assert (tmp_path / "errors").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize(("output", "code"), [(">&-", 0), (">/dev/full", 1)])
def test_a_command_whose_output_nobody_takes_fails_without_a_traceback(output: str, code: int) -> None:
    """What was closed from the start was not wanted."""
    done = subprocess.run(
        ["sh", "-c", f'"$1" -m app version {output}', "sh", sys.executable],
        env=clean_environment({"PYTHONPATH": str(ROOT)}),
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    said = b"decide: not all could be written: No space left on device\n" if code else b""
    assert (done.returncode, done.stderr) == (code, said)
