"""``python -m bench --scenario stream``: trades on their way into decisions, all on this machine, with SQLite.

What the consumer takes out of a full log, and whether a trade is lost or double where it is killed; how long a trade takes until
a decision has it; what flowing trades do to hits. It takes about four minutes and writes its section of ``bench/RESULTS.md``;
``--quick`` does a tenth, and writes under ``bench/results``; ``--smoke`` only sees that everything runs.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench import machine, sections
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
_FAILED = 1


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
    options = sections.options_of("stream", __doc__, ALONE).parse_args(arguments)
    pace = SMOKE if options.smoke else QUICK if options.quick else WHOLE
    chosen = ALONE if options.only is None else (options.only,)

    def measured(progress: Callable[[str], None]) -> StreamFindings:
        return measure(chosen, pace, options.margin, progress)

    found = sections.run("stream", options, measured, page.markdown, is_whole=pace is WHOLE)
    if isinstance(found, int):
        return found
    is_lossless = found.consumed is None or found.consumed.ledger.is_exact
    return _FAILED if not (is_lossless if options.smoke else all(goal.met for goal in found.goals)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
