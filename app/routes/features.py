"""GET /features/{symbol} and GET /symbols: what is loaded."""

import bisect
from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from app.answering.decider import Decider, cache_of, cache_status, views_of
from app.answering.inputs import inputs_of
from app.answering.listing import ListSymbols
from app.answering.market import Market
from app.answering.moments import iso, iso_us
from app.answering.turns import Turns
from app.domain.nearest import is_in
from app.domain.prices import plain
from app.domain.vector import AGENT_FEATURES, PRICE_FEATURES, SCHEMA
from app.market.protocol import Details, Symbol
from app.payloads import BarsKind, FeaturesResponse, SymbolDetails, SymbolsResponse
from app.routes.query import Query
from app.store.protocol import RunInfo

_PAGE_MAX = 10_000
_PAGE = 1000
DETAILS_MAX = 100
"""On a page: each takes some milliseconds to read."""

_encode = msgspec.json.Encoder().encode


class FeatureRoutes:
    """The endpoints."""

    def __init__(
        self,
        decider: Decider,
        market: Market,
        list_symbols: ListSymbols,
        run_info: Callable[[], RunInfo | None],
        turns: Turns,
    ) -> None:
        self._decider, self._turns = decider, turns
        self._market = market
        self._list_symbols = list_symbols
        self._run_info = run_info

    async def features(self, request: Request) -> Response:
        """The hybrid vector of one symbol: price features as of the last bar, agents' features as of now."""
        decider = self._decider
        requested = request.path_params["symbol"]
        symbol = decider.canonical(requested)
        started = request.scope["arrival"].started
        lookup = await decider.look_up(symbol, None, started)
        if lookup.evidence is None:
            raise await decider.suggestions.unknown(symbol)
        price, agents = lookup.evidence.price, lookup.evidence.agents
        judged = decider.policy.judge(lookup.evidence, decider.now_ms(), unproven=None if lookup.proven else lookup.trouble)
        summary = judged.summary
        of_agents: tuple[float | None, ...] = (None,) * len(AGENT_FEATURES)
        if judged.agents is not None:
            counts = float(summary.used), float(summary.abstained), float(summary.failed)
            of_agents = (summary.view, summary.agreement, *counts)
        of_price = (None,) * len(PRICE_FEATURES) if price is None else price.values[: len(PRICE_FEATURES)]
        cache = cache_of(lookup)
        body = FeaturesResponse(
            symbol=symbol,
            requested=requested,
            schema=SCHEMA,
            names=PRICE_FEATURES + AGENT_FEATURES,
            values=of_price + of_agents,
            price_as_of=None if price is None else iso(price.as_of_ms),
            agents_as_of=None if agents is None else iso(agents.as_of_ms),
            inputs=inputs_of(judged, lookup.evidence, decider.inputs_type),
            cache=cache,
            views=() if agents is None else views_of(agents.views),
        )
        name, value = cache_status(cache)
        return Response(_encode(body), media_type="application/json", headers={name.decode(): value.decode()})

    async def symbols(self, request: Request) -> Response:
        """A page of the universe: ``limit`` (1 to 10,000, default 1,000) symbols after ``after``; with details also of the market
        store's symbols, and at most 100.
        """
        query = Query(request, "limit", "after", "details")
        limit, after = query.whole("limit", 1, _PAGE_MAX, _PAGE), query.text("after") or ""
        wants_details = query.flag("details")
        limit = min(limit, DETAILS_MAX) if wants_details else limit
        universe = await self._list_symbols()
        first, total = bisect.bisect_right(universe, after), len(universe)
        # One more than the page has tells whether there is more.
        listed = universe[first : first + limit + 1]
        if wants_details:
            with self._turns.under_way():
                names = await self._market.read("names", lambda reader: reader.names(limit + 1, after, universe))
            listed, total = sorted({*listed, *names.symbols}), total + names.beside
        page, more = listed[:limit], len(listed) > limit
        info = self._run_info()
        body = SymbolsResponse(
            symbols=tuple(page),
            total=total,
            next_after=page[-1] if more else None,
            run=None if info is None else info.run,
            details=await self._details(page, universe, after) if wants_details else UNSET,
        )
        return Response(_encode(body), media_type="application/json")

    async def _details(self, page: Sequence[str], universe: Sequence[str], after: str) -> tuple[SymbolDetails, ...]:
        if not page:
            return ()
        # All symbols of the market store up to the page's last one are on the page.
        found = await self._market.read("details", lambda reader: reader.symbols(len(page), after))
        by_symbol = {each.symbol.symbol: each for each in found}
        with self._market.shown():
            return tuple(_details_of(symbol, is_in(symbol, universe), by_symbol.get(symbol)) for symbol in page)


def _details_of(symbol: str, is_loaded: bool, found: Details | None) -> SymbolDetails:  # noqa: FBT001 - in a row of three
    known, last_us, volume, kinds = found or (Symbol(symbol), None, None, ())
    return SymbolDetails(
        symbol=symbol,
        loaded=is_loaded,
        name=known.name,
        market=known.market,
        currency=known.currency,
        source=known.source,
        last_trade_time=None if last_us is None else iso_us(last_us),
        volume_day=msgspec.Raw(b"null" if volume is None else plain(volume).encode()),
        kinds=tuple(BarsKind(interval, source) for interval, source in kinds),
    )
