"""The latest price of a symbol, or of many: from L1 as a decision is, without deciding anything."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from app.answering.decider import Answer, Decider, cache_of, cache_status, l1_hit, store_unavailable
from app.answering.moments import iso, iso_us
from app.answering.suggestions import cost_of
from app.answering.turns import Turns
from app.cache.loads import Begun, Lookup
from app.cache.read_through import READ_AT_ONCE
from app.domain.evidence import Evidence, Trouble
from app.domain.latest import latest_price
from app.domain.prices import plain
from app.domain.records import TICK
from app.domain.symbols import currency_of
from app.domain.ticks import TickRecord
from app.errors import Problem
from app.market_payloads import LatestPrice, LatestPriceItem, LatestPrices
from app.messages import body_of
from app.observe.meters import Meters
from app.payloads import CacheInfo
from app.slices import shares

_encode = msgspec.json.Encoder().encode
_NULL = msgspec.Raw(b"null")
_CLOSE = "close"
_IN_A_ROW = 50
"""Prices of several: a millisecond or two."""


_Item = tuple[bool, bytes]
"""Of several: whether there is a price, and the element that says it."""


class PriceTeller:
    """One a worker."""

    def __init__(self, decider: Decider, meters: Meters, turns: Turns) -> None:
        self._decider = decider
        self._meters = meters
        self._turns = turns
        self._place = decider.policy.kinds.places[TICK.name]
        self._limits = decider.policy.limits

    def hit(self, requested: str, started: float) -> Answer | None:
        """The answer for one symbol that L1 has fresh, else None. Awaits nothing.

        Raises:
            Problem: 404 for a symbol without a price.
        """
        now = self._decider.clock()
        entry = self._decider.tiers.hit(requested, now)
        if entry is None:
            return None
        self._meters.l1_hits.count += 1
        cache = l1_hit(entry, now)
        return self._answer(self._price(requested, requested, entry.evidence, cache, None, "symbol"), started)

    async def one(self, requested: str, started: float) -> Answer:
        """The answer for one symbol.

        Raises:
            Problem: 422 for what cannot be a symbol, 404 for one outside the universe or without a price, 503 if L2 does not
                answer and L1 has nothing of it, or too many are waiting already.
        """
        symbol = self._decider.canonical(requested)
        lookup = await self._decider.look_up(symbol, None, started)
        if lookup.evidence is None:
            raise await self._decider.suggestions.unknown(symbol)
        return self._answer(self.of_lookup(requested, symbol, lookup), started)

    def _answer(self, latest: LatestPrice, started: float) -> Answer:
        return _encode(latest), cache_status(latest.cache), b"%.3f" % ((self._decider.clock() - started) * 1000.0), None

    async def many(self, requested: Sequence[str], started: float, request_id: str) -> tuple[bytes, bytes]:
        """The answer for several, and its latency in milliseconds: an element for each, in order; one that is wrong or has no
        price is a problem in its place.

        Raises:
            Problem: 503 if too many are waiting already.
        """
        admission = self._decider.admission
        if not admission.enter(len(requested)):
            raise admission.refusal()
        try:
            with self._turns.under_way():
                items = await self._items(requested, started, request_id)
        finally:
            admission.leave(len(requested))
        found = sum(is_found for is_found, _ in items)
        # Already encoded, in slices: they are put into the frame of an answer without any.
        before, _, after = _encode(LatestPrices((), found, len(items) - found)).partition(b"[]")
        body = before + b"[" + b",".join([item for _, item in items]) + b"]" + after
        return body, b"%.3f" % ((self._decider.clock() - started) * 1000.0)

    async def _items(self, requested: Sequence[str], started: float, request_id: str) -> list[_Item]:
        decider, turns = self._decider, self._turns
        symbols: list[str | Problem] = []
        begun: list[Begun] = []
        for first in range(0, len(requested), READ_AT_ONCE):
            async with turns.slice():
                some = [self._symbol(each, place) for place, each in enumerate(requested[first : first + READ_AT_ONCE], first)]
                begun += decider.tiers.begin_many([each for each in some if isinstance(each, str)])
                symbols += some
        lookups = await decider.tiers.finish_many(begun, decider.budget_s(None, started))
        if any(each.evidence is None for each in lookups):
            await decider.suggestions.ready()
        items: list[_Item] = []
        found, costs = iter(lookups), map(cost_of, lookups)
        for share in shares([1 if isinstance(each, Problem) else next(costs) for each in symbols], _IN_A_ROW):
            async with turns.slice():
                items += [self._item(requested[at], symbols[at], found, f"symbols[{at}]", request_id) for at in share]
        return items

    def _symbol(self, requested: str, place: int) -> str | Problem:
        try:
            return self._decider.canonical(requested, f"symbols[{place}]")
        except Problem as problem:
            return problem

    def _item(self, requested: str, symbol: str | Problem, found: Iterator[Lookup], field: str, request_id: str) -> _Item:
        """The element; ``found`` has what the next symbol's look-up brought."""
        try:
            if isinstance(symbol, Problem):
                raise symbol
            lookup = next(found)
            if lookup.evidence is None:
                raise self._decider.suggestions.unknown_now(symbol, field)
            latest = self.of_lookup(requested, symbol, lookup, field)
        except Problem as problem:
            shown = requested if isinstance(symbol, Problem) else symbol
            return False, _encode(LatestPriceItem(shown, None, body_of(problem, request_id)))
        return True, _encode(LatestPriceItem(symbol, latest, None))

    def of_lookup(self, requested: str, symbol: str, lookup: Lookup, field: str = "symbol") -> LatestPrice:
        """The price from what a read found of a symbol that is in the universe.

        Raises:
            Problem: 404 for one without a price, 503 if nothing of it could be read.
        """
        assert lookup.evidence is not None
        if lookup.tier == "none":
            raise store_unavailable()
        unproven = None if lookup.proven else lookup.trouble
        return self._price(requested, symbol, lookup.evidence, cache_of(lookup), unproven, field)

    def _price(
        self, requested: str, symbol: str, evidence: Evidence, cache: CacheInfo, unproven: Trouble | None, field: str
    ) -> LatestPrice:
        found = latest_price(evidence, self._place, self._decider.now_ms(), self._limits, unproven)
        if found is None:
            raise _missing(symbol, field)
        record, age_s, reason = found
        stale = reason is not None
        bars, tick = evidence.price, evidence.records[self._place]
        sequence = max(0 if bars is None else bars.as_of_ms * 1000, 0 if tick is None else tick.as_of_ms * 1000 + tick.sequence)
        if isinstance(record, TickRecord):
            return LatestPrice(
                symbol,
                requested,
                msgspec.Raw(record.price.encode()),
                record.currency,
                iso_us(record.time_us),
                msgspec.Raw(record.size.encode()),
                record.side,
                record.venue,
                record.source or record.venue,
                age_s,
                record.coverage,
                sequence,
                stale,
                reason,
                cache,
            )
        close = msgspec.Raw(plain(Decimal(repr(record.values[0]))).encode())
        moment = iso(record.as_of_ms)
        currency = currency_of(symbol)
        return LatestPrice(
            symbol, requested, close, currency, moment, _NULL, None, None, _CLOSE, age_s, None, sequence, stale, reason, cache
        )


def _missing(symbol: str, field: str) -> Problem:
    """The symbol is loaded, by its agents alone perhaps."""
    return Problem(
        404, "price-missing", "Price missing", f"{symbol} is loaded without a price: run the warm job with its prices", field
    )
