"""One picture of a run: latency by percentile, and the time line of its measured phases."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.results import PhaseResult, Results

_TICKS = (0.5, 0.9, 0.99, 0.999, 0.9999)
_MOST = 1 - 1e-6


def draw(results: Results, path: Path) -> None:
    """Write an SVG."""
    phases = [phase for phase in results.phases if phase.measured and phase.answers]
    # Text stays text (it can be searched, and the file is small), and the same results give the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "decide", "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(10, 8), layout="constrained")
        curve, line = figure.subplots(2, 1, height_ratios=(3, 2))
        figure.suptitle(f"Decide, scenario {results.scenario}, commit {results.commit}")
        _draw_curves(curve, phases)
        _draw_time_line(line, phases)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _draw_curves(axes: Axes, phases: Sequence[PhaseResult]) -> None:
    for phase in phases:
        # The k-th nine is as far from the next as from the one before.
        points = [(1 / (1 - min(percentile / 100, _MOST)), latency_ms) for percentile, latency_ms in phase.curve]
        axes.plot(
            *zip(*points, strict=True),
            label=f"{phase.name} ({phase.loop} loop, {phase.answers_per_s:,.0f}/s)",
            drawstyle="steps-post",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([1 / (1 - share) for share in _TICKS], [f"{share * 100:g} %" for share in _TICKS])
    axes.minorticks_off()
    axes.set_xlabel("percentile of requests")
    axes.set_ylabel("latency, ms")
    axes.grid(visible=True, alpha=0.3)
    if phases:
        axes.legend(frameon=False, loc="upper left")


def _draw_time_line(axes: Axes, phases: Sequence[PhaseResult]) -> None:
    offset_s = 0
    for phase in phases:
        seconds = [second for second in phase.time_line if second.p95_ms is not None]
        xs = [offset_s + second.at_s for second in seconds]
        (line,) = axes.plot(xs, [second.p95_ms or 0.0 for second in seconds], label=f"{phase.name}, p95", marker=".")
        axes.plot(xs, [second.max_ms or 0.0 for second in seconds], color=line.get_color(), alpha=0.35, linewidth=1)
        faulty = [second for second in phase.time_line if second.faults or second.server_errors]
        axes.plot([offset_s + second.at_s for second in faulty], [1.0] * len(faulty), "rx", markersize=7)
        offset_s += max(1, len(phase.time_line))
    axes.set_yscale("log")
    axes.set_xlabel("seconds into the measured phases, one after the other (thin: the slowest request; red cross: a fault)")
    axes.set_ylabel("latency, ms")
    axes.grid(visible=True, alpha=0.3)
    if phases:
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=4)
