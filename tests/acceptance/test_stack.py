"""What ``just up prod`` starts, and that it is as closed as it says. In the order of a stack's life."""

import json
import re

import httpx
import pytest

from tests.acceptance.stack import URL, Stack, decide, finished, key_headers, results, run
from tests.kit.servers import ROOT, until

LONG_RUNNING = ("redis", "app", "prometheus")
MEMORY_LIMITS = {"redis": 256 * 2**20, "app": 512 * 2**20}
CPU_LIMITS = {"redis": 0.5, "app": 1.0}


def test_a_fresh_stack_answers_from_redis_and_then_from_memory(stack: Stack) -> None:
    first, second = decide({"symbol": "AAPL"}), decide({"symbol": "AAPL"})
    assert (first["cache"]["tier"], second["cache"]["tier"]) == ("l2", "l1")
    # Some milliseconds lie between them, in which views lose weight; that tiers decide alike to the bit has tests of its own.
    assert first["score"] == pytest.approx(second["score"], rel=1e-6)
    assert first["fallback"] == {"used": False, "level": "none", "reason": None}
    status = httpx.get(URL + "/status", headers=key_headers(), timeout=10).json()
    assert status["store"] == {"kind": "redis", "state": "ok", "detail": None}
    assert status["run"]["run"] == first["cache"]["run"]
    assert stack.inspect("warm")["State"]["ExitCode"] == 0


def test_every_long_running_service_is_healthy(stack: Stack) -> None:
    for service in LONG_RUNNING:
        assert stack.is_healthy(stack.container(service)), service


def test_every_service_is_hardened(stack: Stack) -> None:
    for service in (*LONG_RUNNING, "warm"):
        found = stack.inspect(service)
        host = found["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert found["Config"]["User"].split(":")[0] not in ("", "0", "root"), service
        assert host["CapDrop"] == ["ALL"], service
        assert host["SecurityOpt"] == ["no-new-privileges:true"], service
        assert host["Memory"] > 0, service
        assert host["NanoCpus"] > 0, service
        assert host["PidsLimit"] > 0, service
        assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "5"}, service
        assert host["RestartPolicy"]["Name"] == ("no" if service == "warm" else "unless-stopped"), service
    assert {name: stack.inspect(name)["HostConfig"]["Memory"] for name in MEMORY_LIMITS} == MEMORY_LIMITS
    assert {name: stack.inspect(name)["HostConfig"]["NanoCpus"] / 1e9 for name in CPU_LIMITS} == CPU_LIMITS


def test_nothing_can_be_written_into_the_server(stack: Stack) -> None:
    app = stack.container("app")
    refused = run("docker", "exec", app, "sh", "-c", "touch /decide/app/x /x 2>&1; id -u", check=False)
    assert refused.count("Read-only file system") == 2
    assert refused.split()[-1] == "10001"


def test_only_the_api_is_published(stack: Stack) -> None:
    published = {
        service: {port for port, where in stack.inspect(service)["NetworkSettings"]["Ports"].items() if where}
        for service in LONG_RUNNING
    }
    assert published == {"redis": set(), "app": {"8000/tcp"}, "prometheus": set()}


def test_redis_wants_its_password_and_tells_it_to_nobody(stack: Stack) -> None:
    redis = stack.container("redis")
    assert "NOAUTH" in run("docker", "exec", redis, "redis-cli", "get", "x")
    password = run("docker", "exec", redis, "cat", "/run/secrets/redis_password").strip()
    assert len(password) >= 16
    seen = "".join(json.dumps(stack.inspect(service)) for service in (*LONG_RUNNING, "warm"))
    seen += run("docker", "top", redis, "-o", "pid,args")
    seen += "".join(run("docker", "logs", stack.container(service)) for service in (*LONG_RUNNING, "warm"))
    seen += httpx.get(URL + "/status", headers=key_headers(), timeout=10).text
    assert password not in seen


def test_redis_never_evicts(stack: Stack) -> None:
    """A publication that does not fit is refused as a whole; no record goes in silence."""
    ask = 'REDISCLI_AUTH="$(cat /run/secrets/redis_password)" redis-cli config get "maxmemory*"'
    found = run("docker", "exec", stack.container("redis"), "sh", "-c", ask).split()
    settings = dict(zip(found[::2], found[1::2], strict=True))
    assert settings["maxmemory-policy"] == "noeviction"
    assert 0 < int(settings["maxmemory"]) < MEMORY_LIMITS["redis"]


def test_the_acceptance_run_passes_within_its_limits(stack: Stack) -> None:
    """``just bench``: p95, hit rate, no 5xx, valid answers, 1,000 connections; with 1 CPU and 512 MB for the server."""
    code, output = finished(stack.bench())
    assert code == 0, output
    found = results("acceptance")
    assert found.passed
    assert {check.name for phase in found.phases for check in phase.checks} >= {"p95_ms", "hit_rate", "server_errors", "invalid"}
    by_name = {phase.name: phase for phase in found.phases}
    assert by_name["requirement"].answers == 30
    assert set(by_name["sustained"].kinds) == {"decide", "batch", "unknown"}
    assert by_name["1000 connections"].connections == 1000
    assert (by_name["1000 connections"].latency_ms["p95"] or 1e9) < 100
    peak_bytes = stack.peak_memory_bytes("app")
    print(f"peak memory of the server's container: {peak_bytes / 2**20:.0f} MiB")
    assert peak_bytes < MEMORY_LIMITS["app"]
    assert not stack.inspect("app")["State"]["OOMKilled"]


def test_prometheus_sees_the_server_and_its_counters_grow(stack: Stack) -> None:
    """Both targets are up, every rule is loaded, and decisions made now are counted within two scrapes."""
    until(lambda: len(stack.ask_prometheus("up == 1")) == 2, 20, "both targets up")
    rules = sum(
        len(re.findall(r"(?m)^ +- (?:record|alert): ", path.read_text(encoding="utf-8")))
        for path in (ROOT / "ops" / "prometheus" / "rules").glob("*.yml")
    )
    (loaded,) = stack.ask_prometheus("sum(prometheus_rule_group_rules)")
    assert int(loaded["value"][1]) == rules

    def decisions() -> float:
        found = stack.ask_prometheus("sum(decide_decisions_total)")
        return float(found[0]["value"][1]) if found else 0.0

    before = decisions()
    for _ in range(50):
        decide({"symbol": "MSFT"})
    until(lambda: decisions() >= before + 50, 15, "50 more decisions in Prometheus")
    assert stack.ask_prometheus('ALERTS{alertstate="firing"}') == []
