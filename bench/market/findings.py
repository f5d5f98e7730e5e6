"""The results JSON of the scenario ``market``."""

from collections.abc import Sequence

import msgspec

from bench.peers.findings import Goal
from bench.peers.sampling import Spread


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """What one store takes in. ``cpu_us`` is the writing process's for a trade, ``database_us`` PostgreSQL's. ``memory_mb`` is in
    the middle and at the end.
    """

    name: str
    title: str
    trades: int
    trades_per_s: float
    cpu_us: float
    database_us: float | None
    resent_per_s: float
    memory_mb: tuple[float, float]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One server under one kind of request. ``peak_per_s`` is of a closed loop, all else of an open one at the table's rate.

    ``cpu_us`` is the server's for an answer, ``database_us`` PostgreSQL's; ratios are the peer's by this one's, within a round.
    """

    name: str
    title: str
    peak_per_s: Spread
    cpu_us: Spread
    database_us: Spread | None
    p50_ms: Spread
    p95_ms: Spread
    p99_ms: Spread
    peak_ratio: Spread | None = None
    cpu_ratio: Spread | None = None
    p95_ratio: Spread | None = None
    wrong: int = 0


class Pages(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of request. ``compared`` answers of each server were the same as the peer's."""

    name: str
    title: str
    rate_per_s: float
    rounds: int
    seconds: float
    compared: int
    rows: list[Reading]

    def row(self, name: str) -> Reading:
        """The row of that name."""
        return next(row for row in self.rows if row.name == name)


class MarketFindings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything."""

    started_at: str
    took_s: float
    commit: str
    machine: dict[str, object]
    versions: dict[str, str]
    postgres_version: str
    load: float
    candles: int
    trades: int
    writing: list[Writing]
    pages: list[Pages]
    goals: list[Goal]


WRITES_PER_S = {"sqlite": 120_000, "postgres": 80_000}
P95_MS, PEER, GROWTH = 5.0, 10.0, 1.1
NEAR = "day"
"""The pages where the peer has little to count and little to pass over: their ratio is told, and no goal."""


def judge(writing: Sequence[Writing], pages: Sequence[Pages], margin: float = 1.0) -> list[Goal]:
    """What there is to reach, held against what was found; bounds are ``margin`` times as wide."""
    return [
        *(goal for each in writing for goal in _writing(each, margin)),
        *(goal for each in pages for row in each.rows if row.name != "peer" for goal in _reading(each, row, margin)),
    ]


def _writing(found: Writing, margin: float) -> list[Goal]:
    least = WRITES_PER_S[found.name] / margin
    middle, end = found.memory_mb
    return [
        Goal(
            what=f"{found.title}: trades with bars and offsets",
            goal=f"at least {least:,.0f} trades/s",
            found=f"{found.trades_per_s:,.0f} trades/s over {found.trades:,}",
            met=found.trades_per_s >= least,
        ),
        Goal(
            what=f"{found.title}: the writer's memory",
            goal=f"in the end at most {GROWTH:g} × what it is in the middle",
            found=f"{end:,.0f} of {middle:,.0f} MB",
            met=end <= GROWTH * middle,
        ),
    ]


def _reading(pages: Pages, row: Reading, margin: float) -> list[Goal]:
    assert row.p95_ratio is not None
    assert row.cpu_ratio is not None
    soon = Goal(
        what=f"{row.title}: {pages.title}",
        goal=f"p95 under {P95_MS * margin:g} ms",
        found=row.p95_ms.text(2, " ms"),
        met=row.p95_ms.median < P95_MS * margin and row.wrong == 0,
    )
    if pages.name == NEAR:
        return [soon]
    sooner = Goal(
        what="... beside the peer",
        goal=f"p95 at least {PEER / margin:g} × as short",
        found=f"{row.p95_ratio.text(1, ' ×')}; CPU with the database's {row.cpu_ratio.text(1, ' ×')}",
        met=row.p95_ratio.median >= PEER / margin,
    )
    return [soon, sooner]
