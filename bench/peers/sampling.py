"""One sample: a server under one load for a moment, seen by the client (rate, latency) and from outside (CPU time)."""

import gc
import itertools
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Literal

import msgspec

from bench.addresses import Address, Addresses
from bench.load import Load
from bench.loops import run
from bench.mix import Encoder, Prepared
from bench.peers.processes import Process
from bench.runner import allow_connections
from bench.scenario import Phase, ScenarioError
from bench.validity import Verdict

_OK = 200


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """``answers`` are those that are as wanted, which alone count for rate and CPU time; ``errors`` are others, ``faults``
    requests without any. Latencies are of all.
    """

    answers: int
    answers_per_s: float
    cpu_us: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: int
    faults: int


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Least, middle and most of what several rounds gave."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least one value."""
        return cls(low=min(values), median=median(values), high=max(values))

    def text(self, digits: int = 1, unit: str = "") -> str:
        """Median, with least and most in brackets."""
        return f"{self.median:,.{digits}f}{unit} [{self.low:,.{digits}f}, {self.high:,.{digits}f}]"

    @property
    def inverse(self) -> "Spread":
        """Of the inverse values."""
        return Spread(low=1 / self.high, median=1 / self.median, high=1 / self.low)


def wire(address: Address, path: str, content: bytes, symbols: tuple[str, ...]) -> Prepared:
    """A POST of JSON."""
    head = f"POST {path} HTTP/1.1\r\nHost: {address.host}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return Prepared("decide", symbols, head.encode("ascii") + content)


def singles(address: Address, symbols: Sequence[str]) -> Iterator[Prepared]:
    """One symbol after the other, round and round."""
    encoder = Encoder(address.host)
    return itertools.cycle([encoder.prepared("decide", (symbol,)) for symbol in symbols])


def batches(address: Address, symbols: Sequence[str], size: int) -> Iterator[Prepared]:
    """So many symbols at once, round and round."""
    encoder = Encoder(address.host)
    count = max(1, len(symbols) // size)
    made = [encoder.prepared("batch", tuple(symbols[first * size : (first + 1) * size])) for first in range(count)]
    return itertools.cycle(made)


def take(
    process: Process,
    requests: Iterator[Prepared],
    *,
    connections: int = 32,
    seconds: float | None = None,
    count: int | None = None,
    rate_per_s: float | None = None,
    wanted: int = _OK,
) -> Sample:
    """Load ``process`` in a closed loop, or in an open one at ``rate_per_s``, for ``seconds`` or with ``count`` requests.

    Raises:
        ScenarioError: nothing was answered as wanted.
    """

    def judge(_: Prepared, status: int, body: bytes) -> Verdict:
        # Nothing is decoded here: the harness's own CPU is taken from the same two cores.
        return Verdict(None if status == wanted else f"{status}: {body[:100]!r}")

    allow_connections(connections)
    loop: Literal["closed", "open"] = "closed" if rate_per_s is None else "open"
    phase = Phase(name="sample", loop=loop, connections=connections, duration_s=seconds, requests=count, rate_per_s=rate_per_s)
    load = Load(phase, requests, Addresses(process.address), rate_per_s=rate_per_s, judge=judge)
    gc.collect()
    gc.freeze()
    cpu_s = process.cpu_s()
    run(load.run())
    cpu_s = process.cpu_s() - cpu_s
    gc.unfreeze()
    recorder = load.recorder
    good = recorder.answers - recorder.invalid
    if not good:
        raise ScenarioError(f"no usable answers: {recorder.examples or dict(recorder.faults)}\n{process.log[-1000:]}")
    return Sample(
        answers=good,
        answers_per_s=round(good / load.elapsed_s, 1),
        cpu_us=round(cpu_s / good * 1e6, 2),
        p50_ms=recorder.percentile_ms(50.0) or 0.0,
        p95_ms=recorder.percentile_ms(95.0) or 0.0,
        p99_ms=recorder.percentile_ms(99.0) or 0.0,
        errors=recorder.invalid,
        faults=recorder.faults.total(),
    )
