"""The limit of an ASGI server: the same answer to whatever comes, with the headers that Decide sends.

``constant`` does not even read the body, which no server that answers a POST can do; ``after_body`` waits for its first part.
"""

import json
import os
from pathlib import Path

from redis.asyncio import Redis
from starlette.types import Receive, Scope, Send

_BODY = Path(os.environ["PEER_REPLY"]).read_bytes()
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(_BODY)),
        (b"cache-status", b"decide-l1; hit"),
        (b"server-timing", b"decide;dur=0.021"),
        (b"x-request-id", b"0193c1a0-0000-7000-8000-000000000000"),
    ],
}
_END = {"type": "http.response.body", "body": _BODY}


async def constant(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once."""
    del receive
    if scope["type"] == "http":
        await send(_START)
        await send(_END)


async def after_body(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer when the first part of the body is there."""
    if scope["type"] == "http":
        await receive()
        await send(_START)
        await send(_END)


_redis: list[Redis] = []


async def one_get(scope: Scope, receive: Receive, send: Send) -> None:
    """One GET of one of the symbol's two records, and the constant answer: the least that reading for each request costs."""
    if scope["type"] == "http":
        symbol = json.loads((await receive())["body"])["symbol"]
        if not _redis:
            _redis.append(Redis.from_url(os.environ["PEER_REDIS_URL"]))
        assert await _redis[0].get(os.environ.get("PEER_PREFIX", "decide:1") + f":{{{symbol}}}:price") is not None
        await send(_START)
        await send(_END)
