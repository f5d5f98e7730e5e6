"""A small reverse proxy in front of several replicas, with the manners of a real one.

It asks each replica's ``/readyz`` five times a second, sends requests to ready ones in turn, keeps connections to them, and goes
by ``Connection: close``. It does not try a request twice: what a replica loses, the caller sees.
"""

import asyncio
import itertools
import threading
from collections.abc import Sequence
from typing import Self

_LOOK_S = 0.2
_LENGTH = b"content-length:"


class Backend:
    """One replica."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.ready = False
        self.served = 0
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def look(self) -> None:
        """Ask whether it is ready; one that is not loses its idle connections."""
        try:
            async with asyncio.timeout(1.0):
                reader, writer = await asyncio.open_connection(self.host, self.port)
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n")
                self.ready = (await reader.readline()).startswith(b"HTTP/1.1 200 ")
                writer.close()
        except (OSError, TimeoutError):
            self.ready = False
        if not self.ready:
            self.hang_up()

    def hang_up(self) -> None:
        """Close its idle connections."""
        while self.idle:
            self.idle.pop()[1].close()

    async def forward(self, request: bytes) -> bytes:
        """The whole answer to a whole request."""
        reader, writer = await self._connection()
        writer.write(request)
        answer = await read_message(reader)
        self.served += 1
        if self.ready and b"\r\nconnection: close\r\n" not in answer.split(b"\r\n\r\n", 1)[0].lower() + b"\r\n":
            self.idle.append((reader, writer))
        else:
            writer.close()
        return answer

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """One that the replica has not ended meanwhile, as it does with those that are idle for long."""
        while self.idle:
            reader, writer = self.idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self.host, self.port)


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """Head and body of a message with a Content-Length, or none."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(_LENGTH):
            length = int(line[len(_LENGTH) :])
    return head + (await reader.readexactly(length) if length else b"")


class Proxy:
    """Runs in a thread of its own while it is entered."""

    def __init__(self, backends: Sequence[Backend]) -> None:
        self.backends = backends
        self._turn = itertools.cycle(backends)
        self._callers: set[asyncio.StreamWriter] = set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        """Listening, and every replica was looked at once."""
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        """Stopped."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    async def _run(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        await asyncio.gather(*(backend.look() for backend in self.backends))
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        looking = asyncio.create_task(self._keep_looking())
        self._started.set()
        await self._over.wait()
        looking.cancel()
        server.close()
        for backend in self.backends:
            backend.hang_up()
        for writer in tuple(self._callers):
            writer.close()
        await asyncio.sleep(0.1)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.gather(*(backend.look() for backend in self.backends))
            await asyncio.sleep(_LOOK_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._callers.add(writer)
        try:
            while True:
                request = await read_message(reader)
                backend = next(each for each in itertools.islice(self._turn, len(self.backends)) if each.ready)
                writer.write(self._kept_open(await backend.forward(request)))
        except (OSError, asyncio.IncompleteReadError, StopIteration):
            # The caller went, or a request was lost: the caller sees the end of its connection.
            pass
        finally:
            self._callers.discard(writer)
            writer.close()

    @staticmethod
    def _kept_open(answer: bytes) -> bytes:
        """The caller's connection is the proxy's, whatever becomes of the replica's."""
        head, body = answer.split(b"\r\n\r\n", 1)
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body
