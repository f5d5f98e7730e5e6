"""Answers of market data, beside `app.payloads`. A leaf.

Prices, sizes and sums are JSON numbers with exactly the digits that are stored.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.payloads import Age, CacheInfo, Canonical, Count, Digits, DigitsOrNull, Moment, ProblemBody, Spelled

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
    """``total`` counts all bars of the span, up to 5,000; null beyond, and on pages by cursor. With ``complete_only`` it counts
    complete ones, and is null where more of them follow the page.
    """

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


class LatestPrice(msgspec.Struct, frozen=True, gc=False):
    """Answer to GET /price/latest for one symbol: its last trade or, where the last close is newer, that: then ``source`` is
    ``close``, and what only a trade has is null. ``stale``: it is no price of now, or may not be the last one, and ``reason``
    says why.
    """

    symbol: Canonical
    requested: Spelled
    price: Digits
    currency: Annotated[str, Meta(description="Null where nobody knows it.")] | None
    timestamp: Annotated[Moment, Meta(description="Of the trade, or the end of the close's bar.")]
    size: DigitsOrNull
    side: Annotated[Literal["buy", "sell", "unknown"], Meta(description="The taker's.")] | None
    venue: Annotated[str, Meta(description="Where the trade was made.")] | None
    source: Annotated[
        str,
        Meta(description="Whence the trade came to us; `close` where it is a bar's close, which is kept to 17 digits at most."),
    ]
    age_s: Age
    coverage: (
        Annotated[
            Literal["complete", "backfilled", "open", "partial", "gap", "quiet"],
            Meta(description="Whether trades are lacking since; `quiet`: the source was heard and said nothing."),
        ]
        | None
    )
    stale: bool
    reason: str | None
    cache: CacheInfo


class LatestPriceItem(msgspec.Struct, frozen=True, gc=False):
    """One of several: a price or a problem, never both."""

    symbol: Annotated[str, Meta(description="Canonical, or as the caller spelled it where it is no symbol.")]
    latest: LatestPrice | None
    problem: ProblemBody | None


class LatestPrices(msgspec.Struct, frozen=True, gc=False):
    """Answer to GET /price/latest for several symbols: one element for each asked, in order."""

    data: tuple[LatestPriceItem, ...]
    found: Count
    failed: Count
