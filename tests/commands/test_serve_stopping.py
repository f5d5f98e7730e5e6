"""What the main process makes of workers that it has told to stop."""

import functools
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from granian.constants import Interfaces

from app.commands.listening import UnixListener
from app.commands.server import DecideServer, await_exit
from app.observe.crew import Crew
from tests.kit.servers import ROOT, clean_environment, connect, free_port, until, wait_for_port

_not_windows = pytest.mark.skipif(sys.platform == "win32", reason="WINDOWS: nobody takes an exit code from somebody else")


def _ended_elsewhere() -> BaseProcess:
    """A process that multiprocessing takes for one that runs, because somebody else was told of its end."""
    process = multiprocessing.get_context("spawn").Process(target=os.getpid)
    process.start()
    os.waitpid(process.pid or 0, 0)
    process.join(10)
    assert process.is_alive()
    return process


@_not_windows
def test_a_worker_whose_end_another_thread_was_told_of_has_stopped() -> None:
    process = _ended_elsewhere()

    def write_down() -> None:
        process._popen.returncode = 0  # type: ignore[attr-defined]

    threading.Timer(0.1, write_down).start()
    await_exit(process)
    assert not process.is_alive()


@_not_windows
def test_an_end_that_nobody_is_told_of_does_not_hold_up_the_stop() -> None:
    """As where somebody else has taken the exit code away."""
    process = _ended_elsewhere()
    await_exit(process)
    assert process.is_alive()


def test_a_worker_that_does_not_stop_is_waited_for_no_longer_than_it_has() -> None:
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    process.start()
    try:
        await_exit(process, 0.05)
        assert process.is_alive()
    finally:
        process.kill()
        process.join()


@_not_windows
def test_granian_waits_for_workers_that_way(tmp_path: Path) -> None:
    listener = UnixListener(tmp_path / "decide.sock", 0o600, 16)
    with listener.socket:
        server = DecideServer("none", interface=Interfaces.ASGI, uds=listener.path, drain_s=0.0, listener=listener, crew=Crew())
        server._init_shared_socket()
        worker = server._spawn_worker(idx=0, target=os.getpid, callback_loader=os.getpid)
    assert isinstance(worker.join, functools.partial)
    assert worker.join.func is await_exit
    assert worker.join.args == (worker.inner,)


@_not_windows
def test_the_recipe_that_serves_ends_on_sigterm_with_the_server(tmp_path: Path) -> None:
    """The recipe's runner tells its own child alone, which is to be the server and not a shell that starts it."""
    just = shutil.which("just")
    if just is None:
        pytest.skip("NO JUST: its recipe was not run")
    recipe = re.search(r"(?m)^serve \*arguments: _runtime\n((?: .*\n)+)", (ROOT / "justfile").read_text(encoding="utf-8"))
    assert recipe
    tmp_path.joinpath("justfile").write_text(f"python := {sys.executable!r}\nserve *arguments:\n{recipe[1]}", encoding="utf-8")
    port = free_port()
    environment = clean_environment({"PORT": str(port), "PYTHONPATH": str(ROOT), "DRAIN_S": "0"})
    process = subprocess.Popen([just, "serve", "--workers", "1"], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        process.terminate()
        process.wait(30)
        until(lambda: not _listens(port), 30, "the server has ended too")
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    try:
        connect(port).close()
    except OSError:
        return False
    return True
