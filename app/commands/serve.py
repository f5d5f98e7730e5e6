"""``decide serve``, and no command at all: check the settings, then start Granian.

Exit codes: 0 stopped, 1 its workers cannot start, or die again and again, 2 a setting is wrong, too few files may be open, Redis
does not accept its password, or there can be no traces, 4 it cannot listen: its port or socket is taken, or its address is not
there (yet).
"""

import argparse
import functools
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app.arguments import new_parser, parse
from app.commands.files import LEAST_CONNECTIONS, connections_within, files_kept, open_files
from app.commands.greeting import LOOK_S, greeting
from app.commands.listening import TcpListener, UnixListener, free_address
from app.commands.server import HANGUP, LOGGER, DecideServer
from app.constants import CONSTANTS, Constants
from app.errors import SettingsError, StoreRefused
from app.http.drain import DRAIN_SIGNAL, hold_stop
from app.observe.crew import Crew
from app.observe.extra import traces_refusal
from app.observe.logs import STDOUT
from app.options import Settings, market_place, store_place
from app.setting_options import add_gone, add_settings, given_settings, tells_settings
from app.settings import (
    MULTIPROCESS_VARIABLE,
    job_ports,
    keys_wanted,
    lend_to_opentelemetry,
    lend_to_workers,
    load_settings,
    loaded_by_unit,
    multiprocess_dir,
    secret_files,
    settings_gone,
)
from app.store.opening import REDIS_CONNECTIONS, open_store
from app.strangers import strangers_told
from app.unix_sockets import socket_path
from app.withheld import withheld

with withheld("watchfiles"):
    from granian.constants import HTTPModes, Interfaces, Loops
    from granian.http import HTTP1Settings
    from granian.log import LogLevels

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

Exit codes: 0 stopped, 1 its workers cannot start, or die again and again, 2 a setting or an argument is wrong, too few files may
be open, Redis does not accept its password, or there can be no traces, 4 it cannot listen: its port or socket is taken, or its
address is not there (yet).
"""
_LINE_MAX = 20_000
"""Letters of a line: the first one names two files, and half a command is none."""
_CANNOT_LISTEN = 4
"""Not a wrong setting's: whoever restarts the server shall try again, since an address may come up later than it."""


def _log_dictconfig(log_format: str, log_level: str) -> dict[str, Any]:
    """Granian's own lines in the same shape as the workers'."""
    if log_format == "auto":
        log_format = "console" if os.isatty(STDOUT) else "json"
    return {
        "formatters": {"decide": {"()": "app.observe.logs.formatter", "log_format": log_format, "text_max": _LINE_MAX}},
        "handlers": {"console": {"()": "app.observe.logs.BackgroundHandler", "formatter": "decide"}},
        "loggers": {
            name: {"handlers": ["console"], "level": log_level.upper(), "propagate": False} for name in ("_granian", LOGGER)
        },
    }


def _loop() -> Loops:
    try:
        import uvloop  # noqa: F401, PLC0415 - only to see whether it is there
    except ImportError:
        return Loops.asyncio
    return Loops.uvloop


def _load_app(constants: Constants, crew: Crew, number: int) -> Callable[..., Any]:
    """Called in each worker, which alone imports the application; until that is done, SIGTERM ends the worker at once."""
    if HANGUP:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # A terminal's SIGINT and SIGHUP reach workers too, and it is the main process that ends them. SIGHUP stays blocked.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    if multiprocess_dir():
        # prometheus-client must not be imported before `serve` has named its folder. Whoever takes a dead worker's place goes on
        # counting in its files: with files of each process their number would grow with every death.
        from prometheus_client import values  # noqa: PLC0415

        values.ValueClass = values.MultiProcessValue(process_identifier=lambda: number)  # type: ignore[no-untyped-call]
    from app.main import create_app  # noqa: PLC0415 - see above

    # Before there are threads, which inherit it.
    hold_stop()
    return create_app(crew, number, constants)


def _forget(number: int) -> None:
    """What a worker that has ended said of itself as it is now (not what it counted) is true no more."""
    if multiprocess_dir():
        from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - see `_load_app`

        mark_process_dead(number)  # type: ignore[no-untyped-call]


def _backlog(settings: Settings) -> int:
    return min(settings.max_connections * settings.workers, 65_535)


def _connections(settings: Settings) -> tuple[int, str]:
    """How many a worker takes, and what is to be said of it.

    Raises:
        SettingsError: the system allows too few open files.
    """
    files = open_files()
    kept = files_kept(REDIS_CONNECTIONS if settings.redis_url else 0)
    found = connections_within(settings.max_connections, files, kept)
    if found is None:
        least = f"at least {kept + LEAST_CONNECTIONS:,}: {kept} for a worker itself, and {LEAST_CONNECTIONS} connections"
        raise SettingsError([f"a process may have {files} files open (ulimit -n); allowed: {least}"])
    if found == settings.max_connections:
        return found, ""
    return found, (
        f"MAX_CONNECTIONS is {settings.max_connections:,}, and a process may have {files:,} files open (ulimit -n): a worker"
        f" takes {found:,} connections, and keeps {kept} files for itself"
    )


def serve(
    settings: Settings,
    place: str | TcpListener | UnixListener,
    connections: int,
    told: str,
    warned: Sequence[str],
    constants: Constants = CONSTANTS,
) -> None:
    """Run the server on an address, or a socket, until it is told to stop; its log begins with ``told`` and ``warned``."""
    listener = None if isinstance(place, str) else place
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
    try:
        server = DecideServer(
            "app.main:create_app",
            **({"uds": place.path} if isinstance(place, UnixListener) else {"address": getattr(place, "address", place)}),
            port=settings.port,
            interface=Interfaces.ASGI,
            workers=settings.workers,
            loop=_loop(),
            # Not "auto": while it waits to see whether HTTP/2 is spoken, and in HTTP/2, no timeout for headers holds, so that a
            # connection that says nothing stays for ever.
            http=HTTPModes.http1,
            websockets=True,
            backlog=_backlog(settings),
            backpressure=connections,
            http1_settings=HTTP1Settings(header_read_timeout=settings.keep_alive_s * 1000),
            log_level=LogLevels(settings.log_level),
            log_dictconfig=_log_dictconfig(settings.log_format, settings.log_level),
            # One unfinished upload would otherwise hold up the stop for ever.
            workers_kill_timeout=settings.shutdown_grace_s,
            drain_s=settings.drain_s,
            listener=listener,
            crew=Crew(settings.workers),
            forget=_forget,
        )
        logging.getLogger(LOGGER).info(told)
        for each in warned:
            logging.getLogger(LOGGER).warning(each)
        # Not by its name: Granian would look for it in the working folder first, and run what else is called so there.
        server.serve(target_loader=functools.partial(_load_app, constants), wrap_loader=False)
    finally:
        for each in filter(None, (signal.SIGTERM, signal.SIGINT, HANGUP)):
            # Python gives handlers up before the process ends: one more signal in that moment would be how it ended.
            signal.signal(each, signal.SIG_IGN)
        if listener is not None:
            listener.remove()
        if values_dir:
            shutil.rmtree(values_dir, ignore_errors=True)


def _check_database(settings: Settings) -> None:
    """Import the database's driver, if one is set, before any worker has to.

    Raises:
        SettingsError: it is not installed, or its URL cannot be read.
    """
    if settings.database_url:
        from app.market.opening import open_reader  # noqa: PLC0415 - imported where there is one

        open_reader(**market_place(settings))


def make_parser() -> argparse.ArgumentParser:
    """The arguments: all settings."""
    made = new_parser("decide serve", "[--SETTING VALUE ...]", description=_DESCRIPTION, epilog=_EPILOGUE)
    add_settings(made)
    add_gone(made)
    return made


@tells_settings
def main(arguments: Sequence[str], constants: Constants = CONSTANTS) -> int:
    """Entry point."""
    options = given_settings(parse(make_parser(), arguments))
    settings = load_settings(options=options)
    keys_wanted(settings)
    _check_database(settings)
    connections, warned = _connections(settings)
    lend_to_workers(options)
    why_not, told = None, ""
    warnings = [*filter(None, [warned]), *strangers_told(os.environ), *settings_gone(options=options)]
    try:
        told = greeting(
            settings,
            open_store(**store_place(settings), read_timeout_s=LOOK_S),
            secret_files(options=options),
            by_unit=loaded_by_unit(),
            by_source=bool(job_ports()),
            now_ms=time.time_ns() // 1_000_000,
            warn=warnings.append,
        )
    except StoreRefused as error:
        why_not = error.detail
    if why_not is None and settings.traces == "on":
        lend_to_opentelemetry()
        why_not = traces_refusal()
    if why_not is not None:
        print(f"settings: {why_not}", file=sys.stderr)
        return 2
    try:
        place = _place(settings)
    except OSError as error:
        where = f"HOST is {settings.host!r}" + ("" if socket_path(settings.host) else f" and PORT is {settings.port}")
        print(f"settings: {where}; cannot listen there: {error.strerror or error}", file=sys.stderr)
        return _CANNOT_LISTEN
    serve(settings, place, connections, told, warnings, constants)
    return 0


def _place(settings: Settings) -> str | TcpListener | UnixListener:
    """Where to listen; raises OSError if that cannot be."""
    path = socket_path(settings.host)
    if path is None and sys.platform == "win32":
        return free_address(settings.host, settings.port)
    if path is None:
        return TcpListener(settings.host, settings.port, _backlog(settings), settings.workers)
    return UnixListener(Path(path), int(settings.socket_mode, 8), _backlog(settings))
