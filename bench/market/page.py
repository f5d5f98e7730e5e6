"""The findings of the scenario ``market`` for people: a section of ``RESULTS.md``, made from ``market.json`` and nothing else."""

from bench.market.findings import MarketFindings, Pages, Writing
from bench.peers.page import goals, grid, spread


def markdown(found: MarketFindings) -> str:
    """The section without its heading."""
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    place = f"{found.machine['processor']}, {found.machine['cpus']} CPUs, load {found.load:g} at the start"
    when = f"Measured {found.started_at}, in {found.took_s / 60:.0f} minutes, by `just bench --scenario market`. {place}."
    parts = [f"{when} PostgreSQL {found.postgres_version}, {versions}; commit {found.commit}.", goals(found.goals)]
    if found.writing:
        parts.append(_writing(found.writing))
    if found.pages:
        parts.append(f"{found.candles:,} candles of a minute and {found.trades:,} trades are stored, the same everywhere.")
    parts += [_pages(each) for each in found.pages]
    return "\n\n".join(parts)


def _writing(rows: list[Writing]) -> str:
    head = [
        "store",
        "trades",
        "trades/s",
        "CPU µs a trade",
        "PostgreSQL's",
        "sent again, trades/s",
        "MB in the middle, at the end",
    ]
    return grid(
        head,
        [
            [
                row.title,
                f"{row.trades:,}",
                f"{row.trades_per_s:,.0f}",
                f"{row.cpu_us:.2f}",
                "" if row.database_us is None else f"{row.database_us:.2f}",
                f"{row.resent_per_s:,.0f}",
                ", ".join(f"{each:,.0f}" for each in row.memory_mb),
            ]
            for row in rows
        ],
    )


def _pages(pages: Pages) -> str:
    head = ["", "p50 ms", "p95 ms", "p99 ms", "CPU µs an answer", "PostgreSQL's", "answers/s at most"]
    head += ["p95, the peer's is × this", "CPU", "answers/s, × the peer's", "wrong or lost"]
    rows = [
        [
            row.title,
            spread(row.p50_ms, 2),
            spread(row.p95_ms, 2),
            spread(row.p99_ms, 2),
            spread(row.cpu_us, 0),
            spread(row.database_us, 0),
            spread(row.peak_per_s, 0),
            spread(row.p95_ratio),
            spread(row.cpu_ratio),
            spread(row.peak_ratio),
            str(row.wrong),
        ]
        for row in pages.rows
    ]
    note = f"{pages.rounds} rounds of {pages.seconds:g} s, {pages.rate_per_s:g} requests/s; {pages.compared} answers compared."
    return f"### {pages.title[:1].upper()}{pages.title[1:]}\n\n{grid(head, rows)}\n\n{note}"
