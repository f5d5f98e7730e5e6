"""What is measured, table by table. In each round every server has its turn, so that a ratio is of neighbours in time."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from bench.mix import Prepared
from bench.peers import catalogue
from bench.peers.catalogue import Server
from bench.peers.findings import Cost, Row, Size, Table
from bench.peers.processes import Process
from bench.peers.sampling import Sample, Spread, batches, singles, take, wire
from bench.peers.world import World, symbols_of

C = TypeVar("C")
Progress = Callable[[str], None]
_UNIVERSE = 1000
_ROTATED = 20_000
_FRESH = 0.4
_STARTS = 3
ALONE = ("hits", "connections", "sockets", "batches", "paths", "workers", "granian")
"""Experiments that need no other's figures, by what ``--only`` calls them."""
_MISS_L1 = {"L1_MAX_ENTRIES": "100"}


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One row to be: ``process`` under ``requests``. ``decisions`` are in each answer."""

    name: str
    title: str
    process: Process
    requests: Iterator[Prepared]
    limit: bool = False
    decisions: int = 1
    wanted: int = 200
    rate_per_s: float | None = None


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how often."""

    rounds: int
    seconds: float
    sizes: tuple[int, ...]
    warm_symbols: int
    warm_bars: int
    loop_symbols: int


def in_order(cases: Sequence[C], number: int, *, alternate: bool) -> list[C]:
    """Whose turn is when in round ``number``, from 0: as they stand, or with ``alternate`` the other way round in every other."""
    return list(reversed(cases)) if alternate and number % 2 else list(cases)


def table(
    name: str,
    title: str,
    cases: Sequence[Case],
    pace: Pace,
    progress: Progress,
    *,
    connections: int = 32,
    alternate: bool = False,
) -> Table:
    """Measure ``cases`` in interleaved rounds, each compared with the first of them. Where they are to be so alike that it might
    matter who is first, they ``alternate``.
    """
    taken: dict[str, list[Sample]] = {case.name: [] for case in cases}
    for case in cases:
        # Once for what only the first requests pay.
        take(case.process, case.requests, connections=connections, seconds=_FRESH, wanted=case.wanted)
    for number in range(pace.rounds):
        progress(f"{name}: round {number + 1} of {pace.rounds}")
        for case in in_order(cases, number, alternate=alternate):
            sample = take(
                case.process,
                case.requests,
                connections=connections,
                seconds=pace.seconds,
                rate_per_s=case.rate_per_s,
                wanted=case.wanted,
            )
            taken[case.name].append(sample)
    first = taken[cases[0].name]
    rows = [_row(case, taken[case.name], None if case is cases[0] else first, cases[0].decisions) for case in cases]
    return Table(name=name, title=title, connections=connections, rounds=pace.rounds, seconds=pace.seconds, rows=rows)


def _row(case: Case, samples: Sequence[Sample], first: Sequence[Sample] | None, first_decisions: int) -> Row:
    ratio = cpu_ratio = p50_ratio = p95_ratio = p99_ratio = None
    if first is not None:
        pairs = list(zip(first, samples, strict=True))
        share = first_decisions / case.decisions
        ratio = Spread.of([ours.answers_per_s * share / theirs.answers_per_s for ours, theirs in pairs])
        cpu_ratio = Spread.of([theirs.cpu_us * share / max(ours.cpu_us, 1e-9) for ours, theirs in pairs])
        p50_ratio = Spread.of([theirs.p50_ms / max(ours.p50_ms, 1e-9) for ours, theirs in pairs])
        p95_ratio = Spread.of([theirs.p95_ms / max(ours.p95_ms, 1e-9) for ours, theirs in pairs])
        p99_ratio = Spread.of([theirs.p99_ms / max(ours.p99_ms, 1e-9) for ours, theirs in pairs])
    return Row(
        name=case.name,
        title=case.title,
        limit=case.limit,
        answers_per_s=Spread.of([each.answers_per_s for each in samples]),
        decisions_per_s=Spread.of([each.answers_per_s * case.decisions for each in samples]),
        cpu_us=Spread.of([each.cpu_us for each in samples]),
        p50_ms=Spread.of([each.p50_ms for each in samples]),
        p95_ms=Spread.of([each.p95_ms for each in samples]),
        p99_ms=Spread.of([each.p99_ms for each in samples]),
        ratio=ratio,
        cpu_ratio=cpu_ratio,
        p50_ratio=p50_ratio,
        p95_ratio=p95_ratio,
        p99_ratio=p99_ratio,
        errors=sum(each.errors for each in samples),
        faults=sum(each.faults for each in samples),
    )


class Experiments:
    """All tables, on one world with 1,000 symbols at first."""

    def __init__(self, world: World, pace: Pace, progress: Progress) -> None:
        self._world = world
        self._pace = pace
        self._progress = progress
        self._running: dict[str, Process] = {}
        self._feast_body = b""
        self.names = symbols_of(_UNIVERSE)

    def prepare(self) -> None:
        """Load the universe, start Decide, and take its answer for the constant replies."""
        self._progress("loading")
        self._world.load(_UNIVERSE)
        self._world.keep_reply(self.running(catalogue.DECIDE))
        if catalogue.FEAST in catalogue.peers():
            self._feast_body = self._world.prepare_feast()

    def running(self, server: Server) -> Process:
        """``server``, started when first needed."""
        process = self._running.get(server.name)
        if process is None:
            process = self._running[server.name] = self._world.start(server)
        return process

    def stop(self, *names: str) -> None:
        """Stop these servers, or all."""
        for name in names or tuple(self._running):
            self._running.pop(name).stop()

    def _case(self, server: Server) -> Case:
        process = self.running(server)
        requests = singles(process.address, self.names)
        if server is catalogue.FEAST:
            bodies = [(name, self._feast_body.replace(b"SYMBOL", name.encode())) for name in self.names]
            path = "/get-online-features"
            requests = itertools.cycle([wire(process.address, path, body, (name,)) for name, body in bodies])
        return Case(name=server.name, title=server.title, process=process, requests=requests, limit=server.limit)

    def alone(self, name: str) -> list[Table]:
        """One of `ALONE`."""
        several = {"connections": self.connections, "sockets": self.sockets}
        if name in several:
            return several[name]()
        single = {
            "hits": self.hits,
            "batches": self.batched,
            "paths": self.paths,
            "workers": self.workers,
            "granian": self.settings,
        }
        return [single[name]()]

    def hits(self) -> Table:
        """Every server, every symbol warm."""
        cases = [self._case(server) for server in catalogue.peers()]
        return table("hits", "One decision a request, 32 connections, everything warm", cases, self._pace, self._progress)

    def connections(self) -> list[Table]:
        """The latency floor, and a thousand callers."""
        chosen = [catalogue.DECIDE, catalogue.RAW_BODY, catalogue.UVICORN_BODY, catalogue.FASTAPI, catalogue.LITESTAR]
        titles = {1: "One connection: the floor of latency", 1000: "A thousand connections, closed loop"}
        return [
            table(
                f"connections_{count}",
                title,
                [self._case(each) for each in chosen],
                self._pace,
                self._progress,
                connections=count,
            )
            for count, title in titles.items()
        ]

    def sockets(self) -> list[Table]:
        """The same server by both ways to reach it on one machine, both freshly started: one caller, and 32."""
        pair = [catalogue.DECIDE_TCP, catalogue.DECIDE_UNIX]
        titles = {1: "One connection: one bot, one question after the other", 32: "32 connections, closed loop"}
        found = [
            table(
                f"sockets_{count}",
                title,
                [self._case(each) for each in pair],
                self._pace,
                self._progress,
                connections=count,
                alternate=True,
            )
            for count, title in titles.items()
        ]
        self.stop(*(each.name for each in pair))
        return found

    def open_loops(self, peaks: Table) -> list[Table]:
        """Latency at half and at four fifths of each server's own peak, on a thousand connections."""
        chosen = [catalogue.DECIDE, catalogue.RAW_BODY, catalogue.FASTAPI, catalogue.LITESTAR]
        found = []
        for share in (0.5, 0.8):
            cases = []
            for server in chosen:
                peak = peaks.row(server.name).answers_per_s.median
                cases.append(msgspec.structs.replace(self._case(server), rate_per_s=share * peak))
            title = f"Open loop at {share * 100:.0f} % of each server's own peak, a thousand connections"
            found.append(table(f"open_{share * 100:.0f}", title, cases, self._pace, self._progress, connections=1000))
        return found

    def paths(self) -> Table:
        """The ways through the cache: L1, L2, nowhere."""
        self._progress("paths: loading")
        self._world.load(_ROTATED, "many:1")
        tiny = catalogue.decide("decide_miss", "Decide, every symbol read from Redis", KEY_PREFIX="many:1", **_MISS_L1)
        process = self.running(tiny)
        unknown = [f"NONE-{number}" for number in range(200)]
        ours = self.running(catalogue.DECIDE)
        cases = [
            self._case(catalogue.DECIDE),
            Case(name=tiny.name, title=tiny.title, process=process, requests=singles(process.address, symbols_of(_ROTATED))),
            Case(
                name="decide_unknown",
                title="Decide, unknown symbol (404, remembered)",
                process=ours,
                requests=singles(ours.address, unknown),
                wanted=404,
            ),
            self._case(catalogue.ONE_GET),
            self._case(catalogue.FASTAPI),
        ]
        return table("paths", "Ways through the cache, 32 connections", cases, self._pace, self._progress)

    def cost(self, found: dict[str, Table]) -> Cost:
        """The constants; after `paths`."""
        process = self._running["decide_miss"]
        redis_s = self._world.redis_cpu_s()
        sample = take(process, singles(process.address, symbols_of(_ROTATED)), seconds=2 * self._pace.seconds)
        redis_s = self._world.redis_cpu_s() - redis_s
        pairs = [self._world.record_bytes(symbol) for symbol in self.names]
        per_batch = found["batches"].row("batch_1000").cpu_us.median
        return Cost(
            bytes_an_answer=len(self._world.reply),
            bytes_a_record_pair=sum(pairs) / len(pairs),
            redis_us_a_miss=redis_s / sample.answers * 1e6,
            decide_us_a_miss=sample.cpu_us,
            decide_us_a_hit=found["hits"].rows[0].cpu_us.median,
            decide_us_a_batched=per_batch / 1000,
        )

    def batched(self) -> Table:
        """Many decisions a request, on one connection, against one decision a request on one connection."""
        process = self.running(catalogue.DECIDE)
        cases = [
            Case(name=f"batch_{size}", title=f"{size} decisions a request", process=process, decisions=size, requests=requests)
            for size, requests in [
                (1000, batches(process.address, self.names, 1000)),
                (1, singles(process.address, self.names)),
                (10, batches(process.address, self.names, 10)),
                (100, batches(process.address, self.names, 100)),
            ]
        ]
        title = "Batches on one connection; the ratio is of decisions a second, a batch of 1,000 to this"
        return table("batches", title, cases, self._pace, self._progress, connections=1)

    def settings(self) -> Table:
        """Granian's settings under a constant reply after the body, and Uvicorn beside them."""
        variants = [
            catalogue.RAW_BODY,
            catalogue.granian("g_mt", "runtime mode mt, 1 thread", "after_body", "--runtime-mode", "mt"),
            catalogue.granian(
                "g_mt2", "runtime mode mt, 2 threads", "after_body", "--runtime-mode", "mt", "--runtime-threads", "2"
            ),
            catalogue.granian("g_rust", "task implementation rust", "after_body", "--task-impl", "rust"),
            catalogue.granian("g_asyncio", "asyncio's loop", "after_body", "--loop", "asyncio"),
            catalogue.granian("g_workers", "2 workers", "after_body", "--workers", "2"),
            catalogue.UVICORN_BODY,
            catalogue.RAW,
            catalogue.UVICORN,
        ]
        title = "Granian's settings, constant reply; the first line has what Decide runs with"
        found = table("granian", title, [self._case(each) for each in variants], self._pace, self._progress)
        self.stop(*(each.name for each in variants if each.name.startswith("g_")))
        return found

    def workers(self) -> Table:
        """Decide with one worker and with two."""
        two = catalogue.decide("decide_2", "Decide, 2 workers", WORKERS="2")
        cases = [self._case(catalogue.DECIDE), self._case(two)]
        found = table(
            "workers", "Workers, 32 connections; harness and server share the machine", cases, self._pace, self._progress
        )
        self.stop(two.name)
        return found

    def sizes(self) -> list[Size]:
        """How costs grow with the universe."""
        found = []
        for count in self._pace.sizes:
            self._progress(f"universe of {count:,}")
            prefix = f"u{count}:1"
            before = self._world.redis_bytes()
            self._world.load(count, prefix)
            held = (self._world.redis_bytes() - before) / count
            found.append(self._size(count, prefix, held))
            # A universe of 100,000 would slow Redis's background work for what comes after it.
            for key in self._world.client.scan_iter(f"{prefix}:*", count=10_000):
                self._world.client.unlink(key)
        return found

    def _size(self, count: int, prefix: str, held: float) -> Size:
        server = catalogue.decide(f"size_{count}", "", KEY_PREFIX=prefix, L1_MAX_ENTRIES=str(max(count, 1000)))
        starts = []
        for number in range(_STARTS):
            process = self._world.start(server)
            starts.append(process.ready_s)
            if number < _STARTS - 1:
                process.stop()
        at_start = process.largest_resident_mb()
        names = symbols_of(count)
        for chunk in range(0, count, 1000):
            # Twice: the second time has the answers prepared.
            for _ in range(2):
                take(process, batches(process.address, names[chunk : chunk + 1000], 1000), connections=1, seconds=0.01)
        full = process.largest_resident_mb()
        requests = singles(process.address, names)
        samples = [take(process, requests, seconds=self._pace.seconds) for _ in range(self._pace.rounds)]
        process.stop()
        return Size(
            symbols=count,
            start_s=Spread.of(starts),
            resident_at_start_mb=at_start,
            resident_full_mb=full,
            answers_per_s=Spread.of([each.answers_per_s for each in samples]),
            cpu_us=Spread.of([each.cpu_us for each in samples]),
            redis_bytes_a_symbol=held,
        )
