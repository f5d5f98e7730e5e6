"""The results JSON of the scenario: everything the page says, and what it was measured on."""

from collections.abc import Sequence

import msgspec

from bench.peers.sampling import Spread
from bench.scenario import ScenarioError


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One server (or setting, or size) under one load, over the rounds. ``ratio`` is of Decide's, or of what the table is of, to
    this one's in the same round; its meaning is the table's. ``p50_ratio`` and the others are of this
    one's latency to the first's.
    """

    name: str
    title: str
    limit: bool = False
    answers_per_s: Spread
    decisions_per_s: Spread | None = None
    cpu_us: Spread
    p50_ms: Spread
    p95_ms: Spread
    p99_ms: Spread
    ratio: Spread | None = None
    cpu_ratio: Spread | None = None
    p50_ratio: Spread | None = None
    p95_ratio: Spread | None = None
    p99_ratio: Spread | None = None
    errors: int = 0
    faults: int = 0


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows measured in the same rounds."""

    name: str
    title: str
    connections: int
    rounds: int
    seconds: float
    rows: list[Row]

    def row(self, name: str) -> Row:
        """The row of that name."""
        return next(row for row in self.rows if row.name == name)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of the package and of the one file; ``ratio`` is the file's by the package's, within one round."""

    name: str
    title: str
    package: Spread
    binary: Spread
    ratio: Spread

    @classmethod
    def of(cls, name: str, title: str, *, package: Sequence[float], binary: Sequence[float]) -> "Line":
        """From the figures of each round, in the order of the rounds. What is nothing was not measured, and refused.

        Raises:
            ScenarioError: a figure is not above 0.
        """
        if min(*package, *binary) <= 0:
            raise ScenarioError(f"{title}: a figure of {min(*package, *binary):g} was not measured; allowed: above 0")
        ratios = [theirs / ours for ours, theirs in zip(package, binary, strict=True)]
        return cls(name=name, title=title, package=Spread.of(package), binary=Spread.of(binary), ratio=Spread.of(ratios))


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """Decide with a universe of ``symbols``, all of it in L1."""

    symbols: int
    start_s: Spread
    resident_at_start_mb: float
    resident_full_mb: float
    answers_per_s: Spread
    cpu_us: Spread
    redis_bytes_a_symbol: float


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One way of doing a part of the warm job."""

    name: str
    title: str
    part: str
    symbols: int
    bars: int
    wall_s: Spread
    peak_mb: float | None = None
    rows_per_s: float


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Constants for the sums about many machines, each measured."""

    bytes_an_answer: int
    bytes_a_record_pair: float
    redis_us_a_miss: float
    decide_us_a_miss: float
    decide_us_a_hit: float
    decide_us_a_batched: float


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """One line of what there is to reach."""

    what: str
    goal: str
    found: str
    met: bool


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    started_at: str
    took_s: float
    quick: bool
    commit: str
    machine: dict[str, object]
    versions: dict[str, str]
    redis_version: str
    missing: list[str]
    tables: list[Table]
    sizes: list[Size]
    steps: list[Step]
    cost: Cost
    goals: list[Goal]

    def table(self, name: str) -> Table:
        """The table of that name."""
        return next(table for table in self.tables if table.name == name)

    def row(self, table: str, name: str) -> Row:
        """A row of it."""
        return self.table(table).row(name)
