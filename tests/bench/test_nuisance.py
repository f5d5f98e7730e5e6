"""Slow and idle clients beside a load."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from bench.addresses import Addresses, TcpAddress
from bench.loops import run
from bench.nuisance import Nuisance
from bench.scenario import Beside, ScenarioError
from tests.kit.servers import free_port
from tests.kit.settle import until


class _Server:
    """Keeps what each connection sent; hangs up on those of which ``enough`` says so."""

    def __init__(self, enough: Callable[[bytes], bool] = lambda _: False) -> None:
        self.said: list[bytes] = []
        self._enough = enough
        self._served: set[asyncio.Task[None]] = set()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self._served.add(task)
        number = len(self.said)
        self.said.append(b"")
        with contextlib.closing(writer):
            while more := await reader.read(1000):
                self.said[number] += more
                if self._enough(self.said[number]):
                    return

    def run(self, beside: Beside, work: Callable[[Nuisance], Awaitable[None]], stand_within_s: float = 60) -> None:
        """``work`` while the connections stand."""

        async def both() -> None:
            server = await asyncio.start_server(self.take, "127.0.0.1", 0)
            addresses = Addresses(TcpAddress("127.0.0.1", server.sockets[0].getsockname()[1]))
            try:
                async with Nuisance(beside, addresses, stand_within_s=stand_within_s) as nuisance:
                    await work(nuisance)
                assert nuisance.open == 0
            finally:
                server.close()
                for task in self._served:
                    task.cancel()
                await asyncio.gather(*self._served, return_exceptions=True)

        run(both())


def test_idle_connections_stand_and_say_nothing() -> None:
    server = _Server()

    async def work(nuisance: Nuisance) -> None:
        assert nuisance.open == 30
        await until(lambda: len(server.said) == 30)

    server.run(Beside(idle=30), work)
    assert server.said == [b""] * 30


def test_slow_clients_send_a_head_and_then_a_byte_at_a_time() -> None:
    server = _Server()

    async def work(nuisance: Nuisance) -> None:
        assert nuisance.open == 2
        await until(lambda: len(server.said) == 2 and all(text.endswith(b"xx") for text in server.said))

    server.run(Beside(slow_headers=1, slow_bodies=1), work)
    headers, body = sorted(server.said, key=lambda text: b"Content-Length" in text)
    assert b"\r\n\r\n" not in headers
    assert b"X-Slow: xx" in headers
    assert body.partition(b"\r\n\r\n")[2].startswith(b"xx")


def test_a_connection_that_the_server_ends_is_opened_anew() -> None:
    server = _Server(enough=lambda text: text.endswith(b"x"))

    async def work(_: Nuisance) -> None:
        await until(lambda: len(server.said) >= 3)

    server.run(Beside(slow_bodies=1), work)


def test_slow_clients_stand_although_the_server_gives_each_up_before_the_last_begins() -> None:
    server = _Server(enough=lambda text: text.endswith(b"x"))

    async def work(_: Nuisance) -> None:
        assert len(server.said) >= 200

    server.run(Beside(slow_bodies=200), work, stand_within_s=15)


def test_a_phase_without_such_clients_opens_nothing() -> None:
    async def work() -> None:
        async with Nuisance(Beside(), Addresses(TcpAddress("127.0.0.1", free_port()))) as nuisance:
            assert nuisance.open == 0

    run(work())


def test_connections_that_do_not_stand_in_time_are_told() -> None:
    async def work() -> None:
        async with Nuisance(Beside(idle=2), Addresses(TcpAddress("127.0.0.1", free_port())), stand_within_s=0.1):
            pass

    with pytest.raises(ScenarioError, match=r"0 of 2 connections beside the load stand after 0\.1 s"):
        run(work())
