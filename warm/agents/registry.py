"""Which importer reads which file, and every agent file to one frame."""

from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import polars as pl

from warm.agents import ai_hedge_fund, native
from warm.agents.rows import AGENT_SCHEMA, Context
from warm.errors import InputRefused
from warm.rejects import Rejects
from warm.tables import find_files

IMPORTERS: tuple[ModuleType, ...] = (native, ai_hedge_fund)
"""Each module has NAME, SUFFIXES, DESCRIPTION, ``detect(path)`` and ``read(path, context)``. The first that detects reads."""

SUFFIXES = tuple(suffix for importer in IMPORTERS for suffix in importer.SUFFIXES)


class AgentFile(NamedTuple):
    """What one file brought, for the report."""

    file: str
    importer: str
    dated_by: str
    rows: int
    cut: int
    rejects: Rejects

    def report(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return self._asdict() | {"rejects": self.rejects.total, "reasons": self.rejects.report()}


class AgentRows(NamedTuple):
    """All agent outputs (`AGENT_SCHEMA`), in the order of files and rows, and where they came from."""

    frame: pl.DataFrame
    files: tuple[AgentFile, ...]


NO_AGENTS = AgentRows(pl.DataFrame(schema=AGENT_SCHEMA), ())


def read_agents(path: Path, context: Context) -> AgentRows:
    """Read every agent file at ``path``.

    Raises:
        InputRefused: a file that no importer recognises, that its importer cannot read, or none of whose rows is usable.
    """
    frames, files = [], []
    for file in find_files(path, SUFFIXES):
        importer = next((each for each in IMPORTERS if each.detect(file)), None)
        if importer is None:
            known = "; ".join(each.DESCRIPTION for each in IMPORTERS)
            raise InputRefused(f"{file}: no importer recognises this file; known: {known}")
        imported = importer.read(file, context)
        if imported.rows and imported.frame.is_empty():
            raise InputRefused(f"{file}: none of its {imported.rows} rows is usable ({imported.rejects.summary()})")
        frames.append(imported.frame)
        files.append(AgentFile(file.name, importer.NAME, imported.dated_by, imported.rows, imported.cut, imported.rejects))
    return AgentRows(pl.concat(frames), tuple(files))


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
