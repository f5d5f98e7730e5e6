"""Start, readiness and stop of the real server."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.store.codec import encode
from tests.e2e.publishing import is_alive, publish, publish_universe, stop_and_read_log, workers
from tests.e2e.wire import HEAD, Wire
from tests.kit.records import AS_OF_MS, make_row, price_record, row, run_info
from tests.kit.servers import ROOT, clean_environment, decide_server, free_port, until

_PATIENCE_S = 20.0


def _refused(folder: Path, env_file: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """What the server said to settings it does not start with."""
    folder.joinpath(".env").write_text(env_file, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "app"],
        cwd=folder,
        env=clean_environment({"PYTHONPATH": str(ROOT), **settings}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _until(holds: Callable[[], bool], what: str) -> None:
    until(holds, _PATIENCE_S, what, 0.05)


def test_wrong_settings_end_the_start_with_a_line_for_each(tmp_path: Path) -> None:
    port = free_port()
    refused = _refused(tmp_path, f"PORT={port}\nWORKERS=many\nL1_TTL_S=0\nCLOCK=sundial\nL1_TLL_S=5\n")
    assert refused.returncode == 2
    lines = refused.stderr.splitlines()
    assert len(lines) == 4
    assert any("L1_TLL_S" in line and "did you mean L1_TTL_S" in line for line in lines)
    assert any("WORKERS is 'many'; allowed: a whole number, at least 1 and at most 64" in line for line in lines)
    assert any("L1_TTL_S is '0'; allowed: a number, at least 0.1" in line for line in lines)
    assert any("CLOCK is 'sundial'; allowed: one of wall, replay" in line for line in lines)
    assert "Traceback" not in refused.stderr
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_wrong_secret_is_not_shown(tmp_path: Path) -> None:
    refused = _refused(tmp_path, "REDIS_URL=redsi://:hunter2@cache.test:6379/0\n")
    assert refused.returncode == 2
    assert "REDIS_URL is (hidden)" in refused.stderr
    assert "hunter2" not in refused.stderr + refused.stdout


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    refused = _refused(tmp_path, "WORKERS=1\n", WORKERS="0")
    assert refused.returncode == 2
    assert "WORKERS is '0'" in refused.stderr


def test_a_taken_port_is_said_and_not_shared(tmp_path: Path) -> None:
    """A second server would otherwise silently get part of the first one's requests."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = _refused(tmp_path, "", PORT=str(taken.getsockname()[1]))
    assert refused.returncode == 4
    assert "cannot listen there" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])  # noqa: S104 - on loopback's port
def test_of_two_servers_that_start_at_once_on_one_port_one_is_refused(host: str, tmp_path: Path) -> None:
    """With exit code 4, before there is a worker of the first; also where one has all addresses, of both kinds."""
    if host == "::" and not socket.has_dualstack_ipv6():
        pytest.skip("NO IPV6: there is no address of both kinds")
    settings = {"PORT": str(free_port()), "ACCESS": "off", "WORKERS": "2", "PYTHONPATH": str(ROOT)}
    servers = []
    for name, its_host in (("one", host), ("two", "127.0.0.1")):
        (tmp_path / name).mkdir()
        environment = clean_environment({**settings, "HOST": its_host})
        with (tmp_path / name / "log").open("wb") as log:
            command = [sys.executable, "-m", "app"]
            servers.append(subprocess.Popen(command, cwd=tmp_path / name, env=environment, stdout=log, stderr=log))
    try:
        _until(lambda: any(server.poll() is not None for server in servers), "one is refused")
        assert sorted(str(server.poll()) for server in servers) == ["4", "None"]
    finally:
        for server in servers:
            server.terminate()
            server.wait(30)


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_an_address_that_is_not_there_is_no_wrong_setting(host: str, tmp_path: Path) -> None:
    """It may come up, and the name be known, a moment later: the exit code is one after which a start is tried again."""
    refused = _refused(tmp_path, "", HOST=host, ACCESS="off")
    assert refused.returncode == 4
    assert f"HOST is {host!r} and PORT is 8000; cannot listen there" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_host_may_be_a_name(tmp_path: Path) -> None:
    """HOST=localhost is what people write."""
    with decide_server(tmp_path, HOST="localhost", STORE_PATH=str(tmp_path / "store.sqlite3")) as server:
        assert server.status_of("/livez") == 200


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_ready_turns_true_with_the_first_publication_and_a_newer_one_is_seen(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "store.sqlite3"
    target: Path | str = path if kind == "sqlite" else request.getfixturevalue("redis_url")
    settings = {"REDIS_URL": target} if isinstance(target, str) else {"STORE_PATH": str(path)}
    with decide_server(tmp_path, CLOCK="replay", **settings) as server, httpx.Client(base_url=server.url, timeout=20) as client:
        assert client.get("/readyz").status_code == 503
        assert client.get("/livez").status_code == 200
        publish_universe(target)
        _until(lambda: client.get("/readyz").status_code == 200, "it is ready")

        def score() -> float:
            return float(client.post("/decide", json={"symbol": "AAPL"}).json()["score"])

        before = score()
        assert score() == pytest.approx(before, rel=1e-6)
        later_ms = AS_OF_MS + 86_400_000
        newer = encode(price_record("AAPL", later_ms, "run-2", return_20=-0.5, sma_ratio_20_50=0.7))
        publish(target, [make_row("AAPL", later_ms, newer, None, None)], run_info("run-2", later_ms, symbols=3))
        _until(lambda: score() < before - 0.1, "the score follows")
        assert client.get("/status").json()["run"]["run"] == "run-2"
        publish(target, [row("AAPL", AS_OF_MS - 86_400_000, "run-0")], run_info("run-0", AS_OF_MS - 86_400_000, symbols=3))
        assert client.post("/decide", json={"symbol": "AAPL"}).json()["cache"]["run"] == "run-2"


@pytest.mark.parametrize("signal_sent", ["term", "int"])
def test_a_stop_with_an_unfinished_upload_open_is_clean(signal_sent: str, tmp_path: Path) -> None:
    publish_universe(tmp_path / "store.sqlite3")
    settings = {"STORE_PATH": str(tmp_path / "store.sqlite3"), "body_timeout_s": "300", "SHUTDOWN_GRACE_S": "3"}
    with decide_server(tmp_path, **settings) as server:
        server.wait_ready()
        with Wire(server.port) as wire:
            wire.send(HEAD % b"/decide" + b"Content-Length: 100\r\n\r\n{")
            _until(lambda: httpx.get(server.url + "/status", timeout=20).json()["in_flight"] == 2, "both are under way")
            if signal_sent == "int":
                server.process.send_signal(signal.SIGINT)
            code, log = stop_and_read_log(server)
        assert code == 0
        assert "Traceback" not in log
        _until(lambda: not any(map(is_alive, workers(server))), "its workers end")


def test_a_stop_without_anything_open_says_so_last(tmp_path: Path) -> None:
    """The worker's own end is logged, so the log's queue was written out."""
    with decide_server(tmp_path, STORE_PATH=str(tmp_path / "store.sqlite3"), LOG_FORMAT="json") as server:
        server.status_of("/livez")
        code, log = stop_and_read_log(server)
    assert code == 0
    assert "stopped" in [json.loads(line)["event"] for line in log.splitlines()]


def test_two_workers_serve_and_their_metrics_are_one(tmp_path: Path) -> None:
    """The shared folder is gone at the end."""
    publish_universe(tmp_path / "store.sqlite3")
    values = tmp_path / "values"
    values.mkdir()
    settings = {"STORE_PATH": str(tmp_path / "store.sqlite3"), "CLOCK": "replay", "WORKERS": "2", "TMPDIR": str(values)}
    with decide_server(tmp_path, **settings) as server:
        server.wait_ready()
        # A worker takes a share of new connections, not of requests, and may need a moment longer than the other to be ready.
        _until(lambda: all(server.status_of("/readyz") == 200 for _ in range(20)), "all workers are ready")
        # L1 belongs to one worker: with two that served, the symbol was read from L2 twice.
        read_twice = 'decide_cache_gets_total{result="hit",tier="l2"} 2.0'
        asked = 0

        def both_have_served() -> bool:
            nonlocal asked
            assert httpx.post(server.url + "/decide", json={"symbol": "AAPL"}, timeout=20).status_code == 200
            asked += 1
            return asked >= 100 and read_twice in httpx.get(server.url + "/metrics", timeout=20).text

        _until(both_have_served, "both have served")
        # What the other worker counted may be told a second later.
        _until(lambda: server.decisions() == asked, "all decisions are counted")
        assert len(workers(server)) == 2
        assert [path for path in values.iterdir() if path.name.startswith("decide-metrics-")]
        code, _ = stop_and_read_log(server)
    assert code == 0
    assert list(values.iterdir()) == []


def test_workers_end_with_a_main_process_that_is_killed(tmp_path: Path) -> None:
    """Nothing is left that would keep the port: the next server starts there."""
    if sys.platform != "linux":
        pytest.skip("NO LINUX: only its kernel tells children of their parent's end")
    publish_universe(tmp_path / "store.sqlite3")
    settings = {"STORE_PATH": str(tmp_path / "store.sqlite3"), "CLOCK": "replay", "WORKERS": "2"}
    with decide_server(tmp_path, **settings) as server:
        server.wait_ready()
        left = workers(server)
        server.process.kill()
        server.process.wait(10)
        _until(lambda: not any(is_alive(pid) for pid in left), "none is left")
    with decide_server(tmp_path, **settings, PORT=str(server.port)) as successor:
        successor.wait_ready()


def test_replay_starts_at_the_newest_data(tmp_path: Path) -> None:
    """Prices of 2013 are seconds old, and the same data by the wall clock is too old to be used."""
    publish_universe(tmp_path / "store.sqlite3")
    found = {}
    for clock in ("replay", "wall"):
        with decide_server(tmp_path, STORE_PATH=str(tmp_path / "store.sqlite3"), CLOCK=clock) as server:
            server.wait_ready()
            found[clock] = httpx.post(server.url + "/decide", json={"symbol": "AAPL"}, timeout=20).json()
    assert 0.0 <= found["replay"]["inputs"]["price"]["age_s"] < 60.0
    assert found["replay"]["fallback"]["level"] == "none"
    assert found["wall"]["inputs"]["price"]["status"] == "missing"
    assert found["wall"]["fallback"]["level"] == "neutral"


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="WINDOWS: there is no such signal")
def test_a_server_that_was_started_with_sigchld_ignored_sees_its_workers_stop(tmp_path: Path) -> None:
    """Some supervisors ignore it, and programs inherit that."""
    publish_universe(tmp_path / "store.sqlite3")
    ignoring = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    launcher = [sys.executable, "-c", ignoring]
    with decide_server(tmp_path, launcher=launcher, STORE_PATH=str(tmp_path / "store.sqlite3")) as server:
        code, log = stop_and_read_log(server)
    assert code == 0
    assert "Stopped worker-1" in log
    assert "Killing" not in log
