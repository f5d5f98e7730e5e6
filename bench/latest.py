"""``python -m bench.latest``: what GET /price/latest costs beside POST /decide, both from memory, in CPU time of the server.

Starts a server on the sample, with a last trade of each symbol that is asked for, and loads its two routes in turns, round after
round, so that whatever else the machine does meets both alike. ``--before FOLDER`` also starts the version that is checked out
there, and holds decisions of the two beside each other. Ratios are of one round. Linux only. Exit codes: 0, 1 a price costs more
than 1.1 decisions, or a decision more than 1.03 of the version before, 2 it could not be measured.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.table import Table

from app.domain.ticks import tick_of
from app.domain.trades import Trade
from app.store.codec import encode
from app.store.opening import open_store
from app.store.protocol import Record
from bench.addresses import Address
from bench.mix import Prepared
from bench.peers.processes import ROOT, Process, free_address, run_python
from bench.peers.sampling import Sample, Spread, singles, take
from bench.scenario import ScenarioError

_SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
_LIMITS = {"a price": 1.1, "a decision": 1.03}
_FAILED, _USAGE = 1, 2
_BEFORE = "a decision, before"
_AGAINST = {"a price": "a decision", "a decision": _BEFORE}


def start(folder: Path, code: Path, stack: ExitStack) -> Process:
    """A server of the version in ``code``, on the sample.

    Raises:
        ScenarioError: it did not come up.
    """
    folder.mkdir()
    own = code / ".venv" / "bin" / "python"
    python = str(own) if own.exists() else sys.executable
    settings = {"CLOCK": "replay", "LOG_LEVEL": "error", "WORKERS": "1", "ACCESS": "off", "HOST": "127.0.0.1", "DRAIN_S": "0"}
    settings |= {"REDIS_URL": "", "STORE_PATH": str(folder / "store.sqlite3"), "PYTHONPATH": str(code)}
    data = ROOT / "data"
    run_python(folder, settings, "-m", "warm", "--prices", str(data / "prices"), "--agents", str(data / "agents"), python=python)
    address = free_address()
    server = Process([python, "-m", "app"], folder, address, settings | {"PORT": str(address.port)})
    stack.callback(server.stop)
    server.wait_ready("/readyz")
    return server


async def trade(path: Path) -> None:
    """Each of the symbols has a last trade, of now."""
    now_us = time.time_ns() // 1000
    store = open_store(redis_url="", store_path=path, key_prefix="decide:1")
    try:
        trades = [Trade("bench", each, "1", now_us, Decimal("431.2575"), Decimal(100), "1", "buy", "bench") for each in _SYMBOLS]
        ticks = [tick_of(each, loaded_at_ms=now_us // 1000, currency="USD") for each in trades]
        await store.upsert([Record("tick", each.symbol, encode(each)) for each in ticks])
    finally:
        await store.close()


def prices(address: Address) -> Iterator[Prepared]:
    """One symbol after the other, round and round."""
    head = f"HTTP/1.1\r\nHost: {address.host}\r\n\r\n"
    return itertools.cycle(
        [Prepared("decide", (each,), f"GET /price/latest?symbol={each} {head}".encode("ascii")) for each in _SYMBOLS]
    )


def measure(loads: Mapping[str, tuple[Process, Iterator[Prepared]]], rounds: int, seconds: float) -> dict[str, list[Sample]]:
    """Samples of each load, in turns; one round before, which is not kept, warms them."""
    samples: dict[str, list[Sample]] = {name: [] for name in loads}
    for turn in range(rounds + 1):
        for name, (server, requests) in loads.items():
            sample = take(server, requests, connections=16, seconds=seconds if turn else 1.0)
            if turn:
                samples[name].append(sample)
    return samples


def compared(samples: Mapping[str, Sequence[Sample]]) -> dict[str, Spread]:
    """Ratios of CPU time, round by round, by what is held against what it stands beside."""
    return {
        name: Spread.of([one.cpu_us / other.cpu_us for one, other in zip(samples[name], samples[beside], strict=True)])
        for name, beside in _AGAINST.items()
        if beside in samples
    }


def too_dear(ratios: Mapping[str, Spread]) -> dict[str, float]:
    """Those above their limits."""
    return {name: found.median for name, found in ratios.items() if found.median > _LIMITS[name]}


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.latest", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9, help="rounds, of which the median is taken (default 9)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each sample (default 3)")
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="the version before, checked out there")
    arguments = parser.parse_args()
    console = Console() if sys.stdout.isatty() else Console(width=120)
    try:
        with tempfile.TemporaryDirectory(prefix="decide-latest-") as name, ExitStack() as stack:
            folder = Path(name)
            server = start(folder / "now", ROOT, stack)
            asyncio.run(trade(folder / "now" / "store.sqlite3"))
            loads = {"a price": (server, prices(server.address)), "a decision": (server, singles(server.address, _SYMBOLS))}
            if arguments.before is not None:
                before = start(folder / "before", arguments.before.resolve(), stack)
                loads[_BEFORE] = before, singles(before.address, _SYMBOLS)
            samples = measure(loads, arguments.rounds, arguments.seconds)
    except ScenarioError as error:
        print(f"latest: {error}", file=sys.stderr)
        return _USAGE
    table = Table(title="CPU time of the server for one answer from memory")
    for column in ("answer", "CPU (µs)", "against", "ratio", "least", "most"):
        table.add_column(column, justify="left" if column in ("answer", "against") else "right")
    ratios = compared(samples)
    for name, taken in samples.items():
        row = [name, f"{Spread.of([each.cpu_us for each in taken]).median:.1f}"]
        if name in ratios:
            found = ratios[name]
            row += [_AGAINST[name], f"{found.median:.3f}", f"{found.low:.3f}", f"{found.high:.3f}"]
        table.add_row(*row)
    console.print(table)
    over = too_dear(ratios)
    for name, ratio in over.items():
        print(f"latest: {name} costs {ratio:.3f} times {_AGAINST[name]}; allowed: {_LIMITS[name]}")
    return _FAILED if over else 0


if __name__ == "__main__":
    sys.exit(main())
