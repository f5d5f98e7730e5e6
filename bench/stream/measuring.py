"""The three experiments: a full log that is read, a trade until a decision has it, and hits while trades flow."""

import random
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path

import msgspec

from bench.addresses import HttpConnection
from bench.peers.processes import Process
from bench.peers.sampling import Spread, singles, take
from bench.scenario import ScenarioError
from bench.stream.findings import Beside, Consumed, Followed
from bench.stream.place import Place, counted
from bench.stream.producing import TOPIC, create, number_of, symbols_of, trade

Progress = Callable[[str], None]
_LOOK_S, _LONGEST_S = 0.05, 600.0
_READ, _WRITTEN = "decide_stream_messages_total", "decide_stream_ticks_total"
_ANSWER_S = 10.0
"""A trade that no answer has after so long is lost."""
_CONNECTIONS = 16
_OUTLASTS_S = 600
"""Whoever produces beside a measurement would go on so long."""
_OURS = 50_000_000
"""Numbers of this process are above it, and those of the other below."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How much, how long and how often. ``probes``: trades of a round that are waited for."""

    consumed: int
    kills: int
    symbols: int
    rate_per_s: float
    probes: int
    flowing_symbols: int
    flowing_per_s: float
    hits_per_s: float
    seconds: float
    rounds: int


class _Answer(msgspec.Struct):
    """The part of a decision that is looked at."""

    class Inputs(msgspec.Struct):
        """Its inputs."""

        class Tick(msgspec.Struct):
            """The last trade."""

            price: float | None = None

        tick: Tick | None = None

    inputs: Inputs


_decode = msgspec.json.Decoder(_Answer).decode


def _until_read(consumer: Process, messages: float) -> None:
    began = time.perf_counter()
    while counted(consumer, _READ) < messages:
        if time.perf_counter() - began > _LONGEST_S:
            raise ScenarioError(
                f"the consumer has not read {messages:,.0f} messages after {_LONGEST_S:g} s:\n{consumer.log[-1000:]}"
            )
        time.sleep(_LOOK_S)


def consumed(folder: Path, pace: Pace, progress: Progress) -> Consumed:
    """Read a full log; then fill it with a quarter as much again, and kill the consumer while it reads that."""
    place, first = Place(folder), pace.consumed // 20
    progress(f"a log of {pace.consumed:,} trades")
    place.produce(pace.symbols, pace.consumed)
    with place.consumer() as consumer:
        _until_read(consumer, first)
        began, cpu_s, read = time.perf_counter(), consumer.cpu_s(), counted(consumer, _READ)
        _until_read(consumer, pace.consumed // 2)
        middle_mb = consumer.largest_resident_mb()
        _until_read(consumer, pace.consumed)
        wall_s, cpu_s, end_mb = time.perf_counter() - began, consumer.cpu_s() - cpu_s, consumer.largest_resident_mb()
    more, rng = pace.consumed // 4, random.Random(1)
    progress(f"{more:,} more trades, and {pace.kills} kills")
    place.produce(pace.symbols, more, "", pace.consumed)
    for _ in range(pace.kills):
        with place.consumer() as consumer:
            time.sleep(rng.uniform(0.0, more / pace.kills / (pace.consumed / wall_s)))
            consumer.kill()
    with place.consumer():
        ledger, wanted = place.ledger(pace.consumed + more), pace.consumed + more
        began = time.perf_counter()
        while not ledger.is_exact and time.perf_counter() - began < _LONGEST_S / 10:
            time.sleep(1.0)
            ledger = place.ledger(wanted)
    return Consumed(
        trades=pace.consumed,
        trades_per_s=(pace.consumed - read) / wall_s,
        cpu_us=cpu_s / (pace.consumed - read) * 1e6,
        memory_mb=(middle_mb, end_mb),
        kills=pace.kills,
        killed_trades=more,
        ledger=ledger,
    )


def followed(folder: Path, pace: Pace, progress: Progress) -> Followed:
    """Most trades are written by a process of its own; those that are waited for come from here, one after the other."""
    place, symbols, rounds, numbers = Place(folder), symbols_of(pace.symbols), list[list[float]](), count(1)
    # No trade comes between one that is waited for and the answer that has it.
    waited_for = symbols[-max(1, len(symbols) // 10) :]
    place.warm(symbols)
    with (
        closing(create(place.log)) as log,
        place.server() as server,
        place.consumer(),
        closing(HttpConnection(server.address, _ANSWER_S)) as connection,
    ):
        for turn in range(pace.rounds + 1):
            progress(f"a trade until a decision has it: round {turn} of {pace.rounds}")
            taken_ms, others = list[float](), int(pace.rate_per_s * _OUTLASTS_S)
            with place.producing(len(symbols) - len(waited_for), others, pace.rate_per_s, turn * others):
                for _ in range(pace.probes if turn else pace.probes // 4):
                    number = _OURS + next(numbers)
                    symbol = waited_for[number % len(waited_for)]
                    began = time.perf_counter()
                    log.append(TOPIC, [trade(symbol, number, time.time_ns() // 1000)])
                    _until_answered(connection, symbol, number)
                    taken_ms.append((time.perf_counter() - began) * 1000.0)
            if turn:
                rounds.append(taken_ms)
    return Followed(
        rate_per_s=pace.rate_per_s,
        symbols=pace.symbols,
        asked=pace.rounds * pace.probes,
        p50_ms=Spread.of([statistics.median(each) for each in rounds]),
        p99_ms=Spread.of([sorted(each)[len(each) * 99 // 100] for each in rounds]),
    )


def _until_answered(connection: HttpConnection, symbol: str, number: int) -> None:
    """Ask until an answer has the price of that trade."""
    body, began = msgspec.json.encode({"symbol": symbol}), time.perf_counter()
    while time.perf_counter() - began < _ANSWER_S:
        connection.request("POST", "/decide", body, {"Content-Type": "application/json"})
        tick = _decode(connection.getresponse().read()).inputs.tick
        if tick is not None and tick.price is not None and number_of(tick.price) == number:
            return
    raise ScenarioError(f"no answer has trade {number} of {symbol} after {_ANSWER_S:g} s")


def beside(folder: Path, pace: Pace, progress: Progress) -> Beside:
    """In rounds: hits of a quiet server, and hits while trades flow into its L1."""
    place, symbols = Place(folder), symbols_of(pace.flowing_symbols)
    quiet_ms, busy_ms, record_us, wrong = list[float](), list[float](), list[float](), 0
    place.warm(symbols)
    create(place.log).close()
    with place.server() as server, place.consumer() as consumer:
        requests = singles(server.address, symbols)
        take(server, requests, connections=_CONNECTIONS, count=2 * len(symbols))
        for turn in range(pace.rounds):
            progress(f"hits while trades flow: round {turn + 1} of {pace.rounds}")
            quiet = take(server, requests, connections=_CONNECTIONS, seconds=pace.seconds, rate_per_s=pace.hits_per_s)
            flowing = int(pace.flowing_per_s * _OUTLASTS_S)
            with place.producing(pace.flowing_symbols, flowing, pace.flowing_per_s, turn * flowing):
                _until_read(consumer, counted(consumer, _READ) + pace.flowing_per_s / 2)
                before = counted(consumer, _WRITTEN)
                busy = take(server, requests, connections=_CONNECTIONS, seconds=pace.seconds, rate_per_s=pace.hits_per_s)
                records = counted(consumer, _WRITTEN) - before
            quiet_ms.append(quiet.p99_ms)
            busy_ms.append(busy.p99_ms)
            record_us.append((busy.cpu_us * busy.answers - quiet.cpu_us * quiet.answers) / max(1.0, records))
            wrong += busy.errors + busy.faults + quiet.errors + quiet.faults
    return Beside(
        rate_per_s=pace.flowing_per_s,
        symbols=pace.flowing_symbols,
        hits_per_s=pace.hits_per_s,
        quiet_p99_ms=Spread.of(quiet_ms),
        busy_p99_ms=Spread.of(busy_ms),
        ratio=Spread.of([one / other for one, other in zip(busy_ms, quiet_ms, strict=True)]),
        record_us=Spread.of(record_us),
        wrong=wrong,
    )
