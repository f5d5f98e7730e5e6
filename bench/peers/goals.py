"""What there is to reach, held against what was found."""

from bench.peers.findings import Goal, Size, Step, Table
from bench.peers.sampling import Spread

_HIT_CPU, _FASTAPI, _OPEN_P99_MS, _MISS, _BATCH = 1.35, 5.0, 50.0, 4.0, 25.0
_WARM_S, _WARM_MB, _PANDAS, _RESIDENT_MB, _START_S = 20.0, 3000.0, 20.0, 200.0, 2.0
_SYMBOLS = 10_000


def _row(table: Table, name: str) -> "tuple[Spread | None, Spread | None]":
    row = table.row(name)
    return row.ratio, row.cpu_ratio


def _inverse(ratio: Spread | None) -> Spread:
    assert ratio is not None
    return ratio.inverse


def judge(tables: dict[str, Table], sizes: list[Size], steps: list[Step]) -> list[Goal]:
    """Each line of them."""
    return [*_hits(tables), *_others(tables), *_warming(steps), *_size(sizes)]


def _hits(tables: dict[str, Table]) -> list[Goal]:
    hits = tables["hits"]
    raw, body = (_inverse(_row(hits, name)[1]) for name in ("granian_raw", "granian_body"))
    fastapi = _row(hits, "fastapi_redis")[0]
    assert fastapi is not None
    calm = tables["open_50"].row("decide")
    return [
        Goal(
            what="CPU of an L1 hit, against a constant reply on raw Granian",
            goal=f"at most {_HIT_CPU} ×",
            found=f"{raw.text(2, ' ×')}; against one that reads the body {body.text(2, ' ×')}",
            met=raw.median <= _HIT_CPU,
        ),
        Goal(
            what="throughput of hits, against FastAPI + Uvicorn + redis-py",
            goal=f"at least {_FASTAPI:g} ×",
            found=fastapi.text(2, " ×"),
            met=fastapi.median >= _FASTAPI,
        ),
        Goal(
            what="1,000 connections, open loop at half of its own peak",
            goal=f"no error, p99 under {_OPEN_P99_MS:g} ms",
            found=f"{calm.errors + calm.faults} errors, p99 {calm.p99_ms.text(2, ' ms')}",
            met=calm.errors + calm.faults == 0 and calm.p99_ms.median < _OPEN_P99_MS,
        ),
    ]


def _others(tables: dict[str, Table]) -> list[Goal]:
    of = {row.name: row.answers_per_s.median for row in tables["paths"].rows}
    batch = _row(tables["batches"], "batch_1")[0]
    assert batch is not None
    singles = tables["hits"].row("decide").answers_per_s.median
    of_thousand = tables["batches"].row("batch_1000").decisions_per_s
    assert of_thousand is not None
    return [
        Goal(
            what="misses (cold keys, Redis), against one read of Redis a request",
            goal=f"at least {_MISS:g} ×",
            found=f"{of['decide_miss'] / of['fastapi_redis']:.2f} × FastAPI with one MGET a request; "
            f"{of['decide_miss'] / of['granian_get']:.2f} × a bare function with one GET and no decision",
            met=of["decide_miss"] / of["fastapi_redis"] >= _MISS,
        ),
        Goal(
            what="decisions a second in batches of 1,000, against single requests",
            goal=f"at least {_BATCH:g} ×",
            found=f"{batch.text(2, ' ×')} on one connection; "
            f"{of_thousand.median / singles:.1f} × against 32 connections of singles",
            met=batch.median >= _BATCH,
        ),
    ]


def _warming(steps: list[Step]) -> list[Goal]:
    warm = next(step for step in steps if step.name == "warm")
    # Of the two sizes the smaller comes first, which is the one that all ways did.
    ways = {step.name.rsplit("_", 1)[0]: step.wall_s.median for step in reversed(steps) if step.name.startswith("indicators")}
    pandas = ways["indicators_pandas"] / ways["indicators_decide"]
    return [
        Goal(
            what=f"warm job, {warm.symbols:,} symbols × {warm.bars:,} bars, to Redis",
            goal=f"under {_WARM_S:g} s and {_WARM_MB / 1000:g} GB (10,000 × 1,000)",
            found=f"{warm.wall_s.text(2, ' s')}, {(warm.peak_mb or 0) / 1000:.2f} GB",
            met=warm.wall_s.median < _WARM_S and (warm.peak_mb or 0) < _WARM_MB,
        ),
        Goal(
            what="indicators, against a pandas loop over symbols",
            goal=f"at least {_PANDAS:g} ×",
            found=f"{pandas:.1f} ×",
            met=pandas >= _PANDAS,
        ),
    ]


def _size(sizes: list[Size]) -> list[Goal]:
    # Those of the universe whose size is the nearest to the goals'.
    size = min(sizes, key=lambda each: abs(each.symbols - _SYMBOLS))
    return [
        Goal(
            what=f"resident memory of a worker with {size.symbols:,} symbols in L1",
            goal=f"under {_RESIDENT_MB:g} MB (10,000)",
            found=f"{size.resident_full_mb:.0f} MB",
            met=size.resident_full_mb < _RESIDENT_MB,
        ),
        Goal(
            what=f"start to ready with {size.symbols:,} symbols in Redis",
            goal=f"under {_START_S:g} s (10,000)",
            found=size.start_s.text(2, " s"),
            met=size.start_s.median < _START_S,
        ),
    ]
