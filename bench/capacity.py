"""How much the harness can send by itself, so that nobody takes its limit for a server's.

A process of its own answers every request with the same bytes (a decision the server really made), as fast as Python can; the
closed loop is run against it. What comes out is an upper bound of any figure this harness can measure on this machine; the
constant reply costs the machine something too.
"""

import asyncio
import itertools
import multiprocessing
import signal
import tempfile
import time
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import cast

import msgspec

from bench.addresses import Addresses, address_of
from bench.loops import run
from bench.mix import Prepared
from bench.scenario import Phase, ScenarioError

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


def serve_constant(pipe: Connection, body: bytes, socket: str | None) -> None:
    """What the other process does: answer with ``body``, on ``socket`` or on a port; it tells its URL and serves until the other
    end is closed.
    """
    # Ctrl-C at a terminal reaches this process too, and it is not for it to say that.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run(_serve(pipe, body, socket))


async def _serve(pipe: Connection, body: bytes, socket: str | None) -> None:
    loop = asyncio.get_running_loop()
    reply = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    if socket is None:
        server = await loop.create_server(lambda: _Constant(reply), "127.0.0.1", 0)
        pipe.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    else:
        server = await loop.create_unix_server(lambda: _Constant(reply), socket)
        pipe.send(f"unix:{socket}")
    try:
        await asyncio.to_thread(pipe.recv)
    except EOFError:
        server.close()


async def measure(request: Prepared, body: bytes, *, socket: bool = False) -> Capacity:
    """Run the closed loop against a constant server for a moment, over a Unix ``socket`` if what is measured is on one. ``body``
    is a valid answer to ``request``.

    Raises:
        ScenarioError: the constant server did not start.
    """
    with tempfile.TemporaryDirectory(prefix="decide-") as folder:
        return await _measure(request, body, f"{folder}/constant" if socket else None)


async def _told(pipe: Connection, process: SpawnProcess) -> str:
    try:
        return str(await asyncio.to_thread(pipe.recv))
    except (EOFError, OSError) as error:
        await asyncio.to_thread(process.join)
        why = f"its process ended with {process.exitcode}, and what it said is above"
        raise ScenarioError(f"the constant server that the harness measures itself against did not start: {why}") from error


async def _measure(request: Prepared, body: bytes, socket: str | None) -> Capacity:
    from bench.load import Load  # noqa: PLC0415 - the constant server's process needs none of it

    # Not by the name of a module: in the one-file binary there is no interpreter to give it to.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve_constant, args=(theirs, body, socket), daemon=True)
    process.start()
    theirs.close()
    try:
        target = address_of(await _told(ours, process))
        phase = Phase(name="capacity", loop="closed", connections=_CONNECTIONS, duration_s=_SECONDS)
        load = Load(phase, itertools.repeat(request), Addresses(target), rate_per_s=None)
        cpu_s = time.process_time()
        await load.run()
        cpu_s = time.process_time() - cpu_s
        answers = max(1, load.recorder.answers)
        return Capacity(requests_per_s=round(answers / load.elapsed_s), cpu_us_per_request=round(cpu_s / answers * 1e6, 1))
    finally:
        ours.close()
        await asyncio.to_thread(process.join)
