"""HTTP servers that misbehave on purpose, each a coroutine on one connection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from app.payloads import (
    AgentsInput,
    BatchItem,
    BatchResponse,
    CacheInfo,
    DecideResponse,
    Fallback,
    Inputs,
    Model,
    PriceInput,
    ProblemBody,
)

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def decision(symbol: str, **changes: Any) -> DecideResponse:  # noqa: ANN401 - any field
    """A valid one."""
    whole = DecideResponse(
        id="01",
        symbol=symbol,
        requested=symbol,
        action="hold",
        score=0.1,
        confidence=0.5,
        target_weight=0.0,
        as_of=None,
        expires_at=None,
        model=Model("hybrid", "1.0.0", "abc"),
        inputs=Inputs(PriceInput("present", 1.0), AgentsInput("present", 1.0, 1, 0, 0)),
        cache=CacheInfo(hit=True, tier="l1", age_ms=1.0, run="r"),
        fallback=Fallback(used=False, level="none", reason=None),
        latency_ms=0.1,
    )
    return msgspec.structs.replace(whole, **changes)


def answer(status: int, body: object, headers: str = "") -> bytes:
    """A whole response."""
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return f"HTTP/1.1 {status} Said\r\nContent-Length: {len(content)}\r\n{headers}\r\n".encode() + content


def problem(status: int) -> ProblemBody:
    """A valid one."""
    return ProblemBody("urn:decide:problem:x", "X", status, "x")


def batch(*symbols: str) -> BatchResponse:
    """A valid one."""
    return BatchResponse(tuple(BatchItem(each, decision(each), None) for each in symbols), len(symbols), 0, 0.1)


async def read_request(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The JSON of the next request, None at the connection's end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return None
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    return dict(msgspec.json.decode(await reader.readexactly(length)))


def answering(reply: Callable[[dict[str, Any]], bytes], delay_s: float = 0.0) -> Handle:
    """Answers every request by ``reply``; one of nothing ends the connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await read_request(reader)) is not None:
            await asyncio.sleep(delay_s)
            said = reply(request)
            writer.write(said)
            if not said or b"connection: close" in said.lower():
                break
        writer.close()

    return handle


def well(request: dict[str, Any]) -> bytes:
    """The answer of a server that is well."""
    return answer(200, decision(request["symbol"]))
