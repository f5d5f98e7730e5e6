"""Clients that are slow, or only there: connections beside a phase's load that no percentile counts."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import suppress
from typing import Self, cast

from bench.addresses import Address, Addresses
from bench.scenario import Beside, ScenarioError

_OPENED_AT_ONCE = 100
_BYTE_EVERY_S = 1.0
_SPREAD_S = 3.0
"""The slow ones begin over so long: those of the world do not all give up in one moment."""
_PAUSE_S = 0.1
_STANDING_SHARE = 0.8
"""Of the slow ones: a server gives each up after a while, so that at no moment all of them need stand."""


class _Client(asyncio.Protocol):
    """Sends ``head`` at once. What the server answers is not read but ends the connection; so does the server's hanging up."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self.over = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # uvloop's transports are no subclass of asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        if self._head:
            self.transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        """The server has had enough."""
        del data
        self.over.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The same."""
        del exc
        self.over.set()


class Nuisance:
    """The connections that ``beside`` asks for, for as long as the ``async with`` lasts; one that ends is opened anew.

    Raises:
        ScenarioError: on entering, within ``stand_within_s``, some were never opened, or more of them do not stand than a
            server may have given up.
    """

    def __init__(self, beside: Beside, addresses: Addresses, *, stand_within_s: float = 60.0) -> None:
        self._beside = beside
        self._addresses = addresses
        self._stand_within_s = stand_within_s
        self._gate = asyncio.Semaphore(_OPENED_AT_ONCE)
        self._all_stand = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._begun: set[int] = set()
        self.open = 0

    async def __aenter__(self) -> Self:
        if self._beside.total:
            self._tasks = [asyncio.create_task(self._keep(*each)) for each in enumerate(self._clients())]
            try:
                async with asyncio.timeout(self._stand_within_s):
                    await self._all_stand.wait()
            except TimeoutError:
                found = f"{self.open} of {self._beside.total} connections beside the load stand after {self._stand_within_s:g} s"
                await self.__aexit__()
                raise ScenarioError(found) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _clients(self) -> Iterator[tuple[bytes, float]]:
        """What each sends at once, and when it begins."""
        start = f"POST /decide HTTP/1.1\r\nHost: {self._addresses.take().host}\r\nContent-Type: application/json\r\n".encode()
        yield from itertools.repeat((b"", 0.0), self._beside.idle)
        slow = [start + b"X-Slow: "] * self._beside.slow_headers
        slow += [start + b"Content-Length: 10000\r\n\r\n"] * self._beside.slow_bodies
        yield from ((head, number * _SPREAD_S / len(slow)) for number, head in enumerate(slow))

    async def _keep(self, number: int, client: tuple[bytes, float]) -> None:
        head, after_s = client
        await asyncio.sleep(after_s)
        while True:
            with suppress(OSError):
                await self._one(number, head, self._addresses.take())
            await asyncio.sleep(_PAUSE_S)

    async def _one(self, number: int, head: bytes, address: Address) -> None:
        async with self._gate:
            client = await address.open(lambda: _Client(head))
        self._begun.add(number)
        self.open += 1
        slow = self._beside.total - self._beside.idle
        if len(self._begun) == self._beside.total and self.open >= self._beside.idle + _STANDING_SHARE * slow:
            self._all_stand.set()
        try:
            while not client.over.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_BYTE_EVERY_S if head else None):
                        await client.over.wait()
                if head and not client.over.is_set():
                    client.transport.write(b"x")
        finally:
            self.open -= 1
            client.transport.abort()
