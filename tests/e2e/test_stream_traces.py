"""Traces of trades, of `decide ingest` and `decide stream` as processes, as a collector sees them; and the jobs without."""

import json
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.e2e.collector import collector
from tests.kit.servers import ROOT, clean_environment, free_port, until

_WITHIN_S = 60.0
_NAMES = {"ingest", "consume", "transaction", "upsert"}
_INGEST, _STREAM = ("ingest", "--source", "synthetic"), ("stream",)
_NO_PORTS = {"STREAM_PORT": "0", "INGEST_PORT": "0"}
_ON = {"TRACES": "on", "OTEL_BSP_SCHEDULE_DELAY": "100", "INGESTION_INTERVAL_SECONDS": "0.1", **_NO_PORTS}


@contextmanager
def _job(folder: Path, arguments: tuple[str, ...], **settings: str) -> "Iterator[subprocess.Popen[bytes]]":
    environment = clean_environment({"PYTHONPATH": str(ROOT), **_ON, **settings})
    with (folder / f"{arguments[0]}.log").open("wb") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", *arguments], cwd=folder, env=environment, stdout=told, stderr=told
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _end(process: "subprocess.Popen[bytes]") -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(_WITHIN_S)


def _events(folder: Path, name: str) -> list[str]:
    """What a job told of: nothing but lines of JSON."""
    return [json.loads(line)["event"] for line in (folder / f"{name}.log").read_text().splitlines()]


def _whole(spans: list[Span]) -> list[dict[str, Span]]:
    """Traces that have all spans, each by its name."""
    traces = defaultdict[bytes, dict[str, Span]](dict)
    for each in spans:
        traces[each.trace_id][each.name] = each
    return [each for each in traces.values() if set(each) == _NAMES]


def test_a_collector_gets_a_trade_as_one_trace_of_two_processes(tmp_path: Path) -> None:
    with collector() as collecting:
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collecting.url}
        with _job(tmp_path, _INGEST, **endpoint) as ingest, _job(tmp_path, _STREAM, **endpoint) as stream:
            spans = collecting.wait(lambda spans: bool(_whole(spans)))
            assert (_end(ingest), _end(stream)) == (0, 0)
    trace = _whole(spans)[0]
    assert trace["ingest"].parent_span_id == b""
    assert trace["consume"].parent_span_id == trace["ingest"].span_id
    assert trace["transaction"].parent_span_id == trace["upsert"].parent_span_id == trace["consume"].span_id
    assert (_events(tmp_path, "ingest"), _events(tmp_path, "stream")) == (["ingesting", "stopped"], ["following", "stopped"])


def test_a_collector_that_is_gone_costs_spans_which_are_told_and_nothing_else(tmp_path: Path) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with _job(tmp_path, _INGEST, **settings) as ingest:
        until(lambda: "spans_lost" in _events(tmp_path, "ingest"), _WITHIN_S, "the loss is told")
        assert _end(ingest) == 0
    assert _events(tmp_path, "ingest")[-1] == "stopped"


_WIRED = """
import sys, threading
import warm.stream.synthetic.founding, warm.stream.synthetic.records
from app.settings import load_settings
from warm.stream import ingest, running
stop = threading.Event()
stop.set()
settings = load_settings()
assert (running._run(settings, stop), ingest.ingest(settings, "synthetic", None, stop)) == (0, 0)
traced = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "warm.stream.spans", "app.observe.")
print(*(name for name in sys.modules if name.startswith(traced)))
"""


def test_with_traces_off_the_jobs_import_nothing_of_them(tmp_path: Path) -> None:
    environment = clean_environment({"PYTHONPATH": str(ROOT), **_NO_PORTS})
    command = [sys.executable, "-c", _WIRED]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.split() == []


@pytest.mark.parametrize("arguments", [_INGEST, _STREAM], ids=lambda each: each[0])
def test_without_the_extra_the_jobs_say_what_to_install(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").touch()
    environment = clean_environment({**_ON, "PYTHONPATH": f"{tmp_path}:{ROOT}"})
    command = [sys.executable, "-m", "app", *arguments]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    allowed = "off, or on with requirements-traces.lock installed"
    assert ran.stderr == f"settings: TRACES is 'on' and OpenTelemetry is not installed; allowed: {allowed}\n"
