"""GET /features/{symbol} and GET /symbols: what is loaded."""

import bisect
import re
from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.answering.decider import Decider, cache_of, cache_status, inputs_of, iso, views_of
from app.answering.listing import ListSymbols
from app.domain.vector import AGENT_FEATURES, PRICE_FEATURES, SCHEMA
from app.errors import invalid
from app.payloads import FeaturesResponse, SymbolsResponse
from app.store.protocol import RunInfo

_PAGE_MAX = 10_000
_PAGE = 1000

_is_number = re.compile(r"[0-9]{1,5}").fullmatch
_encode = msgspec.json.Encoder().encode


class FeatureRoutes:
    """The endpoints."""

    def __init__(self, decider: Decider, list_symbols: ListSymbols, run_info: Callable[[], RunInfo | None]) -> None:
        self._decider = decider
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
            inputs=inputs_of(judged, decider.inputs_type),
            cache=cache,
            views=() if agents is None else views_of(agents.views),
        )
        name, value = cache_status(cache)
        return Response(_encode(body), media_type="application/json", headers={name.decode(): value.decode()})

    async def symbols(self, request: Request) -> Response:
        """A page of the universe: ``limit`` (1 to 10,000, default 1,000) symbols after ``after``."""
        limit = self._limit(request)
        after = request.query_params.get("after", "")
        universe = await self._list_symbols()
        first = bisect.bisect_right(universe, after)
        page = universe[first : first + limit]
        more = first + limit < len(universe)
        info = self._run_info()
        body = SymbolsResponse(
            symbols=tuple(page),
            total=len(universe),
            next_after=page[-1] if more else None,
            run=None if info is None else info.run,
        )
        return Response(_encode(body), media_type="application/json")

    def _limit(self, request: Request) -> int:
        given = [name for name, _ in request.query_params.multi_items()]
        for name in given:
            if name not in ("limit", "after"):
                raise invalid(name[:40], f"query parameter {name[:40]!r} is unknown; allowed: limit, after")
            if given.count(name) > 1:
                raise invalid(name, f"query parameter {name!r} is there {given.count(name)} times; allowed: once")
        text = request.query_params.get("limit", str(_PAGE))
        if not (_is_number(text) and 1 <= int(text) <= _PAGE_MAX):
            raise invalid("limit", f"limit is {text[:40]!r}; allowed: a whole number from 1 to {_PAGE_MAX}")
        return int(text)
