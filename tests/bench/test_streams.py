"""The measurement of live decisions: against a real server, and what becomes of its times."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.streams import main, percentiles_ms, published_at
from tests.e2e.publishing import publish_universe
from tests.kit.servers import ROOT, decide_server

_PUBLISH = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.e2e.publishing import UNIVERSE, publish
from tests.kit.records import row, run_info
now_ms = time.time_ns() // 1_000_000
publish(Path({path!r}), [row(symbol, now_ms) for symbol in UNIVERSE], run_info("again", now_ms))
"""


def test_subscribers_of_a_real_server_are_counted_and_timed(tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite3"
    publish_universe(store)
    script = tmp_path / "publish.py"
    script.write_text(_PUBLISH.format(root=str(ROOT), path=str(store)), encoding="utf-8")
    with decide_server(tmp_path, STORE_PATH=str(store), CLOCK="replay") as server:
        server.wait_ready()
        command = [sys.executable, "-m", "bench.streams", "--url", server.url, "--subscribers", "20", "--times", "2"]
        done = subprocess.run(
            [*command, "--publish", f"{sys.executable} {script}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 subscribers, 2 publications, 40 decisions received" in done.stdout
    assert "dropped: 0; not told within 10 s: 0" in done.stdout


def test_without_a_server_there_is_nothing_to_measure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", "http://127.0.0.1:9", "--publish", "true"]) == 2
    assert "127.0.0.1:9" in capsys.readouterr().err


def test_a_publications_time_is_its_ids_or_that_of_its_first_receipt() -> None:
    """Redis's ids begin with it, SQLite's do not."""
    assert published_at("1362171600500-3", [9e9]) == 1362171600.5
    assert published_at("17", [3.0, 2.0]) == 2.0


def test_percentiles_are_in_milliseconds_and_of_one_there_are_none() -> None:
    assert percentiles_ms([0.001] * 50 + [0.002] * 50) == "p50 1.5, p95 2.0, p99 2.0, max 2.0"
    assert percentiles_ms([0.001]) == "too few"
