"""From a request to its answer: the one way in which /decide, /decide/batch and /features look at a symbol."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType, structs

from app.answering.admission import Admission
from app.answering.inputs import inputs_of
from app.answering.live_prices import ANY_PRICE, LivePrices, unused
from app.answering.moments import iso
from app.answering.moved import again, ground_of
from app.answering.prepared import Prepared, prepare
from app.answering.suggestions import Suggestions
from app.cache.loads import Lookup
from app.cache.memory import Entry
from app.cache.read_through import Tiers
from app.domain.aliases import NO_ALIASES, Aliases
from app.domain.evidence import Evidence, Trouble
from app.domain.policy import CONTRIBUTIONS, Decision, Policy
from app.domain.records import KINDS, TICK
from app.domain.symbols import canonical_symbol
from app.domain.vector import REASONING_MAX, SCHEMA, SYMBOL_RULE, AgentView, is_symbol
from app.errors import Header, Problem, StoreError, invalid
from app.observe.meters import Meters
from app.observe.oldest import OldestServed
from app.observe.tallies import Tally
from app.payloads import (
    CacheInfo,
    DecideRequest,
    DecideResponse,
    Fallback,
    Model,
    View,
    inputs_type,
)
from app.waiting import wait_for_store

T = TypeVar("T")
Answer = tuple[bytes, Header, bytes, dict[str, object] | None]
"""Body, Cache-Status header, latency in milliseconds as JSON, and what the log says of a fallback."""

# RFC 9211: the cache nearest to the origin comes first.
_CACHE_STATUS = {
    ("l1", True): (b"cache-status", b"decide-l1; hit"),
    ("l1", False): (b"cache-status", b"decide-l2; fwd=miss; detail=unreachable, decide-l1; hit; detail=stale"),
    ("l2", False): (b"cache-status", b"decide-l2; hit, decide-l1; fwd=miss"),
    ("none", False): (b"cache-status", b"decide-l2; fwd=miss; detail=unreachable, decide-l1; fwd=miss"),
}
_ID_ROOM = 2**47 - 1
"""Where ids begin to count: half of the room, so that none overflows."""
_TICK = KINDS.inputs.index(TICK)
_L1_HIT = _CACHE_STATUS["l1", True]


def views_of(views: tuple[AgentView, ...]) -> tuple[View, ...]:
    """Agents' words for people, reasoning cut to its bound whoever wrote the record."""
    return tuple(
        View(
            agent=each.agent,
            status=each.status,
            view=each.view,
            confidence=each.confidence,
            as_of=iso(each.as_of_ms),
            model=each.model,
            reasoning=None if each.reasoning is None else each.reasoning[:REASONING_MAX],
            reason=each.reason,
            source=each.source,
            input_hash=each.input_hash,
        )
        for each in views
    )


def store_unavailable() -> Problem:
    """L2, which alone knows what was asked for, did not answer."""
    return Problem(503, "store-unavailable", "Store unavailable", "L2 did not answer", headers=(("Retry-After", "1"),))


def canonical(symbol: str, field: str = "symbol") -> str:
    """``symbol`` as the universe spells it (`domain.symbols`).

    Raises:
        Problem: 422 naming ``field`` if it cannot be a symbol.
    """
    spelled = canonical_symbol(symbol)
    # Some letters outside ASCII have capitals inside it (ſ, ı, ß): they are not another spelling of a ticker.
    if not (symbol.isascii() and is_symbol(spelled)):
        raise invalid(field, f"{field} is {symbol[:40]!r}; allowed: {SYMBOL_RULE}")
    return spelled


def is_plain(request: DecideRequest) -> bool:
    """Whether it asks for nothing of its own, so that a prepared answer will do. Hits meet no deadline too late."""
    return request.price is None and request.max_age_s is None and not request.explain


def cache_status(cache: CacheInfo) -> Header:
    """The Cache-Status header of an answer."""
    return _CACHE_STATUS[cache.tier, cache.hit]


class Decider:
    """Looks symbols up and has the policy decide. Wired once, in main."""

    def __init__(
        self,
        *,
        tiers: Tiers,
        admission: Admission,
        policy: Policy,
        meters: Meters,
        oldest: OldestServed,
        now_ms: Callable[[], int],
        clock: Callable[[], float],
        make_id: Callable[[], str],
        l2_timeout_s: float,
        live_prices: LivePrices = ANY_PRICE,
        aliases: Aliases = NO_ALIASES,
        suggestions: Suggestions | None = None,
    ) -> None:
        self._live_prices = live_prices
        self._aliases = aliases
        self.suggestions = suggestions or Suggestions(None, clock)
        self.tiers = tiers
        self.admission = admission
        self.policy = policy
        self.inputs_type = inputs_type(policy.kinds.further_inputs)
        self.now_ms = now_ms
        self.clock = clock
        self.model = Model(policy.table.name, policy.table.version, SCHEMA)
        self._meters = meters
        self._oldest = oldest
        self.make_id = make_id
        self._l2_timeout_s = l2_timeout_s
        self.neutral_reason: str | None = None
        """Why the last decision rested on no input, of those that were not answered from a prepared one."""

    def render(self, request: DecideRequest, entry: Entry, started: float) -> Answer:
        """The answer to a plain request (`is_plain`) that L1 has the symbol fresh for. Awaits nothing."""
        now_ms = self.now_ms()
        prepared = self.prepared(request.symbol, entry, now_ms, started)
        self._meters.l1_hits.count += 1
        prepared.tally.count += 1
        if prepared.told != self._oldest.window:
            prepared.tell(self._oldest)
        now = self.clock()
        latency_ms = b"%.3f" % ((now - started) * 1000.0)
        body = prepared.render(self.make_id().encode(), now_ms, now, latency_ms)
        return body, _L1_HIT, latency_ms, prepared.facts

    def rendering(self, started: float) -> "Rendering":
        """For the plain requests of a slice of a batch."""
        return Rendering(self, self._meters, self._oldest, self.now_ms(), self.clock(), started)

    def prepared(self, symbol: str, entry: Entry, now_ms: int, started: float) -> Prepared:
        """What plain requests for ``symbol`` are answered from at ``now_ms``."""
        found: Prepared | None = entry.prepared
        if found is None or not found.since_ms <= now_ms < found.until_ms:
            found = entry.prepared = self._prepare(symbol, entry, now_ms, started)
        return found

    def decide_hit(self, request: DecideRequest, entry: Entry, started: float) -> DecideResponse:
        """The answer to any request that L1 has the symbol fresh for. Awaits nothing.

        Raises:
            Problem: 422 for a live price that is not believed.
        """
        self._meters.l1_hits.count += 1
        return self._respond(request, request.symbol, entry.evidence, l1_hit(entry, self.clock()), None, started)

    async def decide(self, request: DecideRequest, started: float) -> DecideResponse:
        """The answer for a symbol that L1 does not have fresh.

        Raises:
            Problem: 422 for what cannot be a symbol, 404 for a symbol outside the universe, 503 if too many are waiting already
                and L1 has nothing of it.
        """
        symbol = self.canonical(request.symbol)
        lookup = await self.look_up(symbol, request.deadline_ms, started)
        if lookup.evidence is None:
            raise await self.suggestions.unknown(symbol)
        return self.answer(request, symbol, lookup, started)

    def canonical(self, symbol: str, field: str = "symbol") -> str:
        """``symbol`` as the universe spells it, and keeps it (`domain.aliases`).

        Raises:
            Problem: as of `canonical`.
        """
        return self._aliases(canonical(symbol, field))

    async def look_up(self, symbol: str, deadline_ms: float | None, started: float) -> Lookup:
        """What both tiers have of ``symbol``, within the budget; if too many wait already, what L1 has, however stale.

        Raises:
            Problem: 503 if too many are waiting already and L1 has nothing.
        """
        if not self.admission.enter(1):
            held = self.tiers.held(symbol)
            if held is None:
                raise self.admission.refusal()
            return held
        try:
            return await self.tiers.fetch(symbol, self.budget_s(deadline_ms, started))
        finally:
            self.admission.leave(1)

    async def load(self, symbols: Collection[str], started: float) -> None:
        """Have L1 know of these what it must ask L2 for.

        Raises:
            Problem: 503 if too many are waiting already.
        """
        if not self.admission.enter(len(symbols)):
            raise self.admission.refusal()
        try:
            await self.tiers.fetch_many(tuple(symbols), self.budget_s(None, started))
        finally:
            self.admission.leave(len(symbols))

    async def from_store(self, read: Callable[[], Coroutine[Any, Any, T]], timeout_s: float) -> T:
        """What ``read`` brings from L2, for the few answers that L1 has nothing of. It counts as under way until it has ended,
        also when its caller has given up.

        Raises:
            Problem: 503 if too many are waiting already, or L2 does not answer in time.
        """
        if not self.admission.enter(1):
            raise self.admission.refusal()
        reading = asyncio.ensure_future(read())
        reading.add_done_callback(lambda _: self.admission.leave(1))
        try:
            found = await wait_for_store(reading, timeout_s)
        except StoreError as error:
            self.tiers.tell(error)
            raise store_unavailable() from error
        self.tiers.tell(None)
        return found

    def budget_s(self, deadline_ms: float | None, started: float) -> float:
        """How long L2 may take: the setting, or what is left of the caller's deadline if that is less."""
        if deadline_ms is None:
            return self._l2_timeout_s
        return max(0.0, min(self._l2_timeout_s, deadline_ms / 1000.0 - (self.clock() - started)))

    def answer(
        self, request: DecideRequest, symbol: str, lookup: Lookup, started: float, field: str = "symbol"
    ) -> DecideResponse:
        """The answer from what a read found.

        Raises:
            Problem: 404 for a symbol outside the universe, 422 for a live price that is not believed.
        """
        if lookup.evidence is None:
            raise self.suggestions.unknown_now(symbol, field)
        cache = cache_of(lookup)
        unproven = None if lookup.proven else lookup.trouble
        return self._respond(request, symbol, lookup.evidence, cache, unproven, started, field.removesuffix("symbol") + "price")

    def _prepare(self, symbol: str, entry: Entry, now_ms: int, started: float) -> Prepared:
        evidence, policy = entry.evidence, self.policy
        before: Prepared | None = entry.prepared
        if before is not None and again(before, evidence, policy, now_ms, self._tally):
            before.use(evidence.records[_TICK], before, self._meters.live)
            return before
        decision = policy.decide(evidence, now_ms)
        made = prepare(
            evidence,
            decision,
            self._response(DecideRequest(symbol), symbol, evidence, decision, l1_hit(entry, started), started),
            policy.unchanged(evidence, now_ms),
            entry.loaded_at,
            self._tally(decision.action, decision.judged.level),
        )
        made.ground = ground_of(made, evidence, decision, policy, now_ms)
        made.use(decision.judged.tick, before, self._meters.live)
        return made

    def _tally(self, action: str, level: str) -> Tally:
        return self._meters.decisions(action, "l1", level)

    def _respond(
        self,
        request: DecideRequest,
        symbol: str,
        evidence: Evidence,
        cache: CacheInfo,
        unproven: Trouble | None,
        started: float,
        field: str = "price",
    ) -> DecideResponse:
        now_ms, price, ignored = self.now_ms(), request.price, None
        if price is not None and evidence.price is not None:
            price, ignored = self._live_prices.checked(price, evidence.price, now_ms, field)
        decision = self.policy.decide(evidence, now_ms, price=price, max_age_s=request.max_age_s, unproven=unproven)
        judged = decision.judged
        self._meters.decisions(decision.action, cache.tier, judged.level).count += 1
        self._oldest.served(decision.used)
        response = self._response(request, symbol, evidence, decision, cache, started)
        if why := ignored or unused(price, judged.price):
            of_price = structs.replace(response.inputs.price, live_price_ignored=why)
            return structs.replace(response, inputs=structs.replace(response.inputs, price=of_price))
        return response

    def _response(
        self,
        request: DecideRequest,
        symbol: str,
        evidence: Evidence,
        decision: Decision,
        cache: CacheInfo,
        started: float,
    ) -> DecideResponse:
        judged = decision.judged
        if judged.level == "neutral":
            self.neutral_reason = judged.reason
        as_of_ms, expires_at_ms = decision.as_of_ms, decision.expires_at_ms
        contributions: dict[str, float] | UnsetType = UNSET
        views: tuple[View, ...] | UnsetType = UNSET
        if request.explain:
            contributions = dict(zip(CONTRIBUTIONS, decision.contributions, strict=True))
            views = () if evidence.agents is None else views_of(evidence.agents.views)
        return DecideResponse(
            id=self.make_id(),
            symbol=symbol,
            requested=request.symbol,
            action=decision.action,
            score=decision.score,
            confidence=decision.confidence,
            target_weight=decision.target_weight,
            as_of=None if as_of_ms is None else iso(as_of_ms),
            expires_at=None if expires_at_ms is None else iso(expires_at_ms),
            model=self.model,
            inputs=inputs_of(judged, evidence, self.inputs_type),
            cache=cache,
            fallback=Fallback(judged.level != "none", judged.level, judged.reason),
            latency_ms=round((self.clock() - started) * 1000.0, 3),
            contributions=contributions,
            views=views,
        )


def l1_hit(entry: Entry, now: float) -> CacheInfo:
    """The cache's part of an answer from fresh L1."""
    return CacheInfo(hit=True, tier="l1", age_ms=round((now - entry.loaded_at) * 1000.0, 3), run=entry.run)


def cache_of(lookup: Lookup) -> CacheInfo:
    """The cache's part of a response. An answer L1 gave because L2 could not is no hit."""
    return CacheInfo(
        hit=lookup.tier == "l1" and lookup.proven,
        tier=lookup.tier,
        age_ms=round(lookup.age_s * 1000.0, 3),
        run=None if lookup.evidence is None else lookup.evidence.run,
    )


class Rendering:
    """Prepared answers to many requests in a row: they share their moment, most digits of their ids, and the counting."""

    def __init__(self, decider: Decider, meters: Meters, oldest: OldestServed, now_ms: int, now: float, started: float) -> None:
        self._decider = decider
        self._hit = decider.tiers.hit
        self._meters = meters
        self._oldest = oldest
        self._now_ms, self._now, self._started = now_ms, now, started
        self._latency_ms = b"%.3f" % ((now - started) * 1000.0)
        # A UUIDv7's last 48 bits are random. The ids of one slice count on from there, as RFC 9562 (6.2, method 2) has it.
        first = decider.make_id()
        self._id_start, self._id_end = first[:24].encode(), int(first[24:], 16) & _ID_ROOM
        self._done = 0

    def item(self, request: DecideRequest) -> bytes | None:
        """The batch's element, if `Decider.render` has an answer."""
        if not is_plain(request):
            return None
        entry = self._hit(request.symbol, self._now)
        if entry is None:
            return None
        prepared = self._decider.prepared(request.symbol, entry, self._now_ms, self._started)
        self._done += 1
        prepared.tally.count += 1
        if prepared.told != self._oldest.window:
            prepared.tell(self._oldest)
        decision_id = b"%b%012x" % (self._id_start, self._id_end + self._done)
        return prepared.render(decision_id, self._now_ms, self._now, self._latency_ms, in_batch=True)

    def end(self) -> int:
        """How many there were."""
        self._meters.l1_hits.count += self._done
        return self._done
