"""What operators see of the real server: metrics and logs."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.publishing import publish_universe, stop_and_read_log
from tests.kit.servers import DecideServer, decide_server, free_port


def _counts(server: DecideServer) -> dict[tuple[str, ...], float]:
    text = httpx.get(server.url + "/metrics", timeout=20).text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_agree_with_what_the_client_sent(server: DecideServer) -> None:
    before = _counts(server)
    with httpx.Client(base_url=server.url, timeout=20) as client:
        for _ in range(30):
            client.post("/decide", json={"symbol": "AAPL"})
        for _ in range(7):
            client.post("/decide", content=b"{", headers={"content-type": "application/json"})
        client.post("/decide/batch", json={"symbols": ["AAPL", "IBM", "MSFT", "NOPE"]})
    after = _counts(server)

    def grown(*key: str) -> float:
        return after[key] - before.get(key, 0.0)

    assert grown("decide_request_duration_seconds_count", "/decide", "decisions", "200") == 30
    assert grown("decide_request_duration_seconds_count", "/decide", "decisions", "400") == 7
    assert grown("decide_request_duration_seconds_count", "/decide/batch", "decisions", "200") == 1
    decided = {name: value - before.get(name, 0.0) for name, value in after.items() if name[0] == "decide_decisions_total"}
    assert sum(decided.values()) == 33


def test_no_label_holds_a_symbol(server: DecideServer) -> None:
    """Neither the universe's nor a made-up one; cardinality is bounded."""
    for path in ("/features/AAPL", "/features/ZZZZ", "/AAPL", "/symbols?after=AAPL"):
        httpx.get(server.url + path, timeout=20)
    text = httpx.get(server.url + "/metrics", timeout=20).text
    assert "AAPL" not in text
    assert "ZZZZ" not in text
    assert "symbol=" not in text


def test_promtool_finds_nothing_to_say(server: DecideServer) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        if os.environ.get("CI"):
            pytest.fail("no promtool on the PATH: in CI this test is never skipped")
        pytest.skip("NO PROMTOOL: it is not on the PATH; /metrics was not linted")
    text = httpx.get(server.url + "/metrics", timeout=20).text
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_every_line_of_the_log_is_json_and_requests_can_be_found_by_id(tmp_path: Path) -> None:
    """Granian's lines as well as ours; errors are always there, with the id that the caller got."""
    publish_universe(tmp_path / "store.sqlite3")
    settings = {"STORE_PATH": str(tmp_path / "store.sqlite3"), "CLOCK": "replay", "LOG_FORMAT": "json"}
    with decide_server(tmp_path, **settings) as server:
        server.wait_ready()
        headers = {"x-request-id": "find-me-1", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
        assert httpx.post(server.url + "/decide", json={"symbol": "NOPE"}, headers=headers, timeout=20).status_code == 404
        _, log = stop_and_read_log(server)
    lines = [json.loads(line) for line in log.splitlines()]
    assert all({"event", "level", "logger", "time"} <= set(line) for line in lines)
    found = [line for line in lines if line.get("request_id") == "find-me-1"]
    assert [(line["route"], line["status"], line["trace_id"]) for line in found] == [
        ("/decide", 404, "4bf92f3577b34da6a3ce929d0e0e4736")
    ]


def test_no_secret_is_logged_or_shown(tmp_path: Path) -> None:
    secret = "hunter2-and-more"
    url = f"redis://user:{secret}@127.0.0.1:{free_port()}/0"
    with decide_server(tmp_path, REDIS_URL=url, LOG_LEVEL="debug", LOG_FORMAT="json") as server:
        shown = [httpx.get(server.url + path, timeout=20).text for path in ("/status", "/health", "/metrics", "/symbols")]
        answer = httpx.post(server.url + "/decide", json={"symbol": "AAPL"}, timeout=20)
        code, log = stop_and_read_log(server)
    assert answer.json()["fallback"]["level"] == "neutral"
    assert re.search(r"price_l2_(error|timeout)", answer.json()["fallback"]["reason"])
    assert code == 0
    assert all(secret not in text for text in [log, answer.text, *shown])
    assert '"fallback":"neutral"' in log
    assert "Traceback" not in log
