"""The real server where it may have few files open: callers beyond them wait, and it does not spin."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.e2e.publishing import publish_universe, workers
from tests.kit.servers import ROOT, clean_environment, connect, decide_server, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="NO LINUX: a process's time is told there")
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def _limited(files: int) -> list[str]:
    return ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"]


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def test_more_callers_than_files_cost_no_time_and_leave_redis_its_own(tmp_path: Path, redis_url: str) -> None:
    """200 connections to a worker that may have 160 files: it says how many it takes, does nothing, and reads Redis for those."""
    publish_universe(redis_url)
    settings = {"REDIS_URL": redis_url, "CLOCK": "replay", "L1_TTL_S": "0.1", "KEEP_ALIVE_S": "60"}
    with decide_server(tmp_path, launcher=_limited(160), **settings) as server, ExitStack() as stack:
        server.wait_ready()
        assert "MAX_CONNECTIONS is 16,384, and a process may have 160 files open (ulimit -n): a worker takes 64" in (
            server.log_path.read_text(encoding="utf-8")
        )
        (pid,) = workers(server)
        # One that is there before the flood, and stays.
        client = stack.enter_context(httpx.Client(base_url=server.url, timeout=20))
        client.get("/livez")
        for _ in range(200):
            stack.enter_context(connect(server.port, 20))
        files = Path(f"/proc/{pid}/fd")
        until(lambda: len(list(files.iterdir())) > 64, 20.0, "it has taken what it may", 0.1)
        before = _cpu_s(pid)
        time.sleep(3)
        assert _cpu_s(pid) - before < 1.5
        for _ in range(5):
            time.sleep(0.2)
            answer = client.post("/decide", json={"symbol": "AAPL"}).json()
            assert answer["fallback"]["level"] == "none", answer
            assert answer["cache"]["tier"] in ("l1", "l2")


def test_a_limit_that_leaves_no_callers_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [*_limited(40), sys.executable, "-m", "app"],
        cwd=tmp_path,
        env=clean_environment({"PYTHONPATH": str(ROOT)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "settings: a process may have 40 files open (ulimit -n); allowed: at least 80: 64 for a worker itself, and"
        " 16 connections\n"
    )
