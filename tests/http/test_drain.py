"""What a draining worker says, and that a deaf one takes no connection."""

import subprocess
import sys

import pytest

from tests.kit.serving import Served

_DEAF = """
import socket
from app.http.drain import go_deaf, hear_those_taken
listener = socket.create_server(("127.0.0.1", 0))
early = socket.create_connection(listener.getsockname(), timeout=2)
assert go_deaf() == 1
taken, _ = listener.accept()
hear_those_taken()
early.sendall(b"hello")
assert taken.recv(5) == b"hello"
late = socket.socket()
late.settimeout(0.5)
try:
    late.connect(listener.getsockname())
except TimeoutError:
    print("deaf")
"""


def _draining() -> Served:
    served = Served()
    served.parts.drain.on = True
    return served


@pytest.mark.skipif(sys.platform != "linux", reason="NO LINUX: only its kernel can drop by hops")
def test_a_deaf_process_takes_no_new_connection_and_keeps_those_it_has() -> None:
    """One that waits to be accepted can still be accepted and read; a later one gets no answer at all."""
    done = subprocess.run([sys.executable, "-c", _DEAF], capture_output=True, text=True, check=False)
    assert done.stdout == "deaf\n", done.stderr


def test_a_draining_worker_is_not_ready_and_says_why() -> None:
    with _draining() as served:
        answer = served.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "not_ready")
        assert answer.json()["reason"] == "draining: this worker is about to stop"
        assert served.get("/livez").status_code == 200
        assert served.get("/health").json()["ready"] is False


def test_every_answer_of_a_draining_worker_ends_its_connection() -> None:
    with Served() as served:
        for drained in (False, True):
            answers = [
                served.post("/decide", {"symbol": "AAPL"}),
                served.post("/decide", {"symbol": 3}),
                served.get("/version"),
                served.get("/nowhere"),
            ]
            assert [answer.headers.get("connection") for answer in answers] == ["close" if drained else None] * 4
            served.parts.drain.on = True


def test_a_connection_header_is_there_once() -> None:
    """Also where an answer ends its connection for a reason of its own."""
    with _draining() as served:
        for path in ("/decide", "/decide/batch"):
            answer = served.post(path, b" " * 300_000)
            assert (answer.status_code, answer.headers.get_list("connection")) == (413, ["close"])


def test_the_metrics_say_that_a_worker_drains() -> None:
    with _draining() as served:
        text = served.get("/metrics").text
        assert "decide_draining 1.0" in text
        assert "decide_ready 0.0" in text


_TOLD_EARLY_AND_TWICE = """
import asyncio, os, signal
import uvloop
from app.http.drain import hear_stop, hold_stop

told = []

async def serve():
    await hear_stop()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.05)

hold_stop()
loop = uvloop.new_event_loop()
loop.add_signal_handler(signal.SIGTERM, told.append, 1)
for _ in range(2):
    os.kill(os.getpid(), signal.SIGTERM)
loop.run_until_complete(asyncio.sleep(0.05))
assert told == []
loop.run_until_complete(asyncio.wait_for(serve(), 20))
assert told == [1]
"""


@pytest.mark.skipif(sys.platform == "win32", reason="WINDOWS: it has neither these signals nor uvloop")
def test_a_worker_hears_a_stop_that_came_before_it_served_and_hears_it_once() -> None:
    """Heard early, it would be forgotten by uvloop; heard twice, it would deadlock in Granian."""
    subprocess.run([sys.executable, "-c", _TOLD_EARLY_AND_TWICE], check=True, timeout=60)
