"""What the command line of ``decide market load`` asks for."""

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from app.market.opening import open_reader, open_writer
from app.options import market_place
from app.setting_options import settings_given, tells_settings
from warm.calendar.sessions import open_zone
from warm.errors import InputRefused
from warm.files.memory import MB, MemoryBound
from warm.files.names import SymbolChoice, parse_symbol
from warm.files.trades.names import Options
from warm.market.load import Wanted, run_load
from warm.market.telling import open_teller
from warm.market.ticks import publish_ticks
from warm.publish import settings_store
from warm.report import end_process, end_report

_READ_S = 60.0


def options_of(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> tuple[Options, tuple[SymbolChoice, ...]]:
    """What the options of `warm.market.arguments.add_reading` say; ends the process with code 2 if it makes no sense."""
    try:
        zone = None if arguments.naive_timezone is None else open_zone(arguments.naive_timezone, "--naive-timezone ")
        symbols = tuple(parse_symbol(each) for each in arguments.symbol)
    except InputRefused as error:
        parser.error(str(error))
    if arguments.venue is not None and not (arguments.venue.isascii() and arguments.venue.replace("-", "").isalnum()):
        parser.error(f"--venue {arguments.venue[:40]!r} is no venue; allowed: letters, digits and -")
    return Options(arguments.venue and arguments.venue.lower(), zone), symbols


def _wanted(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> Wanted:
    """What to load; ends the process with code 2 if it makes no sense."""
    options, symbols = options_of(parser, arguments)
    if arguments.report is not None and not arguments.report.parent.is_dir():
        parser.error(f"--report {arguments.report}: no such folder")
    return Wanted(
        paths=tuple(arguments.files),
        options=options,
        symbols=symbols,
        max_rejects=arguments.max_rejects,
        memory=MemoryBound.of_machine() if arguments.memory_mb is None else MemoryBound(arguments.memory_mb * MB),
    )


@tells_settings
def start(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Do what ``arguments`` ask for; the exit code. Ends the process with code 2 where they make no sense."""
    wanted = _wanted(parser, arguments)
    settings = settings_given(arguments)
    place = market_place(settings)
    writer = open_writer(**place)
    teller = open_teller(sys.stderr)

    def end(report: dict[str, Any]) -> None:
        end_process(lambda: end_report(teller, report, arguments.report))

    def publish(symbols: Sequence[str] | None) -> int:
        # Not from a replica: it may lack what was just written, and the files are done then.
        primary = place.copy()
        primary["read_url"] = ""
        reader = partial(open_reader, **primary, deadline_s=_READ_S)
        return publish_ticks(reader, partial(settings_store, settings), symbols, time.time_ns() // 1_000_000)

    try:
        code, report = run_load(wanted, open_writer=lambda: writer, publish=publish, teller=teller, end=end)
    except BaseException:
        teller.stop()
        raise
    end_report(teller, report, arguments.report)
    return code
