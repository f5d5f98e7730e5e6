"""The warm job's command line: ``decide warm``.

Exit codes: 0 published (or a dry run found nothing wrong), 1 input refused and nothing written, 2 wrong usage or settings,
3 the store could not be reached or failed, 4 nothing published because every record in the store is newer, 130 interrupted.
After 3 and 130 the store holds the whole old or the whole new data, never a part.
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import uuid_utils
from rich.console import Console

from app.arguments import Parser, number
from app.domain.aliases import make_aliases
from app.errors import SettingsError
from app.options import Settings
from app.setting_options import STORE_SETTINGS, add_settings, given_settings
from app.settings import choices, description, load_setting
from warm.errors import InputRefused
from warm.exchanges import codes
from warm.explain import Others, explain
from warm.formats import FORMATS, parse_choice
from warm.intervals import INTERVALS
from warm.job import INTERRUPTED, PUBLISHED, REFUSED, USAGE, Options, run_job
from warm.memory import MB, MemoryBound
from warm.names import parse_symbol
from warm.publish import OpenStore, WarmStore
from warm.report import Reporter, open_reporter, write_report
from warm.sample import RUN_PREFIX, SAMPLE
from warm.sessions import MOMENT_RULE, open_session, open_zone

PRICES = SAMPLE / "prices"
AGENTS = SAMPLE / "agents"
_MEMORY_MOST_MB = 99_999_999
_TELLING_S = 1.0
_EXAMPLES = """
Where the store is, settings say: environment variables, .env, or the options above.

Examples:
  decide warm                                          the sample: five stocks to March 2013, simulated agents
  decide warm --prices my/prices --agents my/agents    files or folders as your tools wrote them
  decide warm --explain my/prices/AAPL.csv             how a file is understood; nothing is written
  decide warm --prices my/prices --watch               load again whenever a file changes
  decide warm --prices my/prices --dry-run             everything but the write
"""


def make_parser() -> Parser:
    """The options of ``decide warm``."""
    parser = Parser(
        "decide warm",
        description="Turn price history and agent outputs into one vector a symbol and publish them in one atomic step.",
        epilog=(__doc__ or "").split("\n\n", 1)[1] + _EXAMPLES,
    )
    parser.add_argument("--prices", type=Path, help="price file, or a folder of them (default: the sample's)")
    parser.add_argument(
        "--agents", type=Path, help="agent outputs, file or folder (default: the sample's with the sample's prices, else none)"
    )
    parser.add_argument(
        "--max-rejects", type=number(least=0, most=1), default=0.01, help="share of price rows that may be bad (default 0.01)"
    )
    parser.add_argument("--dry-run", action="store_true", help="do everything but the write; needs no store")
    parser.add_argument("--as-of", help=f"rebuild as it was then; a date is the end of its session ({MOMENT_RULE})")
    parser.add_argument("--prune", action="store_true", help="remove symbols from the store that this input does not have")
    parser.add_argument("--report", type=Path, help="write the full report to this file as JSON")
    _add_reading(parser)
    parser.add_argument(
        "--alias",
        action="append",
        default=[],
        metavar="FROM=TO",
        help="keep a symbol of the files under another name, as BTC-USD=BTC-USDT; may be repeated, besides SYMBOL_ALIASES",
    )
    parser.add_argument(
        "--stablecoins", choices=choices("stablecoins"), help=f"{description('stablecoins')} Default: STABLECOINS, else apart"
    )
    parser.add_argument(
        "--memory-mb",
        type=number(least=1, most=_MEMORY_MOST_MB, whole=True),
        help="memory that the run may take (default: WARM_MEMORY_MB, else half of the machine's, 85 %% of the container's, or"
        " what is free)",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="load again whenever a file has changed, until SIGTERM or Ctrl-C (exit code 0); a refused load ends nothing",
    )
    parser.add_argument("--explain", type=Path, metavar="FILE", help="say how a file (or folder) is understood, and end")
    add_settings(parser, (*STORE_SETTINGS, "clock_skew_s"), "where it is published, and by whose clock")
    return parser


def _add_reading(parser: Parser) -> None:
    """How files are to be read, where they do not tell."""
    parser.add_argument(
        "--exchange", choices=codes(), help="the exchange of all symbols (default: what each symbol's suffix says; none: XNYS)"
    )
    parser.add_argument("--timezone", help="the exchange's timezone, for all symbols (default: the exchange's own)")
    parser.add_argument(
        "--session-close", help="when its sessions close, HH:MM to 24:00, for all (default: by the exchange's table)"
    )
    parser.add_argument("--interval", choices=INTERVALS, help="take bars of this length only (default: each symbol's longest)")
    parser.add_argument(
        "--calendar",
        choices=("auto", "equities", "always"),
        default="auto",
        help="equities: 252 sessions a year; always: 365 days; auto (default): always for pairs of currencies",
    )
    parser.add_argument(
        "--stamps", choices=("open", "close"), help="what a bar's stamp is (default: as its format has it; open for tables)"
    )
    parser.add_argument("--naive-timezone", help="where prices' moments without one are (default --timezone; UTC for pairs)")
    parser.add_argument("--date-order", choices=("dmy", "mdy"), help="of dates like 3/8/2024, where no row of a file tells it")
    parser.add_argument(
        "--symbol",
        action="append",
        default=[],
        metavar="FILE=SYMBOL",
        help="the symbol of a file (or of those that fit a pattern) that does not tell it; may be repeated",
    )
    by_format = parser.add_argument(
        "--format",
        action="append",
        default=[],
        metavar="[PATTERN=]NAME",
        help=f"format of the files that fit the pattern, or of all; may be repeated. Names: {', '.join(FORMATS)}",
    )
    # For `decide completion`: a pattern may stand before them, so they are no choices.
    by_format.completed_by = tuple(FORMATS)  # type: ignore[attr-defined]


def parse_options(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> Options:
    """Options from parsed ``arguments``; ends the process with code 2 if they make no sense.

    Raises:
        SettingsError: a setting that is looked at is wrong.
    """
    as_of_ms = None
    try:
        session = open_session(arguments.timezone, arguments.session_close, arguments.interval, arguments.exchange)
        formats = tuple(parse_choice(each) for each in arguments.format)
        symbols = tuple(parse_symbol(each) for each in arguments.symbol)
        zone = None if arguments.naive_timezone is None else open_zone(arguments.naive_timezone, "--naive-timezone ")
        stablecoins = arguments.stablecoins or load_setting("stablecoins")
        aliases = make_aliases(load_setting("symbol_aliases"), stablecoins, arguments.alias)
    except (InputRefused, ValueError) as error:
        parser.error(str(error))
    if arguments.as_of is not None:
        as_of_ms = session.moment_ms(arguments.as_of)
        if as_of_ms is None:
            parser.error(f"--as-of {arguments.as_of!r} is not a moment; allowed: {MOMENT_RULE}")
    return Options(
        prices=arguments.prices or PRICES,
        agents=arguments.agents or (AGENTS if arguments.prices is None else None),
        session=session,
        as_of_ms=as_of_ms,
        max_rejects=arguments.max_rejects,
        interval=arguments.interval,
        calendar=arguments.calendar,
        stamps=arguments.stamps,
        zone=zone,
        date_order=arguments.date_order,
        symbols=symbols,
        choices=formats,
        dry_run=arguments.dry_run,
        prune=arguments.prune,
        aliases=aliases,
        memory=_memory(arguments.memory_mb),
    )


def _memory(given_mb: int | None) -> MemoryBound:
    """What the run may take: as the option has it, else the setting, else a share of the machine's.

    Raises:
        SettingsError: the setting is wrong.
    """
    most_mb = load_setting("warm_memory_mb") if given_mb is None else given_mb
    return MemoryBound(most_mb * MB) if most_mb else MemoryBound.of_machine()


def settings_store(settings: Settings) -> WarmStore:
    """The store that ``settings`` name. Imported here and not above: a dry run needs none."""
    from app.cache.opening import open_store  # noqa: PLC0415

    return open_store(
        redis_url=settings.redis_url,
        redis_password=settings.redis_password,
        store_path=Path(settings.store_path),
        key_prefix=settings.key_prefix,
    )


def _settings(options: Mapping[str, str], *, needed: bool) -> Settings:
    """What the settings say, with the command line's ``options`` over them. Where they are wrong and not ``needed``, the defaults
    and the option for the clock: what opens no store needs no other.

    Raises:
        SettingsError: a setting is wrong.
    """
    from app.settings import load_settings  # noqa: PLC0415

    try:
        return load_settings(options=options)
    except SettingsError:
        if needed:
            raise
        skew = options.get("CLOCK_SKEW_S")
        return Settings(clock_skew_s=float(skew)) if skew else Settings()


def _no_store() -> WarmStore:
    raise AssertionError("a dry run opens no store")


def main(
    argv: Sequence[str] | None = None,
    *,
    now_ms: int | None = None,
    run: str | None = None,
    open_store: OpenStore | None = None,
) -> int:
    """Run the job; the exit code. Clock, run id and store can be given, for tests and for rebuilding a past run."""
    parser = make_parser()
    arguments = parser.parse_args(argv)
    try:
        options = parse_options(parser, arguments)
    except SettingsError as error:
        return _wrong_settings(error)
    if arguments.report is not None and not arguments.report.parent.is_dir():
        parser.error(f"--report {arguments.report}: no such folder")
    if arguments.watch:
        return _watch(parser, arguments, sys.argv[1:] if argv is None else argv)
    if now_ms is None:
        now_ms = time.time_ns() // 1_000_000
    idle = options.dry_run or arguments.explain is not None
    try:
        settings = Settings() if open_store is not None else _settings(given_settings(arguments), needed=not idle)
    except SettingsError as error:
        return _wrong_settings(error)
    options = msgspec.structs.replace(options, skew_ms=round(settings.clock_skew_s * 1000))
    if arguments.explain is not None:
        with options.memory.watched(_end_explaining):
            others = Others(arguments.prices, arguments.agents)
            return PUBLISHED if explain(arguments.explain, others, options, now_ms, Console()) else REFUSED
    opener = _no_store if options.dry_run else open_store or partial(settings_store, settings)
    reporter = open_reporter(sys.stderr)

    def end(report: dict[str, Any]) -> None:
        _end(lambda: _tell(reporter, report, arguments.report))

    try:
        code, report = run_job(
            options,
            now_ms=now_ms,
            run=run or f"{RUN_PREFIX if arguments.prices is None else ''}{uuid_utils.uuid7()}",
            open_store=opener,
            reporter=reporter,
            end=end,
        )
    except KeyboardInterrupt:
        code, report = INTERRUPTED, {"status": "interrupted", "error": "interrupted", "exit_code": INTERRUPTED}
    except BaseException:
        reporter.stop()
        raise
    _tell(reporter, report, arguments.report)
    return code


def _watch(parser: argparse.ArgumentParser, arguments: argparse.Namespace, given: Sequence[str]) -> int:
    """Load again and again; ends the process with code 2 where that makes no sense."""
    for name, value in (("--explain", arguments.explain), ("--as-of", arguments.as_of), ("--dry-run", arguments.dry_run)):
        if value:
            parser.error(f"--watch is given with {name}; allowed: one of the two")
    if arguments.prices is None:
        parser.error("--watch is given without --prices; allowed: with them, for the sample never changes")
    inputs = [each for each in (arguments.prices, arguments.agents) if each is not None]
    for each in inputs:
        if not each.exists():
            parser.error(f"{each}: no such file or folder")
    try:
        _settings(given_settings(arguments), needed=True)
    except SettingsError as error:
        return _wrong_settings(error)
    from warm.watch import main as watch  # noqa: PLC0415 - nobody else needs it

    return watch(inputs, [each for each in given if each != "--watch"], arguments.report)


def _wrong_settings(error: SettingsError) -> int:
    sys.stderr.write("".join(f"{line}\n" for line in error.lines))
    return USAGE


def _end(tell: Callable[[], None]) -> None:
    """End the process: the thread that reads cannot be stopped, and nothing has been written. What there is to ``tell`` may have
    no reader, or one that does not read; the process ends all the same.
    """
    patience = threading.Timer(_TELLING_S, os._exit, (REFUSED,))
    patience.daemon = True
    patience.start()
    try:
        tell()
    finally:
        os._exit(REFUSED)


def _end_explaining(why: str) -> None:
    _end(lambda: print(f"warm: {why}", file=sys.stderr, flush=True))


def _tell(reporter: Reporter, report: dict[str, Any], path: Path | None) -> None:
    if path is not None:
        try:
            write_report(path, report)
        except OSError as error:
            report["report_error"] = f"{path}: {error}"
    reporter.close(report)


if __name__ == "__main__":
    sys.exit(main())
