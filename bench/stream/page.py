"""The findings of the scenario ``stream`` for people: a section of ``RESULTS.md``, made from ``stream.json`` and nothing else."""

from bench.peers.page import goals, grid
from bench.stream.findings import StreamFindings


def markdown(found: StreamFindings) -> str:
    """The section without its heading."""
    place = f"{found.machine['processor']}, {found.machine['cpus']} CPUs, load {found.load:g} at the start"
    when = f"Measured {found.started_at}, in {found.took_s / 60:.0f} minutes, by `just bench --scenario stream`. {place}."
    parts = [f"{when} All on this machine: SQLite, one worker. Commit {found.commit}.", goals(found.goals)]
    rows = list[list[str]]()
    if (consumed := found.consumed) is not None:
        rows.append(["the consumer's CPU time a trade", f"{consumed.cpu_us:.2f} µs"])
        rows.append([f"killed {consumed.kills} times while it read", f"{consumed.killed_trades:,} trades"])
    if (followed := found.followed) is not None:
        rows.append(["trades that a decision was waited for", f"{followed.asked:,}"])
    if (beside := found.beside) is not None:
        rows.append([f"hits of a quiet server, {beside.hits_per_s:g}/s: p99", beside.quiet_p99_ms.text(2, " ms")])
        rows.append(["the same while trades flow", beside.busy_p99_ms.text(2, " ms")])
        rows.append(["CPU time of the server for a record", beside.record_us.text(1, " µs")])
        rows.append(["hits that were wrong or lost", str(beside.wrong)])
    return "\n\n".join([*parts, grid(["", ""], rows)])
