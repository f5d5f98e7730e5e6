"""Bars, indicators and agents' views to the records that L2 holds, encoded."""

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from app.domain.intervals import INTERVALS
from app.domain.records import AGENTS, HISTORY, PRICE
from app.domain.vector import (
    AGENTS_SCHEMA,
    BARS_MAX,
    HISTORY_BARS,
    HISTORY_SCHEMA,
    PRICE_NAMES,
    PRICE_SCHEMA,
    AgentRecord,
    AgentView,
    HistoryRecord,
    PriceRecord,
    newest_views,
)
from app.store.codec import encode
from app.store.protocol import Row, Written
from warm.calendar.due import due_ms
from warm.calendar.intervals import Market
from warm.calendar.sessions import Session
from warm.files.agents.rows import LABEL_MAX, clean_text


class Vectors(NamedTuple):
    """One row a symbol, sorted by symbol; the newest record's ``as_of``; the records' size."""

    rows: list[Row]
    newest_as_of_ms: int
    bytes: int


def last_closes(bars: pl.DataFrame) -> pl.DataFrame:
    """Each symbol's last `HISTORY_BARS` closes and the ends of their bars, oldest first, as lists ``closes``, ``times_ms``; and
    how many ``bars`` it has, up to `BARS_MAX`.

    ``bars`` has each symbol's rows together, in order of time. As in a record, times begin in 1970.
    """
    # As in `indicators.latest`: groups that are slices of the table.
    numbered = bars.filter(pl.col("as_of_ms") >= 0).with_columns(pl.col("symbol").rle_id().set_sorted().alias("number"))
    last = pl.col("as_of_ms").tail(HISTORY_BARS).alias("times_ms"), pl.col("close").tail(HISTORY_BARS).alias("closes")
    count = pl.len().clip(upper_bound=BARS_MAX).alias("bars")
    return numbered.group_by("number", maintain_order=True).agg(pl.col("symbol").last(), *last, count).drop("number")


def build_vectors(
    latest: pl.DataFrame,
    closes: pl.DataFrame,
    views: pl.DataFrame,
    *,
    run: str,
    loaded_at_ms: int,
    markets: Mapping[str, Market],
    session: Session,
    is_of_store: bool = False,
) -> Vectors:
    """Encode one price record for each row of ``latest`` (`indicators.latest`), with its history from ``closes``
    (`last_closes`), and one agent record for each symbol of ``views`` (`agents.registry.latest_views`). ``markets`` has each
    symbol's interval; ``session`` is the run's; ``is_of_store``: its bars are the market store's. An indicator that is missing or
    not finite becomes null.
    """
    prices: dict[str, PriceRecord] = {}
    for symbol, as_of_ms, *values in latest.select("symbol", "as_of_ms", *PRICE_NAMES).iter_rows():
        finite = tuple(value if value is not None and math.isfinite(value) else None for value in values)
        market = markets[symbol]
        due = due_ms(symbol, as_of_ms, market, session.of(symbol))
        prices[symbol] = PriceRecord(PRICE_SCHEMA, as_of_ms, loaded_at_ms, run, symbol, INTERVALS[market.interval], finite, due)
    histories: dict[str, Written] = {}
    for symbol, times_ms, last, count in closes.select("symbol", "times_ms", "closes", "bars").iter_rows():
        head = HISTORY_SCHEMA, times_ms[-1], loaded_at_ms, run, symbol, INTERVALS[markets[symbol].interval]
        histories[symbol] = Written(times_ms[-1], encode(HistoryRecord(*head, tuple(times_ms), tuple(last), count, is_of_store)))
    made: Mapping[str, Mapping[str, PriceRecord | AgentRecord]] = {
        PRICE.name: prices,
        AGENTS.name: _agent_records(views, run, loaded_at_ms),
    }
    rows = []
    for symbol in sorted(set[str]().union(*made.values())):
        records = {kind: Written(some[symbol].as_of_ms, encode(some[symbol])) for kind, some in made.items() if symbol in some}
        rows.append(Row(symbol, records | ({HISTORY.name: histories[symbol]} if symbol in histories else {})))
    written = [record for row in rows for record in row.records.values()]
    return Vectors(rows, max(each.as_of_ms for each in written), sum(len(each.value) for each in written))


SOURCE_MAX = 4096
"""Characters of a path that are looked at."""


def _tail(path: str | None) -> str | None:
    """The end of a path, which tells more than its beginning."""
    return path if path is None or len(path) <= LABEL_MAX else "…" + path[1 - LABEL_MAX :]


def _agent_records(views: pl.DataFrame, run: str, loaded_at_ms: int) -> dict[str, AgentRecord]:
    grouped: defaultdict[str, list[AgentView]] = defaultdict(list)
    for row in views.iter_rows(named=True):
        grouped[row["symbol"]].append(
            AgentView(
                agent=row["agent"],
                status=row["status"],
                view=row["view"],
                confidence=row["confidence"],
                as_of_ms=row["as_of_ms"],
                model=clean_text(row["model"], LABEL_MAX),
                reasoning=clean_text(row["reasoning"]),
                reason=clean_text(row["reason"], LABEL_MAX),
                source=_tail(clean_text(row["source"], SOURCE_MAX)),
                input_hash=row["input_hash"],
            )
        )
    return {
        symbol: AgentRecord(
            AGENTS_SCHEMA, max(each.as_of_ms for each in found), loaded_at_ms, run, symbol, newest_views(tuple(found))
        )
        for symbol, found in grouped.items()
    }
