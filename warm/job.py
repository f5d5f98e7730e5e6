"""One warm run: files to records to one publication. Clock, run id, store and reporter are given by the caller."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import polars as pl

from app.domain.aliases import NO_ALIASES, Aliases
from app.domain.staleness import SKEW_MS
from app.errors import MarketError, StoreError
from app.market.protocol import Writer
from app.store.protocol import RunInfo
from warm.calendar.intervals import Market
from warm.calendar.sessions import Session, iso
from warm.errors import FilesRefused, InputRefused
from warm.files.agents.registry import NO_AGENTS, read_agents, settle, tell
from warm.files.agents.rows import Context
from warm.files.agents.tally import KEPT
from warm.files.memory import MemoryBound
from warm.files.names import SymbolChoice
from warm.files.prices.frame import Bars, read_prices
from warm.files.prices.given import GivenBars
from warm.files.prices.reader import Calendar, Reckoning
from warm.files.prices.reading import Stamp
from warm.files.recognise import Choice
from warm.files.reports import Fate
from warm.files.stamps import DateOrder
from warm.make.aliases import unmatched, views_with_aliases, with_aliases
from warm.make.indicators import latest_of_markets
from warm.make.vectors import Vectors, build_vectors, last_closes
from warm.market.bars import Putting, put_given
from warm.publish import OpenStore, Replaced, publish
from warm.report import Reporter

PUBLISHED = 0
REFUSED = 1
USAGE = 2
STORE_FAILED = 3
ALL_NEWER = 4
INTERRUPTED = 130


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What to warm from and how. ``agents`` None: no agent outputs; ``max_rejects`` is a share of the price rows; ``interval``,
    ``calendar``, ``stamps``, ``zone``, ``date_order`` and ``symbols`` as in `Reckoning`; ``skew_ms`` as in `Context`.
    """

    prices: Path
    agents: Path | None
    session: Session
    as_of_ms: int | None = None
    max_rejects: float = 0.01
    interval: str | None = None
    calendar: Calendar = "auto"
    stamps: Stamp | None = None
    zone: ZoneInfo | None = None
    date_order: DateOrder | None = None
    symbols: tuple[SymbolChoice, ...] = ()
    choices: tuple[Choice, ...] = ()
    dry_run: bool = False
    prune: bool = False
    skew_ms: int = SKEW_MS
    aliases: Aliases = NO_ALIASES
    memory: MemoryBound = msgspec.field(default_factory=MemoryBound.of_machine)
    bars: str | None = None
    """The source under which bars go into the market store, empty: their formats' names; None: they do not."""

    def context(self, now_ms: int, markets: Mapping[str, Market] | None = None) -> Context:
        """What importers of agents' outputs have to know in a run at ``now_ms`` with prices of ``markets``."""
        return Context(self.session, now_ms, self.as_of_ms, self.calendar, self.skew_ms, self.aliases, markets or {})

    def reckoning(self, now_ms: int) -> Reckoning:
        """How stamps of prices become moments in a run at ``now_ms``."""
        return Reckoning(
            session=self.session,
            now_ms=now_ms,
            as_of_ms=self.as_of_ms,
            interval=self.interval,
            calendar=self.calendar,
            stamps=self.stamps,
            zone=self.zone,
            date_order=self.date_order,
            symbols=self.symbols,
            aliases=self.aliases,
            exact=self.bars is not None and not self.dry_run,
        )


def run_job(
    options: Options,
    *,
    now_ms: int,
    run: str,
    open_store: OpenStore,
    reporter: Reporter,
    writer: Writer | None = None,
    end: Callable[[dict[str, Any]], None] = lambda _: None,
) -> tuple[int, dict[str, Any]]:
    """Do one run; the exit code and the full report. ``end`` ends the process with the report of a run that takes more memory
    than it may; it is called in another thread, and before anything was written. ``writer`` is the market
    store's, and is closed.

    Everything is read, validated, computed and encoded before the store is even opened. `InputRefused` and `StoreError` end
    the run and are told in the report; any other exception is a bug and is raised.
    """
    start_s = time.monotonic()
    report: dict[str, Any] = {"run": run, "started_at": iso(now_ms), "dry_run": options.dry_run}
    try:
        with options.memory.watched(lambda why: end(report | {"status": "refused", "error": why, "exit_code": REFUSED})):
            vectors, info, given = _prepare(options, now_ms, run, reporter, report)
        code = PUBLISHED
        report["status"] = "dry_run"
        if not options.dry_run:
            reporter.stage("publish")
            if given and writer is not None:
                # First: no decision rests on a bar that the system of record lacks. If publishing fails, the same run again
                # changes nothing here.
                report["given_bars"] = put_given(writer, given.files, given.putting)
            done, sample, gone = publish(open_store, vectors.rows, info, prune=options.prune)
            report |= {"written": done.written, "kept_newer": done.kept_newer, "pruned": done.pruned}
            if sample:
                report["replaced_sample"] = {"run": sample, "symbols": gone}
            all_newer = done.written == 0 and done.kept_newer > 0
            report["status"] = "all_newer" if all_newer else "published"
            code = ALL_NEWER if all_newer else PUBLISHED
            if all_newer:
                report["error"] = f"nothing published: all {done.kept_newer} records in the store are newer"
    except InputRefused as refused:
        code = REFUSED
        if isinstance(refused, FilesRefused):
            _add_files(report, refused.fates)
        report |= {"status": "refused", "error": str(refused)}
    except MemoryError:
        code = REFUSED
        report |= {"status": "refused", "error": options.memory.over()}
    except (MarketError, Replaced, StoreError) as failed:
        code = STORE_FAILED
        report |= {"status": "store_failed", "error": _failure(failed)}
    report |= {"seconds": round(time.monotonic() - start_s, 3), "exit_code": code}
    return code, report


def _failure(failed: MarketError | Replaced | StoreError) -> str:
    if isinstance(failed, MarketError):
        return f"the market store failed, and nothing was published: {failed}"
    if isinstance(failed, Replaced):
        return str(failed)
    return f"the store failed and holds the whole old data, or the whole new if only its answer was lost: {failed}"


class Joined(NamedTuple):
    """What a run has read: each symbol's vector after its last bar (`indicators.latest`), its last closes (`last_closes`), its
    market, the number of bars, and the agents' outputs with their fates (`settle`).
    """

    frame: pl.DataFrame
    closes: pl.DataFrame
    markets: dict[str, Market]
    bars: int
    settled: pl.DataFrame
    given: tuple[GivenBars, ...]


class _Given(NamedTuple):
    """Bars for the market store, and how they are put there."""

    files: tuple[GivenBars, ...]
    putting: Putting


def join(prices: Path | None, options: Options, now_ms: int, reporter: Reporter, report: dict[str, Any]) -> Joined:
    """Read, judge and join everything; adds what it learns to ``report`` as it goes, so that a refusal has it too. Without
    ``prices`` (to explain agents' outputs by themselves) there are no bars.

    Raises:
        InputRefused: it cannot be used.
    """
    markets: dict[str, Market] = {}
    names: dict[str, str] = {}
    frame = closes = pl.DataFrame(schema={"symbol": pl.String, "as_of_ms": pl.Int64})
    count, given = 0, tuple[GivenBars, ...]()
    if prices is not None:
        reporter.stage("read_prices")
        bars = read_prices(prices, options.reckoning(now_ms), options.choices)
        report |= _price_report(bars)
        _add_files(report, bars.fates)
        _check_rejects(bars, options.max_rejects)
        bars, names = with_aliases(bars, options.aliases)
        count, markets, given = bars.frame.height, bars.markets, bars.given

        reporter.stage("indicators")
        report["warnings"] = _past_tables(markets, options.session, now_ms)
        frame = latest_of_markets(bars.frame, markets)
        # What ended before 1970 has no place in a record, whose times begin then.
        old = dict.fromkeys(frame.filter(pl.col("as_of_ms") < 0).get_column("symbol").sort())
        if len(old) == frame.height:
            raise InputRefused(f"{prices}: its last bars are from before 1970; allowed: symbols with bars of later")
        if old:
            report["warnings"].append(
                f"{len(old):,} symbols have no bar of after 1969, and are left out: {', '.join(list(old)[:5])}"
            )
            frame = frame.filter(pl.col("as_of_ms") >= 0)
            markets = {symbol: market for symbol, market in markets.items() if symbol not in old}
        closes = last_closes(bars.frame)
        del bars

    reporter.stage("read_agents")
    agents = NO_AGENTS
    if options.agents is not None:
        agents = read_agents(options.agents, options.context(now_ms, markets), options.choices)
        frame_of_agents, names_of_agents = views_with_aliases(agents.frame, options.aliases)
        agents = agents._replace(frame=frame_of_agents)
        names |= names_of_agents
        if prices is not None:
            report["unmatched"] = unmatched(markets, agents.frame.get_column("symbol").unique())
    report["aliased"] = names
    # A live run takes what was said up to now; one of the past nothing from after the bar that it is joined with.
    settled = settle(agents.frame, None if options.as_of_ms is None else frame, options.as_of_ms)
    report |= tell(agents, settled) | _agent_report(agents.fates, settled)
    _add_files(report, agents.fates)
    return Joined(frame, closes, markets, count, settled, given)


def _prepare(
    options: Options, now_ms: int, run: str, reporter: Reporter, report: dict[str, Any]
) -> tuple[Vectors, RunInfo, _Given | None]:
    """Everything before the write."""
    frame, closes, markets, count, settled, files = join(options.prices, options, now_ms, reporter, report)
    views = settled.filter(pl.col("fate").is_in(KEPT))

    reporter.stage("build_records")
    vectors = build_vectors(frame, closes, views, run=run, loaded_at_ms=now_ms, markets=markets, session=options.session)
    report |= {
        "symbols": len(vectors.rows),
        "bytes": vectors.bytes,
        "newest_as_of": iso(vectors.newest_as_of_ms),
    }
    info = RunInfo(
        run=run,
        warmed_at_ms=now_ms,
        newest_as_of_ms=vectors.newest_as_of_ms,
        symbols=len(vectors.rows),
        bars=count,
        bytes=vectors.bytes,
    )
    putting = Putting(options.bars or "", markets, options.session, options.aliases)
    return vectors, info, _Given(files, putting) if files else None


def _past_tables(markets: dict[str, Market], session: Session, now_ms: int) -> list[str]:
    """A line for each exchange of which the table ends before now."""
    used = {session.of(symbol).exchange for symbol, market in markets.items() if not market.never_closes}
    known = sorted((each for each in used if each is not None), key=lambda each: each.code)
    return [
        f"the table of {each.code} ends with {each.until}: of later days regular hours count, and no holidays"
        for each in known
        if each.local_day(now_ms) > each.until
    ]


def _add_files(report: dict[str, Any], fates: Sequence[Fate]) -> None:
    """Tell of files. One that was given as prices and as agents' outputs is told once: as what it is."""
    told = report.setdefault("files", [])
    known = {each["file"] for each in told if each["fate"] != "skipped"}
    fresh = [each.report() for each in fates if not (each.fate == "skipped" and each.file in known)]
    names = {each["file"] for each in fresh}
    report["files"] = [each for each in told if not (each["fate"] == "skipped" and each["file"] in names)] + fresh


def _check_rejects(bars: Bars, max_rejects: float) -> None:
    """Refuse input of which too much is bad: it is more likely another format than a few slips."""
    if bars.rejects.total > max_rejects * bars.rows:
        raise InputRefused(
            f"{bars.rejects.total} of {bars.rows} price rows are bad, more than --max-rejects {max_rejects:g} allows: "
            f"{bars.rejects.summary()}"
        )


def _price_report(bars: Bars) -> dict[str, Any]:
    return {
        "rows": bars.rows,
        "bars": bars.frame.height,
        "cut_after_as_of": bars.cut,
        "unsorted_rows": bars.unsorted,
        "rejects": bars.rejects.total,
        "reject_reasons": bars.rejects.report(),
        "unfinished": bars.unfinished,
        "left_out": bars.left_out,
        "price_files": list(bars.files),
    }


def _agent_report(fates: Sequence[Fate], settled: pl.DataFrame) -> dict[str, Any]:
    """``beyond_bound`` are the outputs that were left out because a symbol has too many, by symbol."""
    beyond = settled.filter(pl.col("fate") == "beyond_bound").group_by("symbol").len().sort("symbol")
    return {
        "agent_rows": sum(each.rows for each in fates),
        "agent_rejects": sum(each.rejects.total for each in fates),
        "beyond_bound": dict(beyond.iter_rows()),
    }
