"""GET /history/{symbol}: the closes behind a symbol's price record, for people to look at. No decision reads them."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.answering.decider import Decider, store_unavailable
from app.answering.moments import iso
from app.domain.records import HISTORY
from app.errors import Problem, RecordError
from app.observe.meters import Meters
from app.payloads import HistoryResponse
from app.store.codec import decode
from app.store.protocol import Store

_READ_S = 2.0
"""Seconds that L2 may take to read one."""

_encode = msgspec.json.Encoder().encode


class HistoryRoute:
    """The endpoint."""

    def __init__(self, decider: Decider, store: Store, meters: Meters) -> None:
        self._decider = decider
        self._store = store
        self._meters = meters

    async def history(self, request: Request) -> Response:
        """The last closes of one symbol, straight from L2."""
        requested = request.path_params["symbol"]
        symbol = self._decider.canonical(requested)
        raw = await self._decider.from_store(lambda: self._store.record(HISTORY.name, symbol), _READ_S)
        if raw is None:
            raise await self._why_none(symbol, request.scope["arrival"].started)
        try:
            record = decode(HISTORY, raw, symbol)
        except RecordError as error:
            self._meters.record_fault(error.reason)
            raise _missing(symbol, f"has a history that cannot be read ({error.reason})") from error
        body = HistoryResponse(
            symbol=symbol,
            requested=requested,
            interval_s=record.interval_s,
            times=tuple(map(iso, record.times_ms)),
            closes=record.closes,
            as_of=iso(record.as_of_ms),
            run=record.run,
        )
        return Response(_encode(body), media_type="application/json")

    async def _why_none(self, symbol: str, started: float) -> Problem:
        """Whether there is no such symbol, or no history of it, or nothing that could tell."""
        lookup = await self._decider.look_up(symbol, None, started)
        if lookup.evidence is None:
            return await self._decider.suggestions.unknown(symbol)
        return _missing(symbol, "is loaded without a history") if lookup.proven else store_unavailable()


def _missing(symbol: str, why: str) -> Problem:
    """The symbol is loaded and its history is not, as after a run of an earlier version."""
    return Problem(404, "history-missing", "History missing", f"{symbol} {why}: run the warm job", "symbol")
