"""``python -m bench.streams``: how soon many subscribers of GET /stream learn of a publication, and what that costs the others.

It connects subscribers to a running server, each to symbols of the universe in turn, has a command publish again and again, each
time something new (what stays the same is told to nobody), and prints: how long after the publication, by the id that Redis gave
it (on SQLite, after its first receipt), each subscriber had its decision; how long POST /decide took a caller in a process of
its own, while nothing was published and while decisions were given out; CPU time and memory of the server by its own metrics.
The command runs on the machine of Redis, or on one whose clock is as exact.

Exit codes: 0 all subscribers were told of every publication, 1 some were not, 2 wrong usage, or no server to measure.
"""

import argparse
import asyncio
import functools
import multiprocessing
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import NamedTuple

import msgspec

from bench import loops, scrape
from bench.addresses import ALLOWED, Address, HttpConnection, address_of
from bench.scenario import ScenarioError
from bench.scrape import ServerError

_CONNECTING_AT_ONCE = 50
_PROBE_EVERY_S = 0.005
_QUIET_S = 3.0
_find_id = re.compile(rb"\nid: (\S+)\n").search
_FAILED, _USAGE = 1, 2


class Probe(NamedTuple):
    """One POST /decide: when it was sent, and how long it took."""

    at: float
    seconds: float


class Listener(asyncio.Protocol):
    """One subscriber. ``receipts`` has, by the id of an event, when each listener had it."""

    def __init__(self, request: bytes, receipts: dict[str, list[float]]) -> None:
        self._request = request
        self._receipts = receipts
        self._rest = b""
        self.decisions = 0
        self.ended = False
        self.told: asyncio.Event = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        self.transport = transport
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Parts of events; how the server cut them into chunks does not matter."""
        now = time.time()
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        for block in blocks:
            if b"event: decision" in block:
                self.decisions += 1
                found = _find_id(block)
                if found is not None:
                    self._receipts[found[1].decode()].append(now)
                    self.told.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The server dropped it."""
        del exc
        self.ended = True
        self.told.set()


def published_at(event_id: str, receipts: Sequence[float]) -> float:
    """When the change with this id was published: Redis's ids say it, in milliseconds; SQLite's do not."""
    milliseconds, dash, _ = event_id.partition("-")
    return int(milliseconds) / 1000.0 if dash else min(receipts)


def percentiles_ms(seconds: Sequence[float]) -> str:
    """p50, p95, p99 and the maximum, for people."""
    if len(seconds) < 2:  # noqa: PLR2004 - of one there is no distribution
        return "too few"
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return ", ".join(
        f"{name} {value * 1000:.1f}"
        for name, value in (("p50", cuts[49]), ("p95", cuts[94]), ("p99", cuts[98]), ("max", max(seconds)))
    )


def probe(address: Address, symbol: str, pipe: Connection) -> None:
    """Ask for decisions at a steady rate, until told to stop; then say how long each took."""
    connection = HttpConnection(address, 30.0)
    body = msgspec.json.encode({"symbol": symbol})
    found = []
    while not pipe.poll():
        at, started = time.time(), time.perf_counter()
        connection.request("POST", "/decide", body, {"Content-Type": "application/json"})
        connection.getresponse().read()
        seconds = time.perf_counter() - started
        found.append((at, seconds))
        time.sleep(max(0.0, _PROBE_EVERY_S - seconds))
    pipe.send(found)


class Measured(NamedTuple):
    """What came of it."""

    delays_s: list[float]
    quiet: list[float]
    busy: list[float]
    events: int
    events_per_s: float
    ended: int
    missing: int


async def measure(address: Address, subscribers: int, symbols: Sequence[str], command: Sequence[str], times: int) -> Measured:
    """Connect all, publish so often, and see who learns of it when."""
    receipts: dict[str, list[float]] = defaultdict(list)
    listeners = await _connected(address, subscribers, symbols, receipts)
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    prober = multiprocessing.get_context("spawn").Process(target=probe, args=(address, symbols[0], theirs), daemon=True)
    prober.start()
    await asyncio.sleep(_QUIET_S)
    quiet_until = time.time()
    before = sum(each.decisions for each in listeners)
    known = set(receipts)
    missing = 0
    for _ in range(times):
        for each in listeners:
            each.told.clear()
        done = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
        if await done.wait():
            raise ServerError(f"{command[0]} failed with {done.returncode}")
        waiting = [asyncio.create_task(each.told.wait()) for each in listeners]
        _, late = await asyncio.wait(waiting, timeout=10.0)
        missing += len(late)
        for task in late:
            task.cancel()
        await asyncio.sleep(0.2)
    ours.send(None)
    probes = [Probe(*each) for each in await asyncio.to_thread(ours.recv)]
    delays, spans = [], []
    for event_id in receipts.keys() - known:
        at = published_at(event_id, receipts[event_id])
        delays += [each - at for each in receipts[event_id]]
        spans.append((at, max(receipts[event_id])))
    for each in listeners:
        each.transport.close()
    return Measured(
        delays_s=delays,
        quiet=[each.seconds for each in probes if each.at < quiet_until],
        busy=[each.seconds for each in probes if any(at - each.seconds <= each.at <= end for at, end in spans)],
        events=sum(each.decisions for each in listeners) - before,
        events_per_s=len(delays) / max(1e-9, sum(end - at for at, end in spans)),
        ended=sum(each.ended for each in listeners),
        missing=missing,
    )


async def _connected(
    address: Address, subscribers: int, symbols: Sequence[str], receipts: dict[str, list[float]]
) -> list[Listener]:
    listeners: list[Listener] = []
    for first in range(0, subscribers, _CONNECTING_AT_ONCE):
        some = []
        for number in range(first, min(subscribers, first + _CONNECTING_AT_ONCE)):
            query = f"symbols={symbols[number % len(symbols)]}&interval_ms=0"
            request = f"GET /stream?{query} HTTP/1.1\r\nHost: {address.host}\r\n\r\n".encode()
            some.append(await address.open(functools.partial(Listener, request, receipts)))
        await asyncio.gather(*(asyncio.wait_for(each.told.wait(), 30) for each in some))
        listeners += some
    return listeners


def tell(found: Measured, before: scrape.Samples, after: scrape.Samples, subscribers: int, times: int) -> None:
    """The report."""

    def of(samples: scrape.Samples, name: str) -> float:
        return samples.get((name, ()), 0.0)

    cpu_s = of(after, "process_cpu_seconds_total") - of(before, "process_cpu_seconds_total")
    memory = of(after, "process_resident_memory_bytes") / 1e6
    print(f"{subscribers} subscribers, {times} publications, {found.events} decisions received")
    print(
        f"from publication to receipt, ms: {percentiles_ms(found.delays_s)}; {found.events_per_s:,.0f} events/s while given out"
    )
    print(f"POST /decide while nothing was published, ms: {percentiles_ms(found.quiet)} ({len(found.quiet)} requests)")
    print(f"POST /decide while decisions were given out, ms: {percentiles_ms(found.busy)} ({len(found.busy)} requests)")
    print(f"server: {cpu_s:.1f} s of CPU time, {memory:.0f} MB resident")
    print(f"dropped: {found.ended}; not told within 10 s: {found.missing}")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.streams", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000", help=f"the server: {ALLOWED} (default http://127.0.0.1:8000)")
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--symbols", type=int, default=1, help="so many of the universe are followed, one each (default 1)")
    parser.add_argument("--publish", required=True, help="the command that publishes something new each time")
    parser.add_argument("--times", type=int, default=10, help="how often it does (default 10)")
    arguments = parser.parse_args(argv)
    try:
        address = address_of(arguments.url)
        symbols = scrape.symbols(address)[: arguments.symbols]
        before = scrape.look([address])[address]
        command = shlex.split(arguments.publish)
        found = loops.run(measure(address, arguments.subscribers, symbols, command, arguments.times))
        after = scrape.look([address])[address]
    except (ScenarioError, ServerError, OSError, TimeoutError) as error:
        print(f"bench: {error or type(error).__name__}", file=sys.stderr)
        return _USAGE
    tell(found, before, after, arguments.subscribers, arguments.times)
    return _FAILED if found.ended or found.missing else 0


if __name__ == "__main__":
    sys.exit(main())
