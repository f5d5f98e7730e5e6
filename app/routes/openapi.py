"""GET /openapi.json: the contract, as OpenAPI 3.1.

It is made once, from the payload Structs and the table of operations. Schemas are msgspec's own; what a Struct cannot say because
a route checks it (a symbol's letters, a batch's two forms) is added in `_enrich`, and nowhere else.
"""

import copy
from collections.abc import Iterable
from itertools import chain
from typing import Any, get_args

import msgspec

from app.http.problems import MEDIA_TYPE
from app.messages import TYPE_PREFIX, SocketMessage, SocketRequest
from app.payloads import ProblemBody
from app.routes.assets import Asset
from app.routes.problem_kinds import KINDS, example_of
from app.routes.table.entry import JSON, SPELLED_PATTERN, TAGS, Answer, Body, Operation, Parameter
from app.version import VERSION

_SCHEMAS = "#/components/schemas/"
_LIMITS = ("RateLimit", "RateLimit-Policy")
_NOWHERE = "not-found"
"""The problem of paths that no operation has."""

_SOCKET_REQUESTS: tuple[type[msgspec.Struct], ...] = get_args(SocketRequest)
_SOCKET_MESSAGES: tuple[type[msgspec.Struct], ...] = get_args(SocketMessage)

Document = dict[str, Any]

_HEADERS: dict[str, tuple[str, Document, bool]] = {
    "Accept": ("What the server takes.", {"const": JSON}, True),
    "Allow": ("The methods that the path is for.", {"type": "string"}, True),
    "Cache-Control": ("How long the answer may be kept.", {"type": "string"}, True),
    "Cache-Status": (
        "Which tier answered (RFC 9211): `decide-l1`, in memory, or `decide-l2`.",
        {"type": "string", "pattern": "decide-l1; (hit|fwd=miss)"},
        True,
    ),
    "ETag": ("Changes when the content does.", {"type": "string", "pattern": '^"[0-9a-f]{32}"$'}, True),
    "RateLimit": (
        "Where there is a limit: what is left of it (r), and seconds until all is there (t).",
        {"type": "string"},
        False,
    ),
    "RateLimit-Policy": ("Where there is a limit: how much (q) in how many seconds (w).", {"type": "string"}, False),
    "Retry-After": ("Seconds after which to try again.", {"type": "integer", "minimum": 0}, True),
    "Server-Timing": (
        "Milliseconds from the request's head to the answer, in the server.",
        {"type": "string", "pattern": r"^decide;dur=[0-9]+\.[0-9]{3}$"},
        True,
    ),
    "WWW-Authenticate": ("How to send a key.", {"type": "string"}, False),
    "X-Request-ID": (
        "The request's id: the caller's own, if it was 1 to 128 visible ASCII characters, else a UUIDv7.",
        {"type": "string", "pattern": "^[!-~]{1,128}$"},
        True,
    ),
}
_REQUEST_ID = Parameter(
    "X-Request-ID", "header", {"type": "string"}, "Names the request in answers and logs; what cannot be one is replaced."
)
_INTRODUCTION = """\
Decisions on symbols, made from what LLM agents said of them and from their prices, both read ahead of time.

* A number without a unit in its name is a ratio. Times are ISO 8601 in UTC.
* HEAD is answered wherever GET is.
* Errors are problem details (RFC 9457) in `application/problem+json`. `field` names what is wrong; `type` is stable, and is
  `urn:decide:problem:` with one of these behind it:

| status | type | when |
|---|---|---|
"""


def make_document(table: Iterable[Operation], *, batch_max: int) -> Document:
    """The document of ``table``, on a server whose batches hold ``batch_max`` at most."""
    operations = [each for each in table if each.method != "WEBSOCKET"]
    sockets = [each for each in table if each.method == "WEBSOCKET"]
    paths: Document = {}
    for each in operations:
        paths.setdefault(each.documented_path, {})[each.method.lower()] = _operation(each)
    alone = {
        slugs
        for each in operations
        for status, slugs in _by_status(each.slugs).items()
        if int(status) not in (answer.status for answer in each.answers)
    }
    kinds = "".join(f"| {kind.status} | `{slug}` | {kind.when} |\n" for slug, kind in KINDS.items())
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Decide",
            "version": VERSION,
            "summary": "Trading decisions in milliseconds, from what LLM agents said before.",
            "description": _INTRODUCTION + kinds,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This server."}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": paths,
        # OpenAPI has no word for them.
        "x-websockets": {
            each.path: {
                "description": each.description,
                "from-client": {"oneOf": [_schema_of(data) for data in _SOCKET_REQUESTS]},
                "from-server": {"oneOf": [_schema_of(data) for data in _SOCKET_MESSAGES]},
                "refused-by": [msgspec.to_builtins(example_of(slug)) for slug in each.problems],
            }
            for each in sockets
        },
        "components": {
            "schemas": _schemas(operations, batch_max),
            "responses": {
                _response_name(each): _problem_response(each)
                for each in sorted(alone | {(_NOWHERE,)}, key=lambda each: (KINDS[each[0]].status, each))
            },
            "headers": {
                name: {"description": description, "required": required, "schema": schema}
                for name, (description, schema, required) in _HEADERS.items()
            },
            "parameters": {"RequestId": _parameter(_REQUEST_ID)},
            "securitySchemes": {
                "apiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "An API key, where the server wants one.",
                },
                "bearer": {"type": "http", "scheme": "bearer", "description": "The same key, as a bearer token."},
            },
        },
    }


def openapi(table: Iterable[Operation], *, batch_max: int) -> Asset:
    """The document, encoded once: the same bytes from the same server."""
    return Asset(msgspec.json.encode(make_document(tuple(table), batch_max=batch_max)), JSON)


def _operation(operation: Operation) -> Document:
    found: Document = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": [*map(_parameter, operation.parameters), {"$ref": "#/components/parameters/RequestId"}],
    }
    if operation.request is not None:
        found["requestBody"] = {"required": True, "content": {JSON: _content(operation.request, operation.request_examples)}}
    # Whether keys are wanted is the operator's choice, so the document allows for both. The names are scopes of keys.
    scopes = [] if operation.needs == "any" else [operation.needs]
    found["security"] = [] if operation.needs == "open" else [{}, {"apiKey": scopes}, {"bearer": scopes}]
    limits = () if operation.cost == "free" else _LIMITS
    responses = {str(answer.status): _response(answer, limits) for answer in operation.answers}
    for status, slugs in _by_status(operation.slugs).items():
        if status in responses:
            # It has an answer of its own under this status too; the media type tells them apart.
            responses[status]["content"] |= _problem_response(slugs)["content"]
        else:
            responses[status] = {"$ref": f"#/components/responses/{_response_name(slugs)}"}
    found["responses"] = dict(sorted(responses.items()))
    return found


def _parameter(parameter: Parameter) -> Document:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required or parameter.place == "path",
        "description": parameter.description,
        "schema": parameter.schema,
    }


def _by_status(slugs: Iterable[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for slug in sorted(slugs):
        status = str(KINDS[slug].status)
        found[status] = (*found.get(status, ()), slug)
    return found


def _response_name(slugs: tuple[str, ...]) -> str:
    return "_or_".join(slugs)


def _headers(names: Iterable[str]) -> Document:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in sorted({*names, "X-Request-ID"})}


def _schema_of(body: Body) -> object:
    if isinstance(body, tuple):
        return {"oneOf": [_schema_of(each) for each in body]}
    return {"$ref": _SCHEMAS + body.__name__} if isinstance(body, type) else body


def _content(body: Body, examples: dict[str, object]) -> Document:
    found: Document = {"schema": _schema_of(body)}
    if examples:
        # By way of JSON, in which digits are put as they stand.
        found["examples"] = {name: {"value": msgspec.json.decode(msgspec.json.encode(each))} for name, each in examples.items()}
    return found


def _response(answer: Answer, limits: Iterable[str]) -> Document:
    found: Document = {"description": answer.description, "headers": _headers((*answer.headers, *limits))}
    if answer.body is not None:
        found["content"] = {answer.media_type: _content(answer.body, answer.examples)}
        if answer.other_media_type is not None:
            found["content"][answer.other_media_type] = _content(answer.body, answer.examples)
        if answer.events:
            found["content"][answer.media_type]["x-events"] = {name: _schema_of(data) for name, data in answer.events.items()}
    for link in answer.links:
        shown: Document = {"operationId": link.operation, "description": link.description}
        if link.parameters is not None:
            shown["parameters"] = link.parameters
        if link.body is not None:
            shown["requestBody"] = link.body
        found.setdefault("links", {})[link.operation] = shown
    return found


def _problem_response(slugs: tuple[str, ...]) -> Document:
    """What kinds of one status look like."""
    first = KINDS[slugs[0]]
    exactly: Document = {
        "properties": {
            "type": {"enum": [TYPE_PREFIX + slug for slug in slugs]},
            "status": {"const": first.status},
        }
    }
    # A header is promised only where each of the kinds has it.
    headers = set(first.headers).intersection(*(KINDS[slug].headers for slug in slugs))
    return {
        "description": " ".join(KINDS[slug].when for slug in slugs),
        "headers": _headers(headers),
        "content": {
            MEDIA_TYPE: {
                # Beside the reference and not as allOf: so generators of clients know it for the one schema that it is.
                "schema": {"$ref": _SCHEMAS + ProblemBody.__name__, **exactly},
                "examples": {slug: {"value": msgspec.to_builtins(example_of(slug))} for slug in slugs},
            }
        },
    }


def _schemas(operations: Iterable[Operation], batch_max: int) -> Document:
    structs: list[type[msgspec.Struct]] = [ProblemBody, *_SOCKET_REQUESTS, *_SOCKET_MESSAGES]
    for operation in operations:
        events = [data for answer in operation.answers for data in answer.events.values()]
        answered = [answer.body if isinstance(answer.body, tuple) else (answer.body,) for answer in operation.answers]
        bodies = [operation.request, *chain.from_iterable(answered), *events]
        structs += [body for body in bodies if isinstance(body, type) and body not in structs]
    _, found = msgspec.json.schema_components(structs, ref_template=_SCHEMAS + "{name}")
    for schema in found.values():
        if "description" in schema:
            schema["description"] = " ".join(schema["description"].split())
    return dict(sorted(_enrich(found, batch_max).items()))


def _enrich(schemas: Document, batch_max: int) -> Document:
    """What the routes check beyond the Structs."""
    alone = schemas["DecideRequest"]
    # In a batch a symbol with letters that none has is a problem in its place, not of the batch.
    schemas["BatchedRequest"] = {
        **copy.deepcopy(alone),
        "title": "BatchedRequest",
        "description": "One element of a batch's `requests`: as the body of POST /decide.",
    }
    alone["description"] = "Body of POST /decide."
    alone["properties"]["symbol"]["pattern"] = SPELLED_PATTERN
    batch = schemas["BatchRequest"]
    properties = batch.pop("properties")
    del batch["type"], batch["required"], batch["additionalProperties"]
    size = {"minItems": 1, "maxItems": batch_max}
    options = {name: properties[name] for name in ("max_age_s", "explain", "deadline_ms")}
    batch["oneOf"] = [
        _closed("symbols", properties["symbols"] | size, options, "Symbols, with options for all of them."),
        _closed(
            "requests",
            {"type": "array", "items": {"$ref": _SCHEMAS + "BatchedRequest"}, **size},
            # Each element has its own. (Generators of clients have no type for a constant that is no text and no number.)
            {
                "max_age_s": {"type": "null"},
                "explain": {"type": "boolean", "not": {"const": True}, "default": False},
                "deadline_ms": {"type": "null"},
            },
            "Requests, each with its own options.",
        ),
    ]
    return schemas


def _closed(name: str, schema: Document, options: Document, description: str) -> Document:
    return {
        "type": "object",
        "title": name,
        "description": description,
        "properties": {name: schema, **options},
        "required": [name],
        "additionalProperties": False,
    }
