"""One warm run: files to records to one publication. Clock, run id, store and reporter are given by the caller."""

import time
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from app.cache.store import RunInfo
from app.errors import StoreError
from warm.agents.registry import NO_AGENTS, AgentRows, latest_views, read_agents
from warm.agents.rows import Context
from warm.errors import InputRefused
from warm.indicators import BARS_A_YEAR, INTERVAL_S, latest
from warm.prices import Bars, read_prices
from warm.publish import OpenStore, publish
from warm.report import Reporter
from warm.sessions import Session, iso
from warm.vectors import Vectors, build_vectors

PUBLISHED = 0
REFUSED = 1
USAGE = 2
STORE_FAILED = 3
ALL_NEWER = 4
INTERRUPTED = 130


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What to warm from and how. ``agents`` None: no agent outputs; ``max_rejects`` is a share of the price rows."""

    prices: Path
    agents: Path | None
    session: Session
    as_of_ms: int | None = None
    max_rejects: float = 0.01
    interval: str = "1d"
    calendar: str = "equities"
    dry_run: bool = False
    prune: bool = False


def run_job(options: Options, *, now_ms: int, run: str, open_store: OpenStore, reporter: Reporter) -> tuple[int, dict[str, Any]]:
    """Do one run; the exit code and the full report.

    Everything is read, validated, computed and encoded before the store is even opened. `InputRefused` and `StoreError` end
    the run and are told in the report; any other exception is a bug and is raised.
    """
    start_s = time.monotonic()
    report: dict[str, Any] = {"run": run, "started_at": iso(now_ms), "dry_run": options.dry_run}
    try:
        vectors, info = _prepare(options, now_ms, run, reporter, report)
        code = PUBLISHED
        report["status"] = "dry_run"
        if not options.dry_run:
            reporter.stage("publish")
            done = publish(open_store, vectors.rows, info, prune=options.prune)
            report |= {"written": done.written, "kept_newer": done.kept_newer, "pruned": done.pruned}
            all_newer = done.written == 0 and done.kept_newer > 0
            report["status"] = "all_newer" if all_newer else "published"
            code = ALL_NEWER if all_newer else PUBLISHED
            if all_newer:
                report["error"] = f"nothing published: all {done.kept_newer} records in the store are newer"
    except InputRefused as refused:
        code = REFUSED
        report |= {"status": "refused", "error": str(refused)}
    except StoreError as failed:
        code = STORE_FAILED
        report |= {
            "status": "store_failed",
            "error": f"the store failed and holds the whole old data, or the whole new if only its answer was lost: {failed}",
        }
    report |= {"seconds": round(time.monotonic() - start_s, 3), "exit_code": code}
    return code, report


def _prepare(options: Options, now_ms: int, run: str, reporter: Reporter, report: dict[str, Any]) -> tuple[Vectors, RunInfo]:
    """Everything before the write; adds what it learns to ``report`` as it goes, so that a refusal has it too."""
    reporter.stage("read_prices")
    bars = read_prices(options.prices, options.session, now_ms, options.as_of_ms)
    report |= _price_report(bars)
    _check_rejects(bars, options.max_rejects)
    count = bars.frame.height

    reporter.stage("indicators")
    frame = latest(bars.frame.lazy(), BARS_A_YEAR[options.calendar][options.interval]).collect()
    del bars

    reporter.stage("read_agents")
    agents = NO_AGENTS
    if options.agents is not None:
        agents = read_agents(options.agents, Context(options.session, now_ms, options.as_of_ms))
    newest_bar_ms = frame.select(pl.col("as_of_ms").max()).item()
    views = latest_views(agents.frame, frame, newest_bar_ms if options.as_of_ms is None else options.as_of_ms)
    report |= _agent_report(agents, views)

    reporter.stage("build_records")
    vectors = build_vectors(frame, views, run=run, loaded_at_ms=now_ms, interval_s=INTERVAL_S[options.interval])
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
    return vectors, info


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
        "price_files": list(bars.files),
    }


def _agent_report(agents: AgentRows, views: pl.DataFrame) -> dict[str, Any]:
    statuses = dict(views.group_by("status").len().sort("status").iter_rows())
    return {
        "agent_rows": sum(each.rows for each in agents.files),
        "agent_rejects": sum(each.rejects.total for each in agents.files),
        "agent_files": [each.report() for each in agents.files],
        "views": statuses.get("view", 0),
        "abstained": statuses.get("abstained", 0),
        "failed": statuses.get("failed", 0),
    }
