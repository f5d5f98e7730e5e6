"""``python -m bench --scenario peers``: Decide against others and against the limits, side by side on this machine.

It starts its own Redis and every server itself. The whole takes about a quarter of an hour and writes the page
``bench/RESULTS.md``; ``--quick`` takes less than five minutes and writes under ``bench/results``; ``--smoke`` only sees that
everything still runs, and its figures mean nothing. ``--only NAME`` measures one experiment and prints it; it writes nothing,
since all figures of the page are of one run. ``--only binary`` holds ``dist/decide`` beside the package.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench import machine
from bench.peers import catalogue, goals, page
from bench.peers.binary import BINARY, PACKAGE, Comparison, Measuring, command_of, size
from bench.peers.experiments import ALONE, Experiments, Pace
from bench.peers.findings import Findings, Goal, Table
from bench.peers.warming import Warming
from bench.peers.world import World
from bench.scenario import ScenarioError

WHOLE = Pace(rounds=5, seconds=2.0, sizes=(10, 1000, 10_000, 100_000), warm_symbols=10_000, warm_bars=1000, loop_symbols=1000)
SMOKE = Pace(rounds=1, seconds=0.2, sizes=(10,), warm_symbols=100, warm_bars=100, loop_symbols=50)
QUICK = Pace(rounds=5, seconds=0.4, sizes=(10, 1000, 10_000), warm_symbols=1000, warm_bars=500, loop_symbols=250)
PACKAGES = ("granian", "uvicorn", "starlette", "fastapi", "litestar", "cashews", "redis", "msgspec", "uvloop", "polars", "pandas")
_PAGE_FOLDER = Path(__file__).resolve().parent.parent
_FAILED, _USAGE, _INTERRUPTED = 1, 2, 130


def measure(pace: Pace, progress: Callable[[str], None], *, quick: bool) -> Findings:
    """Everything."""
    started_at, started = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    commit = machine.commit()
    with tempfile.TemporaryDirectory(prefix="decide-peers-") as temporary:
        world = World(Path(temporary))
        experiments = Experiments(world, pace, progress)
        try:
            experiments.prepare()
            tables = [experiments.hits(), *experiments.connections(), *experiments.sockets()]
            tables += experiments.open_loops(tables[0])
            tables += [experiments.batched(), experiments.paths(), experiments.workers(), experiments.settings()]
            by_name = {table.name: table for table in tables}
            cost = experiments.cost(by_name)
            experiments.stop()
            sizes = experiments.sizes()
            steps = Warming(world, pace, progress).steps()
            redis_version = str(world.client.info("server")["redis_version"])
        finally:
            experiments.stop()
            world.close()
    here = {server.name for server in catalogue.peers()}
    return Findings(
        started_at=started_at,
        took_s=round(time.perf_counter() - started, 1),
        quick=quick,
        commit=commit,
        machine=machine.machine(),
        versions=machine.versions(PACKAGES),
        redis_version=redis_version,
        missing=[server.title for server in (catalogue.NGINX, catalogue.FEAST) if server.name not in here],
        tables=tables,
        sizes=sizes,
        steps=steps,
        cost=cost,
        goals=goals.judge(by_name, sizes, steps),
    )


def alone(name: str, pace: Pace, progress: Callable[[str], None]) -> list[Table]:
    """One experiment, by itself."""
    with tempfile.TemporaryDirectory(prefix="decide-peers-") as temporary:
        world = World(Path(temporary))
        experiments = Experiments(world, pace, progress)
        try:
            experiments.prepare()
            return experiments.alone(name)
        finally:
            experiments.stop()
            world.close()


def compare(arguments: argparse.Namespace, pace: Pace, progress: Callable[[str], None]) -> Comparison:
    """The one file beside the package."""
    commands = {
        PACKAGE: command_of("--package", arguments.package),
        BINARY: command_of("--binary", arguments.binary),
    }
    with tempfile.TemporaryDirectory(prefix="decide-peers-") as temporary:
        world = World(Path(temporary))
        try:
            return Measuring(world, commands, pace, progress).compare()
        finally:
            world.close()


def _tell(goals: Sequence[Goal]) -> None:
    for goal in goals:
        print(f"{'met   ' if goal.met else 'MISSED'} {goal.what}: {goal.found} (goal: {goal.goal})")


def main(arguments: Sequence[str]) -> int:
    """Exit codes: 0 measured and written, whatever the figures say; 1 a goal of the one file is missed; 2 something needed is not
    there; 130 interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="python -m bench --scenario peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="short rounds, smaller universes, less than five minutes")
    parser.add_argument("--out", type=Path, help="folder for the page (default bench, with --quick bench/results)")
    parser.add_argument("--smoke", action="store_true", help="one short round of everything: does it run?")
    parser.add_argument("--only", choices=(*ALONE, BINARY), help="measure this experiment alone, print it, write nothing")
    parser.add_argument("--binary", default="dist/decide", help=f"with --only {BINARY}: the file (default dist/decide)")
    package = f"{sys.executable} -m app"
    parser.add_argument("--package", default=package, metavar="COMMAND", help="how the package is run (default: by this Python)")
    options = parser.parse_args(arguments)
    short = options.quick or options.smoke
    pace = SMOKE if options.smoke else QUICK if options.quick else WHOLE
    folder = options.out or (_PAGE_FOLDER / "results" if short else _PAGE_FOLDER)
    console = Console(stderr=True)
    try:
        if options.only == BINARY:
            found = compare(options, pace, lambda text: console.print(text, highlight=False))
            print("\n\n".join([page.lines(found.lines), *map(page.servers, found.tables), size(found.unpacked), *found.notes]))
            _tell(found.goals())
            return 0 if all(goal.met for goal in found.goals()) else _FAILED
        if options.only is not None:
            for table in alone(options.only, pace, lambda text: console.print(text, highlight=False)):
                print(f"{page.shown(table)}\n")
            return 0
        findings = measure(pace, lambda text: console.print(text, highlight=False), quick=short)
    except ScenarioError as error:
        print(f"bench: {error}", file=sys.stderr)
        return _USAGE
    except KeyboardInterrupt:
        return _INTERRUPTED
    _tell(findings.goals)
    for path in page.write(findings, folder):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
