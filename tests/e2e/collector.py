"""A small OpenTelemetry collector for tests: OTLP over HTTP, protobuf, on a free port."""

import gzip
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_WAIT_S = 30.0


class Collector:
    """What it was sent."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.headers: dict[str, str] = {}
        self.path = ""
        self.resource: dict[str, str] = {}
        self.spans: list[Span] = []

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """One export."""
        self.path, self.headers = path, {name.lower(): value for name, value in headers.items()}
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        for each in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource = told(each.resource.attributes)
            for scope in each.scope_spans:
                self.spans += scope.spans

    def wait(self, enough: Callable[[list[Span]], bool]) -> list[Span]:
        """The spans, once they are ``enough``."""
        deadline = time.monotonic() + _WAIT_S
        while not enough(self.spans):
            if time.monotonic() > deadline:
                raise AssertionError(f"only {[each.name for each in self.spans]} came within {_WAIT_S} s")
            time.sleep(0.05)
        return self.spans


def told(attributes: Iterable[KeyValue]) -> dict[str, str]:
    """Attributes with text for values."""
    return {each.key: str(getattr(each.value, each.value.WhichOneof("value") or "string_value")) for each in attributes}


@contextmanager
def collector() -> Iterator[Collector]:
    """A running one."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            here.take(self.path, dict(self.headers), body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        here = Collector(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield here
        finally:
            server.shutdown()
            thread.join()
