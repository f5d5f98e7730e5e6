"""Pages of candles and trades, asked of Decide on both stores and of the peer, side by side in one run."""

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import NamedTuple

import msgspec

from bench.market import asking, made
from bench.market.asking import Question
from bench.market.database import Database
from bench.market.findings import Pages, Reading
from bench.mix import Prepared
from bench.peers.processes import Process
from bench.peers.sampling import Sample, Spread, take
from bench.scenario import ScenarioError

Progress = Callable[[str], None]
_FRESH = 10
_PEAK_CONNECTIONS, _CONNECTIONS = 8, 32
_SHARE = 0.5
"""Of the slowest server's peak, at which all are asked: none of them queues."""
_DEEP_SYMBOLS = 3
_QUESTIONS = 200


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How much, how long and how often. ``walked``: pages of a history; ``compared``: answers of each kind."""

    candles: int
    trades: int
    written: int
    resent: int
    rounds: int
    seconds: float
    walked: int
    compared: int


class Server(NamedTuple):
    """One of those that are asked. ``database``: whose CPU time is its own."""

    name: str
    title: str
    process: Process
    database: Database | None = None


class Taken(NamedTuple):
    """One round of one server."""

    peak_per_s: float
    sample: Sample
    database_us: float | None


class Experiments:
    """All kinds of pages. ``servers``: the peer is the last one, and its name is ``peer``."""

    def __init__(self, servers: Sequence[Server], pace: Pace, progress: Progress) -> None:
        self._servers, self._pace, self._progress = servers, pace, progress

    def candles(self) -> list[Pages]:
        """The newest, any of any day, and whole histories."""
        symbols = made.symbols_for(self._pace.candles)
        bars = self._pace.candles // len(symbols)
        newest, within = asking.newest(symbols), asking.within_a_day(symbols, bars, _QUESTIONS)
        return [
            self._pages("newest", "the newest 100 candles", {each.name: newest for each in self._servers}),
            self._pages("day", "100 candles, any page of a day by offset", {each.name: within for each in self._servers}),
            self._pages("deep", "100 candles, the pages of a history", self._deep(symbols[:_DEEP_SYMBOLS])),
        ]

    def trades(self) -> list[Pages]:
        """The history of the symbol that has most trades."""
        symbol = made.symbols_of(1, "T")
        return [self._pages("trades", "100 trades, the pages of a history", self._deep(symbol, "trades"))]

    def _deep(self, symbols: Sequence[str], route: str = "candles") -> dict[str, list[Question]]:
        """Cursors are a server's own. In turns from all parts of the histories, the same for each server."""
        found = {}
        for server in self._servers[:-1]:
            self._progress(f"{route}: walking on {server.title}")
            questions = []
            for symbol in symbols:
                query: dict[str, object] = {"symbol": symbol, "start": made.iso(made.FIRST_US)}
                if route == "candles":
                    query["interval"] = "1m"
                questions += asking.deep(server.process.address, route, query, self._pace.walked)
            found[server.name] = questions[:: max(1, len(questions) // _QUESTIONS)]
        return {**found, self._servers[-1].name: next(iter(found.values()))}

    def _pages(self, name: str, title: str, questions: dict[str, list[Question]]) -> Pages:
        for server in self._servers:
            asked = _asked(server, questions[server.name])
            take(server.process, cycle(asked), connections=_PEAK_CONNECTIONS, count=_FRESH)
        compared = self._compare(questions)
        peaks = {each.name: self._peak(each, questions[each.name]) for each in self._servers}
        rate_per_s = max(1.0, round(_SHARE * min(peaks.values())))
        taken: dict[str, list[Taken]] = {each.name: [] for each in self._servers}
        for number in range(self._pace.rounds):
            self._progress(f"{name}: round {number + 1} of {self._pace.rounds}, {rate_per_s:g} requests/s")
            for server in self._servers:
                taken[server.name].append(self._round(server, questions[server.name], rate_per_s))
        theirs = taken[self._servers[-1].name]
        rows = [_row(each, taken[each.name], theirs if each is not self._servers[-1] else None) for each in self._servers]
        return Pages(
            name=name,
            title=title,
            rate_per_s=rate_per_s,
            rounds=self._pace.rounds,
            seconds=self._pace.seconds,
            compared=compared,
            rows=rows,
        )

    def _compare(self, questions: dict[str, list[Question]]) -> int:
        """How many answers of each server were held against the peer's.

        Raises:
            ScenarioError: one is another.
        """
        peer = self._servers[-1]
        for server in self._servers[:-1]:
            every = questions[server.name]
            for question in every[:: max(1, len(every) // self._pace.compared)]:
                ours = asking.fetch(server.process.address, question.ours)
                theirs = asking.fetch(peer.process.address, question.by_offset)
                if (what := asking.difference(ours, theirs)) is not None:
                    raise ScenarioError(f"{server.title}, {question.ours}: {what}")
        return min(len(every[:: max(1, len(every) // self._pace.compared)]) for every in questions.values())

    def _peak(self, server: Server, questions: Sequence[Question]) -> float:
        asked = cycle(_asked(server, questions))
        return take(server.process, asked, connections=_PEAK_CONNECTIONS, seconds=self._pace.seconds / 2).answers_per_s

    def _round(self, server: Server, questions: Sequence[Question], rate_per_s: float) -> Taken:
        peak_per_s, asked = self._peak(server, questions), cycle(_asked(server, questions))
        before_s = None if server.database is None else server.database.cpu_s()
        sample = take(server.process, asked, connections=_CONNECTIONS, seconds=self._pace.seconds, rate_per_s=rate_per_s)
        after_s = None if server.database is None else server.database.cpu_s()
        spent_us = None if before_s is None or after_s is None else (after_s - before_s) / sample.answers * 1e6
        return Taken(peak_per_s, sample, spent_us)


def _asked(server: Server, questions: Sequence[Question]) -> list[Prepared]:
    address = server.process.address
    return [asking.prepared(address, each.by_offset if server.name == "peer" else each.ours) for each in questions]


def _row(server: Server, taken: Sequence[Taken], theirs: Sequence[Taken] | None) -> Reading:
    databases = [each.database_us for each in taken if each.database_us is not None]
    pairs = [] if theirs is None else list(zip(taken, theirs, strict=True))
    samples = [each.sample for each in taken]
    return Reading(
        name=server.name,
        title=server.title,
        peak_per_s=Spread.of([each.peak_per_s for each in taken]),
        cpu_us=Spread.of([each.cpu_us for each in samples]),
        database_us=Spread.of(databases) if databases else None,
        p50_ms=Spread.of([each.p50_ms for each in samples]),
        p95_ms=Spread.of([each.p95_ms for each in samples]),
        p99_ms=Spread.of([each.p99_ms for each in samples]),
        peak_ratio=Spread.of([our.peak_per_s / their.peak_per_s for our, their in pairs]) if pairs else None,
        cpu_ratio=Spread.of([_cpu_us(their) / max(1e-9, _cpu_us(our)) for our, their in pairs]) if pairs else None,
        p95_ratio=Spread.of([their.sample.p95_ms / our.sample.p95_ms for our, their in pairs]) if pairs else None,
        wrong=sum(each.errors + each.faults for each in samples),
    )


def _cpu_us(taken: Taken) -> float:
    """With the database's."""
    return taken.sample.cpu_us + (taken.database_us or 0.0)
