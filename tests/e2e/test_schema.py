"""schemathesis against a real server: thousands of requests made up from the document, right and wrong, and every answer held
against it. Its settings are in schemathesis.toml.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.publishing import publish, publish_market
from tests.kit.records import replaced, row, run_info
from tests.kit.servers import ROOT, DecideServer, decide_server
from tests.routes.contract import ENDLESS, Contract

JSON = "application/json"
LEAST_CASES = 5000
LEAST_DECISIONS = 500
LEAST_PAGES = 100
_CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    *("response_schema_conformance", "negative_data_rejection", "positive_data_acceptance", "missing_required_header"),
    *("unsupported_method", "allow_header_conformance", "use_after_free", "ensure_resource_availability", "ignored_auth"),
    "object_level_authorization",
)
_ANSWERED = re.compile(r'decide_request_duration_seconds_count\{route="([^"]+)",slo_class="\w+",status="(\d+)"\} (\S+)')


@pytest.fixture(scope="module")
def varied_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DecideServer]:
    """A server on SQLite whose symbols have both records, or either alone, on the replay clock."""
    folder = tmp_path_factory.mktemp("varied")
    rows = [row(symbol) for symbol in ("AAPL", "IBM", "MSFT")]
    rows += [replaced(row("BRK.B"), agents=None), replaced(row("BTC-USDT"), price=None)]
    publish(folder / "store.sqlite3", rows, run_info(symbols=len(rows)))
    publish_market(folder / "market.sqlite3", "AAPL", "BTC-USDT")
    # What is made up from the document knows nothing of a last close.
    settings = {"CLOCK": "replay", "LOG_FORMAT": "json", "LIVE_PRICE_OUTSIDE": "ignore"}
    places = {"STORE_PATH": str(folder / "store.sqlite3"), "MARKET_PATH": str(folder / "market.sqlite3")}
    with decide_server(folder, **places, **settings) as running:
        running.wait_ready()
        yield running


def schemathesis(server: DecideServer, folder: Path) -> tuple[dict[str, Any], str]:
    """Its report on ``server``, and all that it printed."""
    document, report = folder / "openapi.json", folder / "report.json"
    # From a file: of a document's own address it asks nothing.
    document.write_bytes(httpx.get(server.url + "/openapi.json").content)
    command = [sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", str(ROOT / "tests/e2e/schemathesis.toml")]
    command += ["run", str(document), "--url", server.url, "--checks", ",".join(_CHECKS), "--continue-on-failure"]
    command += ["--phases", "examples,coverage,fuzzing,stateful", "--report-json-path", str(report)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=500, env=dict(os.environ))
    printed = done.stdout[-20_000:] + done.stderr[-5000:]
    assert report.exists(), printed
    return json.loads(report.read_text(encoding="utf-8")), printed


def answered(server: DecideServer) -> dict[tuple[str, int], int]:
    """How often each route answered with each status, by the server's metrics."""
    text = httpx.get(server.url + "/metrics").text
    return {(route, int(status)): int(float(count)) for route, status, count in _ANSWERED.findall(text)}


def test_every_example_request_is_answered_as_the_document_says(varied_server: DecideServer) -> None:
    with httpx.Client(base_url=varied_server.url) as client:
        contract = Contract(client.get("/openapi.json").json())
        sent = 0
        for method, path in contract.answering:
            operation = contract.operations[method, path]
            for example in operation.get("requestBody", {"content": {JSON: {}}})["content"][JSON].get("examples", {}).values():
                answer = client.request(method, path, json=example["value"])
                assert answer.status_code == 200, answer.text
                contract.check(answer, path)
                sent += 1
            if method == "GET":
                answer = client.get(contract.filled(path))
                assert answer.status_code == 200, answer.text
                contract.check(answer, path)
        assert sent >= 5


@pytest.mark.timeout(600)
def test_no_answer_to_thousands_of_generated_requests_contradicts_the_document(
    varied_server: DecideServer, tmp_path: Path
) -> None:
    """No failure, no error and no warning in 5,000 cases or more, on every operation, in every phase, by every check."""
    report, printed = schemathesis(varied_server, tmp_path)
    cases, operations = report["test_cases"], report["operations"]
    counts = answered(varied_server)
    print(f"{cases['generated']} cases in {report['running_time']:.0f} s; answers by route and status:")
    for (route, status), count in sorted(counts.items()):
        print(f"  {route} {status}: {count}")
    assert (report["failures"], report["errors"], cases["with_failures"], cases["errored"]) == ([], [], 0, 0), printed
    assert {phase: found["status"] for phase, found in report["phases"].items()} == dict.fromkeys(report["phases"], "success")
    assert set(report["phases"]) == {"examples", "coverage", "fuzzing", "stateful"}
    assert {kind: found for kind, found in report["warnings"].items() if found} == {}, printed
    assert report["complete"]
    # Two answers never end, which it would wait for; tests/e2e/test_streams.py and test_live.py ask for those.
    assert operations["tested"] == operations["total"] - len(ENDLESS)
    assert operations["total"] == len(json.loads((tmp_path / "openapi.json").read_text())["paths"])
    assert cases["generated"] >= LEAST_CASES
    # It got past the door: symbols that are loaded were asked for, and ones that are not, and nonsense.
    for route in ("/decide", "/decide/batch", "/features/{symbol:any}", "/candles", "/trades"):
        assert counts[route, 200] >= (LEAST_PAGES if route in ("/candles", "/trades") else LEAST_DECISIONS), route
        assert counts[route, 422] > 0, route
    assert counts["/decide", 404] > 0
    assert {key: count for key, count in counts.items() if key[1] >= 500 and count} == {}
