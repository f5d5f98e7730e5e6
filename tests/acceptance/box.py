"""A machine that has nothing but the one file: an empty Debian container without Python and without a network."""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.acceptance.stack import ended, run
from tests.kit.servers import ROOT, until

EMPTY = "debian:trixie-slim"
NEIGHBOUR = "python:3.13-slim-trixie"
"""The image that the binary was built in, for clients that come from outside."""
TEMPORARY = "/tmp"  # noqa: S108 - a folder of the container's
"""Where the binary is unpacked."""
_PREFIX = "decide-binary-"
# A first process that takes in what others leave, as a real one does.
_FIRST = 'trap "exit 0" TERM; while :; do sleep 3600 & wait $!; done'
_READY_S = 20.0


class Box:
    """One such container; what is started in it runs in the folder /data."""

    def __init__(self, name: str, dist: Path, *options: str) -> None:
        self.name = _PREFIX + name
        self.remove()
        mounts = ("--volume", f"{dist / 'decide'}:/usr/local/bin/decide:ro", "--workdir", "/data")
        run("docker", "run", "--detach", "--name", self.name, "--network", "none", *mounts, *options, EMPTY, "sh", "-c", _FIRST)

    def remove(self) -> None:
        """Nothing is left of it."""
        run("docker", "rm", "--force", "--volumes", self.name, check=False)

    def __call__(self, *command: str, settings: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """A command in it, to its end."""
        given = [part for name, value in (settings or {}).items() for part in ("--env", f"{name}={value}")]
        return ended(["docker", "exec", *given, self.name, *command], 200)

    def shell(self, script: str) -> str:
        """What a script that ends well prints."""
        done = self("sh", "-c", script)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write(self, name: str, text: str) -> None:
        """A file in /data."""
        ended(["docker", "exec", "--interactive", self.name, "sh", "-c", f"cat > /data/{name}"], 60, text).check_returncode()

    def serve(self, url: str = "http://127.0.0.1:8000", **settings: str) -> None:
        """``decide serve`` in the background, ready."""
        self.start(**settings)
        until(lambda: self("decide", "ask", "ACME", "--url", url).returncode == 0, _READY_S, "the server answers")

    def start(self, command: str = "serve", **settings: str) -> None:
        """A ``command`` with a server, in the background; its log, process id and, in the end, exit code stand in /data."""
        given = " ".join(f"{name}={value}" for name, value in settings.items())
        script = f"{given} decide {command} > log 2>&1 & echo $! > pid; wait $!; echo $? > code"
        self.shell("rm -f code log pid")
        run("docker", "exec", "--detach", self.name, "sh", "-c", script)
        until(lambda: self("grep", "-q", "Started worker", "log").returncode == 0, _READY_S, "the server has started")

    def stop(self, signal: str = "TERM") -> tuple[int, float]:
        """Send the outer process a signal; the exit code, and how long the end took."""
        started = time.monotonic()
        self.shell(f"kill -{signal} $(cat pid)")
        until(lambda: self("test", "-s", "code").returncode == 0, 60, "the server ends")
        return int(self.shell("cat code")), time.monotonic() - started

    def processes(self) -> list[str]:
        """The ids of the processes that run the binary."""
        return self.shell(
            r"for each in /proc/[0-9]*; do case $(readlink $each/exe) in */decide) echo ${each#/proc/};; esac; done"
        ).split()

    def unpacked(self) -> list[str]:
        """All that stands in folders that the binary was unpacked into."""
        return self.shell(f"find {TEMPORARY} -path '*_MEI*'").split()

    def ask(self, *arguments: str) -> list[dict[str, Any]]:
        """What ``decide ask --json`` prints."""
        done = self("decide", "ask", "--json", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def beside(self, program: Path, *arguments: str) -> "subprocess.Popen[str]":
        """A Python program in another container that sees the same network."""
        mounts = ("--volume", f"{program}:/program.py:ro", "--network", f"container:{self.name}")
        command = ("docker", "run", "--rm", "--interactive", *mounts, NEIGHBOUR, "python", "-I", "/program.py", *arguments)
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def prices(days: Sequence[str]) -> str:
    """Somebody's own bars of one symbol, a line a day."""
    rows = "".join(f"ACME,{day},{10 + at},{11 + at},{9 + at},{10.5 + at},1000\n" for at, day in enumerate(days))
    return "symbol,date,open,high,low,close,volume\n" + rows


def views(day: str) -> str:
    """What somebody's own agent said."""
    rows = [{"symbol": "ACME", "as_of": day, "agent": "analyst", "signal": "buy", "confidence": 0.8, "reasoning": "it goes up"}]
    return json.dumps(rows)
