"""The stack without production's file, and as developers run it. Late among these tests: they stop production's."""

import subprocess
from collections.abc import Iterator

import httpx
import pytest

from tests.acceptance.stack import URL, Stack, decide, run
from tests.kit.servers import ROOT, until


@pytest.fixture
def nothing_up(stack: Stack) -> Iterator[Stack]:
    """No stack before and after."""
    stack.down()
    yield stack
    stack.down()


def test_plain_compose_in_the_ops_folder_works(nothing_up: Stack) -> None:
    """``docker compose up --build`` there: plain defaults, the sample replayed, on loopback only."""
    up = ["docker", "compose", "up", "--build", "--detach", "--wait"]
    done = subprocess.run(up, cwd=ROOT / "ops", capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert decide({"symbol": "IBM"})["fallback"]["level"] == "none"
    ports = nothing_up.inspect("app")["NetworkSettings"]["Ports"]["8000/tcp"]
    assert [port["HostIp"] for port in ports] == ["127.0.0.1"]


def test_a_change_of_the_source_restarts_the_development_server(nothing_up: Stack) -> None:
    """Within seconds, without a build; Prometheus and Redis are published on loopback, and logs say more."""
    nothing_up.command("up", "dev")
    before_s = _uptime_s()
    probe = ROOT / "app" / "reload_probe.py"
    try:
        probe.write_text('"""Written by a test of the development stack, which removes it."""\n', encoding="utf-8")
        until(lambda: 0 < _uptime_s() < before_s, 20, "the server was started anew")
    finally:
        probe.unlink(missing_ok=True)
    assert decide({"symbol": "IBM"})["symbol"] == "IBM"
    assert httpx.get("http://127.0.0.1:9090/-/healthy", timeout=10).status_code == 200
    published = nothing_up.inspect("redis")["NetworkSettings"]["Ports"]["6379/tcp"]
    assert [port["HostIp"] for port in published] == ["127.0.0.1"]
    assert "debug" in run("docker", "logs", nothing_up.container("app"))


def _uptime_s() -> float:
    try:
        return float(httpx.get(URL + "/status", timeout=2).json()["uptime_s"])
    except httpx.TransportError:
        return 0.0
