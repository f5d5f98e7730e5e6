"""Traces of the real server, as a collector sees them, and the server without."""

import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metric_families

from tests.e2e.collector import collector, told
from tests.e2e.publishing import publish_universe, stop_and_read_log
from tests.kit.servers import ROOT, DecideServer, clean_environment, decide_server, free_port

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_CALLER = "00f067aa0ba902b7"
_HEADERS = {"traceparent": f"00-{_TRACE}-{_CALLER}-01"}
_COUNTED = 'decide_request_duration_seconds_count{route="/decide",slo_class="decisions",status="200"} 20.0'
_ON = {"TRACES": "on", "CLOCK": "replay", "LOG_FORMAT": "json", "LOG_SAMPLE_EVERY": "1", "OTEL_BSP_SCHEDULE_DELAY": "100"}


def _decide(server: DecideServer, symbol: str = "AAPL") -> httpx.Response:
    return httpx.post(server.url + "/decide", json={"symbol": symbol}, headers=_HEADERS, timeout=20)


def _is_whole(spans: list[Span]) -> bool:
    return {"POST /decide", "l1", "l2", "l2.read", "policy"} <= {each.name for each in spans}


def test_a_collector_gets_the_tree_the_log_the_trace_id_and_metrics_an_example(tmp_path: Path) -> None:
    """OTLP by the standard variables, from the environment and from .env, under the caller's span."""
    publish_universe(tmp_path / "store.sqlite3")
    with collector() as collecting:
        settings = {
            **_ON,
            "STORE_PATH": str(tmp_path / "store.sqlite3"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collecting.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        }
        (tmp_path / ".env").write_text("OTEL_EXPORTER_OTLP_HEADERS=x-tenant=decide\nOTEL_SERVICE_NAME=decide-here\n")
        with decide_server(tmp_path, **settings) as server:
            server.wait_ready()
            assert _decide(server).json()["fallback"]["level"] == "none"
            metrics = httpx.get(server.url + "/metrics", headers={"accept": "application/openmetrics-text"}, timeout=20)
            spans = collecting.wait(_is_whole)
            _, log = stop_and_read_log(server)
    assert (collecting.path, collecting.headers["x-tenant"]) == ("/v1/traces", "decide")
    assert collecting.resource["service.name"] == "decide-here"
    assert collecting.resource["deployment.environment.name"] == "test"
    by_name = {each.name: each for each in spans}
    assert {each.trace_id.hex() for each in by_name.values()} == {_TRACE}
    lane = by_name["POST /decide"]
    assert lane.parent_span_id.hex() == _CALLER
    assert {by_name[name].parent_span_id for name in ("l1", "l2", "policy")} == {lane.span_id}
    assert by_name["l2.read"].parent_span_id == by_name["l2"].span_id
    assert told(lane.attributes)["http.response.status_code"] == "200"
    assert told(by_name["l2.read"].attributes)["db.system.name"] == "sqlite"
    lines = [json.loads(line) for line in log.splitlines()]
    assert _TRACE in {line.get("trace_id") for line in lines if line.get("route") == "/decide"}
    examples = [
        sample.exemplar.labels
        for family in open_metric_families(metrics.text)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.exemplar is not None
    ]
    assert {"trace_id": _TRACE} in examples


def test_the_last_spans_are_sent_at_the_stop(tmp_path: Path) -> None:
    """Though the next batch was not due for a minute; and the service has a name by itself."""
    publish_universe(tmp_path / "store.sqlite3")
    with collector() as collecting:
        settings = {
            **_ON,
            "STORE_PATH": str(tmp_path / "store.sqlite3"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collecting.url,
            "OTEL_BSP_SCHEDULE_DELAY": "60000",
        }
        with decide_server(tmp_path, **settings) as server:
            server.wait_ready()
            _decide(server)
            assert server.stop() == 0
        assert _is_whole(collecting.spans)
        assert collecting.resource["service.name"] == "decide"


def test_several_workers_trace_and_keep_their_metrics(tmp_path: Path) -> None:
    publish_universe(tmp_path / "store.sqlite3")
    with collector() as collecting:
        endpoint = collecting.url
        settings = {**_ON, "STORE_PATH": str(tmp_path / "store.sqlite3"), "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "WORKERS": "2"}
        with decide_server(tmp_path, **settings) as server:
            server.wait_ready()
            for _ in range(20):
                assert _decide(server).status_code == 200
            collecting.wait(lambda spans: sum(each.name == "POST /decide" for each in spans) == 20)
            # A worker tells its counts once a second, and when it is asked itself.
            deadline = time.monotonic() + 20
            text = ""
            while _COUNTED not in text and time.monotonic() < deadline:
                text = httpx.get(server.url + "/metrics", timeout=20).text
            metrics = httpx.get(server.url + "/metrics", headers={"accept": "application/openmetrics-text"}, timeout=20).text
    assert _COUNTED in text
    samples = [each for family in open_metric_families(metrics) for each in family.samples]  # type: ignore[no-untyped-call]
    assert "decide_l1_entries" in {each.name for each in samples}
    assert not any(each.exemplar for each in samples)


def test_a_dead_collector_changes_no_answer_and_its_losses_are_counted(tmp_path: Path) -> None:
    publish_universe(tmp_path / "store.sqlite3")
    settings = {
        **_ON,
        "STORE_PATH": str(tmp_path / "store.sqlite3"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_BSP_MAX_QUEUE_SIZE": "8",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4",
    }
    with decide_server(tmp_path, **settings) as server:
        server.wait_ready()
        answers = [_decide(server) for _ in range(200)]
        metrics = httpx.get(server.url + "/metrics", timeout=20).text
        code, log = stop_and_read_log(server)
    assert {(each.status_code, each.json()["fallback"]["level"]) for each in answers} == {(200, "none")}
    lost = [line for line in metrics.splitlines() if line.startswith('decide_trace_spans_dropped_total{reason="queue_full"}')]
    assert len(lost) == 1
    assert float(lost[0].split()[1]) > 0
    assert code == 0
    assert all("event" in json.loads(line) for line in log.splitlines())


_MADE = """
import sys
from app.main import create_app
made = create_app()
decider = made._routes["/decide"][0]._decider
print(type(made).__name__, type(decider.tiers).__name__, type(decider.policy).__name__)
print(*(name for name in sys.modules if name.startswith(("opentelemetry.", "app.observe.traces", "app.observe.spans"))))
"""


def _made(folder: Path, *paths: Path) -> tuple[str, list[str]]:
    """What the application is made of with traces off, and which modules of tracing were imported for it."""
    environment = clean_environment({"PYTHONPATH": ":".join(map(str, (*paths, ROOT))), "TRACES": "off"})
    program = [sys.executable, "-c", _MADE]
    ran = subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=True)
    made, imported = ran.stdout.splitlines()
    return made, imported.split()


def test_with_traces_off_nothing_of_tracing_is_imported_or_in_the_way(tmp_path: Path) -> None:
    """The application is made of the parts that know nothing of it; what else is imported is redis-py's, for its metrics."""
    made, imported = _made(tmp_path)
    assert made == "Lane Tiers Policy"
    tracing = ("app.", "opentelemetry.sdk.trace", "opentelemetry.exporter", "opentelemetry.proto")
    assert [name for name in imported if name.startswith(tracing)] == []


def test_without_the_extra_there_is_no_opentelemetry_in_the_process(tmp_path: Path) -> None:
    assert _made(tmp_path, _without_opentelemetry(tmp_path)) == ("Lane Tiers Policy", [])


def _without_opentelemetry(folder: Path) -> Path:
    """A path on which an empty package of that name stands before the real one."""
    (folder / "opentelemetry").mkdir()
    (folder / "opentelemetry" / "__init__.py").touch()
    return folder


def _refused(folder: Path, **settings: str) -> str:
    environment = clean_environment({"PYTHONPATH": str(ROOT), "PORT": str(free_port()), "TRACES": "on", **settings})
    ran = subprocess.run(
        [sys.executable, "-m", "app"], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    return ran.stderr


def test_without_the_extra_the_server_says_what_to_install(tmp_path: Path) -> None:
    said = _refused(tmp_path, PYTHONPATH=f"{_without_opentelemetry(tmp_path)}:{ROOT}")
    allowed = "off, or on with requirements-traces.lock installed"
    assert said == f"settings: TRACES is 'on' and OpenTelemetry is not installed; allowed: {allowed}\n"


def test_what_opentelemetry_does_not_take_is_refused_at_the_start(tmp_path: Path) -> None:
    """A protocol that is not there, and sizes that cannot be; the workers would end over them one after the other."""
    said = _refused(tmp_path, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    assert said == "settings: OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'; allowed: http/protobuf\n"
    said = _refused(tmp_path, OTEL_BSP_MAX_QUEUE_SIZE="4", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="8")
    assert said.startswith(
        "settings: TRACES is 'on' and OpenTelemetry does not take its variables (OTEL_…): max_export_batch_size"
    )
    assert said.count("\n") == 1
