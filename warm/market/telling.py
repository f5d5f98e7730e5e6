"""What a load of trades, or another command, tells while it works: a progress bar on a terminal, nothing elsewhere; at its end
tables for people, one JSON line for programs.
"""

import json
from typing import Any, NamedTuple, Protocol, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from warm.report import FILES_SHOWN

_COUNTS = ("trades", "new", "there", "too_old", "refused")
_SHOWN = ("status", "files_read", *_COUNTS, "symbols", "simulated", "ticks", "seconds", "trades_per_s")


class Words(NamedTuple):
    """How a command is called in its lines and over its table, and which figures of its report stand there."""

    name: str
    title: str
    shown: tuple[str, ...]


LOAD = Words("load", "Load of trades", _SHOWN)
_STYLES = {"loaded": "", "unchanged": "dim", "skipped": "dim", "refused": "red"}
_EXAMPLES_SHOWN = 20


class Teller(Protocol):
    """How it speaks."""

    def file(self, label: str, size: int | None) -> None:
        """A file of so many bytes (None: they say nothing of how far reading is) begins."""
        ...

    def read(self, offset: int, trades: int) -> None:
        """Of this file so many bytes were read; so many trades were written in all."""
        ...

    def stop(self) -> None:
        """Give the terminal back."""
        ...

    def close(self, report: dict[str, Any]) -> None:
        """It is over."""
        ...


class LineTeller:
    """One JSON object at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def file(self, label: str, size: int | None) -> None:
        """Nothing."""

    def read(self, offset: int, trades: int) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing to give back."""

    def close(self, report: dict[str, Any]) -> None:
        """Say how it ended."""
        self._stream.write(json.dumps({"event": "done"} | report) + "\n")
        self._stream.flush()


class BarTeller:
    """A bar for the file that is read, and tables."""

    def __init__(self, console: Console, words: Words = LOAD) -> None:
        self._console, self._words = console, words
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[trades]}"),
        )
        self._progress = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
        self._task = self._progress.add_task("", trades="")
        self._progress.start()

    def file(self, label: str, size: int | None) -> None:
        """Begin the bar anew."""
        self._progress.reset(self._task, description=label, total=size)

    def read(self, offset: int, trades: int) -> None:
        """Move it."""
        self._progress.update(self._task, completed=offset, trades=f"{trades:,} trades")

    def stop(self) -> None:
        """Take it away."""
        self._progress.stop()

    def close(self, report: dict[str, Any]) -> None:
        """Print tables, refused rows, and the error if there is one."""
        self._progress.stop()
        if "trades" in report:
            table = Table(title=self._words.title, show_header=False)
            for name in self._words.shown:
                if (value := report.get(name)) is not None:
                    table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int | float) else str(value))
            self._console.print(table)
        if files := report.get("files", []):
            self._console.print(_files_table(files))
        for line in _refused_rows(report.get("reasons", {})):
            self._console.print(line, markup=False, soft_wrap=True)
        for warning in report.get("warnings", []):
            self._console.print(f"{self._words.name}: {warning}", style="yellow", markup=False, soft_wrap=True)
        if "error" in report:
            self._console.print(f"{self._words.name}: {report['error']}", style="red", markup=False, soft_wrap=True)


def _files_table(files: list[dict[str, Any]]) -> Table:
    table = Table(title="Files", box=SIMPLE_HEAD)
    table.add_column("file, and what else", overflow="fold", ratio=1)
    for name in ("format", "fate"):
        table.add_column(name, no_wrap=True)
    for name in _COUNTS:
        table.add_column(name.replace("_", " "), justify="right", no_wrap=True)
    ranked = sorted(files, key=lambda each: ("refused", "loaded", "unchanged", "skipped").index(each["fate"]))
    for each in ranked[:FILES_SHOWN]:
        told = [each["why"]] if each["why"] else []
        told += [f"went on behind row {each['resumed_at']:,}"] if each["resumed_at"] else []
        cells = ["\n".join([each["file"], *told]), each["format"] or "", each["fate"], *(f"{each[name]:,}" for name in _COUNTS)]
        table.add_row(*map(Text, cells), style=_STYLES[each["fate"]])
    return table


def _refused_rows(reasons: dict[str, Any]) -> list[str]:
    lines = []
    for reason, body in reasons.items():
        lines.append(f"refused {body['count']:,} rows: {reason}")
        lines += [
            f"  {each['file']} row {each.get('row')}: {each.get('column')} is {each.get('value')!r}" for each in body["examples"]
        ]
    return lines[:_EXAMPLES_SHOWN]


def open_teller(stream: TextIO, words: Words = LOAD) -> Teller:
    """A `BarTeller` where ``stream`` is a terminal, a `LineTeller` elsewhere."""
    return BarTeller(Console(file=stream), words) if stream.isatty() else LineTeller(stream)
