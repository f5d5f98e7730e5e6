"""Ending connections over a Unix socket whose clients do not read: there no peer has an address."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from app.http.hangup import NAMELESS, PEER, HangUps, full_ones, keep_peer, shut
from tests.kit.servers import connect

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="NO LINUX: nothing else says which sockets a process has")
_OVER_UNIX: Scope = {"type": "http", "client": ("", "0")}


class _Pairs:
    """Connections to a listener of this process: clients, and what the server has of them."""

    def __init__(self, listener: socket.socket, path: Path, count: int) -> None:
        self.clients, self.served = [], []
        for _ in range(count):
            self.clients.append(connect(path, 10))
            self.served.append(listener.accept()[0])

    def fill(self, number: int) -> None:
        """This client does not read."""
        self.served[number].settimeout(0.0)
        with contextlib.suppress(BlockingIOError):
            while self.served[number].send(b"x" * 65_536):
                pass

    def read(self, number: int) -> None:
        """This client reads what there is."""
        self.clients[number].settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            while self.clients[number].recv(1 << 20):
                pass

    def is_ended(self, number: int) -> bool:
        """Whether the server can send this client nothing more."""
        try:
            self.served[number].send(b"x")
        except BrokenPipeError:
            return True
        except BlockingIOError:
            return False
        return False


@contextmanager
def _pairs(folder: Path, count: int) -> Iterator[_Pairs]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "decide.sock"))
        listener.listen(count)
        pairs = _Pairs(listener, folder / "decide.sock", count)
        try:
            yield pairs
        finally:
            for each in (*pairs.clients, *pairs.served):
                each.close()


def _asked(times: int, meanwhile: Callable[[int], None] = lambda _: None, looks: int = 10) -> None:
    """So many are to be ended; ``meanwhile`` happens between two looks at who is stuck."""

    async def work() -> None:
        slept = 0
        over = asyncio.Event()

        async def sleep(_: float) -> None:
            nonlocal slept
            slept += 1
            if slept > looks:
                over.set()
                await asyncio.Event().wait()
            meanwhile(slept)

        hang_ups = HangUps(sleep)
        for _ in range(times):
            hang_ups.ask(_OVER_UNIX)
        task = hang_ups._looking
        assert task is not None
        await asyncio.wait({task, asyncio.ensure_future(over.wait())}, return_when=asyncio.FIRST_COMPLETED)

    asyncio.run(work())


def test_who_takes_nothing_is_ended_and_nobody_else(tmp_path: Path) -> None:
    with _pairs(tmp_path, 3) as pairs:
        pairs.fill(1)
        _asked(1)
        assert [pairs.is_ended(number) for number in range(3)] == [False, True, False]


def test_nobody_is_ended_in_place_of_one_that_trickles(tmp_path: Path) -> None:
    """Who takes a little now and then may be the one that is meant: it is not stuck, and the other one was only paused."""
    with _pairs(tmp_path, 2) as pairs:
        pairs.fill(0)
        pairs.fill(1)

        def read_some(_: int) -> None:
            pairs.read(0)
            pairs.fill(0)
            pairs.clients[0].recv(1 << 16)

        _asked(1, read_some)
        assert [pairs.is_ended(number) for number in range(2)] == [False, False]


def test_where_all_are_asked_for_one_that_trickles_keeps_no_other(tmp_path: Path) -> None:
    """As at the end of a server: then there is nobody who could be ended by mistake."""
    with _pairs(tmp_path, 2) as pairs:
        pairs.fill(0)
        pairs.fill(1)

        def read_some(_: int) -> None:
            pairs.clients[0].recv(1 << 16)

        _asked(2, read_some)
        assert [pairs.is_ended(number) for number in range(2)] == [False, True]


def test_nobody_is_ended_in_place_of_one_that_was_full_again(tmp_path: Path) -> None:
    """One that had read everything at the first look, and is full at the second, may be the one that is meant."""
    with _pairs(tmp_path, 2) as pairs:
        pairs.fill(1)
        _asked(1, lambda look: pairs.fill(0) if look == 1 else pairs.read(0))
        assert [pairs.is_ended(number) for number in range(2)] == [False, False]


def test_who_asks_between_two_looks_has_both_its_looks(tmp_path: Path) -> None:
    """What the first look did not see for it cannot tell it from another; nor is anybody ended for one that was ended with it."""

    async def work() -> None:
        slept = 0

        async def sleep(_: float) -> None:
            nonlocal slept
            slept += 1
            if slept == 1:
                pairs.fill(1)
                hang_ups.ask(_OVER_UNIX)
            elif slept == 2:
                assert [pairs.is_ended(number) for number in range(2)] == [False, False]

        hang_ups = HangUps(sleep)
        hang_ups.ask(_OVER_UNIX)
        assert hang_ups._looking is not None
        await hang_ups._looking
        assert (slept, hang_ups._nameless) == (2, 0)

    with _pairs(tmp_path, 2) as pairs:
        pairs.fill(0)
        asyncio.run(work())
        assert [pairs.is_ended(number) for number in range(2)] == [True, True]


def test_what_was_asked_for_is_settled_with_the_end_of_those_found(tmp_path: Path) -> None:
    """Three were, of which two had gone by themselves: whoever stops reading later is not ended for them."""
    with _pairs(tmp_path, 2) as pairs:

        async def work() -> None:
            async def sleep(_: float) -> None:
                await asyncio.sleep(0)

            hang_ups = HangUps(sleep)
            for _ in range(3):
                hang_ups.ask(_OVER_UNIX)
            assert hang_ups._looking is not None
            await hang_ups._looking
            assert pairs.is_ended(0)
            assert hang_ups._nameless == 0

        pairs.fill(0)
        asyncio.run(work())


def test_where_it_is_not_known_who_is_meant_nobody_is_ended(tmp_path: Path) -> None:
    """Two are stuck and one was asked for; and if one of them reads on, it may have been that one."""
    with _pairs(tmp_path, 2) as pairs:
        pairs.fill(0)
        pairs.fill(1)
        _asked(1)
        assert [pairs.is_ended(number) for number in range(2)] == [False, False]
        _asked(1, lambda look: pairs.read(0) if look == 3 else None)
        assert [pairs.is_ended(number) for number in range(2)] == [False, False]


def test_what_could_not_be_told_apart_is_when_the_rest_is_asked_for(tmp_path: Path) -> None:
    """At the end of a server all that are stuck are asked for, those of earlier included."""

    async def work() -> None:
        async def sleep(_: float) -> None:
            await asyncio.sleep(0)

        hang_ups = HangUps(sleep)
        for _ in range(2):
            hang_ups.ask(_OVER_UNIX)
            assert hang_ups._looking is not None
            await hang_ups._looking
        assert hang_ups._nameless == 0

    with _pairs(tmp_path, 2) as pairs:
        pairs.fill(0)
        pairs.fill(1)
        asyncio.run(work())
        assert [pairs.is_ended(number) for number in range(2)] == [True, True]


def test_one_that_has_gone_by_itself_is_not_looked_for(tmp_path: Path) -> None:
    """Nor is somebody else ended in its place, later."""
    with _pairs(tmp_path, 2) as pairs:
        _asked(1, looks=1)
        pairs.fill(0)
        assert not pairs.is_ended(0)


def test_one_that_has_read_on_before_it_is_shut_is_left(tmp_path: Path) -> None:
    """The last look and the end are not one step."""
    with _pairs(tmp_path, 1) as pairs:
        pairs.fill(0)
        stuck = full_ones()
        assert len(stuck) == 1
        pairs.read(0)
        assert shut(stuck) == 0
        assert full_ones() == {}


def test_connections_of_its_own_to_elsewhere_are_no_callers(tmp_path: Path) -> None:
    """To Redis over a Unix socket, say, which may be slow too."""
    del tmp_path
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.0)
        with contextlib.suppress(BlockingIOError):
            while ours.send(b"x" * 65_536):
                pass
        assert full_ones() == {}


def test_a_client_of_a_unix_socket_is_named_so_that_it_can_be_trusted() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del receive, send
        seen.append(scope)

    async def never(*_: object) -> Any:  # noqa: ANN401 - as ASGI has it
        raise AssertionError

    async def work() -> None:
        for client in (("", "0"), ("192.0.2.1", "7")):
            await keep_peer(app)({"type": "http", "client": client}, never, never)

    asyncio.run(work())
    assert [(each["client"], each[PEER]) for each in seen] == [
        ((NAMELESS, 0), ("", "0")),
        (("192.0.2.1", "7"), ("192.0.2.1", "7")),
    ]
