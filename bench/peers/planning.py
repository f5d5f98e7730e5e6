"""Past one machine, on paper: sums from the measured constants. Each formula stands beside its figure."""

from bench.peers.findings import Findings

_MILLION = 1e6
_HEADROOM = 0.5
"""A worker is planned at half of its peak: what the open-loop tables show it to answer calmly."""
_CALLS_PER_S = 100_000


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
    start_mb = first.resident_at_start_mb
    replicas = -(-_CALLS_PER_S // int(worker_per_s)) + 1
    pair, stored = cost.bytes_a_record_pair, largest.redis_bytes_a_symbol
    rows = [
        ("CPU for a million single decisions, warm", f"10⁶ × {hit:.1f} µs", f"{hit:.0f} core-seconds"),
        ("... in batches of 1,000", f"10⁶ × {batched:.2f} µs", f"{batched:.1f} core-seconds"),
        (
            "... each read from Redis",
            f"10⁶ × ({miss:.0f} + {cost.redis_us_a_miss:.1f} µs of Redis)",
            f"{miss + cost.redis_us_a_miss:.0f} core-seconds",
        ),
        (
            "network for a million single answers",
            f"10⁶ × {cost.bytes_an_answer:,} B body",
            f"{cost.bytes_an_answer * _MILLION / 1e9:.2f} GB",
        ),
        ("decisions a second to plan a replica for", f"{_HEADROOM:g} × {peak:,.0f} peak", f"{worker_per_s:,.0f}"),
        (
            f"replicas for {_CALLS_PER_S:,} single decisions a second",
            f"{_CALLS_PER_S:,} / {worker_per_s:,.0f}, and one to spare",
            f"{replicas}",
        ),
        (
            "memory of a replica with all in L1",
            f"{start_mb:.0f} MB + symbols × {entry_kb:.1f} kB",
            f"{start_mb + entry_kb * 10:.0f} MB for 10,000",
        ),
        ("memory of Redis", f"symbols × {stored:,.0f} B", f"{stored * 1e4 / 1e6:.0f} MB for 10,000"),
        (
            "symbols that one Redis can be asked for",
            f"1 s / {cost.redis_us_a_miss:.1f} µs",
            f"{redis_misses_per_s:,.0f} a second",
        ),
        ("bandwidth to fill a replica's L1", f"symbols × {pair:,.0f} B", f"{pair * 1e4 / 1e6:.1f} MB for 10,000"),
        (
            f"replicas whose whole L1 of {largest.symbols:,} symbols one Redis can refresh each minute",
            f"{redis_misses_per_s:,.0f} / {refresh_per_s:,.0f} a second",
            f"{redis_misses_per_s / refresh_per_s:,.0f}",
        ),
    ]
    lines = ["| question | sum | figure |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)
