"""``decide serve``, and no command at all: check the settings, then start Granian.

Exit codes: 0 stopped, 2 a setting is wrong, Redis does not accept its password, or there can be no traces, 4 it cannot listen:
its port or socket is taken, or its address is not there (yet).
"""

import contextlib
import functools
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server import Server

from app.arguments import Parser
from app.cache.opening import open_store
from app.cache.store import Store
from app.commands.greeting import LOOK_S, greeting
from app.commands.listening import UnixListener, free_address
from app.errors import SettingsError, StoreRefused
from app.middleware.drain import DEAF_S, DRAIN_SIGNAL
from app.options import Settings
from app.setting_options import add_settings, given_settings
from app.settings import (
    MULTIPROCESS_VARIABLE,
    keys_wanted,
    lend_to_opentelemetry,
    lend_to_workers,
    load_settings,
    loaded_by_unit,
    secret_files,
)
from app.unix_sockets import socket_path

_DESCRIPTION = """\
Start the server: POST /decide, the console at /, the API's page at /docs, /metrics for Prometheus.

Without REDIS_URL it keeps its data in a SQLite file, which is made where there is none; it is ready once something was loaded
(`decide warm --prices FILES`), and sees what is loaded later by itself. SIGTERM drains it: nobody's request is lost; so does a
terminal that is closed (SIGHUP), unless it runs under nohup. Ctrl-C stops it at once."""
_EPILOGUE = """\
Every setting is also an environment variable (--l1-ttl-s is L1_TTL_S), or a line of a file .env in the working folder; an option
is worth more than the environment, and that more than the file. Secrets (REDIS_URL, REDIS_PASSWORD, API_KEY_SECRET) are taken
from the environment, or from the file that an option names, because everybody on the machine can read a command line.

Examples:
  decide serve
  decide serve --port 9000 --store-path /var/lib/decide/store.sqlite3
  decide serve --host unix:/run/decide/decide.sock
  REDIS_URL=redis://localhost:6379/0 decide serve --workers 2

Exit codes: 0 stopped, 2 a setting or an argument is wrong, Redis does not accept its password, or there can be no traces, 4 it
cannot listen: its port or socket is taken, or its address is not there (yet).
"""
_LOGGER = "decide.start"
_SIGNAL_LOOK_S = 0.2
_LINE_MAX = 20_000
"""Letters of a line: the first one names two files, and half a command is none."""
_CANNOT_LISTEN = 4
"""Not a wrong setting's: whoever restarts the server shall try again, since an address may come up later than it."""
_HANGUP = getattr(signal, "SIGHUP", 0)
"""What a terminal that is closed sends to all it has started; 0 where there is no such signal (Windows)."""
_EXIT_LOOK_S = 0.001
_WRITTEN_DOWN_S = 1.0
_FAREWELL_S = 0.2
"""How long answers that have no end of their own have for their last word, where the server stops at once."""


def _log_dictconfig(log_format: str, log_level: str) -> dict[str, Any]:
    """Granian's own lines in the same shape as the workers'."""
    if log_format == "auto":
        log_format = "console" if sys.stdout.isatty() else "json"
    return {
        "formatters": {"decide": {"()": "app.observe.logs.formatter", "log_format": log_format, "text_max": _LINE_MAX}},
        "handlers": {"console": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "decide"}},
        "loggers": {
            name: {"handlers": ["console"], "level": log_level.upper(), "propagate": False} for name in ("_granian", _LOGGER)
        },
    }


def _loop(name: str) -> Loops:
    if name != "auto":
        return Loops(name)
    try:
        import uvloop  # noqa: F401, PLC0415 - only to see whether it is there
    except ImportError:
        return Loops.asyncio
    return Loops.uvloop


class _PatientEvent(threading.Event):
    """An event whose waiter wakes up now and then.

    Of two signals that come at once (Ctrl-C and SIGTERM, say) the kernel gives the second to another thread; CPython's main
    thread, waiting for a lock without a time limit, then may run the handler of neither. Any bytecode it runs lets it.
    """

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is not None:
            return super().wait(timeout)
        while not super().wait(_SIGNAL_LOOK_S):
            pass
        return True


class _Server(Server):  # type: ignore[misc, valid-type]
    """Granian, with a stop that may be asked for twice at once, and that lets the workers drain first.

    SIGTERM comes from whoever runs the process, whose callers shall notice nothing: the workers are told to drain, go deaf
    ``drain_s`` later, and are stopped. SIGHUP is the same, of a terminal that is closed: the kernel says so, and the shell, so a
    second one is no hurry. Anything else (Ctrl-C), and a second signal, stops at once; but workers are
    told a moment before, or answers that have no end of their own would hold up the stop until the workers are killed.

    A Unix socket is ``listener``'s: its file goes when the workers go deaf, as long as no successor has put its own there.
    """

    def __init__(self, *arguments: Any, drain_s: float, listener: UnixListener | None, **options: Any) -> None:  # noqa: ANN401 - Granian's own
        super().__init__(*arguments, **options)
        self.main_loop_interrupt = _PatientEvent()
        self._drain_s = drain_s
        self._draining = False
        self._listener = listener
        # Granian's own starts the workers anew. Where it is ignored (nohup), that is inherited, and stays if Granian has none.
        is_ignored = bool(_HANGUP) and signal.getsignal(_HANGUP) == signal.SIG_IGN
        self.signal_handler_reload = None if is_ignored else self.signal_handler_interrupt

    def _init_shared_socket(self) -> None:
        if self._listener is None:
            super()._init_shared_socket()
            return
        self._sso = self._listener.socket
        self._sso.set_inheritable(True)
        self._sfd = self._sso.fileno()
        self._shd = SocketHolder(self._sfd, uds=True, backlog=self._listener.backlog)  # type: ignore[call-arg]
        self._ssp = None

    def shutdown(self, exit_code: int = 0) -> None:
        if self._listener is not None:
            self._listener.remove()
            # Granian would remove at the end whatever is there, which may be the successor's by then.
            self.bind_uds = None
        super().shutdown(exit_code)

    def _spawn_workers(self, *arguments: Any) -> None:  # noqa: ANN401 - Granian's own
        if not _HANGUP:
            super()._spawn_workers(*arguments)
            return
        # Workers are copies of this process, with its handlers, which are not theirs to run. Blocked, which is inherited, signals
        # wait until `_load_app` has them mean something else; the main process hears right after what came meanwhile.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {_HANGUP, signal.SIGTERM, signal.SIGINT})
        try:
            super()._spawn_workers(*arguments)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _spawn_worker(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - Granian's own
        worker = super()._spawn_worker(*arguments, **options)
        # By Granian's own a worker that stopped in time may be taken for one that did not.
        worker.join = functools.partial(await_exit, worker.inner)
        return worker

    def signal_handler_interrupt(self, *arguments: object, **options: object) -> None:
        if self._draining and arguments[:1] == (_HANGUP,):
            return
        is_patient = arguments[:1] in ((signal.SIGTERM,), (_HANGUP,))
        if is_patient and self._drain_s and not self._draining and self._tell_workers():
            self._draining = True
            threading.Thread(target=self._drain, daemon=True).start()
            return
        # The handler sets the event in the thread that waits for it, which may hold its lock while it wakes up.
        if not self.interrupt_signal:
            if not self._draining and self._tell_workers():
                self._draining = True
                for worker in self.wrks:
                    # Ctrl-C at a terminal reaches workers too: one that ends of it is no fault.
                    worker.interrupt_by_parent = True
                time.sleep(_FAREWELL_S)
            super().signal_handler_interrupt(*arguments, **options)

    def _drain(self) -> None:
        time.sleep(self._drain_s)
        if self._listener is not None:
            self._listener.remove()
        self._tell_workers()
        time.sleep(DEAF_S)
        self.signal_handler_interrupt()

    def _tell_workers(self) -> bool:
        """Whether there was a worker to tell."""
        told = False
        if DRAIN_SIGNAL is None:
            return told
        for worker in self.wrks:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.inner.pid, DRAIN_SIGNAL)
                told = True
        return told


def await_exit(process: BaseProcess, timeout_s: float | None = None) -> None:
    """Return once ``process`` has ended and its exit code is known, or after ``timeout_s``; None: however long it takes.

    Another thread (Granian has one for each worker) may be told of the end first. Then `join` returns, and `is_alive` is true,
    until that thread has written the exit code down, which on a busy machine takes its time: a worker that stopped as it should
    would be reported as killed. An exit code that does not come is not waited for long.
    """
    process.join(timeout_s)
    deadline = time.monotonic() + _WRITTEN_DOWN_S
    while process.exitcode is None and wait([process.sentinel], 0) and time.monotonic() < deadline:
        time.sleep(_EXIT_LOOK_S)


def _raise_open_files() -> None:
    """Let a worker have as many connections as the system allows it: many systems start processes with 1,024 open files."""
    try:
        import resource  # noqa: PLC0415 - there is none on Windows, nor such a limit
    except ImportError:
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS says there is no limit and takes none above its own.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _load_app() -> Callable[..., Any]:
    """Called in each worker, which alone imports the application; until that serves, SIGTERM ends the worker at once."""
    if _HANGUP:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # A terminal's SIGINT and SIGHUP reach workers too, and it is the main process that ends them. SIGHUP stays blocked.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    from app.main import create_app  # noqa: PLC0415 - prometheus-client must not be imported before `serve` has named its folder

    return create_app()


def _backlog(settings: Settings) -> int:
    return min(settings.max_connections * settings.workers, 65_535)


def serve(settings: Settings, place: str | UnixListener, told: str) -> None:
    """Run the server on an address, or a Unix socket, until it is told to stop; ``told`` is the first line of its log."""
    listener = place if isinstance(place, UnixListener) else None
    values_dir = ""
    if settings.workers > 1:
        # prometheus-client reads the variable when it is first imported, in the workers; the folder must be empty.
        values_dir = os.environ[MULTIPROCESS_VARIABLE] = tempfile.mkdtemp(prefix="decide-metrics-")
    if DRAIN_SIGNAL is not None:
        # Inherited by the workers, which it would otherwise end while they are not yet listening for it.
        signal.signal(DRAIN_SIGNAL, signal.SIG_IGN)
    if hasattr(signal, "SIGCHLD"):
        # Whoever started this may ignore it, which is inherited: nobody would be told how a worker ended.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _raise_open_files()
    try:
        server = _Server(
            "app.main:create_app",
            **({"address": place} if listener is None else {"uds": listener.path}),
            port=settings.port,
            interface=Interfaces.ASGI,
            workers=settings.workers,
            loop=_loop(settings.loop),
            # Not "auto": while it waits to see whether HTTP/2 is spoken, and in HTTP/2, no timeout for headers holds, so that a
            # connection that says nothing stays for ever.
            http=HTTPModes.http1,
            websockets=True,
            backlog=_backlog(settings),
            backpressure=settings.max_connections,
            http1_settings=HTTP1Settings(header_read_timeout=settings.keep_alive_s * 1000),
            log_level=LogLevels(settings.log_level),
            log_dictconfig=_log_dictconfig(settings.log_format, settings.log_level),
            # One unfinished upload would otherwise hold up the stop for ever.
            workers_kill_timeout=settings.shutdown_grace_s,
            drain_s=settings.drain_s,
            listener=listener,
        )
        logging.getLogger(_LOGGER).info(told)
        # Not by its name: Granian would look for it in the working folder first, and run what else is called so there.
        server.serve(target_loader=_load_app, wrap_loader=False)
    finally:
        if listener is not None:
            listener.remove()
        if values_dir:
            shutil.rmtree(values_dir, ignore_errors=True)


def _traces_refusal() -> str | None:
    """Why there can be no traces, if so; asked before any worker is started."""
    lend_to_opentelemetry()
    try:
        from app.observe.exporting import refusal as traces_refusal  # noqa: PLC0415 - OpenTelemetry is an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        return "TRACES is 'on' and OpenTelemetry is not installed; allowed: off, or on with requirements-traces.lock installed"
    return traces_refusal()


def _store(settings: Settings) -> Store:
    return open_store(
        redis_url=settings.redis_url,
        redis_password=settings.redis_password,
        store_path=Path(settings.store_path),
        key_prefix=settings.key_prefix,
        read_timeout_s=LOOK_S,
    )


def make_parser() -> Parser:
    """The arguments: all settings."""
    made = Parser("decide serve", usage="decide serve [--SETTING VALUE ...]", description=_DESCRIPTION, epilog=_EPILOGUE)
    add_settings(made)
    return made


def main(arguments: Sequence[str]) -> int:
    """Entry point."""
    options = given_settings(make_parser().parse_args(arguments))
    try:
        settings = load_settings(options=options)
        keys_wanted(settings)
    except SettingsError as error:
        for line in error.lines:
            print(f"settings: {line}", file=sys.stderr)
        return 2
    lend_to_workers(options)
    refused, told = None, ""
    try:
        told = greeting(settings, _store(settings), secret_files(options=options), by_unit=loaded_by_unit())
    except StoreRefused as error:
        refused = error.detail
    if refused is None and settings.traces == "on":
        refused = _traces_refusal()
    if refused is not None:
        print(f"settings: {refused}", file=sys.stderr)
        return 2
    try:
        place = _place(settings)
    except OSError as error:
        where = f"HOST is {settings.host!r}" + ("" if socket_path(settings.host) else f" and PORT is {settings.port}")
        print(f"settings: {where}; cannot listen there: {error.strerror or error}", file=sys.stderr)
        return _CANNOT_LISTEN
    serve(settings, place, told)
    return 0


def _place(settings: Settings) -> str | UnixListener:
    """Where to listen; raises OSError if that cannot be."""
    path = socket_path(settings.host)
    if path is None:
        return free_address(settings.host, settings.port)
    return UnixListener(Path(path), int(settings.socket_mode, 8), _backlog(settings))
