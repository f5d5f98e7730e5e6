"""``python -m bench.binary``: the binary beside the package: start, memory, throughput, in rounds, with ratios within a round.

Both serve a copy of one warmed store (simulated symbols). Start to ready is from making the process to the first 200 of
/readyz (of /livez on an empty store, which is never ready), files in the system's cache; it is given on SQLite and, if there is
a redis-server on the PATH, on Redis. Memory is that of the whole tree of processes (bootloader, main process, workers) after the
same requests. The package should run on the CPython that is in the binary, and on an interpreter other than this program's:
``--package '/path/to/venv/bin/python -m app'``; what is not so is said in the report. CPU time an
answer swings least; answers a second want a machine that does nothing else. Linux only.

Exit codes: 0 every check passed, 1 a check failed (its line is printed last), 2 wrong usage, or it could not be measured,
130 interrupted.
"""

import argparse
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench import machine, report
from bench.binary.comparison import Comparison, judge, markdown, notes, size, table
from bench.binary.measuring import BINARY, PACKAGE, Measuring, Pace
from bench.scenario import ScenarioError
from bench.scrape import ServerError

WHOLE = Pace(rounds=31, seconds=1.0, starts=9, loads=3, symbols=10_000)
QUICK = Pace(rounds=5, seconds=0.5, starts=3, loads=1, symbols=1000)
SMOKE = Pace(rounds=7, seconds=0.2, starts=1, loads=1, symbols=20, unkept=0)
_FAILED, _USAGE, _INTERRUPTED = 1, 2, 130
_FOLDER = Path(__file__).resolve().parent.parent / "results"


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.binary", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--binary", default="dist/decide", help="the file (default dist/decide)")
    package = f"{sys.executable} -m app"
    parser.add_argument("--package", default=package, metavar="COMMAND", help="how the package is run (default: by this Python)")
    parser.add_argument("--quick", action="store_true", help="1,000 symbols, few short rounds: about a minute")
    parser.add_argument("--smoke", action="store_true", help="short rounds, to see that everything runs")
    parser.add_argument("--out", type=Path, default=_FOLDER, help="folder for binary.json and binary.md (default bench/results)")
    return parser


def command_of(option: str, text: str) -> list[str]:
    """The words of a command, its program as an absolute path: servers run in folders of their own.

    Raises:
        ScenarioError: there is no such program.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ScenarioError(f"{option} is {text!r}: {error}; allowed: a command, quoted as a shell has it") from error
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise ScenarioError(f"{option} is {text!r}; allowed: the path of a program that may be run")
    # A link is not followed: by it an environment's Python knows which it is.
    return [os.path.abspath(program), *words[1:]]  # noqa: PTH100 - as said


def compare(commands: Mapping[str, Sequence[str]], pace: Pace, progress: Callable[[str], None], *, quick: bool) -> Comparison:
    """Everything."""
    started_at, started = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    commit = machine.commit()
    with tempfile.TemporaryDirectory(prefix="decide-binary-") as folder, ExitStack() as stack:
        measuring = Measuring(Path(folder), stack, commands, pace, progress)
        measuring.prepare()
        sides, unpacked = measuring.sides()
        lines = [*measuring.starts(), *measuring.memory(1), *measuring.memory(2), *measuring.throughput()]
    return Comparison(
        started_at=started_at,
        took_s=round(time.perf_counter() - started, 1),
        quick=quick,
        commit=commit,
        machine=machine.machine(),
        symbols=pace.symbols,
        package=sides[PACKAGE],
        binary=sides[BINARY],
        lines=lines,
        unpacked=unpacked,
        wrong=measuring.wrong,
        notes=notes(sides[PACKAGE], sides[BINARY], str(Path("/proc/self/exe").readlink())),
        checks=judge(lines, unpacked, measuring.wrong),
    )


def write(found: Comparison, folder: Path) -> list[Path]:
    """``binary.json`` and ``binary.md``."""
    paths = [folder / "binary.json", folder / "binary.md"]
    paths[0].write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    paths[1].write_text(markdown(found), encoding="utf-8")
    return paths


def tell(found: Comparison, paths: Sequence[Path], console: Console) -> None:
    """The report on the console, failures last."""
    head, *rows = table(found.lines)
    shown = Table(title="The binary beside the package")
    for number, column in enumerate(head):
        shown.add_column(escape(column), justify="right" if number else "left")
    for row in rows:
        shown.add_row(*(escape(cell) for cell in row))
    console.print(shown)
    for text in (size(found.unpacked), *found.notes, "written: " + ", ".join(str(path) for path in paths)):
        console.print(text, soft_wrap=True, markup=False, highlight=False)
    console.print(f"{len(found.checks) - len(found.failures)} checks passed, {len(found.failures)} failed")
    for failure in found.failures:
        console.print(f"[bold red]FAILED[/bold red] {escape(failure.line)}", soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    arguments = make_parser().parse_args(argv)
    pace = SMOKE if arguments.smoke else QUICK if arguments.quick else WHOLE
    console = Console() if sys.stdout.isatty() else Console(width=180)
    progress = Console(stderr=True)
    try:
        if not Path("/proc/self/smaps_rollup").exists():
            raise ScenarioError("memory and CPU time are read from /proc, which only Linux has")
        binary = command_of("--binary", arguments.binary)
        commands = {PACKAGE: command_of("--package", arguments.package), BINARY: binary}
        report.prepare(arguments.out)
        short = arguments.quick or arguments.smoke
        found = compare(commands, pace, lambda text: progress.print(text, highlight=False), quick=short)
    except (ScenarioError, ServerError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return _USAGE
    except KeyboardInterrupt:
        print("bench: interrupted; nothing was written", file=sys.stderr)
        return _INTERRUPTED
    tell(found, write(found, arguments.out), console)
    return _FAILED if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
