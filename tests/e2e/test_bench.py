"""The harness against the real server: what it finds, what it says, how it ends."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from bench.results import Results
from tests.e2e.publishing import publish_universe
from tests.kit.servers import ROOT, DecideServer, decide_server, free_port

_CHECKS = "checks = { p95_ms = 5000, hit_rate = 0.5, server_errors = 0, faults = 0, invalid = 0 }"
_PHASES = f"""
[[phases]]
name = "peak"
loop = "closed"
connections = 4
requests = 400
mix = {{ unknown = 0.1, batch = 0.1, batch_size = 3, cold = 0.1, live_price = 0.5 }}
{_CHECKS}

[[phases]]
name = "half"
loop = "open"
connections = 8
share_of_peak = 0.1
duration_s = 1
{_CHECKS}
"""


def run_bench(folder: Path, url: str, phases: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m bench`` on a scenario of its own."""
    (folder / "mine.toml").write_text(f'description = "mine"\n{phases}', encoding="utf-8")
    command = [sys.executable, "-m", "bench", "--scenario", str(folder / "mine.toml"), "--url", url, "--out", str(folder)]
    return subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


def test_a_run_that_passes_ends_with_0_and_its_counts_are_the_servers(tmp_path: Path, server: DecideServer) -> None:
    """Both loops, every kind of request; the harness counts as many decisions as the server says it made."""
    before = server.decisions()
    done = run_bench(tmp_path, server.url, _PHASES)
    assert done.returncode == 0, done.stdout + done.stderr
    results = msgspec.json.decode((tmp_path / "mine.json").read_bytes(), type=Results)
    peak, half = results.phases
    assert (peak.answers, peak.invalid, peak.faults) == (400, 0, {})
    assert set(peak.kinds) == {"decide", "batch", "unknown"}
    assert peak.statuses["404"] == peak.kinds["unknown"]
    assert half.rate_per_s is not None
    assert half.answers == round(half.rate_per_s * 1)
    # One more for the reply that the harness measures itself with.
    assert server.decisions() - before == peak.decisions + half.decisions + 1
    assert results.harness.requests_per_s > 1000
    assert results.universe_symbols == 3
    assert results.server["version"] == "0.1.0"
    assert results.commit
    assert (tmp_path / "mine.svg").stat().st_size > 1000
    assert "10 checks passed, 0 failed" in done.stdout


def test_a_server_on_a_unix_socket_is_measured_as_one_on_a_port(tmp_path: Path) -> None:
    publish_universe(tmp_path / "store.sqlite3")
    url = f"unix:{tmp_path / 'decide.sock'}"
    with decide_server(tmp_path, HOST=url, STORE_PATH=str(tmp_path / "store.sqlite3"), CLOCK="replay") as server:
        server.wait_ready()
        done = run_bench(tmp_path, url, _PHASES)
    assert done.returncode == 0, done.stdout + done.stderr
    results = msgspec.json.decode((tmp_path / "mine.json").read_bytes(), type=Results)
    assert (results.url, results.server["replicas"], results.phases[0].answers) == (url, 1, 400)
    assert results.harness.requests_per_s > 1000


def test_a_check_that_fails_ends_the_run_with_1_and_names_the_line(tmp_path: Path, server: DecideServer) -> None:
    phases = _PHASES.replace("p95_ms = 5000", "p95_ms = 0.001", 1)
    done = run_bench(tmp_path, server.url, phases)
    assert done.returncode == 1
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("FAILED peak: p95_ms is ")
    assert last.endswith("must be at most 0.001")
    assert (tmp_path / "mine.md").is_file()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--url", "https://x"], "allowed: http://host"),
        (["--url", "http://127.0.0.1:0"], "allowed: http://host"),
        (["--scenario", "nothing"], "no scenario 'nothing'"),
        (["--out", "/proc/nowhere"], "--out /proc/nowhere"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_allowed(arguments: list[str], says: str, tmp_path: Path) -> None:
    done = run_bench(tmp_path, "http://127.0.0.1:1", _PHASES, *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_no_server_ends_with_2_and_names_the_address(tmp_path: Path) -> None:
    port = free_port()
    done = run_bench(tmp_path, f"http://127.0.0.1:{port}", _PHASES)
    assert done.returncode == 2
    assert f"bench: GET http://127.0.0.1:{port}/symbols" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_scenarios_are_listed() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "--list"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "acceptance: The acceptance run" in done.stdout


def test_ctrl_c_ends_a_run_without_a_traceback(tmp_path: Path, server: DecideServer) -> None:
    """Exit code 130, and no results that look like those of a whole run."""
    (tmp_path / "mine.toml").write_text(
        f'description = "mine"\n{_PHASES.replace("requests = 400", "duration_s = 60")}', encoding="utf-8"
    )
    command = [
        sys.executable,
        "-m",
        "bench",
        "--scenario",
        str(tmp_path / "mine.toml"),
        "--url",
        server.url,
        "--out",
        str(tmp_path),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert not (tmp_path / "mine.json").exists()
