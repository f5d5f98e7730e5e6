"""``python -m bench --scenario stream``: trades on their way into decisions, all on this machine, with SQLite.

What the consumer takes out of a full log, and whether a trade is lost or double where it is killed; how long a trade takes until
a decision has it; what flowing trades do to hits. It takes about four minutes and writes its section of ``bench/RESULTS.md``;
``--quick`` does a tenth, and writes under ``bench/results``; ``--smoke`` only sees that everything runs.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console

from app.arguments import number
from bench import machine, sections
from bench.peers.processes import ROOT
from bench.scenario import ScenarioError
from bench.stream import measuring, page
from bench.stream.findings import StreamFindings, judge
from bench.stream.measuring import Pace

WHOLE = Pace(
    consumed=2_000_000,
    kills=10,
    symbols=100,
    rate_per_s=1000.0,
    probes=500,
    flowing_symbols=1000,
    flowing_per_s=10_000.0,
    hits_per_s=500.0,
    seconds=4.0,
    rounds=5,
)
QUICK = msgspec.structs.replace(WHOLE, consumed=200_000, kills=5, probes=200, seconds=2.0, rounds=3)
SMOKE = msgspec.structs.replace(QUICK, consumed=20_000, kills=2, probes=20, flowing_per_s=1000.0, seconds=0.5, rounds=1)
CONSUMER, DECISION, HITS = ALONE = ("consumer", "decision", "hits")
_FAILED, _USAGE, _INTERRUPTED = 1, 2, 130


def measure(chosen: Sequence[str], pace: Pace, margin: float, progress: Callable[[str], None]) -> StreamFindings:
    """What is ``chosen`` of `ALONE`."""
    if not Path("/proc/self/stat").exists():
        raise ScenarioError("the scenario stream measures CPU time by /proc, which only Linux has")
    started_at, started, load_1 = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="decide-stream-") as name:
        folders = {each: Path(name) / each for each in ALONE}
        for folder in folders.values():
            folder.mkdir(mode=0o700)
        consumed = measuring.consumed(folders[CONSUMER], pace, progress) if CONSUMER in chosen else None
        followed = measuring.followed(folders[DECISION], pace, progress) if DECISION in chosen else None
        beside = measuring.beside(folders[HITS], pace, progress) if HITS in chosen else None
    return StreamFindings(
        started_at=started_at,
        took_s=round(time.perf_counter() - started, 1),
        commit=machine.commit(),
        machine=machine.machine(),
        load=round(load_1, 1),
        consumed=consumed,
        followed=followed,
        beside=beside,
        goals=judge(consumed, followed, beside, margin),
    )


def main(arguments: Sequence[str]) -> int:
    """Exit codes: 0 every goal is met, or it is a smoke run that lost nothing; 1 one is missed; 2 something needed is not there;
    130 interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="python -m bench --scenario stream", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of it")
    parser.add_argument("--smoke", action="store_true", help="does it run?")
    parser.add_argument("--only", choices=ALONE, help="this alone, written nowhere")
    parser.add_argument("--margin", type=number(least=1, most=10), default=1.0, help="bounds so many times as wide (default 1)")
    parser.add_argument("--out", type=Path, help="folder for results (default bench/results)")
    options = parser.parse_args(arguments)
    pace = SMOKE if options.smoke else QUICK if options.quick else WHOLE
    console = Console(stderr=True)
    chosen = ALONE if options.only is None else (options.only,)
    try:
        found = measure(chosen, pace, options.margin, lambda text: console.print(text, highlight=False, soft_wrap=True))
    except ScenarioError as error:
        print(f"bench: {error}", file=sys.stderr)
        return _USAGE
    except KeyboardInterrupt:
        return _INTERRUPTED
    print(page.markdown(found))
    if options.only is None:
        for path in sections.write("stream", found, page.markdown(found), options.out or ROOT / "bench" / "results"):
            print(path)
        if pace is WHOLE:
            sections.put("stream", page.markdown(found), ROOT / "bench" / "RESULTS.md")
    is_lossless = found.consumed is None or found.consumed.ledger.is_exact
    return _FAILED if not (is_lossless if options.smoke else all(goal.met for goal in found.goals)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
