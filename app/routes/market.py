"""GET /candles and GET /trades: pages of what the market store has of a symbol."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.answering.decider import Decider, store_unavailable
from app.answering.market import Market
from app.answering.moments import iso_us
from app.answering.turns import Turns
from app.domain.candles import vwap
from app.domain.intervals import DAY_S, INTERVALS
from app.domain.prices import plain
from app.domain.trades import Order, Trade
from app.errors import invalid
from app.market.calendar import zone_named
from app.market.protocol import GOOD, Bar, CandlesWanted, Gap, TradesWanted
from app.market_payloads import CandleItem, CandlePagination, GapItem, TradeItem, TradePagination
from app.routes.cursors import Cursors
from app.routes.query import Query

T = TypeVar("T")

PAGE, PAGE_MAX = 100, 1000
OFFSET_MAX = 5_000
"""Bars by sessions are read to be passed over: a far page would cost as much as all before it. A cursor goes on at once."""
GAPS_MAX = 1000
_SLICE = 100
"""Rows at once: some tenths of a millisecond."""
_ORDERS = ("asc", "desc")

_NONE = msgspec.Raw(b"null")
_START, _ORDER = msgspec.msgpack.Decoder(int), msgspec.msgpack.Decoder(Order)
_encode = msgspec.json.Encoder().encode


class MarketRoutes:
    """The endpoints."""

    def __init__(self, decider: Decider, market: Market, cursors: Cursors, turns: Turns) -> None:
        self._decider, self._market, self._cursors, self._turns = decider, market, cursors, turns

    async def candles(self, request: Request) -> Response:
        """Bars of one symbol and interval, with the gaps that touch them."""
        query = Query(
            request,
            *("symbol", "interval", "start", "end", "limit", "offset", "cursor", "order", "tz", "extended", "complete_only"),
        )
        symbol = self._symbol(query)
        interval = query.choice("interval", tuple(INTERVALS), "1m")
        wanted = CandlesWanted(
            symbol,
            interval,
            query.whole("limit", 1, PAGE_MAX, PAGE),
            *_span(query),
            offset=query.whole("offset", 0, OFFSET_MAX, 0),
            extended=query.flag("extended"),
            complete_only=query.flag("complete_only"),
            zone=_zone(query, interval),
        )
        order = query.choice("order", _ORDERS, _ORDERS[0])
        # Without a start the newest are wanted, in whatever order.
        wanted = wanted._replace(descending=order == "desc" or wanted.start_us is None)
        of = ("candles", order, *wanted._replace(limit=0, offset=0))
        cursor = query.text("cursor")
        if not cursor:
            wanted = wanted._replace(counts=True)
        elif wanted.offset:
            raise invalid("offset", f"offset is {wanted.offset} beside a cursor; allowed: one of both")
        else:
            wanted = wanted._replace(after_us=self._cursors.read(cursor, of, _START))
        page = await self._market.read("candles", lambda reader: reader.candles(wanted))
        if not page.is_known:
            await self._check_loaded(symbol, request)
        bars = page.bars[::-1] if wanted.descending and order == "asc" else page.bars
        next_cursor = None if page.after_us is None else self._cursors.write(of, page.after_us)
        rest: dict[str, object] = {
            "gaps": [_gap(each) for each in page.gaps[:GAPS_MAX]],
            "pagination": CandlePagination(wanted.limit, wanted.offset, page.total, next_cursor),
        }
        if len(page.gaps) > GAPS_MAX:
            rest["gaps_omitted"] = len(page.gaps) - GAPS_MAX
        return await self._response(bars, _candle, rest)

    async def trades(self, request: Request) -> Response:
        """Trades of one symbol."""
        query = Query(request, "symbol", "start", "end", "limit", "cursor", "order")
        symbol = self._symbol(query)
        wanted = TradesWanted(symbol, query.whole("limit", 1, PAGE_MAX, PAGE), *_span(query))
        order = query.choice("order", _ORDERS, _ORDERS[0])
        wanted = wanted._replace(descending=order == "desc" or wanted.start_us is None)
        of = ("trades", order, *wanted._replace(limit=0))
        cursor = query.text("cursor")
        if cursor:
            wanted = wanted._replace(after=self._cursors.read(cursor, of, _ORDER))
        page = await self._market.read("trades", lambda reader: reader.trades(wanted))
        if not page.is_known:
            await self._check_loaded(symbol, request)
        trades = page.trades[::-1] if wanted.descending and order == "asc" else page.trades
        next_cursor = None if page.after is None else self._cursors.write(of, page.after)
        return await self._response(trades, _trade, {"pagination": TradePagination(wanted.limit, next_cursor)})

    def _symbol(self, query: Query) -> str:
        text = query.text("symbol")
        if text is None:
            raise invalid("symbol", "symbol is missing; allowed: one, as symbol=AAPL")
        return self._decider.canonical(text)

    async def _check_loaded(self, symbol: str, request: Request) -> None:
        """Returns if ``symbol``, which the market store does not have, is loaded: then there is nothing of it yet.

        Raises:
            Problem: 404 that says which it may be meant to be; 503 where L2 does not say whether it is loaded.
        """
        lookup = await self._decider.look_up(symbol, None, request.scope["arrival"].started)
        if lookup.evidence is None:
            raise await self._market.unknown(symbol)
        if lookup.tier == "none":
            raise store_unavailable()

    async def _response(self, rows: Sequence[T], make: Callable[[T], object], rest: dict[str, object]) -> Response:
        """``rows`` as ``data``, and the ``rest``; others get their turn between two slices."""
        with self._market.shown():
            if len(rows) <= _SLICE:
                data = _encode([make(each) for each in rows])
            else:
                parts = []
                with self._turns.under_way():
                    for first in range(0, len(rows), _SLICE):
                        async with self._turns.slice():
                            parts.append(_encode([make(each) for each in rows[first : first + _SLICE]])[1:-1])
                data = b"[%b]" % b",".join(parts)
        return Response(_encode({"data": msgspec.Raw(data), **rest}), media_type="application/json")


def _span(query: Query) -> tuple[int | None, int | None]:
    """From ``start`` to before ``end``. The store has nothing of before 1970."""
    start_us, end_us = query.time_us("start"), query.time_us("end")
    if start_us is not None and end_us is not None and start_us >= end_us:
        raise invalid("end", f"end is {query.text('end')}, start is {query.text('start')}; allowed: a start before the end")
    return None if start_us is None else max(0, start_us), None if end_us is None else max(0, end_us)


def _zone(query: Query, interval: str) -> str:
    zone = query.text("tz")
    if zone is None or zone == "UTC":
        return "UTC"
    if INTERVALS[interval] < DAY_S:
        days = ", ".join(name for name, length_s in INTERVALS.items() if length_s >= DAY_S)
        raise invalid("tz", f"tz is {zone[:60]!r} with interval {interval}; allowed: with {days}")
    try:
        zone_named(zone)
    except ValueError as error:
        raise invalid("tz", str(error).replace("zone is", "tz is", 1)) from None
    return zone


def _candle(bar: Bar) -> CandleItem:
    price = None if bar.notional is None or not bar.volume else vwap(bar.notional, bar.volume)
    return CandleItem(
        bar.symbol, bar.interval, _digits(bar.open), _digits(bar.high), _digits(bar.low), _digits(bar.close), _digits(bar.volume),
        iso_us(bar.start_us), iso_us(bar.end_us), bar.trades, _NONE if price is None else _digits(price), bar.coverage,
        bar.revision, bar.coverage in GOOD, bar.session, bar.sources,
    )  # fmt: skip


def _gap(gap: Gap) -> GapItem:
    filled_time = None if gap.filled_us is None else iso_us(gap.filled_us)
    return GapItem(gap.venue, iso_us(gap.from_us), iso_us(gap.to_us), gap.missing, gap.found_by, filled_time)


def _trade(trade: Trade) -> TradeItem:
    time, price, size = iso_us(trade.time_us), _digits(trade.price), _digits(trade.size)
    return TradeItem(trade.symbol, trade.trade_id, time, price, size, trade.side, trade.venue, trade.source)


def _digits(value: Decimal) -> msgspec.Raw:
    if not value.is_finite():
        raise ValueError(f"{value} is no number")
    return msgspec.Raw(plain(value))
