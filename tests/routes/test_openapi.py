"""GET /openapi.json: the document is valid, complete, and says what the server does."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from schemathesis.specs.openapi import definitions
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from app.errors import StoreError
from app.http.problems import _STATUS_SLUGS
from app.messages import TYPE_PREFIX
from app.routes.problem_kinds import KINDS
from app.routes.table.entries import ENTRIES, OPERATIONS
from tests.kit.servers import ROOT
from tests.kit.serving import Served, problem_of
from tests.kit.store import down
from tests.routes.contract import Contract, Json

_PROBES = ("/health", "/livez", "/readyz")


@pytest.fixture
def contract(served: Served) -> Contract:
    """The server's document."""
    return Contract(served.get("/openapi.json").json())


def routes_served(served: Served) -> set[tuple[str, str]]:
    """Methods and paths of the application's routes."""
    app = served.app
    while not isinstance(app, Starlette):
        app = app._app  # type: ignore[attr-defined]
    http = {(method, each.path) for each in app.routes if isinstance(each, Route) for method in (each.methods or ())}
    return {each for each in http if each[0] != "HEAD"} | {
        ("WEBSOCKET", each.path) for each in app.routes if isinstance(each, WebSocketRoute)
    }


def test_the_document_is_valid_openapi_3_1(contract: Contract) -> None:
    """By the schema that the OpenAPI Initiative publishes."""
    assert contract.document["openapi"] == "3.1.0"
    assert [error.message for error in definitions.OPENAPI_31_VALIDATOR.iter_errors(contract.document)] == []


def test_every_reference_leads_somewhere_and_every_component_is_referred_to(contract: Contract) -> None:
    """Nothing dangles and nothing is left over, but for the problem of paths that no operation has."""
    text = json.dumps(contract.document)
    components = contract.document["components"]
    there = {f"#/components/{kind}/{name}" for kind in components if kind != "securitySchemes" for name in components[kind]}
    referred = {f"#/components/{each.split(chr(34))[0]}" for each in text.split('"#/components/')[1:]}
    assert referred - there == set()
    assert there - referred == {"#/components/responses/not-found"}
    names = [operation["operationId"] for operation in contract.operations.values()]
    assert len(set(names)) == len(names)
    for operation in contract.operations.values():
        for response in contract.responses(operation).values():
            assert set(response.get("links", {})) <= set(names)


def test_the_table_is_what_is_served_and_its_operations_are_what_is_described(served: Served, contract: Contract) -> None:
    assert routes_served(served) == {(each.method, each.path) for each in ENTRIES}
    described = {(each.method, each.documented_path) for each in OPERATIONS}
    assert set(contract.operations) | {("WEBSOCKET", path) for path in contract.document["x-websockets"]} == described


def test_every_example_is_valid_by_its_schema(contract: Contract) -> None:
    seen = 0
    for where, content in contract.contents():
        for name, example in content.get("examples", {}).items():
            assert contract.faults(content["schema"], example["value"]) == [], f"{where}: {name}"
            seen += 1
    assert seen > 100


def test_every_request_and_answer_with_a_body_has_an_example(contract: Contract) -> None:
    assert {where for where, content in contract.contents() if not content.get("examples")} == {
        "GET /openapi.json 200 application/json"
    }


def test_every_operation_shows_an_example_of_each_problem_it_names(contract: Contract) -> None:
    for (method, path), operation in contract.operations.items():
        responses = contract.responses(operation)
        statuses = {400, 405, 500, 503}
        if path != "/openapi.json":
            statuses |= {401, 429} | (set() if path in _PROBES else {403})
        if method == "POST":
            statuses |= {408, 413, 415, 422}
        assert {status for status in responses if status >= 400} - {404} == statuses | ({422} if _takes(operation) else set())
        for status, response in responses.items():
            content = response.get("content", {}).get("application/problem+json")
            assert (content is not None) == (status >= 400), path
            if content is not None:
                kinds = content["schema"]["properties"]["type"]["enum"]
                shown = [example["value"] for example in content["examples"].values()]
                assert [each["type"] for each in shown] == kinds
                assert {each["status"] for each in shown} == {status}


def _takes(operation: Json) -> bool:
    """Whether it has parameters of its own that can be wrong."""
    return any(parameter.get("in") in ("path", "query") for parameter in operation["parameters"])


def raised_kinds() -> Iterator[tuple[str, int, str]]:
    """Kinds of problems that the code makes: slug, status, and where."""
    for path in sorted((ROOT / "app").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem"):
                continue
            status, slug = node.args[:2]
            where = f"{path.relative_to(ROOT)}:{node.lineno}"
            if isinstance(slug, ast.Constant) and isinstance(status, ast.Constant):
                yield str(slug.value), int(str(status.value)), where
            else:
                # The one place that takes both from a table.
                assert path.name == "problems.py", f"{where} makes a problem of a kind that cannot be read"
                yield from ((slug, status, where) for status, slug in _STATUS_SLUGS.items())


def test_every_problem_that_the_code_makes_stands_in_the_document_under_its_status(contract: Contract) -> None:
    made = list(raised_kinds())
    assert len({slug for slug, _, _ in made}) >= 12
    in_document = {
        (example["value"]["type"], example["value"]["status"])
        for _, content in contract.contents()
        for example in content.get("examples", {}).values()
        if isinstance(example["value"], dict) and str(example["value"].get("type")).startswith(TYPE_PREFIX)
    }
    in_document |= {(each["type"], each["status"]) for each in contract.document["x-websockets"]["/ws"]["refused-by"]}
    assert {(TYPE_PREFIX + slug, status) for slug, status, _ in made} <= in_document
    assert in_document == {(TYPE_PREFIX + slug, kind.status) for slug, kind in KINDS.items()}


def test_keys_are_optional_in_the_document_because_the_operator_decides(contract: Contract) -> None:
    assert set(contract.document["components"]["securitySchemes"]) == {"apiKey", "bearer"}
    for (_, path), operation in contract.operations.items():
        if path == "/openapi.json":
            assert operation["security"] == []
            continue
        without, in_header, as_token = operation["security"]
        assert without == {}
        assert in_header["apiKey"] == as_token["bearer"]
        assert in_header["apiKey"] in ([], ["decide"], ["read"], ["market:read"], ["admin"])
        # What is asked of /stream says which scope it needs.
        assert (in_header["apiKey"] == []) == (path in (*_PROBES, "/stream"))


def test_the_document_is_the_same_bytes_each_time_and_answers_304_to_who_has_it() -> None:
    with Served() as one, Served() as other:
        first = one.get("/openapi.json")
        assert first.content == other.get("/openapi.json").content
        etag = first.headers["etag"]
        for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            again = one.get("/openapi.json", if_none_match=sent)
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
            assert again.headers["x-request-id"]
        for sent in ('"other"', etag[1:-1], f"{etag}x", ""):
            assert one.get("/openapi.json", if_none_match=sent).status_code == 200


def test_the_bound_of_a_batch_is_the_setting() -> None:
    with Served(batch_max=7) as served:
        document = served.get("/openapi.json").json()
        forms = document["components"]["schemas"]["BatchRequest"]["oneOf"]
        assert [form["properties"][form["title"]]["maxItems"] for form in forms] == [7, 7]
        contract = Contract(document)
        for count, status in ((7, 200), (8, 422)):
            body = {"symbols": ["AAPL"] * count}
            assert (contract.faults({"$ref": "#/components/schemas/BatchRequest"}, body) == []) == (status == 200)
            assert served.post("/decide/batch", body).status_code == status


def test_without_pages_the_document_is_served_all_the_same() -> None:
    """The page is a convenience; the contract is not."""
    with Served(pages="off") as served:
        contract = Contract(served.get("/openapi.json").json())
        contract.check(served.get("/openapi.json"), "/openapi.json")
        problem_of(served.get("/docs"), 404, "not-found")


@pytest.mark.parametrize("method", ["DELETE", "OPTIONS", "PATCH", "PUT", "TRACE"])
def test_other_methods_get_405_with_the_methods_that_the_document_has(served: Served, contract: Contract, method: str) -> None:
    for path in contract.document["paths"]:
        answer = served.request(method, contract.filled(path))
        problem_of(answer, 405, "method-not-allowed")
        contract.check(answer, path)
        allowed = {each.upper() for each in contract.document["paths"][path]}
        assert set(answer.headers["allow"].split(", ")) == allowed | ({"HEAD"} if "GET" in allowed else set())


def test_head_is_answered_wherever_get_is(served: Served, contract: Contract) -> None:
    for method, path in contract.answering:
        if method == "GET":
            got, head = (served.request(each, contract.filled(path)) for each in ("GET", "HEAD"))
            assert (head.status_code, head.content) == (got.status_code, b"")
            assert head.headers["content-type"] == got.headers["content-type"]


def _asks(served: Served, contract: Contract) -> None:
    for method, path in contract.answering:
        answer = served.get(contract.filled(path)) if method == "GET" else served.post(path, b"{")
        contract.check(answer, path)
    for body in ({"symbol": "AAPL"}, {"symbol": "aapl", "price": 90.5, "explain": True}, {"symbol": "NOPE"}):
        contract.check(served.post("/decide", body), "/decide")
    contract.check(served.post("/decide/batch", {"symbols": ["AAPL", "NOPE", "?", "MSFT"], "explain": True}), "/decide/batch")
    for query in ("", "symbols=AAPL,NOPE,?", "symbol=NOPE"):
        contract.check(served.get(f"/price/latest?{query}"), "/price/latest")


@pytest.mark.parametrize("fault", [None, down(), StoreError("l2_empty")], ids=["well", "down", "empty"])
@pytest.mark.parametrize("warmed", [True, False])
def test_answers_conform_whatever_state_the_store_is_in(fault: Exception | None, *, warmed: bool) -> None:
    with Served(warmed=warmed, l2_timeout_ms=50.0) as served:
        contract = Contract(served.get("/openapi.json").json())
        served.store.fault = fault
        _asks(served, contract)


def test_refusals_of_an_overloaded_server_conform(served: Served, contract: Contract) -> None:
    served.parts.admission.enter(served.constants.max_in_flight)
    for path in ("/decide/batch", "/decide"):
        answer = served.post(path, {"symbol": "AAPL"})
        problem_of(answer, 503, "overloaded")
        contract.check(answer, path)
    for path in ("/features/{symbol}", "/price/latest", "/symbols"):
        answer = served.get(contract.filled(path))
        problem_of(answer, 503, "overloaded")
        contract.check(answer, path)


def test_refusals_of_bodies_conform() -> None:
    with Served(max_body_bytes=256) as served:
        contract = Contract(served.get("/openapi.json").json())
        for path in ("/decide", "/decide/batch"):
            contract.check(served.post(path, b" " * 300), path)
            contract.check(served.post(path, b"{}", content_type="text/plain"), path)
            contract.check(served.post(path, b""), path)


def test_a_fault_of_ours_conforms(served: Served, contract: Contract) -> None:
    served.store.fault = ZeroDivisionError("secret")
    answer = served.get("/symbols")
    problem_of(answer, 500, "internal")
    contract.check(answer, "/symbols")


def test_the_documents_page_is_no_part_of_the_contract(contract: Contract) -> None:
    text = json.dumps(contract.document)
    assert "/docs" not in contract.document["paths"]
    assert str(Path.home()) not in text
    # The checkout itself may be called as a path of the API is, /decide.
    assert str(ROOT / "app") not in text
