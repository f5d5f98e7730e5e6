"""The whole application in this process, on a store and clocks that a test controls. Nothing is patched: all is injected."""

import asyncio
import io
import json
import random
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec
from starlette.applications import Starlette

from app.constants import Constants
from app.domain.records import KINDS, Kinds
from app.main import build
from app.market.protocol import Reader
from app.observe.logs import Logs
from app.observe.meters import Meters
from app.observe.traces import Traces
from app.options import Settings
from app.payloads import DecideResponse, ProblemBody
from app.store.protocol import KeyStore
from app.worker import Worker
from tests.kit.clock import Clock
from tests.kit.market import FakeReader
from tests.kit.store import UNIVERSE, FakeStore

T = TypeVar("T")

_PLAIN: dict[str, object] = {"clock": "replay", "l1_ttl_jitter": 0.0, "l2_timeout_ms": 2000.0}


def settings_of(given: Mapping[str, object]) -> tuple[Settings, Constants]:
    """Settings and constants, ``given`` by their names in one mapping, over those that suit tests."""
    given = _PLAIN | dict(given)
    constants = {name: value for name, value in given.items() if name in Constants.__struct_fields__}
    settings = {name: value for name, value in given.items() if name not in constants}
    return msgspec.convert(settings, Settings), msgspec.convert(constants, Constants)


class Served:
    """The application, its parts, and a client of it. Use it in a ``with``."""

    def __init__(
        self,
        store: Any = None,  # noqa: ANN401 - a FakeStore, but for a test that brings a real one
        *,
        warmed: bool = True,
        keys: KeyStore | None = None,
        open_traces: Callable[[Meters], Traces] | None = None,
        client: tuple[str, int] = ("127.0.0.1", 123),
        kinds: Kinds = KINDS,
        open_reader: Callable[[], Reader] | None = None,
        **settings: object,
    ) -> None:
        self.store = FakeStore(*UNIVERSE) if store is None else store
        self.clock = Clock()
        self._client = client
        self._log = io.StringIO()
        self._logs: Logs | None = Logs(level="info", log_format="json", stream=self._log)
        self.settings, self.constants = settings_of(settings)
        self.parts = Worker(
            self.settings,
            self.store,
            clock=self.clock,
            rng=random.Random(1),
            logs=self._logs,
            keys=keys,
            open_traces=open_traces,
            constants=self.constants,
            kinds=kinds,
            open_reader=open_reader or FakeReader,
        )
        self.app = build(self.parts, self.clock)
        self.runner = asyncio.Runner()
        if warmed:
            self.runner.run(self.parts.feed.step())
        if self.parts.gate.ring is not None:
            self.runner.run(self.parts.gate.ring.read())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.runner.close()
        self.log_lines()

    def request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | Sequence[tuple[bytes, bytes]] | None = None,
    ) -> httpx.Response:
        """One request through an HTTP client that tidies nothing up but Host and Content-Length."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, client=self._client)
            async with httpx.AsyncClient(transport=transport, base_url="http://decide.test") as client:
                return await client.request(method, path, content=content, headers=headers)

        return self.runner.run(ask())

    def get(self, path: str, **headers: str) -> httpx.Response:
        """A GET; header names with ``_`` for ``-``."""
        return self.request("GET", path, headers=_dashed(headers))

    def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        """A POST of ``body`` as JSON, or of the very bytes."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, content=content, headers={"content-type": "application/json"} | _dashed(headers))

    def decide(self, symbol: str = "AAPL", **options: object) -> DecideResponse:
        """The decision on ``symbol``; fails unless there is one."""
        return decoded(self.post("/decide", {"symbol": symbol, **options}), DecideResponse)

    def asgi(self, scope: MutableMapping[str, Any], *messages: MutableMapping[str, Any]) -> "Heard":
        """One request by hand: what the application sends to it. After ``messages`` the client says nothing more."""
        return self.runner.run(talk(self.app, scope, *messages))

    def live(self, seconds: float) -> None:
        """Start as the server does, stay up for a while, and stop."""

        async def run() -> None:
            async with self.parts.lifespan(Starlette()):
                await asyncio.sleep(seconds)

        self.runner.run(run())
        # The lifespan has ended the logging itself.
        self._logs = None

    def log_text(self) -> str:
        """All that was logged, by libraries too. Ends the logging."""
        self.log_lines()
        return self._log.getvalue()

    def log_lines(self) -> list[dict[str, Any]]:
        """All that the application logged, in order. Ends the logging."""
        if self._logs is not None:
            self._logs.close()
            self._logs = None
        lines = [json.loads(line) for line in self._log.getvalue().splitlines()]
        return [line for line in lines if line["logger"] in ("decide", "asyncio")]


class Heard:
    """What an application sent."""

    def __init__(self, messages: list[MutableMapping[str, Any]]) -> None:
        self.messages = messages
        self.status: int = messages[0]["status"]
        self.headers: dict[str, str] = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.body = b"".join(message.get("body", b"") for message in messages[1:])

    @property
    def problem(self) -> ProblemBody:
        """The body as a problem."""
        return msgspec.json.decode(self.body, type=ProblemBody)


async def talk(app: Any, scope: MutableMapping[str, Any], *messages: MutableMapping[str, Any]) -> Heard:  # noqa: ANN401 - any ASGI application
    """Run ``app`` on ``scope``; it receives ``messages`` and then waits for ever."""
    coming = list(messages)
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        if not coming:
            await asyncio.Event().wait()
        return coming.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return Heard(sent)


def http_scope(
    method: str = "POST",
    path: str = "/decide",
    headers: Sequence[tuple[bytes, bytes]] = ((b"host", b"x"), (b"content-type", b"application/json")),
    http_version: str = "1.1",
) -> dict[str, Any]:
    """An ASGI scope."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": http_version,
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    """A piece of a request's body."""
    return {"type": "http.request", "body": body, "more_body": more}


def _dashed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def decoded(answer: httpx.Response, kind: type[T], status: int = 200) -> T:
    """The answer's body, held against the contract's type; fails on another status or media type."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    return msgspec.json.decode(answer.content, type=kind)


def problem_of(answer: httpx.Response, status: int, slug: str, field: str | None = None) -> ProblemBody:
    """The problem in ``answer``, which must be of this status, type and field and carry its own request id."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = msgspec.json.decode(answer.content, type=ProblemBody)
    assert problem.status == status
    assert problem.type == f"urn:decide:problem:{slug}"
    assert problem.title
    assert problem.detail
    assert problem.field == field, problem
    assert problem.request_id == answer.headers["x-request-id"]
    return problem
