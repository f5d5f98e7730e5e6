"""How much the harness can send by itself, so that nobody takes its limit for a server's.

A process of its own answers every request with the same bytes (a decision the server really made), as fast as Python can; the
closed loop is run against it. What comes out is an upper bound of any figure this harness can measure on this machine; the
constant reply costs the machine something too.

Run as a module it is that process: ``python -m bench.capacity [SOCKET]`` reads the answer's body, a line, from its standard
input, prints its URL, and serves until its standard input ends.
"""

import asyncio
import itertools
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import cast

import msgspec

from bench.addresses import Addresses, address_of
from bench.loops import run
from bench.mix import Prepared
from bench.scenario import Phase

_SECONDS = 1.5
_CONNECTIONS = 32


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """``requests_per_s`` as measured beside the constant server; ``cpu_us_per_request`` of the harness's own."""

    requests_per_s: float
    cpu_us_per_request: float


class _Constant(asyncio.Protocol):
    """The same answer to whatever comes."""

    def __init__(self, reply: bytes) -> None:
        self._reply = reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody connected."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """One request: this client sends none in parts."""
        del data
        self._transport.write(self._reply)


async def serve_constant() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    body = sys.stdin.buffer.readline().rstrip(b"\n")
    reply = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    server: asyncio.Server
    if sys.argv[1:]:
        server = await loop.create_unix_server(lambda: _Constant(reply), sys.argv[1])
        print(f"unix:{sys.argv[1]}", flush=True)
    else:
        server = await loop.create_server(lambda: _Constant(reply), "127.0.0.1", 0)
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    ended = asyncio.Event()

    def watch() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=watch, daemon=True).start()
    await ended.wait()
    server.close()


async def measure(request: Prepared, body: bytes, *, socket: bool = False) -> Capacity:
    """Run the closed loop against a constant server for a moment, over a Unix ``socket`` if what is measured is on one. ``body``
    is a valid answer to ``request``, in one line.
    """
    with tempfile.TemporaryDirectory(prefix="decide-") as folder:
        return await _measure(request, body, [f"{folder}/constant"] if socket else [])


async def _measure(request: Prepared, body: bytes, arguments: Sequence[str]) -> Capacity:
    from bench.load import Load  # noqa: PLC0415 - the constant server's process needs none of it

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.capacity", *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(body + b"\n")
        target = address_of((await process.stdout.readline()).decode().strip())
        phase = Phase(name="capacity", loop="closed", connections=_CONNECTIONS, duration_s=_SECONDS)
        load = Load(phase, itertools.repeat(request), Addresses(target), rate_per_s=None)
        cpu_s = time.process_time()
        await load.run()
        cpu_s = time.process_time() - cpu_s
        answers = max(1, load.recorder.answers)
        return Capacity(requests_per_s=round(answers / load.elapsed_s), cpu_us_per_request=round(cpu_s / answers * 1e6, 1))
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


if __name__ == "__main__":
    run(serve_constant())
