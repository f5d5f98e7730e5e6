"""The Compose stack as a test uses it: by the commands a user has, and by `docker` to look at it from outside."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec

from bench.results import Results
from tests.kit.servers import ROOT

DASHBOARD = ROOT / "ops" / "grafana" / "dashboards" / "decide.json"
URL = "http://127.0.0.1:8000"
PROJECT = "decide"


def ended(command: Sequence[str], timeout_s: float, given: str | None = None) -> "subprocess.CompletedProcess[str]":
    """A command, ended; ``given`` is its standard input. It is run again where Docker itself failed before anything was run.
    Docker says so on either output.
    """
    for _ in range(3):
        done = subprocess.run(command, cwd=ROOT, input=given, capture_output=True, text=True, timeout=timeout_s, check=False)
        if not (done.stdout + done.stderr).startswith("OCI runtime exec failed"):
            break
    return done


def run(*command: str, check: bool = True, timeout_s: float = 400.0) -> str:
    """Standard output of a command; its standard error is in the failure."""
    done = ended(command, timeout_s)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


class Stack:
    """``ops/stack.py``, and what the running containers are."""

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One command of ``ops/stack.py``."""
        done = subprocess.run(
            [sys.executable, "ops/stack.py", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=500, check=False
        )
        if check and done.returncode:
            raise AssertionError(
                f"stack.py {arguments} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
            )
        return done

    def up(self) -> None:
        """As `just up prod`."""
        self.command("up", "prod")

    def down(self) -> None:
        """As `just down -v`."""
        self.command("down", "-v")

    def container(self, service: str) -> str:
        """The id of a service's only container."""
        (found,) = self.containers(service)
        return found

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers, running or not."""
        labels = [f"--filter=label=com.docker.compose.project={PROJECT}", f"--filter=label=com.docker.compose.service={service}"]
        return run("docker", "ps", "--all", "--quiet", "--no-trunc", *labels).split()

    def inspect(self, service: str) -> dict[str, Any]:
        """What Docker knows of a service's container."""
        (found,) = json.loads(run("docker", "inspect", self.container(service)))
        return dict(found)

    def is_healthy(self, container: str) -> bool:
        """Whether its health check passes."""
        return run("docker", "inspect", "--format", "{{.State.Health.Status}}", container).strip() == "healthy"

    def address(self, container: str) -> str:
        """Its address on the stack's network, which this machine reaches too."""
        return run("docker", "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container).strip()

    def peak_memory_bytes(self, service: str) -> int:
        """The most memory its container ever had, by the kernel's account of the group."""
        paths = ("/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes")
        script = " || ".join(f"cat {path} 2>/dev/null" for path in paths)
        return int(run("docker", "exec", self.container(service), "sh", "-c", script))

    def ask_prometheus(self, query: str) -> list[dict[str, Any]]:
        """The series of an instant query."""
        # Its port is not published, but the stack's network is this machine's too.
        url = f"http://{self.address(self.container('prometheus'))}:9090/api/v1/query"
        answer = httpx.get(url, params={"query": query}, timeout=20)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["data"]["result"])

    def bench(self, *arguments: str) -> "subprocess.Popen[str]":
        """`just bench` under way."""
        return subprocess.Popen(
            [sys.executable, "ops/stack.py", "bench", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def finished(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Exit code and output of a command that was under way."""
    output, _ = process.communicate(timeout=400)
    return process.returncode, output


def results(scenario: str, folder: Path = ROOT / "bench" / "results") -> Results:
    """What the harness wrote."""
    return msgspec.json.decode((folder / f"{scenario}.json").read_bytes(), type=Results)


def key_headers() -> dict[str, str]:
    """The key that `just up` keeps; where no keys are wanted, it is not looked at."""
    path = ROOT / "ops" / "secrets" / "api_key"
    return {"X-API-Key": path.read_text(encoding="ascii").strip()} if path.is_file() else {}


def decide(body: dict[str, object], url: str = URL) -> dict[str, Any]:
    """One decision."""
    answer = httpx.post(url + "/decide", json=body, headers=key_headers(), timeout=10)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def write_scenario(folder: Path, name: str, phases: Sequence[str]) -> Path:
    """A scenario file of a test's own."""
    path = folder / f"{name}.toml"
    path.write_text(f'description = "{name}"\n' + "".join(f"[[phases]]\n{phase}\n" for phase in phases), encoding="utf-8")
    return path


def panel_queries() -> dict[str, list[str]]:
    """Every panel's queries of the dashboard by its title, those inside rows too."""
    found: dict[str, list[str]] = {}
    panels = list(json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"])
    while panels:
        panel = panels.pop()
        panels += panel.get("panels", [])
        if panel["type"] != "row":
            found[panel["title"]] = [target["expr"] for target in panel["targets"]]
    return found
