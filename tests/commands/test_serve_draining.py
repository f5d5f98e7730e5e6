"""The order in which a server on a Unix socket ends."""

import sys
from pathlib import Path

import pytest
from granian.constants import Interfaces

from app.commands.listening import UnixListener
from app.commands.server import DecideServer
from app.observe.crew import Crew

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="WINDOWS: it has no Unix socket for the server")


class _Watched(DecideServer):
    """Notes whether the socket's file is there as its workers are told something, and as it would stop."""

    def __init__(self, listener: UnixListener) -> None:
        super().__init__("none", interface=Interfaces.ASGI, uds=listener.path, drain_s=0.01, listener=listener, crew=Crew())
        self.path = listener.path
        self.seen: list[tuple[str, bool]] = []

    def _tell_workers(self) -> bool:
        self.seen.append(("told", self.path.exists()))
        return True

    def signal_handler_interrupt(self, *arguments: object, **options: object) -> None:
        """Not as Granian does, which would look for a server that runs."""
        del arguments, options
        self.seen.append(("stopped", self.path.exists()))


def test_the_file_goes_before_the_workers_go_deaf_and_before_the_stop(tmp_path: Path) -> None:
    """Callers then go elsewhere while those who are connected are still served."""
    listener = UnixListener(tmp_path / "decide.sock", 0o600, 16)
    with listener.socket:
        server = _Watched(listener)
        assert server.path.exists()
        server._drain()
    assert server.seen == [("told", False), ("stopped", False)]
