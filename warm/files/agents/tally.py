"""What became of every output that was read. Each has one status and one fate: none disappears without a line that says why."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from app.domain.vector import VIEWS_MAX

STATUSES = {"views": "view", "abstained": "abstained", "failed": "failed"}
"""How reports name the three things that an agent's output can be. A summary, and one that could not be understood, counts as a
view."""

FATES = {
    "used": "used",
    "replaced": "replaced by a newer output of the same agent",
    "refused": "refused",
    "cut": "from after --as-of, or after the last bar before it",
    "unknown_symbol": "of no symbol, or of what cannot be one",
    "summary": "summing up other agents' views",
    "beyond_bound": f"beyond the {VIEWS_MAX} newest of a symbol",
}
"""What can become of an output, in words that follow a number of them."""

KEPT = ("used", "summary")
"""The fates of what a record holds."""

Tally = Counter[tuple[str, str]]
"""How many outputs have a status and a fate."""


def told(tally: Tally, rows: int) -> dict[str, Any]:
    """``tally`` as a report has it: ``views``, ``abstained``, ``failed``, and ``agent_fates``, each of the three by `FATES`.

    Raises:
        AssertionError: it does not add up to the ``rows`` that were read, or has a status or fate that is none.
    """
    fates = {name: {fate: tally[status, fate] for fate in FATES} for name, status in STATUSES.items()}
    counts = {name: sum(by_fate.values()) for name, by_fate in fates.items()}
    if not sum(counts.values()) == tally.total() == rows:
        raise AssertionError(f"{rows} outputs were read, but {dict(tally)} became of them")
    views = fates["views"]
    return {**counts, "views_used": views["used"], "summaries": views["summary"] or None, "agent_fates": fates}


_WORDS = {"views": ("view", "views"), "abstained": ("abstention", "abstentions"), "failed": ("failure", "failures")}


def lines(fates: dict[str, dict[str, int]], but: Iterable[str] = ()) -> list[str]:
    """``agent_fates`` of a report, a line for each fate that befell any, ``but`` for those: ``2 views, 1 failure refused``."""
    found = []
    for fate in (each for each in FATES if each not in but):
        counts = [f"{by_fate[fate]:,} {_WORDS[name][by_fate[fate] > 1]}" for name, by_fate in fates.items() if by_fate[fate]]
        if counts:
            found.append(f"{', '.join(counts)} {FATES[fate]}")
    return found
