"""The routes that are asked for many times a second, and that `app.http.lane` answers before Starlette."""

import re
from collections.abc import Awaitable
from typing import Protocol

import msgspec
from starlette.types import Scope

from app.answering.decider import Answer, Decider, cache_status, is_plain
from app.answering.latest import PriceTeller
from app.answering.prepared import facts_of
from app.cache.memory import Entry
from app.errors import Header
from app.http.decoding import StrictDecoder, keys_at_least
from app.http.rules import Need
from app.http.security import NOSNIFF, OF_ALL, SERVER
from app.payloads import DecideRequest

_of_one = re.compile(rb"symbol=[A-Za-z0-9._:/^-]{1,32}").fullmatch
_SYMBOL_AT = len(b"symbol=")


class FastRoute(Protocol):
    """Requests of ``method`` for ``path``, for which a key must allow ``needs``. ``headers`` are what all its answers have."""

    @property
    def path(self) -> str: ...  # noqa: D102 - the class says it

    @property
    def method(self) -> str: ...  # noqa: D102 - the class says it

    @property
    def needs(self) -> Need: ...  # noqa: D102 - the class says it

    @property
    def headers(self) -> tuple[Header, ...]: ...  # noqa: D102 - the class says it

    def takes(self, scope: Scope) -> bool:
        """Whether it answers this request, of its path and method; all others go on to Starlette."""
        ...

    def answer(self, said: bytes, started: float) -> Answer | Awaitable[Answer]:
        """The answer, of status 200, to a request that says this in its body (of a GET: in its query). From fresh L1 it is there
        at once: a coroutine for it would cost a twentieth of it. Raises the `Problem` of any other status, at once or later.
        """
        ...


class FastDecide:
    """POST /decide."""

    path, method = "/decide", "POST"
    needs: Need = "decide"
    # Nobody keeps the answer to a POST, nor shows it as a page.
    headers = (SERVER, NOSNIFF)

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._clock = decider.clock
        self._hit = decider.tiers.hit
        self._decode = StrictDecoder(DecideRequest, keys_at_least).decode
        self._encode = msgspec.json.Encoder().encode

    def takes(self, scope: Scope) -> bool:
        """All of them."""
        del scope
        return True

    def answer(self, said: bytes, started: float) -> Answer | Awaitable[Answer]:
        """The decision."""
        request = self._decode(said)
        # As of now: what was fresh when the head came need not be so any more when the body has.
        entry = self._hit(request.symbol, self._clock())
        if entry is not None and is_plain(request):
            return self._decider.render(request, entry, started)
        return self._other(request, entry, started)

    async def _other(self, request: DecideRequest, entry: Entry | None, started: float) -> Answer:
        """Every answer but the prepared one."""
        if entry is None:
            response = await self._decider.decide(request, started)
        else:
            response = self._decider.decide_hit(request, entry, started)
        facts = facts_of(response.fallback.level, response.fallback.reason)
        return self._encode(response), cache_status(response.cache), b"%.3f" % response.latency_ms, facts


class FastLatestPrice:
    """GET /price/latest of one symbol that is spelled without escapes."""

    path, method = "/price/latest", "GET"
    needs: Need = "market:read"
    headers = OF_ALL

    def __init__(self, prices: PriceTeller) -> None:
        self._prices = prices

    def takes(self, scope: Scope) -> bool:
        """Of others Starlette's route knows what is wrong, or what several cost."""
        return _of_one(scope["query_string"]) is not None

    def answer(self, said: bytes, started: float) -> Answer | Awaitable[Answer]:
        """The price."""
        requested = said[_SYMBOL_AT:].decode("ascii")
        return self._prices.hit(requested, started) or self._prices.one(requested, started)
