"""Past one machine, on paper: sums from the measured constants. Each formula stands beside its figure."""

from bench.peers.findings import Findings

_MILLION = 1e6
_HEADROOM = 0.5
"""A worker is planned at half of its peak: what the open-loop tables show it to answer calmly."""
_REDIS_PIECES = 1.5
"""Redis' own memory over a record's bytes: key, object, allocator; measured by `redis_bytes_a_symbol`."""


def text(findings: Findings) -> str:
    """The section, as Markdown."""
    cost = findings.cost
    hit, miss, batched = cost.decide_us_a_hit, cost.decide_us_a_miss, cost.decide_us_a_batched
    peak = findings.row("hits", "decide").answers_per_s.median
    largest = findings.sizes[-1]
    first = findings.sizes[0]
    grown_mb = largest.resident_full_mb - first.resident_at_start_mb
    entry_kb = grown_mb * 1000 / largest.symbols
    worker_per_s = _HEADROOM * peak
    redis_misses_per_s = _MILLION / cost.redis_us_a_miss if cost.redis_us_a_miss else float("inf")
    refresh_per_s = largest.symbols / 60.0
    lines = [
        "| question | sum | figure |",
        "|---|---|---|",
        f"| CPU for a million single decisions, warm | 10⁶ × {hit:.1f} µs | {hit:.0f} core-seconds |",
        f"| ... in batches of 1,000 | 10⁶ × {batched:.2f} µs | {batched:.1f} core-seconds |",
        f"| ... each read from Redis | 10⁶ × ({miss:.0f} + {cost.redis_us_a_miss:.1f} µs of Redis) | {miss + cost.redis_us_a_miss:.0f} core-seconds |",
        f"| network for a million single answers | 10⁶ × {cost.bytes_an_answer:,} B body | {cost.bytes_an_answer * _MILLION / 1e9:.2f} GB |",
        f"| decisions a second to plan a replica for | {_HEADROOM:g} × {peak:,.0f} peak | {worker_per_s:,.0f} |",
        f"| replicas for 100,000 single decisions a second | 100,000 / {worker_per_s:,.0f}, and one to spare | {-(-100_000 // int(worker_per_s)) + 1} |",
        f"| memory of a replica with all in L1 | {first.resident_at_start_mb:.0f} MB + symbols × {entry_kb:.1f} kB | {first.resident_at_start_mb + entry_kb * 10:.0f} MB for 10,000 |",
        f"| memory of Redis | symbols × {largest.redis_bytes_a_symbol:,.0f} B | {largest.redis_bytes_a_symbol * 1e4 / 1e6:.0f} MB for 10,000 |",
        f"| reads that one Redis can serve | 1 s / {cost.redis_us_a_miss:.1f} µs | {redis_misses_per_s:,.0f} symbols/s |",
        f"| bandwidth from Redis to a replica that fills L1 | symbols × {cost.bytes_a_record_pair:,.0f} B | {cost.bytes_a_record_pair * 1e4 / 1e6:.1f} MB for 10,000 |",
        f"| replicas whose whole L1 of {largest.symbols:,} symbols one Redis can refresh each minute | {redis_misses_per_s:,.0f} / {refresh_per_s:,.0f} per s | {redis_misses_per_s / refresh_per_s:,.0f} |",
    ]
    return "\n".join(lines)
