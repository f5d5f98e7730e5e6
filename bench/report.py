"""Results for machines (JSON) and for people (Markdown, picture)."""

import tempfile
from pathlib import Path

import msgspec

from bench.results import PhaseResult, Results
from bench.scenario import ScenarioError

_COLUMNS = ("p50", "p90", "p95", "p99", "p99.9", "max")


def prepare(folder: Path) -> None:
    """Make ``folder``, and see that results can be written there before there are any.

    Raises:
        ScenarioError: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ScenarioError(f"--out {folder}: {error.strerror}") from error


def write(results: Results, folder: Path) -> list[Path]:
    """Write ``<scenario>.json``, ``.md`` and ``.svg`` under ``folder``."""
    prepare(folder)
    json_path, text_path, picture_path = (folder / f"{results.scenario}.{end}" for end in ("json", "md", "svg"))
    json_path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    from bench import picture  # noqa: PLC0415 - matplotlib takes half a second, which --help, --list and completion need not wait for

    picture.draw(results, picture_path)
    text_path.write_text(markdown(results, picture_path.name), encoding="utf-8")
    return [json_path, text_path, picture_path]


def markdown(results: Results, picture_name: str) -> str:
    """The report."""
    machine, server = results.machine, results.server
    parts = [
        f"# Scenario {results.scenario}: {'passed' if results.passed else 'failed'}",
        results.description,
        f"{results.started_at}, commit {results.commit}, {results.url}, {results.universe_symbols} symbols. "
        f"Harness on {machine['processor']}, {machine['cpus']} CPUs, {machine['memory_gb']} GB, "
        + ", ".join(f"{name} {version}" for name, version in results.versions.items())
        + f". Server {server.get('version')}, Python {server.get('python')}, {server.get('replicas')} replica(s).",
        _harness(results),
        "Latency runs from when a request was due (open loop) or sent (closed loop) to the last byte of its answer.",
        _table(results),
        f"![latency by percentile, and over time]({picture_name})",
        _checks(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _harness(results: Results) -> str:
    harness = results.harness
    return (
        f"The harness alone sends {harness.requests_per_s:,.0f} requests/s against a constant reply on this machine, at "
        f"{harness.cpu_us_per_request:g} µs of its own CPU time each: a figure near that is the harness's, not the server's."
    )


def _table(results: Results) -> str:
    head = ["phase", "loop", "connections", "due/s", "answers/s", *(f"{name} ms" for name in _COLUMNS)]
    head += ["L1 hit rate", "5xx", "faults", "invalid", "harness CPU"]
    rows = [head, ["---"] * len(head)]
    rows += [_row(phase) for phase in results.phases if phase.measured]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(phase: PhaseResult) -> list[str]:
    row = [phase.name, phase.loop, f"{phase.connections}"]
    row += ["" if phase.rate_per_s is None else f"{phase.rate_per_s:,.0f}", f"{phase.answers_per_s:,.0f}"]
    row += ["" if (value := phase.latency_ms[name]) is None else f"{value:.2f}" for name in _COLUMNS]
    row.append("" if phase.server_hit_rate is None else f"{phase.server_hit_rate * 100:.1f} %")
    row += [
        f"{phase.server_errors}",
        f"{sum(phase.faults.values())}",
        f"{phase.invalid}",
        f"{phase.harness_cpu_share * 100:.0f} %",
    ]
    return row


def _checks(results: Results) -> str:
    checks = [check for phase in results.phases for check in phase.checks]
    return "\n".join(f"- {'passed' if check.passed else '**FAILED**'}: {check.line}" for check in checks)
