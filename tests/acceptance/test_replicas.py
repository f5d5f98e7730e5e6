"""Two replicas behind a proxy: one at a time can be restarted, and no caller notices."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.acceptance.proxy import Backend, Proxy
from tests.acceptance.stack import Stack, key_headers, results, run, write_scenario
from tests.kit.servers import ROOT, until

_OVERRIDE = "services:\n  app:\n    ports: !reset []\n"
_STEADY = """name = "steady"
loop = "open"
rate_per_s = 200
connections = 32
duration_s = 30
mix = { cold = 0.02, batch = 0.02 }
checks = { server_errors = 0, faults = 0, invalid = 0 }"""


def test_a_rolling_restart_behind_a_proxy_fails_no_request(stack: Stack, tmp_path: Path) -> None:
    """Both replicas served before and after."""
    override = tmp_path / "replicas.yaml"
    override.write_text(_OVERRIDE, encoding="utf-8")
    files = [f"--file={path}" for path in (ROOT / "ops/compose.yaml", ROOT / "ops/compose.prod.yaml", override)]
    compose = ("env", "CLOCK=replay", "docker", "compose", *files)
    run(*compose, "up", "--detach", "--wait", "--no-deps", "--scale", "app=2", "app")
    try:
        _roll(stack, tmp_path)
    finally:
        stack.down()
        stack.up()


def _roll(stack: Stack, folder: Path) -> None:
    replicas = stack.containers("app")
    assert len(replicas) == 2
    scenario = write_scenario(folder, "rolling", [_STEADY])
    with Proxy([Backend(stack.address(each), 8000) for each in replicas]) as proxy:
        assert all(backend.ready for backend in proxy.backends)
        url = f"http://127.0.0.1:{proxy.port}"
        command = [sys.executable, "-m", "bench", "--scenario", str(scenario), "--url", url, "--out", str(folder)]
        environment = {**os.environ, "DECIDE_API_KEY": key_headers()["X-API-Key"]}
        load = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        until(lambda: all(backend.served > 100 for backend in proxy.backends), 60, "both replicas serve")
        for backend, replica in zip(proxy.backends, replicas, strict=True):
            run("docker", "restart", "--time", "20", replica)
            # Its address is Docker's to give anew.
            backend.host = stack.address(replica)
            until(lambda backend=backend: backend.ready, 30, "the restarted replica is ready")  # type: ignore[misc]
            time.sleep(2)
        served = [backend.served for backend in proxy.backends]
        output, _ = load.communicate(timeout=120)
        assert load.returncode == 0, output
        assert all(backend.served > before for backend, before in zip(proxy.backends, served, strict=True))
    (phase,) = results("rolling", folder).phases
    print(f"{phase.answers} answers through two restarts, none lost")
    assert phase.answers == 200 * 30
