"""Connections to the application in this process, for what is sent and heard as long as they last."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import msgspec

from app.messages import SocketMessage
from tests.kit.serving import Served, http_scope

Message = MutableMapping[str, Any]


class Client:
    """One connection to the application, which runs with all its background tasks."""

    def __init__(self, served: Served, scope: Message) -> None:
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue()
        self.task = asyncio.ensure_future(served.app(scope, self._incoming.get, self._outgoing.put))

    def say(self, message: Message | str) -> None:
        """Something of the client's."""
        self._incoming.put_nowait({"type": "websocket.receive", "text": message} if isinstance(message, str) else message)

    async def hear(self) -> Message:
        """What the application sends next."""
        return await asyncio.wait_for(self._outgoing.get(), 30)

    async def message(self) -> dict[str, Any]:
        """The next message of a websocket, held against the contract."""
        heard = await self.hear()
        assert heard["type"] == "websocket.send", heard
        msgspec.json.decode(heard["text"], type=SocketMessage)
        return dict(json.loads(heard["text"]))


def socket_scope(*headers: tuple[bytes, bytes]) -> Message:
    """Of WS /ws."""
    scope = http_scope(path="/ws", headers=((b"host", b"decide.test"), *headers))
    del scope["method"]
    extensions: dict[str, object] = {"websocket.http.response": {}}
    return scope | {"type": "websocket", "scheme": "ws", "subprotocols": [], "extensions": extensions, "client": None}
