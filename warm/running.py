"""What the command line of ``decide warm`` asks for: one run, an explanation, or watching."""

import argparse
import re
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import uuid_utils
from rich.console import Console

from app.domain.aliases import make_aliases
from app.errors import SettingsError
from app.market.opening import open_writer
from app.market.protocol import TRADES
from app.options import Settings, market_place
from app.setting_options import given_settings, tells_settings
from app.settings import load_setting, settings_gone
from warm.arguments import MOMENT_RULE
from warm.calendar.sessions import open_session, open_zone
from warm.errors import InputRefused
from warm.explain import Others, explain
from warm.files.memory import MB, MemoryBound
from warm.files.names import parse_symbol
from warm.files.recognise import parse_choice
from warm.job import INTERRUPTED, PUBLISHED, REFUSED, Options, run_job
from warm.publish import OpenStore, WarmStore, settings_store
from warm.report import end_process, end_report, open_reporter
from warm.sample import RUN_PREFIX, SAMPLE

PRICES = SAMPLE / "prices"
_is_source = re.compile(r"[A-Za-z0-9_-]{0,40}").fullmatch
AGENTS = SAMPLE / "agents"


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
    if arguments.bars is not None and (arguments.bars == TRADES or not _is_source(arguments.bars)):
        parser.error(
            f"--bars {arguments.bars[:60]!r} is no source; allowed: up to 40 letters, digits, - and _, and not {TRADES!r}"
        )
    if arguments.agents is not None and arguments.prices is None and arguments.explain is None:
        parser.error(
            f"--agents is given without --prices; allowed: with the prices that belong to them (the sample's are in {PRICES})"
        )
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
        bars=arguments.bars,
    )


def _memory(given_mb: int | None) -> MemoryBound:
    """What the run may take: as the option has it, else a share of the machine's."""
    return MemoryBound.of_machine() if given_mb is None else MemoryBound(given_mb * MB)


def _settings(options: Mapping[str, str], *, needed: bool) -> Settings:
    """What the settings say, with the command line's ``options`` over them. Where they are wrong and not ``needed``, the
    defaults: what opens no store needs no other.

    Raises:
        SettingsError: a setting is wrong.
    """
    from app.settings import load_settings  # noqa: PLC0415

    for line in settings_gone(options=options):
        print(f"settings: {line}", file=sys.stderr)
    try:
        return load_settings(options=options)
    except SettingsError:
        if needed:
            raise
        return Settings()


def _no_store() -> WarmStore:
    raise AssertionError("a dry run opens no store")


@tells_settings
def start(
    parser: argparse.ArgumentParser,
    arguments: argparse.Namespace,
    given: Sequence[str],
    *,
    now_ms: int | None = None,
    run: str | None = None,
    open_store: OpenStore | None = None,
) -> int:
    """Do what ``arguments``, as ``parser`` made them of those that were ``given``, ask for; the exit code. Ends the process with
    code 2 where they make no sense.
    """
    options = parse_options(parser, arguments)
    if arguments.report is not None and not arguments.report.parent.is_dir():
        parser.error(f"--report {arguments.report}: no such folder")
    if arguments.watch:
        return _watch(parser, arguments, given)
    if now_ms is None:
        now_ms = time.time_ns() // 1_000_000
    idle = options.dry_run or arguments.explain is not None
    settings = Settings() if open_store is not None else _settings(given_settings(arguments), needed=not idle)
    writer = None if options.bars is None or idle else open_writer(**market_place(settings))
    if arguments.explain is not None:
        with options.memory.watched(_end_explaining):
            others = Others(arguments.prices, arguments.agents)
            return PUBLISHED if explain(arguments.explain, others, options, now_ms, Console()) else REFUSED
    opener = _no_store if options.dry_run else open_store or partial(settings_store, settings)
    reporter = open_reporter(sys.stderr)

    def end(report: dict[str, Any]) -> None:
        end_process(lambda: end_report(reporter, report, arguments.report))

    try:
        code, report = run_job(
            options,
            now_ms=now_ms,
            run=run or f"{RUN_PREFIX if arguments.prices is None else ''}{uuid_utils.uuid7()}",
            open_store=opener,
            reporter=reporter,
            writer=writer,
            end=end,
        )
    except KeyboardInterrupt:
        code, report = INTERRUPTED, {"status": "interrupted", "error": "interrupted", "exit_code": INTERRUPTED}
    except BaseException:
        reporter.stop()
        raise
    end_report(reporter, report, arguments.report)
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
    _settings(given_settings(arguments), needed=True)
    from warm.watch import main as watch  # noqa: PLC0415 - nobody else needs it

    return watch(inputs, [each for each in given if each != "--watch"], arguments.report)


def _end_explaining(why: str) -> None:
    end_process(lambda: print(f"warm: {why}", file=sys.stderr, flush=True))
