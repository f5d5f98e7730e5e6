"""Keys and limits on real servers: made by the command, known to all instances, revoked in all of them."""

import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.e2e.publishing import publish_universe
from tests.kit.keys import SECRET
from tests.kit.servers import ROOT, clean_environment, decide_server

_BODY = {"symbol": "AAPL"}


def _keys(folder: Path, settings: dict[str, str], *arguments: str, code: int = 0) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "app", "keys", *arguments],
        cwd=folder,
        env=clean_environment({"PYTHONPATH": str(ROOT), **settings}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def _ask(url: str, key: str = "") -> int:
    return httpx.post(url + "/decide", json=_BODY, headers={"X-API-Key": key} if key else {}, timeout=30).status_code


def _until(url: str, key: str, status: int, limit_s: float) -> float:
    """Seconds it took. Whatever is asked after ``limit_s`` is answered with ``status``, however long the answer takes."""
    began = asked = time.monotonic()
    while _ask(url, key) != status:
        assert asked - began < limit_s, f"not {status} within {limit_s} s"
        time.sleep(0.02)
        asked = time.monotonic()
    return asked - began


def test_a_key_is_made_used_and_revoked_in_every_instance_within_the_lease(tmp_path: Path, redis_url: str) -> None:
    """Two servers on one Redis, one of them with two workers: what the command does reaches them all without a restart."""
    publish_universe(redis_url)
    settings = {"REDIS_URL": redis_url, "CLOCK": "replay", "ACCESS": "keys", "API_KEY_SECRET": SECRET, "L1_LEASE_S": "2"}
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with decide_server(first, **settings) as one, decide_server(second, **settings, WORKERS="2") as other:
        one.wait_ready()
        other.wait_ready()
        assert _ask(one.url) == _ask(other.url, "decide_000000000000_" + "x" * 43) == 401
        key, told = _keys(tmp_path, settings, "new", "--name", "bot")
        key = key.strip()
        assert re.fullmatch(r"decide_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", key)
        assert "decide, read" in told
        assert key not in told
        for url in (one.url, other.url):
            _until(url, key, 200, 2.0)
        # Each request is a connection of its own, so both workers are met.
        time.sleep(2.0)
        assert {_ask(other.url, key) for _ in range(20)} == {200}
        listed, _ = _keys(tmp_path, settings, "list")
        key_id = key.split("_")[1]
        assert f"{key_id}  bot   decide,read" in listed
        assert key not in listed
        revoked_at = time.monotonic()
        _keys(tmp_path, settings, "revoke", key_id)
        for url in (one.url, other.url):
            _until(url, key, 401, 2.0)
        time.sleep(max(0.0, revoked_at + 2.0 - time.monotonic()))
        assert {_ask(url, key) for url in (one.url, other.url) for _ in range(20)} == {401}
        _, told = _keys(tmp_path, settings, "revoke", key_id, code=1)
        assert told == f"there is no key {key_id}\n"


def _read_to_the_end(socket: ClientConnection) -> None:
    while True:
        socket.recv(timeout=30)


def test_what_lasts_ends_with_its_key(tmp_path: Path) -> None:
    """Streams, sockets and the console's numbers of a revoked key end by themselves, and say why where they can."""
    publish_universe(tmp_path / "store.sqlite3")
    settings = {"STORE_PATH": str(tmp_path / "store.sqlite3"), "CLOCK": "replay", "ACCESS": "keys", "API_KEY_SECRET": SECRET}
    with decide_server(tmp_path, **settings) as server:
        server.wait_ready()
        for path in ("/stream?symbols=AAPL", "/live"):
            assert httpx.get(server.url + path).status_code == 401
        with pytest.raises(InvalidStatus) as refused:
            connect(server.url.replace("http", "ws") + "/ws")
        assert refused.value.response.status_code == 401
        assert b"urn:decide:problem:unauthorized" in refused.value.response.body
        key = _keys(tmp_path, settings, "new", "--name", "bot")[0].strip()
        _until(server.url, key, 200, 2.0)
        headers = {"X-API-Key": key}
        with (
            httpx.stream("GET", server.url + "/stream?symbols=AAPL", headers=headers, timeout=30) as stream,
            httpx.stream("GET", server.url + "/live", headers=headers, timeout=30) as live,
            connect(server.url.replace("http", "ws") + "/ws", additional_headers=headers) as socket,
        ):
            socket.send('{"type":"subscribe","symbols":["AAPL"]}')
            assert "subscribed" in str(socket.recv(timeout=30))
            _keys(tmp_path, settings, "revoke", key.split("_")[1])
            told = [line for line in stream.iter_lines() if line]
            assert (told[-2], '"reason":"revoked"' in told[-1]) == ("event: dropped", True)
            assert all(line.startswith("data: ") for line in live.iter_lines() if line)
            with pytest.raises(ConnectionClosed):
                _read_to_the_end(socket)
            assert (socket.close_code, socket.close_reason) == (1008, "revoked")


def test_a_stream_pays_for_what_it_is_told_at_once(tmp_path: Path) -> None:
    publish_universe(tmp_path / "store.sqlite3")
    settings = {"STORE_PATH": str(tmp_path / "store.sqlite3"), "CLOCK": "replay"}
    with decide_server(tmp_path, **settings, RATE_LIMIT_PER_S="0.001", RATE_LIMIT_BURST="5") as server:
        server.wait_ready()
        with httpx.stream("GET", server.url + "/stream?symbols=AAPL,IBM,MSFT", timeout=30) as stream:
            assert (stream.status_code, stream.headers["ratelimit"].split(";")[1]) == (200, "r=2")
        with connect(server.url.replace("http", "ws") + "/ws") as socket:
            socket.send('{"type":"subscribe","symbols":["AAPL","IBM"]}')
            assert "urn:decide:problem:rate-limited" in str(socket.recv(timeout=30))
            socket.send('{"type":"subscribe","symbols":["AAPL"]}')
            assert "subscribed" in str(socket.recv(timeout=30))


def test_all_instances_share_a_callers_limit_and_none_holds_anybody_when_redis_is_gone(tmp_path: Path, redis_url: str) -> None:
    """Two servers, one bucket. Without it callers are let in, and the metrics say so."""
    publish_universe(redis_url)
    settings = {"REDIS_URL": redis_url, "CLOCK": "replay", "RATE_LIMIT_PER_S": "0.01", "RATE_LIMIT_BURST": "8"}
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with decide_server(first, **settings) as one, decide_server(second, **settings) as other:
        one.wait_ready()
        other.wait_ready()
        statuses = [_ask(url) for _ in range(6) for url in (one.url, other.url)]
        assert statuses == [200] * 8 + [429] * 4
        refused = httpx.post(one.url + "/decide", json=_BODY)
        assert 1 <= int(refused.headers["retry-after"]) <= 100
        assert refused.headers["ratelimit-policy"] == '"default";q=8;w=800'


def test_a_dead_redis_leaves_the_limit_to_each_worker(tmp_path: Path) -> None:
    """Nobody below the rate is refused for an outage of ours, which is counted, and nobody has more than it allows."""
    settings = {"REDIS_URL": "redis://127.0.0.1:1/0", "RATE_LIMIT_PER_S": "0.01", "RATE_LIMIT_BURST": "3"}
    with decide_server(tmp_path, **settings) as server:
        assert [_ask(server.url) for _ in range(5)] == [200, 200, 200, 429, 429]
        metrics = httpx.get(server.url + "/metrics").text
        assert float(re.search(r"(?m)^decide_rate_limit_failures_total (\S+)", metrics)[1]) >= 1  # type: ignore[index]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"HOST": "0.0.0.0"}, "HOST is '0.0.0.0', where others may call"),  # noqa: S104 - that is the case
        ({"ACCESS": "keys"}, "ACCESS is keys"),
    ],
    ids=["auto", "keys"],
)
def test_a_server_that_needs_a_secret_does_not_start_without(tmp_path: Path, settings: dict[str, str], says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app"],
        cwd=tmp_path,
        env=clean_environment({"PYTHONPATH": str(ROOT), **settings}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"settings: API_KEY_SECRET is empty and {says}; allowed: at least 32 characters")
    assert done.stderr.count("\n") == 1


def test_the_command_refuses_what_it_does_not_understand(tmp_path: Path) -> None:
    """A key given for its id is not repeated."""
    settings = {"API_KEY_SECRET": SECRET}
    for arguments, says in (
        (("new", "--name", "a b"), "'a b' is no name; allowed: 1 to 64"),
        (("new", "--name", "a", "--scopes", "decide,write"), "'write' is no scope; allowed: decide, read, market:read, admin"),
        (("new", "--name", "a", "--expires-days", "-1"), "'-1' is no number of days"),
        (("revoke", "decide_0123456789ab_secret"), "that is no key's id; allowed: the 12 digits"),
    ):
        _, told = _keys(tmp_path, settings, *arguments, code=2)
        assert says in told
        assert "_secret" not in told
    _, told = _keys(tmp_path, {}, "list", code=2)
    assert told.startswith("settings: API_KEY_SECRET is empty")
    _, told = _keys(tmp_path, settings | {"REDIS_URL": "redis://127.0.0.1:1/0"}, "list", code=3)
    assert told.startswith("the store does not answer")
    _, told = _keys(tmp_path, {"API_KEY_SECRET": "short"}, "list", code=2)
    assert "API_KEY_SECRET is (hidden)" in told
    assert "short" not in told


def test_an_expiring_key_and_one_of_another_secret_are_listed_for_what_they_are(tmp_path: Path) -> None:
    """On SQLite, where the command needs no server either."""
    settings = {"API_KEY_SECRET": SECRET}
    _, told = _keys(tmp_path, settings, "new", "--name", "a", "--scopes", "admin", "--expires-days", "1.5")
    assert "for admin, expires 20" in told
    _keys(tmp_path, {"API_KEY_SECRET": "x" * 32}, "new", "--name", "b")
    listed, _ = _keys(tmp_path, settings, "list")
    assert "not made with this API_KEY_SECRET: not taken" in listed
    assert len(listed.splitlines()) == 3


def test_no_answer_names_the_server(tmp_path: Path) -> None:
    publish_universe(tmp_path / "store.sqlite3")
    with decide_server(tmp_path, STORE_PATH=str(tmp_path / "store.sqlite3"), CLOCK="replay") as server:
        server.wait_ready()
        for answer in (
            httpx.post(server.url + "/decide", json=_BODY),
            httpx.post(server.url + "/decide", json={}),
            httpx.get(server.url + "/decide"),
            httpx.get(server.url + "/nothing"),
            httpx.get(server.url + "/metrics"),
        ):
            assert answer.headers.get("server", "") == ""
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
