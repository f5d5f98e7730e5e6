"""Checks, scrapes and reports."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest

from bench import report, scrape
from bench.addresses import TcpAddress
from bench.capacity import Capacity
from bench.mix import Encoder
from bench.results import PhaseResult, Results, check
from bench.runner import allow_connections
from bench.scenario import Checks, ScenarioError
from bench.stats import Recorder
from bench.validity import Verdict, judge
from tests.bench.servers import answer, batch, decision, problem
from tests.kit.servers import ROOT

_A, _B = TcpAddress("10.0.0.1", 80), TcpAddress("10.0.0.2", 80)
_ENCODER = Encoder("test")
_FOUND: dict[str, float | None] = {
    "p50_ms": 1.0,
    "p95_ms": 20.0,
    "goodput": 0.95,
    "p99_ratio": 1.5,
    "refusal_p99_ms": 4.0,
    "single_p99_ms": None,
    "p99_ms": 30.0,
    "hit_rate": 0.79,
    "server_errors": 0,
    "faults": 1,
    "invalid": 0,
}


def test_the_command_comes_without_what_draws() -> None:
    """Help, the list of scenarios and completion import it, and need no picture."""
    code = "import sys, bench.__main__; sys.exit('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _samples(hits: float, misses: float, failed: float = 0.0) -> scrape.Samples:
    return scrape.samples(
        f'decide_cache_gets_total{{tier="l1",result="hit"}} {hits}\n'
        f'decide_cache_gets_total{{tier="l1",result="negative"}} 0\n'
        f'decide_cache_gets_total{{tier="l1",result="miss"}} {misses}\n'
        f'decide_request_duration_seconds_count{{route="/decide",slo_class="decisions",status="500"}} {failed}\n'
        'decide_request_duration_seconds_count{route="/readyz",slo_class="server",status="503"} 7\n'
    )


def test_checks_hold_what_was_found_against_their_limits() -> None:
    made = check("p", Checks(p95_ms=20.0, hit_rate=0.8, faults=0), _FOUND)
    assert {each.name: each.passed for each in made} == {"p95_ms": True, "hit_rate": False, "faults": False}
    assert "p: hit_rate is 0.79, must be at least 0.8" in [each.line for each in made]


def test_what_could_not_be_measured_fails_its_check() -> None:
    """A phase without answers has no p95, and that is not a small one."""
    (made,) = check("p", Checks(p95_ms=20.0), {**_FOUND, "p95_ms": None})
    assert not made.passed
    assert "nothing to measure" in made.line


def test_counters_are_summed_over_replicas_and_survive_a_restart() -> None:
    """A counter that is lower than before started anew; a replica that was not there before counts from nothing."""
    before = {_A: _samples(100, 10)}
    after = {_A: _samples(40, 5), _B: _samples(60, 15)}
    grown = scrape.change(before, after)
    assert scrape.total(grown, "decide_cache_gets_total", tier="l1") == 40 + 5 + 60 + 15
    assert scrape.hit_rate(grown) == 100 / 120


def test_a_hit_rate_needs_something_asked() -> None:
    assert scrape.hit_rate(scrape.change({_A: _samples(5, 5)}, {_A: _samples(5, 5)})) is None


def test_a_probes_503_is_no_server_error() -> None:
    """It is the answer to a question; a 500 of /decide is one."""
    assert scrape.server_errors(scrape.change({}, {_A: _samples(1, 1, failed=3)})) == 3


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(scrape.ServerError, match=r"http://127.0.0.1:1/metrics"):
        scrape.look([TcpAddress("127.0.0.1", 1)])


@pytest.mark.parametrize(
    ("kind", "status", "body", "says"),
    [
        ("decide", 200, decision("AAPL"), None),
        ("decide", 404, problem(404), "answered 404"),
        ("decide", 200, b"not json", "no such payload"),
        ("decide", 200, decision("AAPL", score=1.5), "Expected `float` <= 1.0 - at `$.score`"),
        ("decide", 200, decision("AAPL", cache=msgspec.structs.replace(decision("A").cache, tier="l2")), "a hit of tier l2"),
        ("decide", 500, problem(500), None),
        ("decide", 500, b"Internal Server Error", "no such payload"),
        ("decide", 503, problem(500), "says 500"),
        ("unknown", 404, problem(404), None),
        ("unknown", 200, decision("AAPL"), "not 404"),
        ("batch", 200, batch("AAPL"), None),
        ("batch", 200, batch("AAPL", "IBM"), "2 answers"),
        ("batch", 200, batch("IBM"), "asked for AAPL"),
    ],
)
def test_answers_are_judged_by_what_was_asked(kind: str, status: int, body: object, says: str | None) -> None:
    request = _ENCODER.prepared(kind, ("AAPL",))  # type: ignore[arg-type]
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    verdict = judge(request, status, content)
    assert (verdict.fault is None) if says is None else (says in (verdict.fault or ""))


def test_an_unknown_symbol_may_be_neutral_while_the_store_is_silent() -> None:
    """Nobody can know then whether it is one, and the answer says so."""
    fallback = msgspec.structs.replace(decision("A").fallback, used=True, level="neutral", reason="price_l2_timeout")
    cache = msgspec.structs.replace(decision("A").cache, hit=False, tier="none")
    neutral = decision("AAPL", fallback=fallback, cache=cache)
    assert judge(_ENCODER.prepared("unknown", ("AAPL",)), 200, msgspec.json.encode(neutral)).fault is None


def _results(name: str) -> Results:
    recorder = Recorder(0.0)
    for number in range(200):
        recorder.answered(
            _ENCODER.prepared("decide", ("A",)), 200, Verdict(None), number / 50, number / 50, number / 50 + 0.001 * (number + 1)
        )
    phase = PhaseResult(
        name=name,
        loop="open",
        measured=True,
        connections=4,
        rate_per_s=50.0,
        elapsed_s=4.0,
        answers=200,
        answers_per_s=50.0,
        decisions=200,
        decisions_per_s=50.0,
        goodput=None,
        given_up=0,
        refusal_ms={},
        single_ms={},
        latency_ms={f"p{each}": 1.0 for each in ("50", "90", "95", "99", "99.9")} | {"max": None},
        send_lateness_ms={},
        curve=recorder.curve(),
        time_line=recorder.time_line(),
        kinds={"decide": 200},
        statuses={"200": 200},
        faults={},
        first_faults=[],
        refused_connections=0,
        invalid=0,
        examples_of_invalid=[],
        tiers={"l1": 200},
        fallback_levels={"none": 200},
        server_hit_rate=1.0,
        server_errors=0,
        server_memory_mb=60.0,
        harness_cpu_share=0.2,
        checks=check(name, Checks(p95_ms=10.0, hit_rate=0.8), _FOUND),
    )
    return Results(
        scenario="mine",
        description="Mine.",
        started_at="2026-01-01T00:00:00+00:00",
        url="http://x",
        commit="abc",
        machine={"processor": "p", "cpus": 2, "memory_gb": 4.0},
        versions={"python": "3"},
        server={"version": "1", "python": "3", "replicas": 1},
        settings={},
        universe_symbols=5,
        harness=Capacity(requests_per_s=1000.0, cpu_us_per_request=10.0),
        phases=[phase],
        passed=False,
    )


def test_goodput_is_a_lower_bound_and_refusals_an_upper_one() -> None:
    made = check("p", Checks(goodput=0.96, refusal_p99_ms=4.0, single_p99_ms=10.0), _FOUND)
    assert {each.name: each.passed for each in made} == {"goodput": False, "refusal_p99_ms": True, "single_p99_ms": False}


def test_a_report_is_json_markdown_and_a_picture(tmp_path: Path) -> None:
    results = _results("<the & phase>")
    json_path, text_path, picture_path = report.write(results, tmp_path / "new")
    assert msgspec.json.decode(json_path.read_bytes(), type=Results) == results
    text = text_path.read_text(encoding="utf-8")
    assert "| <the & phase> | open | 4 | 50 | 50 |" in text
    assert "**FAILED**: <the & phase>: p95_ms is 20, must be at most 10" in text
    assert "1,000 requests/s against a constant reply" in text
    root = ET.fromstring(picture_path.read_text(encoding="utf-8"))  # noqa: S314 - our own file
    assert root.tag.endswith("svg")
    assert "<the & phase> (open loop, 50/s)" in "".join(root.itertext())


def test_a_picture_of_nothing_is_no_error(tmp_path: Path) -> None:
    results = _results("x")
    empty = msgspec.structs.replace(results.phases[0], answers=0, curve=[], time_line=[])
    assert len(report.write(msgspec.structs.replace(results, phases=[empty]), tmp_path)) == 3


def test_more_connections_than_the_process_may_have_are_refused() -> None:
    """A phase with fewer would measure something else than it says."""
    with pytest.raises(ScenarioError, match="100000000 connections need"):
        allow_connections(100_000_000)
    allow_connections(10)


def test_the_fake_servers_answers_are_http() -> None:
    assert answer(200, b"abc").endswith(b"Content-Length: 3\r\n\r\nabc")
