"""What systemd is told, and that nothing comes of it when nobody listens."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.observe.supervisor import Supervisor


class _End(Exception):
    """The test has seen enough."""


@pytest.fixture(params=["file", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Where systemd listens, and what it calls that."""
    name = str(tmp_path / "notify") if request.param == "file" else f"@decide-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name[1:] if name.startswith("@") else name)
        listening.settimeout(0.0)
        yield listening, name


def _heard(systemd: socket.socket) -> list[str]:
    heard = []
    try:
        while True:
            heard.append(systemd.recv(4096).decode())
    except BlockingIOError:
        return heard


def _run(path: str, ups: list[bool], statuses: list[str]) -> None:
    """As long as there are statuses, with a server that is up when ``ups`` says so."""

    async def sleep(_: float) -> None:
        if not statuses:
            raise _End

    with pytest.raises(_End):
        asyncio.run(Supervisor(path, sleep).run(lambda: ups.pop(0), lambda: statuses.pop(0)))


def test_it_is_told_ready_once_and_what_changes_afterwards(systemd: tuple[socket.socket, str]) -> None:
    listening, path = systemd
    _run(path, [False, False, True], ["empty", "empty", "serving", "serving"])
    assert _heard(listening) == ["READY=1\nSTATUS=empty", "STATUS=serving"]


def test_it_is_told_that_the_end_has_begun(systemd: tuple[socket.socket, str]) -> None:
    listening, path = systemd
    Supervisor(path).stopping("draining")
    assert _heard(listening) == ["STOPPING=1\nSTATUS=draining"]


def test_the_end_of_a_part_is_not_that_of_its_unit(systemd: tuple[socket.socket, str]) -> None:
    listening, path = systemd
    Supervisor(path, a_part=True).stopping("draining")
    assert _heard(listening) == ["STATUS=draining"]


@pytest.mark.parametrize("path", ["", "/nonexistent/notify", "@nobody-listens-here", "relative", "/" + "x" * 300, "@a\0b"])
def test_where_nobody_listens_nothing_happens(path: str) -> None:
    _run(path, [True], ["empty", "serving"])
    Supervisor(path).stopping("draining")


def test_a_supervisor_that_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        supervisor = Supervisor(str(tmp_path / "notify"))
        for _ in range(5000):
            supervisor.stopping("x" * 1000)
