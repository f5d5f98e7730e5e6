"""The results JSON of the scenario ``stream``, and its judgement."""

from collections.abc import Sequence

import msgspec

from bench.peers.findings import Goal
from bench.peers.sampling import Spread
from bench.stream.place import Ledger


class Consumed(msgspec.Struct, frozen=True, kw_only=True):
    """What the consumer takes out of a full log, into SQLite. ``memory_mb``: when half was read, and at the end. Then it is
    killed so often while it reads ``killed_trades`` more; the ledger has all.
    """

    trades: int
    trades_per_s: float
    cpu_us: float
    memory_mb: tuple[float, float]
    kills: int
    killed_trades: int
    ledger: Ledger


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """From before a trade is appended until an answer has its price, of a caller that asks back to back; p50 and p99 of rounds.
    ``asked`` are the trades that it waited for.
    """

    rate_per_s: float
    symbols: int
    asked: int
    p50_ms: Spread
    p99_ms: Spread


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """Hits while trades flow into the symbols that are asked for, beside a quiet server, in rounds. ``record_us``: CPU time that
    the server spent more, for a record.
    """

    rate_per_s: float
    symbols: int
    hits_per_s: float
    quiet_p99_ms: Spread
    busy_p99_ms: Spread
    ratio: Spread
    record_us: Spread
    wrong: int


class StreamFindings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything; None was not measured."""

    started_at: str
    took_s: float
    commit: str
    machine: dict[str, object]
    load: float
    consumed: Consumed | None
    followed: Followed | None
    beside: Beside | None
    goals: list[Goal]


CONSUMED_PER_S, GROWTH = 120_000, 1.1
P50_MS, P99_MS, RATIO = 4.0, 20.0, 2.0


def judge(consumed: Consumed | None, followed: Followed | None, beside: Beside | None, margin: float = 1.0) -> list[Goal]:
    """What there is to reach, held against what was found; bounds of time are ``margin`` times as wide."""
    return [
        *(_consumed(consumed, margin) if consumed is not None else ()),
        *(_followed(followed, margin) if followed is not None else ()),
        *(_beside(beside, margin) if beside is not None else ()),
    ]


def _consumed(found: Consumed, margin: float) -> Sequence[Goal]:
    least, (middle, end), ledger = CONSUMED_PER_S / margin, found.memory_mb, found.ledger
    return (
        Goal(
            what="the consumer: trades, bars and offsets into SQLite, last trades into L2",
            goal=f"at least {least:,.0f} trades/s",
            found=f"{found.trades_per_s:,.0f} trades/s over {found.trades:,}",
            met=found.trades_per_s >= least,
        ),
        Goal(
            what="its memory",
            goal=f"in the end at most {GROWTH:g} × what it is in the middle",
            found=f"{end:,.0f} of {middle:,.0f} MB",
            met=end <= GROWTH * middle,
        ),
        Goal(
            what=f"killed {found.kills} times at random moments",
            goal="no trade lost or double",
            found=f"of {ledger.acknowledged:,} {ledger.missing} lost, {ledger.double} double; {ledger.in_candles:,} in bars",
            met=ledger.is_exact,
        ),
    )


def _followed(found: Followed, margin: float) -> Sequence[Goal]:
    where = f"a trade until a decision has it, {found.symbols} symbols, {found.rate_per_s:,.0f} trades/s"
    return tuple(
        Goal(
            what=f"{where}: {name}",
            goal=f"under {most * margin:g} ms",
            found=each.text(2, " ms"),
            met=each.median < most * margin,
        )
        for name, each, most in (("p50", found.p50_ms, P50_MS), ("p99", found.p99_ms, P99_MS))
    )


def _beside(found: Beside, margin: float) -> Sequence[Goal]:
    return (
        Goal(
            what=f"hits while {found.rate_per_s:,.0f} trades/s flow into {found.symbols:,} symbols: p99",
            goal=f"at most {RATIO * margin:g} × a quiet server's",
            found=found.ratio.text(2, " ×"),
            met=found.ratio.median <= RATIO * margin and not found.wrong,
        ),
    )
