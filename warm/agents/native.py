"""The native table of agent outputs: CSV, Parquet, Arrow, JSON or JSON lines, one row for one agent's output on one symbol.

Columns: ``symbol``, ``as_of`` and ``agent``, then ``status`` (view, summary, abstained or failed), ``view`` (-1 to 1) or
``signal`` (a word), ``confidence`` (0 to 1, or low, medium, high) or ``confidence_percent`` (0 to 100), ``model``, ``reasoning``,
``input_hash`` (of the prompt or the data) and ``reason`` (also called ``error``). Without a status a row with a view is a view
and a row with a reason a failure; a row with neither says nothing and is rejected. ``data/README.md`` has the whole schema.
"""

import polars as pl

from app.domain.symbols import canonical_symbol
from app.domain.vector import SYMBOL_PATTERN
from warm.agents.collecting import text_of
from warm.agents.rows import AGENT_PATTERN, AGENT_SCHEMA, SIGNALS, Context, Imported
from warm.agents.tally import Tally
from warm.bars.reading import raw_frame
from warm.files import Source
from warm.rejects import Rejects, Rule, set_aside
from warm.tables import choose_columns, open_table, plain_name, read_table

REQUIRED = ("symbol", "as_of", "agent")
OPTIONAL = ("status", "view", "signal", "confidence", "confidence_percent", "model", "reasoning", "reason", "input_hash")
ALIASES = {
    "ticker": "symbol",
    "error": "reason",
    "date": "as_of",
    "confidence_pct": "confidence_percent",
    **dict.fromkeys(("prompt_hash", "prompt_key", "snapshot_hash"), "input_hash"),
}
STATUSES = ("view", "summary", "abstained", "failed")
_VIEWED = pl.col("status").is_in(("view", "summary"))
CONFIDENCES = {"low": 0.25, "medium": 0.5, "high": 0.75}
"""Words for a confidence: the middles of three parts of [0, 1] that overlap a little."""

_PERCENT = 100.0
_RESEMBLES_MIN = 3


def _plain(header: list[str]) -> set[str]:
    return {ALIASES.get(plain_name(each), plain_name(each)) for each in header}


def detects(header: list[str]) -> bool:
    """Whether a table has a column for the agent."""
    return "agent" in _plain(header)


def resembles(header: list[str]) -> bool:
    """Whether a table would be one but for a slip."""
    return len(_plain(header) & {*REQUIRED, "view", "signal", "confidence", "reasoning"}) >= _RESEMBLES_MIN


def read(source: Source, context: Context) -> Imported:
    """The file's rows.

    Raises:
        InputRefused: the table cannot be read, or a required column is missing.
    """
    raw = _raw(source)
    absent = [pl.lit(None, dtype=pl.String).alias(name) for name in OPTIONAL if name not in raw.columns]
    row, text = pl.col("row"), pl.exclude("row")
    texts = raw.select(row, text.cast(pl.String)).with_columns(absent).select(row, text.str.strip_chars())
    texts = texts.select(row, pl.when(text.str.len_chars() > 0).then(text).name.keep())
    texts = texts.filter(~pl.all_horizontal(text.is_null()))
    texts = texts.with_columns(text.name.prefix("text_")).with_columns(
        pl.col("symbol").map_elements(canonical_symbol, return_dtype=pl.String, skip_nulls=True)
    )
    asked = texts.select("as_of", "symbol").unique(maintain_order=True).drop_nulls()
    moments = asked.with_columns(
        pl.Series(
            "as_of_ms",
            [context.moment_ms(as_of, symbol, source.written_ms) for as_of, symbol in asked.iter_rows()],
            dtype=pl.Int64,
        )
    )
    frame = (
        texts.join(moments, on=["as_of", "symbol"], how="left", maintain_order="left")
        .with_columns(_interpreted())
        .with_columns(
            pl.when(_VIEWED).then("view").alias("view"),
            pl.when(_VIEWED).then("confidence").alias("confidence"),
            pl.col("view").alias("given_view"),
            pl.lit(source.label).alias("source"),
        )
    )
    after = pl.lit(value=False) if context.as_of_ms is None else (pl.col("as_of_ms") > context.as_of_ms).fill_null(value=False)
    rejects = Rejects()
    good = set_aside(frame.filter(~after), _rules(context.latest_ms), source.label, rejects)
    outputs = good.select(AGENT_SCHEMA.keys()).match_to_schema(AGENT_SCHEMA)
    lost = _lost(frame.join(good, on="row", how="anti"), after)
    return Imported(outputs, frame.height, lost, "column", rejects, {})


def _lost(frame: pl.DataFrame, after: pl.Expr) -> Tally:
    """What became of the rows of ``frame``, none of which is an output: cut because ``after`` holds, of no symbol, or refused."""
    is_symbol = pl.col("symbol").str.contains(SYMBOL_PATTERN).fill_null(value=False)
    fate = pl.when(after).then(pl.lit("cut")).when(~is_symbol).then(pl.lit("unknown_symbol")).otherwise(pl.lit("refused"))
    status = pl.when(pl.col("status").is_in(STATUSES)).then("status").otherwise(pl.lit("view"))
    counts = frame.select(status.alias("status"), fate.alias("fate")).group_by("status", "fate").len()
    return Tally({(status, fate): count for status, fate, count in counts.iter_rows()})


def _raw(source: Source) -> pl.DataFrame:
    """The table's columns under their own names, and ``row``."""
    if source.kind not in ("json", "lines"):
        table = open_table(source)
        frame = read_table(table, choose_columns(source, table.header, ALIASES, REQUIRED, OPTIONAL))
        nested = [name for name, kind in frame.schema.items() if kind.is_nested() or kind == pl.Binary]
        if nested:
            raise source.refuse(f"column {nested[0]!r} holds {frame.schema[nested[0]]}; allowed: text and numbers")
        return frame
    # Not by Polars: it takes the members of the first object for those of all, and a deep one ends the process.
    document = source.documents() if source.kind == "lines" else source.json
    if not isinstance(document, list) or not all(isinstance(each, dict) for each in document):
        raise source.refuse("not an array of objects with symbol, as_of and agent")
    members = list(dict.fromkeys(name for each in document for name in each))
    columns = choose_columns(source, members, ALIASES, REQUIRED, OPTIONAL)
    return raw_frame({own: [text_of(each.get(theirs)) for each in document] for theirs, own in columns.items()})


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
    confidence = pl.coalesce(
        pl.col("confidence").cast(pl.Float64, strict=False),
        pl.col("confidence").str.to_lowercase().replace_strict(CONFIDENCES, default=None, return_dtype=pl.Float64),
        pl.col("confidence_percent").str.strip_suffix("%").cast(pl.Float64, strict=False) / _PERCENT,
    )
    return [view.alias("view"), status.alias("status"), confidence.alias("confidence")]


def _rules(latest_ms: int) -> list[Rule]:
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
        ("before_1970", "as_of", pl.col("as_of_ms") < 0),
        ("future_view", "as_of", pl.col("as_of_ms") > latest_ms),
        ("unparsable_value", "view", view_text & given.is_null()),
        ("unknown_signal", "signal", ~view_text & pl.col("text_signal").is_not_null() & given.is_null()),
        ("view_out_of_range", "view", given.is_nan() | (given.abs() > 1)),
        ("no_status_no_view", "status", pl.col("status").is_null()),
        ("unknown_status", "status", ~pl.col("status").is_in(STATUSES)),
        ("view_missing", "view", _VIEWED & given.is_null()),
        ("view_without_view_status", "status", ~_VIEWED & given.is_not_null()),
        (
            "two_confidences",
            "confidence",
            pl.col("text_confidence").is_not_null() & pl.col("text_confidence_percent").is_not_null(),
        ),
        *(
            ("unparsable_value", name, _VIEWED & pl.col(f"text_{name}").is_not_null() & confidence.is_null())
            for name in ("confidence", "confidence_percent")
        ),
        ("confidence_out_of_range", "confidence", confidence.is_nan() | (confidence < 0) | (confidence > 1)),
    ]
