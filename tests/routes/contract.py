"""The OpenAPI document as a judge: what it says of an example, a request, an answer."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs

Json = dict[str, Any]
ENDLESS = frozenset({"/live", "/stream"})
"""Paths whose answers have no end: who asks for them must know when to stop."""


class Contract:
    """One document."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.operations: dict[tuple[str, str], Json] = {
            (method.upper(), path): operation
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        }

    @property
    def answering(self) -> list[tuple[str, str]]:
        """Methods and paths of the operations whose answers end."""
        return [(method, path) for method, path in self.operations if path not in ENDLESS]

    def filled(self, path: str, symbol: str = "AAPL") -> str:
        """``path`` with ``symbol`` wherever a GET takes one."""
        parameters = map(self.resolved, self.operations.get(("GET", path), {}).get("parameters", ()))
        in_query = any((each["in"], each["name"]) == ("query", "symbol") for each in parameters)
        return path.replace("{symbol}", symbol) + f"?symbol={symbol}" * in_query

    def resolved(self, found: Json) -> Json:
        """``found``, or what it refers to."""
        if "$ref" not in found:
            return found
        place: Json = self.document
        for step in found["$ref"].removeprefix("#/").split("/"):
            place = place[step]
        return place

    def faults(self, schema: Json, value: object) -> list[str]:
        """What ``schema``, somewhere in the document, has against ``value``."""
        whole = {"components": self.document["components"], **schema}
        validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        return [f"{error.message} (at {error.instance_path})" for error in validator.iter_errors(value)]

    def responses(self, operation: Json) -> dict[int, Json]:
        """By status."""
        return {int(status): self.resolved(found) for status, found in operation["responses"].items()}

    def contents(self) -> Iterator[tuple[str, Json]]:
        """Everything that has a schema and examples, and where it stands."""
        for (method, path), operation in self.operations.items():
            where = f"{method} {path}"
            if "requestBody" in operation:
                yield where, operation["requestBody"]["content"]["application/json"]
            for status, response in self.responses(operation).items():
                for media_type, content in response.get("content", {}).items():
                    yield f"{where} {status} {media_type}", content
        for name, response in self.document["components"]["responses"].items():
            yield name, response["content"]["application/problem+json"]

    def check(self, answer: httpx.Response, path: str) -> None:
        """Fails unless the answer to ``path``, as the document writes it, is one that the document shows."""
        operation = self.operations.get((answer.request.method, path))
        if operation is None:
            # Of another method the document says what any operation of the path says.
            operation = next(each for (_, other), each in self.operations.items() if other == path)
        response = self.responses(operation)[answer.status_code]
        for name, each in response["headers"].items():
            header = self.resolved(each)
            if name not in answer.headers:
                assert not header["required"], f"{path} {answer.status_code} without {name}"
                continue
            sent = answer.headers[name]
            value = int(sent) if header["schema"].get("type") == "integer" else sent
            assert self.faults(header["schema"], value) == [], name
        if answer.request.method == "HEAD" or "content" not in response:
            assert answer.content == b""
            return
        content = response["content"][answer.headers["content-type"]]
        body = answer.json() if re.search("json", answer.headers["content-type"]) else answer.text
        assert self.faults(content["schema"], body) == []
