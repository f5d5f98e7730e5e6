"""Answers of market data, beside `app.payloads`. A leaf.

Prices, sizes and sums are JSON numbers with exactly the digits that are stored: here the bytes of one.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from app.payloads import Canonical, Count, Moment

Digits = Annotated[Raw, Meta(extra_json_schema={"type": "number"}, description="With exactly the digits that are stored.")]
DigitsOrNull = Annotated[Raw, Meta(extra_json_schema={"type": ["number", "null"]})]
Cursor = Annotated[str, Meta(description="What the next page's `cursor` is; null on the last.")]


class CandleItem(msgspec.Struct, frozen=True, gc=False):
    """A bar, stamped by its beginning. ``complete``: it is over, and nothing of it is lacking. ``vwap`` and ``trades`` are null
    where a source does not say; ``session`` where the market never closes. ``revision`` grows when what is late changes it.
    """

    symbol: Canonical
    interval: str
    open: Digits
    high: Digits
    low: Digits
    close: Digits
    volume: Digits
    start_time: Moment
    end_time: Moment
    trades: Count | None
    vwap: DigitsOrNull
    coverage: Literal["complete", "backfilled", "open", "partial", "gap"]
    revision: Annotated[int, Meta(ge=1)]
    complete: bool
    session: Literal["regular", "pre", "post"] | None
    sources: tuple[str, ...]


class GapItem(msgspec.Struct, frozen=True, gc=False):
    """Trades are lacking from ``start_time`` to before ``end_time``: ``missing`` of them, null if nobody knows how many.
    ``filled_time``: since when they are there.
    """

    venue: str
    start_time: Moment
    end_time: Moment
    missing: Count | None
    found_by: str
    filled_time: Moment | None


class CandlePagination(msgspec.Struct, frozen=True, gc=False):
    """``total`` counts all bars of the span, up to 5,000; null beyond, and on pages by cursor."""

    limit: Count
    offset: Count
    total: Count | None
    next_cursor: Cursor | None


class CandlesResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to GET /candles. ``gaps`` touch the page; ``gaps_omitted``: so many more do."""

    data: tuple[CandleItem, ...]
    gaps: tuple[GapItem, ...]
    pagination: CandlePagination
    gaps_omitted: Count | UnsetType = UNSET


class TradeItem(msgspec.Struct, frozen=True, gc=False):
    """One trade. ``trade_id`` is the venue's own; ``side`` is the taker's; ``source`` says how it came here."""

    symbol: Canonical
    trade_id: str
    time: Moment
    price: Digits
    size: Digits
    side: Literal["buy", "sell", "unknown"]
    venue: str
    source: str


class TradePagination(msgspec.Struct, frozen=True, gc=False):
    """Where the page ends."""

    limit: Count
    next_cursor: Cursor | None


class TradesResponse(msgspec.Struct, frozen=True, gc=False):
    """Answer to GET /trades."""

    data: tuple[TradeItem, ...]
    pagination: TradePagination
