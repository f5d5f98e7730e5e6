"""One HTTP/1.1 connection of a client that must cost little: a protocol without streams, tasks or futures.

A connection carries one request at a time. What becomes of it is told to the one who opened the connection, by a call:
`Client.answered` or `Client.failed`.
"""

import asyncio
from typing import Protocol, cast

import httptools


class Client(Protocol):
    """Who is told."""

    def answered(self, connection: "Connection", status: int, body: bytes) -> None:
        """The whole answer is here; ``connection.usable`` says whether another request may follow."""
        ...

    def failed(self, connection: "Connection", fault: str) -> None:
        """The connection ended; ``fault`` says how, as far as a request that was under way is concerned."""
        ...


class Connection(asyncio.Protocol):
    """One request at a time, and then what became of it.

    ``fault`` of `Client.failed` is one of: ``idle``: nothing was under way; ``not_taken``: the server ended a new connection
    without having answered anything on it (it was in the queue of a server that stopped); ``reset``: it ended one that it had
    answered on before, without a byte of the answer to the request under way; ``cut``: in the middle of an answer; ``garbled``:
    the answer is not HTTP.
    """

    __slots__ = ("_body", "_client", "_fault", "_parser", "_partial", "_served", "_transport", "busy", "usable")

    def __init__(self, client: Client) -> None:
        self._client = client
        self._transport: asyncio.Transport | None = None
        self._served = False
        self._partial = False
        self._fault = ""
        self._body: list[bytes] = []
        self.busy = False
        self.usable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        # uvloop's transports do what asyncio's do without being derived from them.
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)

    def send(self, wire: bytes) -> None:
        """Send a request; there must be none under way."""
        assert self._transport is not None
        self.busy = True
        self._transport.write(wire)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """A part of an answer."""
        self._partial = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fault = "garbled"
            self.close()

    def on_body(self, data: bytes) -> None:
        """The parser's callback."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """The parser's callback: the answer is whole."""
        if not self.busy:
            # To nothing that was asked.
            self.close()
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        status = self._parser.get_status_code()
        self.usable = self._parser.should_keep_alive()
        self._body = []
        self._served = True
        self.busy = self._partial = False
        if not self.usable:
            self.close()
        self._client.answered(self, status, body)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended."""
        del exc
        self.usable = False
        if not self.busy:
            fault = "idle"
        elif self._fault or self._partial:
            fault = self._fault or "cut"
        else:
            fault = "reset" if self._served else "not_taken"
        self.busy = False
        self._client.failed(self, fault)
