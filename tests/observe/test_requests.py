"""What is recorded of a finished request."""

import io
import json

from app.observe.logs import Logs, get_logger
from app.observe.meters import Meters
from app.observe.requests import Requests
from tests.kit.clock import Clock


def record(sample_every: int, statuses: list[int], **facts: object) -> tuple[list[dict[str, object]], Requests, str]:
    """Log lines of requests with these statuses, the recorder, and the metrics."""
    stream, clock = io.StringIO(), Clock()
    logs = Logs(level="info", log_format="json", stream=stream)
    meters = Meters(version="1", policy="1", schema="s")
    requests = Requests(meters.requests.of, get_logger("decide"), clock, sample_every)
    for number, status in enumerate(statuses):
        started = clock.now
        requests.begin()
        clock.now += 0.002
        requests.end("POST", "/decide", status, started, f"r-{number}", "0af7" if number == 0 else None, dict(facts) or None)
    requests.failed(ValueError("unforeseen"), "r-x")
    logs.close()
    return [json.loads(line) for line in stream.getvalue().splitlines()], requests, meters.exposition().decode()


def test_successes_are_sampled() -> None:
    lines, requests, text = record(10, [200] * 35)
    assert [line["request_id"] for line in lines[:-1]] == ["r-9", "r-19", "r-29"]
    assert {line["sampled_one_in"] for line in lines[:-1]} == {10}
    assert requests.in_flight == 0
    assert 'decide_request_duration_seconds_count{route="/decide",slo_class="unmatched",status="200"} 35.0' in text


def test_errors_are_always_logged_with_their_level() -> None:
    lines, _, _ = record(1000, [404, 500, 200])
    assert [(line["status"], line["level"]) for line in lines[:-1]] == [(404, "info"), (500, "error")]
    assert lines[0]["trace_id"] == "0af7"
    assert lines[0]["duration_ms"] == 2.0
    assert "trace_id" not in lines[1]


def test_refusals_are_sampled_and_the_first_is_logged() -> None:
    """A server that has too much to do does not write a line for each request it refuses."""
    lines, _, text = record(10, [503] * 25)
    assert [(line["request_id"], line["level"]) for line in lines[:-1]] == [(f"r-{n}", "warning") for n in (0, 10, 20)]
    assert {line["sampled_one_in"] for line in lines[:-1]} == {10}
    assert 'decide_request_duration_seconds_count{route="/decide",slo_class="unmatched",status="503"} 25.0' in text


def test_fallbacks_are_always_logged() -> None:
    lines, _, _ = record(1000, [200, 200], fallback="price_only", reason="agents_absent")
    assert [line["reason"] for line in lines[:-1]] == ["agents_absent"] * 2


def test_an_unforeseen_error_is_logged_with_its_traceback() -> None:
    lines, _, _ = record(1, [])
    assert lines[-1]["request_id"] == "r-x"
    assert "ValueError: unforeseen" in str(lines[-1]["exception"])
