"""Every agent file to one frame, and the views that count."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from warm.agents.rows import AGENT_SCHEMA, Context, Imported
from warm.fates import Fate, Fates
from warm.files import Source
from warm.formats import AGENTS, Choice, Format

STATUS_NAMES = {
    "views": ("view", "summary"),
    "summaries": ("summary",),
    "abstained": ("abstained",),
    "failed": ("failed",),
}
"""How a file's report counts what agents' outputs can be: summaries are among its views."""


class AgentRows(NamedTuple):
    """All agent outputs (`AGENT_SCHEMA`), in the order of files and rows, and what became of each file."""

    frame: pl.DataFrame
    fates: tuple[Fate, ...]


NO_AGENTS = AgentRows(pl.DataFrame(schema=AGENT_SCHEMA), ())


def read_agents(path: Path, context: Context, choices: Sequence[Choice] = ()) -> AgentRows:
    """Read every agent file at ``path``.

    Raises:
        FilesRefused: a file that cannot be used, that has rows of which none is usable, or none that holds agents' outputs.
    """
    fates = Fates(path, "agents", AGENTS, choices)
    frames = []

    def read(source: Source, form: Format, fate: Fate) -> None:
        imported: Imported = form.read(source, context)
        fate.rows, fate.used, fate.rejects = imported.rows, imported.frame.height, imported.rejects
        # Not by a group: that takes as long as all else of a small file.
        statuses = dict(imported.frame.get_column("status").value_counts().iter_rows())
        fate.told |= {
            "dated_by": imported.dated_by,
            "cut": imported.cut,
            **{name: sum(statuses.get(each, 0) for each in counted) for name, counted in STATUS_NAMES.items()},
            **imported.told,
        }
        if imported.rows and imported.frame.is_empty():
            raise source.refuse(f"none of its {imported.rows} rows is usable ({imported.rejects.summary()})")
        frames.append(imported.frame)

    fates.read(read)
    return AgentRows(pl.concat(frames), tuple(fates.all))


def latest_views(agents: pl.DataFrame, last_bars: pl.DataFrame, otherwise_ms: int) -> pl.DataFrame:
    """Each agent's latest output on each symbol that is not from after the symbol's last bar.

    ``last_bars`` has columns symbol and as_of_ms; a symbol that is not in it is taken up to ``otherwise_ms``. The latest output
    counts whatever its status: a failure after a view means that the agent has no view now. Of two outputs of one moment the
    one read last wins (files by name, then rows).
    """
    limits = last_bars.select("symbol", pl.col("as_of_ms").alias("limit_ms"))
    return (
        agents.join(limits, on="symbol", how="left", maintain_order="left")
        .filter(pl.col("as_of_ms") <= pl.col("limit_ms").fill_null(otherwise_ms))
        .sort("as_of_ms", maintain_order=True)
        .group_by("symbol", "agent")
        .last()
        .sort("symbol", "agent")
        .select(AGENT_SCHEMA.keys())
    )
