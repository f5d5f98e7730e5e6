"""The stack under load while parts of it go away."""

import time
from pathlib import Path

import httpx

from tests.acceptance.stack import URL, Stack, finished, results, run, write_scenario
from tests.kit.servers import until

_DOWN_AT_S, _BACK_AT_S, _RECOVERED_AFTER_S = 5, 12, 8
_SUSTAINED = """name = "sustained"
loop = "open"
rate_per_s = 300
connections = 32
duration_s = 30
mix = { cold = 0.03, unknown = 0.02, batch = 0.02, live_price = 0.2 }
checks = { server_errors = 0, faults = 0, invalid = 0 }"""
_CLOSED = """name = "closed"
loop = "closed"
connections = 32
duration_s = 18
mix = { cold = 0.02, unknown = 0.03, batch = 0.02 }
checks = { server_errors = 0, faults = 0, invalid = 0 }"""


def wait_for_load() -> None:
    """Return when the harness, which was just started, sends its first requests."""
    before = _asked()
    until(lambda: _asked() > before + 50, 90, "the harness sends")


def _asked() -> float:
    text = httpx.get(URL + "/metrics", timeout=20).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("decide_decisions_total{"))


def test_decisions_go_on_while_redis_is_killed_and_recover_after_it_is_back(stack: Stack, tmp_path: Path) -> None:
    """No 5xx and no lost request; answers that miss something say so; eight seconds after Redis is back all is as before."""
    run("docker", "restart", stack.container("app"))
    until(lambda: stack.is_healthy(stack.container("app")), 30, "the server is ready")
    redis = stack.container("redis")
    load = stack.bench("--scenario", str(write_scenario(tmp_path, "redis-killed", [_SUSTAINED])))
    wait_for_load()
    time.sleep(_DOWN_AT_S)
    run("docker", "kill", redis)
    time.sleep(_BACK_AT_S - _DOWN_AT_S)
    run("docker", "start", redis)
    code, output = finished(load)
    assert code == 0, output
    (phase,) = results("redis-killed").phases
    line = phase.time_line
    # Cold symbols cannot be read while Redis is gone: their answers say that they fell back, or that they rest on stale data.
    outage = line[_DOWN_AT_S + 2 : _BACK_AT_S]
    assert sum(second.fallbacks for second in outage) > 0
    recovered = line[_BACK_AT_S + 3 + _RECOVERED_AFTER_S :]
    rates = [second.hits / second.decisions for second in recovered]
    print(f"hit rate by second from {_RECOVERED_AFTER_S} s after Redis's return: {[round(rate, 3) for rate in rates]}")
    assert len(rates) >= 5
    assert all(rate >= 0.8 for rate in rates)
    assert phase.statuses.keys() <= {"200", "404"}


def test_a_restart_of_the_server_loses_no_request_that_it_took(stack: Stack, tmp_path: Path) -> None:
    """``docker compose restart app`` under closed-loop load: connections may be refused meanwhile, and nothing else fails."""
    load = stack.bench("--scenario", str(write_scenario(tmp_path, "restarted", [_CLOSED])))
    wait_for_load()
    time.sleep(3)
    started_at = stack.inspect("app")["State"]["StartedAt"]
    run("docker", "restart", "--time", "20", stack.container("app"))
    assert load.poll() is None, "the load was over before the server was back"
    code, output = finished(load)
    assert code == 0, output
    (phase,) = results("restarted").phases
    print(f"{phase.answers} answers, {phase.refused_connections} connections refused while the server was down")
    # Whether any is refused is a matter of moments: an attempt that the leaving server did not hear is repeated after a second,
    # and may meet the next one.
    assert stack.inspect("app")["State"]["StartedAt"] > started_at
    assert phase.faults == {}
    # It came back, and answered as before.
    assert phase.time_line[-2].answers > 0.3 * phase.time_line[2].answers
