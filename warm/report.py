"""What a warm run tells: a progress bar and a closing table on a terminal, JSON lines elsewhere, a full report on request.

Everything goes to standard error, so that standard output stays free for whoever calls.
"""

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from app.domain.vector import VIEWS_MAX
from warm.files.agents.tally import lines
from warm.make.aliases import unmatched_lines

STAGES = ("read_prices", "indicators", "read_agents", "build_records", "publish")
"""In this order; ``publish`` is announced right before the write and left out of a dry run."""

SHOWN = (
    "status", "symbols", "bars", "rejects", "seconds", "bytes", "run", "newest_as_of", "agent_rows", "agent_rejects",
    "views", "views_used", "abstained", "failed", "written", "kept_newer", "pruned",
)  # fmt: skip
"""The closing table's lines, in order."""


_OVER_MEMORY = 1
_TELLING_S = 1.0
_SYMBOLS_SHOWN = 10
FILES_SHOWN = 100
"""Files of the closing table; a report has all of them."""


class Reporter(Protocol):
    """How a run speaks while it works."""

    def stage(self, name: str) -> None:
        """A stage of `STAGES` begins."""
        ...

    def stop(self) -> None:
        """Give the terminal back, without a closing table."""
        ...

    def close(self, report: dict[str, Any]) -> None:
        """The run is over; ``report`` has `SHOWN` and, if it was refused or failed, ``error``."""
        ...


class JsonReporter:
    """One JSON object a line, flushed at once: ``{"event": "stage", …}`` and at last ``{"event": "done", …}``."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._start_s = time.monotonic()

    def stage(self, name: str) -> None:
        """Say that a stage begins, and how many seconds the run has taken."""
        self._write({"event": "stage", "stage": name, "seconds": round(time.monotonic() - self._start_s, 3)})

    def stop(self) -> None:
        """Nothing to give back."""

    def close(self, report: dict[str, Any]) -> None:
        """Say how the run ended."""
        self._write({"event": "done"} | report)

    def _write(self, body: dict[str, Any]) -> None:
        self._stream.write(json.dumps(body) + "\n")
        self._stream.flush()


class TerminalReporter:
    """A rich progress bar over the stages, then a table."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("[bold]{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
        )
        self._task = self._progress.add_task("start", total=len(STAGES))
        self._progress.start()

    def stage(self, name: str) -> None:
        """Move the bar to the beginning of a stage."""
        self._progress.update(self._task, description=name.replace("_", " "), completed=STAGES.index(name))

    def stop(self) -> None:
        """Take the bar away."""
        self._progress.stop()

    def close(self, report: dict[str, Any]) -> None:
        """Take the bar away and print the closing table, reasons for rejects, and the error if there is one."""
        self._progress.stop()
        if "symbols" in report:
            table = Table(title="Warm run", show_header=False)
            for name in SHOWN:
                if report.get(name) is not None:
                    value = report[name]
                    table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int | float) else str(value))
            self._console.print(table)
        files = report.get("files", [])
        if files:
            self._console.print(_files_table(files))
        if len(files) > FILES_SHOWN:
            self._console.print(f"and {len(files) - FILES_SHOWN:,} more files: --report has them all", markup=False)
        self._print_details(report)

    def _print_details(self, report: dict[str, Any]) -> None:
        for symbol, count in islice(report.get("beyond_bound", {}).items(), _SYMBOLS_SHOWN):
            self._console.print(f"left out {count:,} agents of {symbol}: {VIEWS_MAX} newest are kept", markup=False)
        for line in lines(report.get("agent_fates", {}), but=("used", "beyond_bound")):
            self._console.print(line, markup=False)
        for reason, body in report.get("reject_reasons", {}).items():
            self._console.print(f"rejected {body['count']:,} rows: {reason}", markup=False)
        for warning in report.get("warnings", []):
            self._console.print(f"warm: {warning}", style="yellow", markup=False, soft_wrap=True)
        for line in notes(report):
            self._console.print(line, style="yellow", markup=False, soft_wrap=True)
        if "error" in report:
            self._console.print(f"warm: {report['error']}", style="red", markup=False, soft_wrap=True)


def notes(report: dict[str, Any]) -> list[str]:
    """What is to be noticed of a run, for people."""
    lines = [f"{symbol} is kept as {kept}" for symbol, kept in islice(report.get("aliased", {}).items(), _SYMBOLS_SHOWN)]
    if "unmatched" in report:
        lines += unmatched_lines(report["unmatched"], _SYMBOLS_SHOWN)
    if (given := report.get("given_bars")) is not None:
        lines.append(
            f"bars of {', '.join(given['sources'])} in the market store: {given['written']:,} written, "
            f"{given['revised']:,} of them revised, {given['removed']:,} removed"
        )
        if given["older_exports"]:
            lines.append(
                f"{given['older_exports']:,} exports are older than what the market store has of their source, and do not count: "
                f"{', '.join(given['not_counted'])}"
            )
        if given["rounded"]:
            lines.append(f"{given['rounded']:,} numbers have more digits than the market store keeps, and were rounded")
    if "replaced_sample" in report:
        gone = report["replaced_sample"]
        lines.append(f"your data replaced the sample: {gone['symbols']:,} symbols of run {gone['run']} are gone")
    return lines


_STYLES = {"loaded": "", "skipped": "dim", "refused": "red"}
_OF_AGENTS = ("views", "abstained", "failed")


def _files_table(files: Sequence[dict[str, Any]]) -> Table:
    """Of each file its format, what came of it, and below its name why."""
    # What needs looking at first.
    ranked = sorted(files, key=lambda each: ("refused", "loaded", "skipped").index(each["fate"]))[:FILES_SHOWN]
    counted = [_counts(each) for each in ranked]
    # Without columns that say nothing a terminal of 80 has room for names.
    names = [name for name in ("rows", "bars", *_OF_AGENTS, "rejected") if any(each[name] for each in counted)]
    table = Table(title="Files", box=SIMPLE_HEAD)
    table.add_column("file, and what else", overflow="fold", ratio=1)
    for name in ("format", "fate"):
        table.add_column(name, no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for each, counts in zip(ranked, counted, strict=True):
        numbers = ["" if counts[name] is None else f"{counts[name]:,}" for name in names]
        cells = [f"{each['file']}\n{remarks(each)}", each["format"] or "", each["fate"], *numbers]
        table.add_row(*map(Text, cells), style=_STYLES[each["fate"]])
    return table


def _counts(file: dict[str, Any]) -> dict[str, int | None]:
    """What is counted of a file, None for what it cannot have."""
    of_agents = {name: file.get(name) if file["kind"] == "agents" else None for name in _OF_AGENTS}
    bars = file["used"] if file["kind"] == "prices" else None
    return {"rows": file["rows"], "bars": bars, **of_agents, "rejected": file["rejected"]}


def remarks(file: dict[str, Any]) -> str:
    """What is to be said of one file besides counts: why it was not loaded, or reasons, interval, gaps, splits."""
    if file["why"]:
        return str(file["why"])
    told = [f"{body['count']:,} {reason}" for reason, body in file["reasons"].items()]
    told += lines(file.get("agent_fates", {}), but=("refused", "unknown_symbol"))
    if file["kind"] == "prices" and "interval" in file:
        told.append(f"{file['interval']}, stamped by {file['stamps']}")
    if "dated_by" in file and file["dated_by"] != "column":
        told.append(f"dated by {file['dated_by'].replace('_', ' ')}")
    told += [
        f"{file[name]:,} {text}"
        for name, text in (
            ("unfinished", "not over yet"), ("left_out", "of another interval"), ("cut", "after --as-of"),
            ("no_price", "rows without a price"), ("repeated", "as in another file"),
            ("no_trades", "steps without a trade"), ("gaps", "gaps"), ("splits", "jumps like splits"),
        )
        if file.get(name)
    ]  # fmt: skip
    return "; ".join([*told, *file.get("notes", ())])


def open_reporter(stream: TextIO) -> Reporter:
    """A `TerminalReporter` where ``stream`` is a terminal, a `JsonReporter` elsewhere."""
    return TerminalReporter(Console(file=stream)) if stream.isatty() else JsonReporter(stream)


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write ``report`` as JSON to ``path``: the whole new file or the old one, never a part.

    Raises:
        OSError: it cannot be written.
    """
    with whole_file(path) as part, part.open("w", encoding="utf-8") as file:
        json.dump(report, file, indent=2)
        file.write("\n")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """What is written to the file that is given becomes ``path`` at the end, and goes where an exception ends it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    part = Path(name)
    os.close(handle)
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def open_as_usual(path: Path) -> None:
    """What is no secret whoever may read what its owner makes may read."""
    mask = os.umask(0o077)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


def end_process(tell: Callable[[], None]) -> None:
    """End the process of a run that takes more memory than it may: the thread that reads cannot be stopped. What there is to
    ``tell`` may have no reader, or one that does not read; the process ends all the same.
    """
    patience = threading.Timer(_TELLING_S, os._exit, (_OVER_MEMORY,))
    patience.daemon = True
    patience.start()
    try:
        tell()
    finally:
        os._exit(_OVER_MEMORY)


class Closes(Protocol):
    """Who is told how something ended."""

    def close(self, report: dict[str, Any]) -> None:
        """It is over."""
        ...


def end_report(teller: Closes, report: dict[str, Any], path: Path | None) -> None:
    """Write ``report`` to ``path``, if there is one, and tell ``teller`` of it, and of a file that cannot be written."""
    if path is not None:
        try:
            write_report(path, report)
        except OSError as error:
            report["report_error"] = f"{path}: {error}"
    teller.close(report)
