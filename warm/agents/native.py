"""The native table of agent outputs: CSV (also gzipped) or Parquet, one row for one agent's output on one symbol.

Columns: ``symbol``, ``as_of`` and ``agent``, then ``status`` (view, abstained or failed), ``view`` (-1 to 1) or ``signal`` (a
word), ``confidence`` (0 to 1), ``model``, ``reasoning`` and ``reason`` (also called ``error``). Without a status a row with a
view is a view and a row with a reason a failure; a row with neither says nothing and is rejected. ``data/README.md`` has the
whole schema.
"""

from pathlib import Path

import polars as pl

from app.domain.vector import SYMBOL_PATTERN
from warm.agents.rows import AGENT_PATTERN, AGENT_SCHEMA, SIGNALS, Context, Imported
from warm.rejects import Rejects, Rule, set_aside
from warm.tables import TABLE_SUFFIXES, choose_columns, csv_source, is_parquet, read_header, read_table

NAME = "native"
SUFFIXES = TABLE_SUFFIXES
DESCRIPTION = "native table (CSV or Parquet with columns symbol, as_of, agent)"
REQUIRED = ("symbol", "as_of", "agent")
OPTIONAL = ("status", "view", "signal", "confidence", "model", "reasoning", "reason")
ALIASES = {"ticker": "symbol", "error": "reason"}
STATUSES = ("view", "abstained", "failed")


def detect(path: Path) -> bool:
    """Whether the file is a table with a column for the agent."""
    if not path.name.lower().endswith(SUFFIXES):
        return False
    header = read_header(path, path if is_parquet(path) else csv_source(path))
    return "agent" in {name.strip().lower() for name in header}


def read(path: Path, context: Context) -> Imported:
    """The file's rows.

    Raises:
        InputRefused: the table cannot be read, or a required column is missing.
    """
    source = path if is_parquet(path) else csv_source(path)
    columns = choose_columns(path, read_header(path, source), ALIASES, REQUIRED, OPTIONAL)
    raw = read_table(path, source, columns)
    absent = [pl.lit(None, dtype=pl.String).alias(name) for name in OPTIONAL if name not in raw.columns]
    row, text = pl.col("row"), pl.exclude("row")
    texts = raw.select(row, text.cast(pl.String)).with_columns(absent).select(row, text.str.strip_chars())
    texts = texts.select(row, pl.when(text.str.len_chars() > 0).then(text).name.keep())
    texts = texts.filter(~pl.all_horizontal(text.is_null()))
    stamps = texts.get_column("as_of").unique().drop_nulls()
    moments = pl.DataFrame(
        {"as_of": stamps, "as_of_ms": [context.session.moment_ms(each) for each in stamps]},
        schema={"as_of": pl.String, "as_of_ms": pl.Int64},
    )
    frame = (
        texts.with_columns(text.name.prefix("text_"))
        .join(moments, on="as_of", how="left", maintain_order="left")
        .with_columns(_interpreted())
        .with_columns(
            pl.when(pl.col("status") == "view").then("view").alias("view"),
            pl.when(pl.col("status") == "view").then("confidence").alias("confidence"),
            pl.col("view").alias("given_view"),
            pl.lit(path.name).alias("source"),
        )
    )
    total = frame.height
    if context.as_of_ms is not None:
        frame = frame.filter(pl.col("as_of_ms").le(context.as_of_ms).fill_null(value=True))
    rejects = Rejects()
    good = set_aside(frame, _rules(context.now_ms), path.name, rejects)
    outputs = good.select(AGENT_SCHEMA.keys()).match_to_schema(AGENT_SCHEMA)
    return Imported(outputs, frame.height, total - frame.height, "column", rejects)


def _interpreted() -> list[pl.Expr]:
    """Status, view and confidence from the columns' text; null where the text says nothing or cannot be read."""
    view = pl.coalesce(
        pl.col("view").cast(pl.Float64, strict=False),
        pl.when(pl.col("view").is_null()).then(
            pl.col("signal").str.to_lowercase().replace_strict(SIGNALS, default=None, return_dtype=pl.Float64)
        ),
    )
    status = (
        pl.when(pl.col("status").is_not_null())
        .then(pl.col("status").str.to_lowercase())
        .when(view.is_not_null())
        .then(pl.lit("view"))
        .when(pl.col("reason").is_not_null())
        .then(pl.lit("failed"))
    )
    return [view.alias("view"), status.alias("status"), pl.col("confidence").cast(pl.Float64, strict=False)]


def _rules(now_ms: int) -> list[Rule]:
    """What is wrong with a row; the first that holds is its reason."""
    given = pl.col("given_view")
    view_text = pl.col("text_view").is_not_null()
    confidence = pl.col("confidence")
    return [
        ("missing_value", "symbol", pl.col("symbol").is_null()),
        ("bad_symbol", "symbol", ~pl.col("symbol").str.contains(SYMBOL_PATTERN)),
        ("missing_value", "agent", pl.col("agent").is_null()),
        ("bad_agent", "agent", ~pl.col("agent").str.contains(AGENT_PATTERN)),
        ("missing_value", "as_of", pl.col("text_as_of").is_null()),
        ("unparsable_value", "as_of", pl.col("as_of_ms").is_null()),
        ("future_view", "as_of", pl.col("as_of_ms") > now_ms),
        ("unparsable_value", "view", view_text & given.is_null()),
        ("unknown_signal", "signal", ~view_text & pl.col("text_signal").is_not_null() & given.is_null()),
        ("view_out_of_range", "view", given.is_nan() | (given.abs() > 1)),
        ("no_status_no_view", "status", pl.col("status").is_null()),
        ("unknown_status", "status", ~pl.col("status").is_in(STATUSES)),
        ("view_missing", "view", (pl.col("status") == "view") & given.is_null()),
        ("view_without_view_status", "status", (pl.col("status") != "view") & given.is_not_null()),
        (
            "unparsable_value",
            "confidence",
            (pl.col("status") == "view") & pl.col("text_confidence").is_not_null() & confidence.is_null(),
        ),
        ("confidence_out_of_range", "confidence", confidence.is_nan() | (confidence < 0) | (confidence > 1)),
    ]
