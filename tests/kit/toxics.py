"""A TCP proxy that spoils what goes through it, as Toxiproxy's toxics do: in front of a real Redis, for tests.

It runs in a thread of its own. `Toxics` may be changed while connections stand; a change holds for what comes afterwards.
"""

import asyncio
import random
import threading
from dataclasses import dataclass
from typing import Self

from app.errors import DecideError

_CHUNK = 65_536


class ProxyError(DecideError):
    """The proxy did not start."""


@dataclass
class Toxics:
    """``latency_s`` plus or minus ``jitter_s`` for each piece; ``timeout``: nothing goes through, connections stand; ``reset``:
    each piece ends its connection; ``slice_bytes``: pieces are cut into such; ``limit_bytes``: a connection ends after so many.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    timeout: bool = False
    reset: bool = False
    slice_bytes: int = 0
    limit_bytes: int = 0


class ToxicProxy:
    """Forwards from ``port`` to ``upstream``. Use it in a ``with``; the same seed spoils alike."""

    def __init__(self, upstream: int, seed: int = 1) -> None:
        self.toxics = Toxics()
        self.port = 0
        self._upstream = upstream
        self._random = random.Random(seed)
        self._writers: set[asyncio.StreamWriter] = set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(10):
            raise ProxyError("the proxy did not start within 10 s")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    def cut(self) -> None:
        """End every connection now."""
        self._loop.call_soon_threadsafe(self._hang_up)

    def _hang_up(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _run(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._over.wait()
        server.close()
        self._hang_up()
        await asyncio.sleep(0.05)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            for each in (writer, back):
                self._writers.discard(each)
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        try:
            while data := await reader.read(_CHUNK):
                toxics = self.toxics
                while self.toxics.timeout:  # noqa: ASYNC110 - the toxics are set from another thread
                    await asyncio.sleep(0.02)
                if toxics.latency_s:
                    jitter_s = toxics.jitter_s * (2 * self._random.random() - 1)
                    await asyncio.sleep(max(0.0, toxics.latency_s + jitter_s))
                passed += len(data)
                if toxics.reset or (toxics.limit_bytes and passed > toxics.limit_bytes):
                    break
                step = toxics.slice_bytes or len(data)
                for first in range(0, len(data), step):
                    writer.write(data[first : first + step])
                    await writer.drain()
                    if toxics.slice_bytes:
                        await asyncio.sleep(0)
        except (OSError, asyncio.IncompleteReadError):
            pass
        writer.transport.abort()
