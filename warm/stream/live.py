"""``decide live``: a server, a source of trades, and the stream from the one to the other, in one go, in an empty folder.

Simulated prices move, candles grow, and decisions follow: http://localhost:8000/ shows them. These are `decide serve`,
`decide ingest` and `decide stream`, each a process of its own: one that dies is started anew. Ctrl-C or SIGTERM ends all of them,
and so does, on Linux, the end of this process, however it comes. What was made stays in the folder .decide, and the same command
goes on with it. /metrics of the server has what the others count.
Exit codes: 0 ended by SIGTERM or Ctrl-C; 2 a setting or an argument is wrong, or the market store has real trades of a symbol;
4 it cannot listen: its port or socket is taken.
"""

import argparse
import contextlib
import ctypes
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

from app.arguments import new_parser, parse
from app.errors import SettingsError
from app.program import DECIDE, environment
from app.setting_options import add_settings, given_settings, tells_settings
from app.settings import JOB_PORTS_VARIABLE, lend_to_workers, load_settings
from warm.saying import sayer
from warm.stream.family import Family, Part
from warm.stream.ingest import SOURCES, add_source, chosen

_PR_SET_PDEATHSIG = 1
_HANGUP = getattr(signal, "SIGHUP", None)
_LOOPBACK = {"HOST": "127.0.0.1", "TRUSTED_PROXIES": ""}
"""Where jobs show what they count, wherever the server listens; both settings must fit each other."""
MOMENT_S = 5.0
"""What ending takes beside what settings allow for it."""


def make_parser() -> argparse.ArgumentParser:
    """The arguments: those of the source, and all settings."""
    made = new_parser("decide live", "[--OPTION VALUE ...]", description=__doc__)
    made.add_argument("--source", choices=SOURCES, default="synthetic", help="where trades come from (default synthetic)")
    add_source(made)
    add_settings(made)
    return made


@tells_settings
def main(given: Sequence[str]) -> int:
    """Entry point."""
    parser = make_parser()
    arguments = parse(parser, given)
    if importlib.util.find_spec("polars") is None:
        # Its parts need it, and would say so one after the other.
        raise ModuleNotFoundError("No module named 'polars'", name="polars")
    source = chosen(parser, arguments)
    options = given_settings(arguments)
    settings = load_settings(options=options)
    if settings.clock != "wall":
        raise SettingsError([f"CLOCK is {settings.clock!r}; allowed with decide live: wall"])
    # A replay is over some time, also where some of it was refused, and what it brought is served on.
    ends = (0, 1) if arguments.source == "replay" else ()
    lent = dict(os.environ)
    lend_to_workers(options, lent)
    stop = _Stop()
    grace_s = settings.drain_s + settings.shutdown_grace_s + MOMENT_S
    with _free_port() as of_source, _free_port() as of_stream:
        parts = [
            Part(["serve"], variables={JOB_PORTS_VARIABLE: f"{of_source},{of_stream}"}),
            Part(["ingest", *source], ends, {**_LOOPBACK, "INGEST_PORT": str(of_source)}),
            Part(["stream"], variables={**_LOOPBACK, "STREAM_PORT": str(of_stream)}),
        ]
        family = Family(parts, _starter(environment(lent)), sayer(sys.stderr, "live"), grace_s=grace_s)
        return family.run(stop, lambda: stop.number)


@contextlib.contextmanager
def _free_port() -> Iterator[int]:
    """One on loopback. Linux gives it to nobody else meanwhile but to who names it, as a part does: to have a port is not yet to
    listen there.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        if sys.platform != "linux":
            held.close()
        yield port


class _Stop(threading.Event):
    """Is set by the signal ``number``, as which it is handed on."""

    def __init__(self) -> None:
        super().__init__()
        self.number = int(signal.SIGTERM)
        for each in filter(None, (signal.SIGINT, signal.SIGTERM, _HANGUP)):
            # Whoever starts it may have it ignore one (nohup).
            if signal.getsignal(each) != signal.SIG_IGN:
                signal.signal(each, self._hear)

    def _hear(self, number: int, _: object) -> None:
        if not self.is_set():
            self.number = int(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)
        self.set()


class _Group:
    """A process with all that it starts. A terminal's Ctrl-C does not reach it: it is told to end, once."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process, self.pid = process, process.pid

    def poll(self) -> int | None:
        """As of the process."""
        return self._process.poll()

    def tell(self, number: int) -> None:
        """The process alone, which tells others."""
        self._process.send_signal(signal.SIGTERM if os.name == "nt" else number)

    def end(self) -> None:
        """The whole group."""
        if os.name == "nt":
            self._process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def _starter(lent: Mapping[str, str]) -> Callable[[Part], _Group]:
    tied = _end_with(os.getpid()) if sys.platform == "linux" else None

    def start(part: Part) -> _Group:
        command = [*DECIDE, *part.arguments]
        return _Group(
            subprocess.Popen(  # noqa: S603 - Decide itself
                command,
                env={**lent, **part.variables},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=tied,  # noqa: PLW1509 - there are no threads
            )
        )

    return start


def _end_with(parent: int) -> Callable[[], None]:
    """What a process runs at its beginning, so that the kernel stops it when ``parent`` is gone, however that ends."""
    prctl = ctypes.CDLL(None).prctl

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            # Gone before.
            os._exit(1)

    return tie
