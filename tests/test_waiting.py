"""Waiting for L2: what counts as its time."""

import asyncio
import time

import pytest

from app.errors import StoreError
from app.waiting import call_when_over, wait_for_store


def test_a_reply_that_came_while_the_loop_was_busy_is_in_time() -> None:
    """The loop is held for longer than the whole wait; the reply lies in the socket when it turns again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"pong\n")
        await writer.drain()
        writer.close()

    async def ask(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"ping\n")
        loop = asyncio.get_running_loop()
        # The reply is on its way when somebody else's work begins.
        loop.call_later(0.02, time.sleep, 0.5)
        line = await reader.readline()
        writer.close()
        return line

    async def run() -> None:
        server = await asyncio.start_server(slow, "127.0.0.1", 0)
        async with server:
            assert await wait_for_store(ask(server.sockets[0].getsockname()[1]), 0.2) == b"pong\n"

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        await serve(reader, writer)

    asyncio.run(run())


def test_what_does_not_come_is_a_timeout() -> None:
    async def run() -> None:
        ended = asyncio.Event()

        async def work() -> None:
            await ended.wait()

        with pytest.raises(StoreError):
            await wait_for_store(work(), 0.01)
        ended.set()

    asyncio.run(run())


def test_what_ends_a_wait_comes_after_what_came_while_the_loop_was_busy() -> None:
    async def run() -> None:
        loop, heard = asyncio.get_running_loop(), []
        over = asyncio.Event()

        def end() -> None:
            heard.append("over")
            over.set()

        def hear(turns: int) -> None:
            if turns:
                loop.call_soon(hear, turns - 1)
            else:
                heard.append("reply")

        call_when_over(loop, 0.05, end)
        loop.call_soon(time.sleep, 0.2)
        loop.call_soon(hear, 3)
        await over.wait()
        assert heard == ["reply", "over"]

    asyncio.run(run())


def test_a_timer_that_is_cancelled_in_time_ends_nothing() -> None:
    async def run() -> None:
        called: list[bool] = []
        call_when_over(asyncio.get_running_loop(), 0.01, lambda: called.append(True)).cancel()
        await asyncio.sleep(0.05)
        assert called == []

    asyncio.run(run())
