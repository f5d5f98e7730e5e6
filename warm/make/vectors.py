"""Bars, indicators and agents' views to the records that L2 holds, encoded."""

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from app.domain.vector import (
    HISTORY_BARS,
    HISTORY_SCHEMA,
    PRICE_NAMES,
    SCHEMA,
    AgentRecord,
    AgentView,
    HistoryRecord,
    PriceRecord,
    newest_views,
)
from app.store.codec import encode
from app.store.protocol import Row
from warm.calendar.due import due_ms
from warm.calendar.intervals import INTERVALS, Market
from warm.calendar.sessions import Session
from warm.files.agents.rows import LABEL_MAX, clean_text


class Vectors(NamedTuple):
    """One row a symbol, sorted by symbol; the newest record's ``as_of``; the records' size."""

    rows: list[Row]
    newest_as_of_ms: int
    bytes: int


def last_closes(bars: pl.DataFrame) -> pl.DataFrame:
    """Each symbol's last `HISTORY_BARS` closes and the ends of their bars, oldest first, as lists ``closes`` and ``times_ms``.

    ``bars`` has each symbol's rows together, in order of time. As in a record, times begin in 1970.
    """
    # As in `indicators.latest`: groups that are slices of the table.
    numbered = bars.filter(pl.col("as_of_ms") >= 0).with_columns(pl.col("symbol").rle_id().set_sorted().alias("number"))
    last = pl.col("as_of_ms").tail(HISTORY_BARS).alias("times_ms"), pl.col("close").tail(HISTORY_BARS).alias("closes")
    return numbered.group_by("number", maintain_order=True).agg(pl.col("symbol").last(), *last).drop("number")


def build_vectors(
    latest: pl.DataFrame,
    closes: pl.DataFrame,
    views: pl.DataFrame,
    *,
    run: str,
    loaded_at_ms: int,
    markets: Mapping[str, Market],
    session: Session,
) -> Vectors:
    """Encode one price record for each row of ``latest`` (`indicators.latest`), with its history from ``closes``
    (`last_closes`), and one agent record for each symbol of ``views`` (`agents.registry.latest_views`). ``markets`` has each
    symbol's interval; ``session`` is the run's. An indicator that is missing or not finite becomes null.
    """
    prices: dict[str, PriceRecord] = {}
    for symbol, as_of_ms, *values in latest.select("symbol", "as_of_ms", *PRICE_NAMES).iter_rows():
        finite = tuple(value if value is not None and math.isfinite(value) else None for value in values)
        market = markets[symbol]
        due = due_ms(symbol, as_of_ms, market, session.of(symbol))
        prices[symbol] = PriceRecord(SCHEMA, as_of_ms, loaded_at_ms, run, symbol, INTERVALS[market.interval], finite, due)
    histories: dict[str, bytes] = {}
    for symbol, times_ms, last in closes.select("symbol", "times_ms", "closes").iter_rows():
        head = HISTORY_SCHEMA, times_ms[-1], loaded_at_ms, run, symbol, INTERVALS[markets[symbol].interval]
        histories[symbol] = encode(HistoryRecord(*head, tuple(times_ms), tuple(last)))
    agents = _agent_records(views, run, loaded_at_ms)
    rows = []
    for symbol in sorted(prices.keys() | agents.keys()):
        price, agent = prices.get(symbol), agents.get(symbol)
        rows.append(
            Row(
                symbol,
                price.as_of_ms if price else None,
                encode(price) if price else None,
                agent.as_of_ms if agent else None,
                encode(agent) if agent else None,
                histories.get(symbol),
            )
        )
    stamps = [stamp for row in rows for stamp in (row.price_as_of_ms, row.agents_as_of_ms) if stamp is not None]
    size = sum(len(row.price or b"") + len(row.agents or b"") + len(row.history or b"") for row in rows)
    return Vectors(rows, max(stamps), size)


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
        symbol: AgentRecord(SCHEMA, max(each.as_of_ms for each in found), loaded_at_ms, run, symbol, newest_views(tuple(found)))
        for symbol, found in grouped.items()
    }
