"""The findings as a page for people: ``RESULTS.md`` and its pictures, made from ``RESULTS.json`` and nothing else."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.peers import planning
from bench.peers.findings import Findings, Goal, Line, Row, Size, Step, Table
from bench.peers.sampling import Spread

KEPT = "<!-- below: measured by other commands, kept as it is -->"

_OURS, _THEIRS, _LIMIT = "#1f77b4", "#7f7f7f", "#c7c7c7"


def spread(value: Spread | None, digits: int = 1, unit: str = "") -> str:
    """``value`` as text; empty if there is none."""
    return "" if value is None else value.text(digits, unit)


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def servers(table: Table, *, decisions: bool = False) -> str:
    """One table of servers."""
    first = table.rows[0]
    head = ["", "decisions/s" if decisions else "answers/s", "CPU µs an answer", "p50 ms", "p99 ms"]
    head += [f"throughput, {first.title} is × this", f"CPU, this is × {first.title}", "wrong", "lost"]
    rows = [
        [
            f"**{row.title}**" if row.name == "decide" else row.title,
            spread(row.decisions_per_s if decisions else row.answers_per_s, 0),
            spread(row.cpu_us),
            spread(row.p50_ms, 2),
            spread(row.p99_ms, 2),
            spread(row.ratio, 2),
            spread(row.cpu_ratio, 2),
            str(row.errors),
            str(row.faults),
        ]
        for row in table.rows
    ]
    return f"### {table.title}\n\n{grid(head, rows)}\n\n{_note(table)}"


def _note(table: Table) -> str:
    return f"{table.rounds} rounds of {table.seconds:g} s each, {table.connections} connection{'s' * (table.connections > 1)}."


def transports(table: Table) -> str:
    """A table of ways to the same server: each figure, and how many times the first's it is."""
    first, head = table.rows[0], ["", "answers/s", "CPU µs an answer", "p50 ms", "p95 ms", "p99 ms"]
    rows = []
    for row in table.rows:
        figures = [(row.answers_per_s, 0), (row.cpu_us, 1), (row.p50_ms, 3), (row.p95_ms, 3), (row.p99_ms, 3)]
        rows.append([row.title, *(spread(value, digits) for value, digits in figures)])
        if row is not first:
            ratios = [
                None if row.ratio is None else row.ratio.inverse,
                row.cpu_ratio,
                row.p50_ratio,
                row.p95_ratio,
                row.p99_ratio,
            ]
            rows.append([f"... × {first.title}", *(spread(value, 2) for value in ratios)])
    wrong, lost = (sum(each) for each in zip(*((row.errors, row.faults) for row in table.rows), strict=True))
    return f"### {table.title}\n\n{grid(head, rows)}\n\n{_note(table)} {wrong} answers were wrong, {lost} lost."


def shown(table: Table) -> str:
    """Any table, in the manner of its experiment."""
    if table.name.startswith("sockets"):
        return transports(table)
    return servers(table, decisions=table.name == "batches")


def lines(found: Sequence[Line]) -> str:
    """Figures of the package and of the one file."""
    head = ["", "package", "one file", "one file, × package in the same round"]
    return grid(head, [[each.title, spread(each.package), spread(each.binary), spread(each.ratio, 3)] for each in found])


def sizes(found: Sequence[Size]) -> str:
    """How costs grow."""
    head = [
        "symbols",
        "start to ready, s",
        "resident at start, MB",
        "all in L1, MB",
        "answers/s",
        "CPU µs a hit",
        "Redis bytes a symbol",
    ]
    rows = [
        [
            f"{size.symbols:,}",
            spread(size.start_s, 2),
            f"{size.resident_at_start_mb:.0f}",
            f"{size.resident_full_mb:.0f}",
            spread(size.answers_per_s, 0),
            spread(size.cpu_us),
            f"{size.redis_bytes_a_symbol:,.0f}",
        ]
        for size in found
    ]
    return grid(head, rows)


def steps(found: Sequence[Step]) -> str:
    """The warm job."""
    head = ["part", "way", "symbols × bars", "seconds", "rows/s (records/s for loading)", "peak MB"]
    rows = [
        [
            step.part,
            step.title,
            f"{step.symbols:,} × {step.bars:,}",
            spread(step.wall_s, 3),
            f"{step.rows_per_s:,.0f}",
            "" if step.peak_mb is None else f"{step.peak_mb:,.0f}",
        ]
        for step in found
    ]
    return grid(head, rows)


def goals(found: Sequence[Goal]) -> str:
    """What there was to reach."""
    rows = [[goal.what, goal.goal, goal.found, "met" if goal.met else "**missed**"] for goal in found]
    return grid(["what", "goal", "found", ""], rows)


def markdown(findings: Findings, pictures: Sequence[str]) -> str:
    """The whole page."""
    machine = findings.machine
    versions = ", ".join(f"{name} {version}" for name, version in findings.versions.items())
    template = (Path(__file__).parent / "page.md").read_text(encoding="utf-8")
    tables = {table.name: shown(table) for table in findings.tables}
    filled = {
        "when": findings.started_at,
        "took": f"{findings.took_s / 60:.0f}",
        "quick": " This was a quick run: the rounds are short and the spreads wide." if findings.quick else "",
        "machine": f"{machine['processor']}, {machine['cpus']} CPUs, {machine['memory_gb']} GB, {machine['system']}",
        "versions": f"{versions}, Redis {findings.redis_version}; commit {findings.commit}",
        "missing": f" Not here, so not measured: {', '.join(findings.missing)}." if findings.missing else "",
        "goals": goals(findings.goals),
        "sizes": sizes(findings.sizes),
        "steps": steps(findings.steps),
        "planning": planning.text(findings),
        "picture_hits": pictures[0],
        "picture_open": pictures[1],
        "picture_growth": pictures[2],
        **tables,
    }
    for name, text in filled.items():
        template = template.replace("{{" + name + "}}", text)
    return template


def kept(path: Path) -> str:
    """What stands below the tables of an earlier page: figures of other commands, from the line ``KEPT`` on; none without it."""
    _, mark, below = path.read_text(encoding="utf-8").partition(KEPT) if path.exists() else ("", "", "")
    return f"\n{mark}{below}" if mark else ""


def write(findings: Findings, folder: Path) -> list[Path]:
    """``RESULTS.json``, ``RESULTS.md`` and three pictures. What an earlier page has below the line ``KEPT`` stays."""
    folder.mkdir(parents=True, exist_ok=True)
    json_path, page_path = folder / "RESULTS.json", folder / "RESULTS.md"
    names = [f"RESULTS-{name}.svg" for name in ("hits", "open", "growth")]
    json_path.write_bytes(msgspec.json.format(msgspec.json.encode(findings), indent=1) + b"\n")
    _draw(folder / names[0], lambda axes: _hits(axes, findings.table("hits")))
    _draw(folder / names[1], lambda axes: _open(axes, findings))
    _draw(folder / names[2], lambda axes: _growth(axes, findings.sizes))
    page_path.write_text(markdown(findings, names) + kept(page_path), encoding="utf-8")
    return [json_path, page_path, *(folder / name for name in names)]


def _draw(path: Path, fill: Callable[[Axes], None]) -> None:
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "decide", "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(9, 4.5), layout="constrained")
        fill(figure.subplots())
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _colour(row: Row) -> str:
    if row.name == "decide":
        return _OURS
    return _LIMIT if row.limit else _THEIRS


def _hits(axes: Axes, table: Table) -> None:
    rows = sorted(table.rows, key=lambda row: -row.cpu_us.median)
    values = [row.cpu_us.median for row in rows]
    errors = [[row.cpu_us.median - row.cpu_us.low for row in rows], [row.cpu_us.high - row.cpu_us.median for row in rows]]
    axes.barh([row.title for row in rows], values, color=[_colour(row) for row in rows], xerr=errors)
    axes.set_xscale("log")
    axes.set_xlabel("CPU time of the server for one answer, µs (light grey: it computes nothing)")
    for position, value in enumerate(values):
        axes.annotate(
            f"{value:,.0f} ", (axes.get_xlim()[0], position), xytext=(4, 0), textcoords="offset points", va="center", color="w"
        )


def _open(axes: Axes, findings: Findings) -> None:
    shares = ("open_50", "open_80")
    rows = findings.table(shares[0]).rows
    for number, row in enumerate(rows):
        at = [number + offset for offset in (-0.2, 0.2)]
        p50 = [findings.row(share, row.name).p50_ms.median for share in shares]
        p99 = [findings.row(share, row.name).p99_ms.median for share in shares]
        axes.bar(at, p99, width=0.35, color=_colour(row), alpha=0.5)
        axes.bar(at, p50, width=0.35, color=_colour(row))
    axes.set_yscale("log")
    axes.set_ylabel("latency, ms (full: p50, pale: p99)")
    axes.set_xticks(range(len(rows)), [row.title.replace(", ", "\n").replace(" + ", "\n+ ") for row in rows])
    axes.set_xlabel("each server at 50 % (left) and 80 % (right) of its own peak, 1,000 connections")
    axes.grid(visible=True, axis="y", alpha=0.3)


def _growth(axes: Axes, found: Sequence[Size]) -> None:
    symbols = [size.symbols for size in found]
    axes.plot(symbols, [size.cpu_us.median for size in found], marker="o", color=_OURS, label="CPU µs a hit")
    axes.plot(symbols, [size.resident_full_mb for size in found], marker="s", color=_THEIRS, label="resident MB, all in L1")
    axes.plot(symbols, [size.start_s.median * 1000 for size in found], marker="^", color="k", label="start to ready, ms")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("symbols of the universe")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(frameon=False)
