"""``decide bench``: run a scenario against a server, write its results, and say whether what must hold holds.

Exit codes: 0 every check passed, 1 a check failed (its line is printed last), 2 wrong usage, or no server to measure,
130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from app.arguments import Parser
from bench import loops, report
from bench.addresses import ALLOWED
from bench.results import Results
from bench.runner import Runner
from bench.scenario import Scenario, ScenarioError, load, names, shortened
from bench.scrape import ServerError

_QUICK = 0.25
_EXAMPLES = """\
Examples:
  decide bench --list
  decide bench --url http://localhost:8000 --quick
  decide bench --scenario closed --url unix:/run/decide/decide.sock --out results
  decide bench --scenario my-scenario.toml
"""
PEERS = "peers"
PEERS_DESCRIPTION = "Decide against other servers and against the limits, all started here; writes bench/RESULTS.md."
_FAILED, _USAGE, _INTERRUPTED = 1, 2, 130


def make_parser() -> Parser:
    """The options."""
    parser = Parser("decide bench", description=(__doc__ or "").replace("``", "`"), epilog=_EXAMPLES)
    parser.add_argument(
        "--scenario", default="acceptance", help=f"one of {', '.join([*names(), PEERS])}, or a .toml file (default acceptance)"
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000", help=f"the server: {ALLOWED} (default http://127.0.0.1:8000)")
    parser.add_argument("--out", type=Path, help=f"folder for results (default bench/results; bench for {PEERS})")
    parser.add_argument("--quick", action="store_true", help="a quarter of each duration")
    parser.add_argument("--smoke", action="store_true", help=f"with {PEERS}: one short round, to see that everything runs")
    parser.add_argument("--only", metavar="EXPERIMENT", help=f"with {PEERS}: this one alone, printed and written nowhere")
    parser.add_argument("--list", action="store_true", help="say what scenarios there are, and stop")
    return parser


class _Show:
    """A progress bar on a terminal, a line a phase elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description:>28}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, name: str, share: float) -> None:
        """``share`` of phase ``name`` is done."""
        if name not in self._tasks:
            if self._console.is_terminal:
                self._bars.start()
            else:
                self._console.print(name)
            self._tasks[name] = self._bars.add_task(name, total=1.0)
        self._bars.update(self._tasks[name], completed=share)

    def close(self) -> None:
        """The last phase is over."""
        self._bars.stop()


def run(scenario: Scenario, url: str, console: Console) -> Results:
    """Run it, with progress."""
    show = _Show(console)
    try:
        return loops.run(Runner(scenario, url, show).run())
    finally:
        show.close()


def tell(results: Results, paths: Sequence[Path], console: Console) -> None:
    """The report on the console, failures last."""
    console.print(
        f"\nharness alone: {results.harness.requests_per_s:,.0f} requests/s at {results.harness.cpu_us_per_request:g} µs each"
    )
    for phase in results.phases:
        if not phase.measured:
            continue
        times = ", ".join(f"{name} {value:.2f}" for name, value in phase.latency_ms.items() if value is not None)
        rate = "" if phase.server_hit_rate is None else f", L1 hit rate {phase.server_hit_rate * 100:.1f} %"
        console.print(f"{phase.name}: {phase.answers} answers, {phase.answers_per_s:,.0f}/s, ms: {times}{rate}", soft_wrap=True)
        if phase.faults or phase.refused_connections:
            console.print(f"  without an answer: {phase.faults or 'none'}; connections refused: {phase.refused_connections}")
        for example in phase.examples_of_invalid:
            console.print(f"  invalid: {escape(example)}")
    console.print("written: " + ", ".join(str(path) for path in paths), soft_wrap=True)
    passed = sum(check.passed for phase in results.phases for check in phase.checks)
    console.print(f"{passed} checks passed, {len(results.failures)} failed")
    for failure in results.failures:
        console.print(f"[bold red]FAILED[/bold red] {escape(failure.line)}", soft_wrap=True)


def _run_peers(arguments: argparse.Namespace) -> int:
    if not (Path(__file__).resolve().parent.parent / "data" / "make_universe.py").is_file():
        print(f"bench: {PEERS} starts what only a checkout has; in one, `just bench --scenario {PEERS}`", file=sys.stderr)
        return _USAGE
    try:
        from bench.peers.__main__ import main as run_peers  # noqa: PLC0415 - needs more than the other scenarios
    except ImportError as error:
        print(f"bench: {error}; in a checkout, `just bench --scenario {PEERS}` installs what it needs", file=sys.stderr)
        return _USAGE
    given = [] if arguments.out is None else ["--out", str(arguments.out)]
    flags = [flag for flag, on in (("--quick", arguments.quick), ("--smoke", arguments.smoke)) if on]
    only = [] if arguments.only is None else ["--only", arguments.only]
    return run_peers([*given, *flags, *only])


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = make_parser()
    arguments = parser.parse_args(argv)
    if arguments.only is not None and arguments.scenario != PEERS:
        parser.error(f"--only is {arguments.only!r} with --scenario {arguments.scenario}; allowed: with --scenario {PEERS}")
    console = Console() if sys.stdout.isatty() else Console(width=120)
    if arguments.list:
        for name in names():
            console.print(f"{name}: {load(name).description}", soft_wrap=True)
        console.print(f"{PEERS}: {PEERS_DESCRIPTION}", soft_wrap=True)
        return 0
    if arguments.scenario == PEERS:
        return _run_peers(arguments)
    out = arguments.out or Path("bench/results")
    try:
        scenario = load(arguments.scenario)
        report.prepare(out)
        if arguments.quick:
            scenario = shortened(scenario, _QUICK)
        results = run(scenario, arguments.url, console)
    except (ScenarioError, ServerError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return _USAGE
    except KeyboardInterrupt:
        print("bench: interrupted; nothing was written", file=sys.stderr)
        return _INTERRUPTED
    tell(results, report.write(results, out), console)
    return 0 if results.passed else _FAILED


if __name__ == "__main__":
    sys.exit(main())
