"""Clients that people's generators make of /openapi.json: without a warning, importable, and they call a real server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.publishing import publish_universe
from tests.kit.servers import DecideServer, decide_server

_CLIENT = """
import importlib, pkgutil, sys

import decide_client
for each in pkgutil.walk_packages(decide_client.__path__, "decide_client."):
    importlib.import_module(each.name)

from decide_client import Client
from decide_client.api.data import symbols
from decide_client.api.decisions import decide, decide_batch
from decide_client.models import (
    BatchedRequest, BatchResponse, DecideRequest, DecideResponse, ProblemBody, Requests, Symbols, SymbolsResponse
)

with Client(base_url=sys.argv[1], raise_on_unexpected_status=True) as client:
    decision = decide.sync(client=client, body=DecideRequest(symbol="aapl", price=101.5, explain=True))
    assert isinstance(decision, DecideResponse), decision
    assert (decision.symbol, decision.action.value, decision.fallback.used) == ("AAPL", "buy", False)
    for body, status, field in (("NOPE", 404, "symbol"), ("?", 422, "symbol")):
        problem = decide.sync(client=client, body=DecideRequest(symbol=body))
        assert isinstance(problem, ProblemBody), problem
        assert (problem.status, problem.field) == (status, field)
    for batch in (
        Symbols(symbols=["AAPL", "NOPE"]),
        Requests(requests=[BatchedRequest("AAPL"), BatchedRequest("NOPE")]),
    ):
        answers = decide_batch.sync(client=client, body=batch)
        assert isinstance(answers, BatchResponse), answers
        assert isinstance(answers.answers[0].decision, DecideResponse)
        assert isinstance(answers.answers[1].problem, ProblemBody)
    page = symbols.sync(client=client, limit=2)
    assert isinstance(page, SymbolsResponse)
    assert page.symbols == ["AAPL", "IBM"]
    wrong = symbols.sync(client=client, limit=0)
    assert isinstance(wrong, ProblemBody)
"""

_MODELS = """
import json, sys

import httpx
import models

def ask(body):
    sent = models.DecideRequest.model_validate(body).model_dump_json(exclude_none=True)
    return httpx.post(sys.argv[1] + "/decide", content=sent, headers={"Content-Type": "application/json"}).content

decision = models.DecideResponse.model_validate_json(ask({"symbol": "aapl", "explain": True}))
assert (decision.symbol, decision.action.value, decision.fallback.used) == ("AAPL", "buy", False)
problem = models.ProblemBody.model_validate_json(ask({"symbol": "NOPE"}))
assert (problem.status, problem.field) == (404, "symbol")
"""


@pytest.fixture(scope="module")
def warmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DecideServer]:
    """A server with three symbols."""
    folder = tmp_path_factory.mktemp("clients")
    publish_universe(folder / "store.sqlite3")
    with decide_server(folder, STORE_PATH=str(folder / "store.sqlite3"), CLOCK="replay") as server:
        server.wait_ready()
        yield server


def _generator(name: str) -> str:
    """The program. In CI there must be one; elsewhere its test is skipped loudly without."""
    program = Path(sys.executable).parent / name
    if not program.exists():
        if os.environ.get("CI"):
            pytest.fail(f"no {name} beside {sys.executable}: in CI generated clients are never skipped")
        pytest.skip(f"NO {name.upper()}: it is in requirements-dev.lock (just test installs it); no client was generated")
    return str(program)


def _run(folder: Path, *command: str) -> str:
    """What it printed; it must end well."""
    # Generators call ruff by its name.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=100, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _document(server: DecideServer, folder: Path) -> str:
    (folder / "openapi.json").write_bytes(httpx.get(server.url + "/openapi.json").content)
    return "openapi.json"


def test_openapi_python_client_makes_a_typed_client_with_the_bodies_of_errors(warmed: DecideServer, tmp_path: Path) -> None:
    program = _generator("openapi-python-client")
    document = _document(warmed, tmp_path)
    printed = _run(tmp_path, program, "generate", "--path", document, "--meta", "none", "--output-path", "decide_client")
    assert "warning" not in printed.lower(), printed
    _run(tmp_path, sys.executable, "-W", "error", "-c", _CLIENT, warmed.url)


@pytest.mark.parametrize("kind", ["pydantic_v2.BaseModel", "dataclasses.dataclass", "typing.TypedDict", "msgspec.Struct"])
def test_datamodel_codegen_makes_models_that_read_decisions_and_problems(kind: str, warmed: DecideServer, tmp_path: Path) -> None:
    program = _generator("datamodel-codegen")
    command = [program, "--input", _document(warmed, tmp_path), "--input-file-type", "openapi", "--output", "models.py"]
    _run(tmp_path, *command, "--output-model-type", kind, "--formatters", "builtin", "--target-python-version", "3.11")
    script = _MODELS if kind.startswith("pydantic") else "import models; models.DecideResponse, models.ProblemBody"
    _run(tmp_path, sys.executable, "-W", "error", "-c", script, warmed.url)
