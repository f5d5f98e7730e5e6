"""What a warm run tells: a progress bar and a closing table on a terminal, JSON lines elsewhere, a full report on request.

Everything goes to standard error, so that standard output stays free for whoever calls.
"""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

STAGES = ("read_prices", "indicators", "read_agents", "build_records", "publish")
"""In this order; ``publish`` is announced right before the write and left out of a dry run."""

SHOWN = (
    "status", "symbols", "bars", "rejects", "seconds", "bytes", "run", "newest_as_of", "agent_rejects", "views", "written",
    "kept_newer", "pruned",
)  # fmt: skip
"""The closing table's lines, in order."""


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
        for reason, body in report.get("reject_reasons", {}).items():
            self._console.print(f"rejected {body['count']:,} rows: {reason}", markup=False)
        if "error" in report:
            self._console.print(f"warm: {report['error']}", style="red", markup=False, soft_wrap=True)


def open_reporter(stream: TextIO) -> Reporter:
    """A `TerminalReporter` where ``stream`` is a terminal, a `JsonReporter` elsewhere."""
    return TerminalReporter(Console(file=stream)) if stream.isatty() else JsonReporter(stream)


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write ``report`` as JSON to ``path``: the whole new file or the old one, never a part.

    Raises:
        OSError: it cannot be written.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)
            file.write("\n")
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
