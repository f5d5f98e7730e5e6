"""A scenario against a server, phase by phase, to results."""

import gc
import time
from collections.abc import Callable
from datetime import UTC, datetime

from hdrh.histogram import HdrHistogram

from bench import machine, scrape
from bench.addresses import Addresses, UnixAddress, address_of
from bench.capacity import measure
from bench.load import Load
from bench.mix import Encoder, Universe, draw
from bench.nuisance import Nuisance
from bench.results import PhaseResult, Results, check
from bench.scenario import Phase, Scenario, ScenarioError
from bench.stats import PERCENTILES

Progress = Callable[[str, float], None]
_OTHER_FILES = 64
_PRICED_SYMBOLS = 1000
"""The most popular ones; what is asked for before a run takes a second or two."""


def allow_connections(count: int) -> None:
    """Raise the process's limit of open files to what so many connections need.

    Raises:
        ScenarioError: it may not be raised so far; the phase would measure something else than it says.
    """
    try:
        import resource  # noqa: PLC0415 - Windows has neither the module nor the limit
    except ImportError:
        return
    needed = count + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in (-1, resource.RLIM_INFINITY) and hard < needed:
        raise ScenarioError(f"{count} connections need {needed} open files, and this process may have {hard} (ulimit -n)")
    if soft not in (-1, resource.RLIM_INFINITY) and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class Runner:
    """Runs one scenario."""

    def __init__(self, scenario: Scenario, url: str, progress: Progress) -> None:
        self._scenario = scenario
        self._url = url
        self._progress = progress
        target = address_of(url)
        try:
            self._addresses = Addresses(target)
        except OSError as error:
            raise scrape.ServerError(f"{target.host}: {error.strerror or error}") from error
        self._host = target.host
        self._peak_per_s = 0.0
        self._peak_decisions_per_s = 0.0
        self._first_p99_ms: float | None = None

    async def run(self) -> Results:
        """All phases.

        Raises:
            ServerError: the server does not answer what must be known of it before or after a phase.
        """
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        address = self._addresses.take()
        symbols = scrape.symbols(address)
        universe = Universe(symbols, self._scenario.seed)
        if any(each.mix.live_price for each in self._scenario.phases):
            self._progress("asking for the last closes", 0.0)
            universe.closes = scrape.closes(address, universe.popular[:_PRICED_SYMBOLS])
        server, status = scrape.get_json(address, "/version"), scrape.get_json(address, "/status")
        self._progress("measuring the harness itself", 0.0)
        first = Encoder(self._host).prepared("decide", (symbols[0],))
        reply = scrape.get(address, "/decide", first.wire.split(b"\r\n\r\n", 1)[1])
        capacity = await measure(first, reply, socket=isinstance(address, UnixAddress))
        phases = []
        for number, phase in enumerate(self._scenario.phases):
            phases.append(await self._run_phase(phase, universe, self._scenario.seed + number))
        settings = status.get("settings")
        return Results(
            scenario=self._scenario.name,
            description=self._scenario.description,
            started_at=started_at,
            url=self._url,
            commit=machine.commit(),
            machine=machine.machine(),
            versions=machine.versions(),
            server={**server, "replicas": len(self._addresses.all), "store": status.get("store")},
            settings=settings if isinstance(settings, dict) else {},
            universe_symbols=len(symbols),
            harness=capacity,
            phases=phases,
            passed=all(each.passed for phase in phases for each in phase.checks),
        )

    async def _run_phase(self, phase: Phase, universe: Universe, seed: int) -> PhaseResult:
        rate_per_s = phase.rate_per_s
        if phase.share_of_peak is not None:
            rate_per_s = max(1.0, phase.share_of_peak * self._peak_per_s)
        allow_connections(phase.connections + phase.beside.total)
        encoder = Encoder(self._host, phase.mix.max_age_s)
        requests = draw(phase.mix, universe, encoder, seed)
        load = Load(
            phase,
            requests,
            self._addresses,
            rate_per_s=rate_per_s,
            progress=lambda share: self._progress(phase.name, share),
        )
        async with Nuisance(phase.beside, self._addresses):
            before = scrape.look(self._addresses.all)
            # What the harness made so far stays; a collection in the middle of a phase would be measured as the server's.
            gc.collect()
            gc.freeze()
            cpu_s = time.process_time()
            await load.run()
            cpu_s = time.process_time() - cpu_s
            gc.unfreeze()
        self._progress(phase.name, 1.0)
        if phase.loop == "closed" and phase.measured:
            self._peak_per_s = max(self._peak_per_s, load.recorder.answers / load.elapsed_s)
            self._peak_decisions_per_s = max(self._peak_decisions_per_s, load.decisions_per_s)
        self._addresses.look_again()
        after = scrape.look(self._addresses.all)
        p99_ms = load.recorder.percentile_ms(99.0)
        if phase.measured and self._first_p99_ms is None:
            self._first_p99_ms = p99_ms or 0.0  # without an answer: nothing to compare the later ones with
        ratios = {
            "goodput": load.decisions_per_s / self._peak_decisions_per_s if self._peak_decisions_per_s else None,
            "p99_ratio": p99_ms / self._first_p99_ms if p99_ms and self._first_p99_ms else None,
        }
        return _result(
            phase, load, rate_per_s, ratios, cpu_s / load.elapsed_s, scrape.change(before, after), scrape.memory_bytes(after)
        )


def _percentiles(histogram: HdrHistogram) -> dict[str, float | None]:
    names = {percentile: f"p{percentile:g}" if percentile < PERCENTILES[-1] else "max" for percentile in PERCENTILES}
    if not histogram.get_total_count():
        return dict.fromkeys(names.values())
    return {name: histogram.get_value_at_percentile(percentile) / 1000.0 for percentile, name in names.items()}


def _result(
    phase: Phase,
    load: Load,
    rate_per_s: float | None,
    ratios: dict[str, float | None],
    cpu_share: float,
    grown: scrape.Samples,
    memory_bytes: float | None,
) -> PhaseResult:
    recorder = load.recorder
    refusal_ms, single_ms = _percentiles(recorder.refusals), _percentiles(recorder.singles)
    hit_rate = scrape.hit_rate(grown)
    goodput = ratios["goodput"]
    errors = max(recorder.server_errors, scrape.server_errors(grown))
    found: dict[str, float | None] = {
        "p50_ms": recorder.percentile_ms(50.0),
        "p95_ms": recorder.percentile_ms(95.0),
        "p99_ms": recorder.percentile_ms(99.0),
        "hit_rate": hit_rate,
        **ratios,
        "refusal_p99_ms": refusal_ms["p99"],
        "single_p99_ms": single_ms["p99"],
        "server_errors": errors,
        "faults": recorder.faults.total(),
        "invalid": recorder.invalid,
    }
    return PhaseResult(
        name=phase.name,
        loop=phase.loop,
        measured=phase.measured,
        connections=phase.connections,
        rate_per_s=rate_per_s,
        elapsed_s=round(load.elapsed_s, 3),
        answers=recorder.answers,
        answers_per_s=round(recorder.answers / load.elapsed_s, 1),
        decisions=recorder.decisions,
        decisions_per_s=round(load.decisions_per_s, 1),
        goodput=None if goodput is None else round(goodput, 3),
        given_up=recorder.given_up,
        refusal_ms=refusal_ms,
        single_ms=single_ms,
        latency_ms=_percentiles(recorder.histogram),
        send_lateness_ms=_percentiles(recorder.lateness),
        curve=recorder.curve(),
        time_line=recorder.time_line(),
        kinds=dict(recorder.kinds),
        statuses={str(status): count for status, count in sorted(recorder.statuses.items())},
        faults=dict(recorder.faults),
        first_faults=recorder.first_faults,
        refused_connections=recorder.refused_connections,
        invalid=recorder.invalid,
        examples_of_invalid=recorder.examples,
        tiers=dict(recorder.tiers),
        fallback_levels=dict(recorder.levels),
        server_hit_rate=hit_rate,
        server_errors=errors,
        server_memory_mb=None if memory_bytes is None else round(memory_bytes / 1e6, 1),
        harness_cpu_share=round(cpu_share, 3),
        checks=check(phase.name, phase.checks, found),
    )
