"""A scenario's run as ``decide bench`` shows it: progress, results, failures last."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench import loops, report
from bench.results import Results
from bench.runner import Runner
from bench.scenario import Scenario, ScenarioError, allowing, load, shortened
from bench.scrape import ServerError

_QUICK = 0.25
_FAILED, _USAGE, _INTERRUPTED = 1, 2, 130


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


def measure(arguments: argparse.Namespace) -> int:
    """Run the scenario that ``arguments`` (`bench.__main__.make_parser`) name, write its results and tell them; the exit code."""
    console = Console() if sys.stdout.isatty() else Console(width=120)
    out = arguments.out or Path("bench/results")
    try:
        scenario = allowing(load(arguments.scenario), arguments.margin)
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
