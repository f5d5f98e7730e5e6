"""Every agent file to one frame, and the views that count."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from app.domain.vector import VIEWS_MAX
from warm.agents.rows import AGENT_SCHEMA, Context, Imported
from warm.agents.tally import KEPT, Tally, told
from warm.agents.tradingagents import MANAGER
from warm.agents.tradingagents_cn import AGENT as EXTRACT
from warm.fates import Fate, Fates
from warm.files import Source
from warm.formats import AGENTS, Choice, Format

_DAY_MS = 86_400_000


class AgentRows(NamedTuple):
    """All agent outputs (`AGENT_SCHEMA`), in the order of files and rows, what became of each file, and, by file, what became of
    the outputs that are not in the frame.
    """

    frame: pl.DataFrame
    fates: tuple[Fate, ...]
    lost: Mapping[str, Tally]


NO_AGENTS = AgentRows(pl.DataFrame(schema=AGENT_SCHEMA), (), {})


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
        fate.told |= {"dated_by": imported.dated_by, **imported.told}
        lost[fate.file] = imported.lost
        # What is refused because it lies in the future is refused by itself, and what is cut says nothing against it: the file is
        # as it should be.
        cut = any(fate == "cut" for _, fate in imported.lost)
        bad = imported.rejects.total > 0 and "future_view" not in imported.rejects.counts and not cut
        if bad and imported.frame.is_empty():
            raise source.refuse(f"none of its {imported.rows} rows is usable ({imported.rejects.summary()})")
        frames.append(imported.frame)

    lost: dict[str, Tally] = {}
    fates.read(read)
    return AgentRows(_extracts(pl.concat(frames)), tuple(fates.all), lost)


def _extracts(agents: pl.DataFrame) -> pl.DataFrame:
    """``agents`` with the decision that TradingAgents-CN's program took out of its manager's text as a summary of that text,
    where both are there for a symbol and a day: it is one word, and counts once.
    """
    views = pl.col("status").is_in(("view", "summary"))
    of = pl.struct("symbol", pl.col("as_of_ms") // _DAY_MS)
    texts = agents.filter(views & (pl.col("agent") == MANAGER)).select(of.alias("of"))
    extract = (pl.col("status") == "view") & (pl.col("agent") == EXTRACT) & of.is_in(texts.get_column("of").implode())
    return agents.with_columns(pl.when(extract).then(pl.lit("summary")).otherwise("status").alias("status"))


def settle(agents: pl.DataFrame, last_bars: pl.DataFrame | None = None, otherwise_ms: int | None = None) -> pl.DataFrame:
    """``agents`` with what becomes of each output, ``fate`` (of `tally.FATES`), by symbol and agent.

    Each agent's latest output on each symbol is used, whatever its status: a failure after a view means that the agent has no
    view now. Of two outputs of one moment the one read last wins (files by name, then rows); of a symbol's, the `VIEWS_MAX`
    newest (`newest_views`), summaries last. With ``last_bars`` (columns symbol and as_of_ms) those from after a symbol's last bar
    are cut first, and those of other symbols from after ``otherwise_ms``.
    """
    after = pl.lit(value=False)
    if last_bars is not None:
        limits = last_bars.select("symbol", pl.col("as_of_ms").alias("limit_ms"))
        agents = agents.join(limits, on="symbol", how="left", maintain_order="left")
        after = pl.col("as_of_ms") > pl.col("limit_ms").fill_null(otherwise_ms)
    settled = (
        agents.with_columns(after.alias("after"))
        .sort("as_of_ms", maintain_order=True)
        .with_columns((~pl.col("after") & pl.col("after").shift(-1, fill_value=True)).over("symbol", "agent").alias("latest"))
    )
    sums_up = pl.col("status") == "summary"
    order = pl.struct(sums_up.alias("sums_up"), -pl.col("as_of_ms"), -pl.col("confidence").fill_null(0.0), "agent")
    rank = order.rank("ordinal").over("symbol", "latest")
    fate = (
        pl.when("after").then(pl.lit("cut"))
        .when(~pl.col("latest")).then(pl.lit("replaced"))
        .when(rank > VIEWS_MAX).then(pl.lit("beyond_bound"))
        .when(sums_up).then(pl.lit("summary"))
        .otherwise(pl.lit("used"))
    )  # fmt: skip
    return settled.with_columns(fate.alias("fate")).sort("symbol", "agent", maintain_order=True).select(*AGENT_SCHEMA, "fate")


def tell(agents: AgentRows, settled: pl.DataFrame) -> dict[str, Any]:
    """What became of all outputs, ``settled`` (`settle`) and lost: for the report, and told to each file's fate.

    Raises:
        AssertionError: it is not as many as were read.
    """
    tallies = {file: Tally(tally) for file, tally in agents.lost.items()}
    for file, status, fate, count in settled.group_by("source", "status", "fate").len().iter_rows():
        tallies[file]["view" if status == "summary" else status, fate] += count
    for each in agents.fates:
        if each.file in tallies:
            each.told |= told(tallies[each.file], each.rows)
            each.used = sum(count for (_, fate), count in tallies[each.file].items() if fate in KEPT)
    return told(sum(tallies.values(), Tally()), sum(each.rows for each in agents.fates))
