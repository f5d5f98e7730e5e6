"""What a run leaves behind, and what must hold of it."""

from typing import Literal

import msgspec

from bench.capacity import Capacity
from bench.scenario import LOWER_BOUNDS, Checks
from bench.stats import Fault, Second


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the acceptance: what was found and what it had to be."""

    phase: str
    name: str
    rule: Literal["at most", "at least"]
    limit: float
    found: float | None
    passed: bool

    @property
    def line(self) -> str:
        """For people."""
        found = "nothing to measure" if self.found is None else f"{self.found:g}"
        return f"{self.phase}: {self.name} is {found}, must be {self.rule} {self.limit:g}"


class PhaseResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a phase came to. Latencies in ms, from when a request was due; ``send_lateness_ms`` is the harness's part of it.
    ``refusal_ms`` is of answers of 503 and counts from when they were sent; ``single_ms`` is of single decisions. ``given_up``
    requests waited too long for a connection and were never sent; ``goodput`` is as in `bench.scenario.Checks`.
    """

    name: str
    loop: str
    measured: bool
    connections: int
    rate_per_s: float | None
    elapsed_s: float
    answers: int
    answers_per_s: float
    decisions: int
    decisions_per_s: float
    goodput: float | None
    given_up: int
    refusal_ms: dict[str, float | None]
    single_ms: dict[str, float | None]
    latency_ms: dict[str, float | None]
    send_lateness_ms: dict[str, float | None]
    curve: list[tuple[float, float]]
    time_line: list[Second]
    kinds: dict[str, int]
    statuses: dict[str, int]
    faults: dict[str, int]
    first_faults: list[Fault]
    refused_connections: int
    invalid: int
    examples_of_invalid: list[str]
    tiers: dict[str, int]
    fallback_levels: dict[str, int]
    server_hit_rate: float | None
    server_errors: int
    server_memory_mb: float | None
    harness_cpu_share: float
    checks: list[Check]


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """The results JSON."""

    scenario: str
    description: str
    started_at: str
    url: str
    commit: str
    machine: dict[str, object]
    versions: dict[str, str]
    server: dict[str, object]
    settings: dict[str, object]
    universe_symbols: int
    harness: Capacity
    phases: list[PhaseResult]
    passed: bool

    @property
    def failures(self) -> list[Check]:
        """The checks that failed."""
        return [check for phase in self.phases for check in phase.checks if not check.passed]


def check(phase: str, checks: Checks, found: dict[str, float | None]) -> list[Check]:
    """Hold what was found against what must be; what must be and was not found fails."""
    made = []
    for name in checks.__struct_fields__:
        limit = getattr(checks, name)
        if limit is None:
            continue
        value = found[name]
        lower = name in LOWER_BOUNDS
        passed = value is not None and (value >= limit if lower else value <= limit)
        rule: Literal["at most", "at least"] = "at least" if lower else "at most"
        made.append(Check(phase=phase, name=name, rule=rule, limit=limit, found=value, passed=passed))
    return made
