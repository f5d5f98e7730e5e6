"""GET /price/latest: the latest price of one symbol, or of several. Most requests for one are answered by `app.http.lane`."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.answering.latest import PriceTeller
from app.errors import Problem, invalid
from app.routes.query import Query

_ALLOWED = "allowed: one of them, as in /price/latest?symbol=AAPL or /price/latest?symbols=AAPL,GOOG"


class LatestPriceRoute:
    """The endpoint."""

    def __init__(
        self, prices: PriceTeller, *, batch_max: int, charge: Callable[[Scope, int, str | None], Awaitable[None]]
    ) -> None:
        self._prices = prices
        self._batch_max = batch_max
        self._charge = charge

    async def get(self, request: Request) -> Response:
        """One price, or one for each of several. It costs as many decisions."""
        arrival = request.scope["arrival"]
        # A HEAD has paid for one when it was let in.
        paid = int(request.method == "HEAD")
        try:
            asked = self._asked(request)
        except Problem:
            await self._pay(request.scope, 1 - paid, None)
            raise
        if isinstance(asked, str):
            await self._pay(request.scope, 1 - paid, None)
            body, (name, tiers), latency_ms, _ = await self._prices.one(asked, arrival.started)
            headers = {name.decode(): tiers.decode()}
        else:
            await self._pay(request.scope, len(asked) - paid, "symbols")
            body, latency_ms = await self._prices.many(asked, arrival.started, arrival.request_id)
            headers = {}
        headers["Server-Timing"] = f"decide;dur={latency_ms.decode()}"
        return Response(body, media_type="application/json", headers=headers)

    async def _pay(self, scope: Scope, count: int, field: str | None) -> None:
        if count:
            await self._charge(scope, count, field)

    def _asked(self, request: Request) -> str | list[str]:
        """The symbol, or the symbols, as they are spelled.

        Raises:
            Problem: 422 naming the parameter.
        """
        query = Query(request, "symbol", "symbols")
        one, several = query.text("symbol"), query.text("symbols")
        if (one is None) == (several is None):
            raise invalid("symbol", f"symbol and symbols are {'not' if one is None else 'both'} there; {_ALLOWED}")
        if several is None:
            assert one is not None
            return one
        symbols = several.split(",") if several else []
        if not 1 <= len(symbols) <= self._batch_max:
            raise invalid("symbols", f"symbols has {len(symbols)} elements; allowed: 1 to {self._batch_max} (BATCH_MAX)")
        return symbols
