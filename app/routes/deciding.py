"""From a request to its answer: the one way in which /decide, /decide/batch and /features look at a symbol."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

from msgspec import UNSET, UnsetType

from app.cache.tiers import Lookup, Tiers
from app.domain.evidence import Evidence, Trouble
from app.domain.policy import CONTRIBUTIONS, Judged, Policy
from app.domain.vector import REASONING_MAX, SCHEMA, SYMBOL_RULE, AgentView, is_symbol
from app.errors import Problem
from app.middleware.admission import Admission
from app.observe.meters import Meters, OldestServed
from app.observe.requests import Requests
from app.payloads import (
    AgentsInput,
    CacheInfo,
    DecideRequest,
    DecideResponse,
    Fallback,
    Inputs,
    Model,
    PriceInput,
    View,
)
from app.routes.decoding import invalid


@lru_cache(maxsize=65_536)
def iso(time_ms: int) -> str:
    """Epoch milliseconds as ISO 8601 in UTC, with milliseconds where there are some."""
    when = datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    part_ms = time_ms % 1000
    return f"{when}.{part_ms:03d}Z" if part_ms else f"{when}Z"


def inputs_of(judged: Judged) -> Inputs:
    """The inputs' part of a response."""
    summary = judged.summary
    return Inputs(
        PriceInput(judged.price_status, judged.price_age_s),
        AgentsInput(judged.agents_status, judged.agents_age_s, summary.used, summary.abstained, summary.failed),
    )


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
        )
        for each in views
    )


def unknown_symbol(symbol: str, field: str = "symbol") -> Problem:
    """The symbol, which stands at ``field`` of the request, is not in the loaded universe."""
    return Problem(
        404,
        "unknown-symbol",
        "Unknown symbol",
        f"symbol {symbol} is not in the loaded universe (GET /symbols lists it)",
        field,
    )


def canonical(symbol: str, field: str = "symbol") -> str:
    """``symbol`` as the universe spells it.

    Raises:
        Problem: 422 naming ``field`` if it cannot be a symbol.
    """
    upper = symbol.upper()
    # Some letters outside ASCII have capitals inside it (ſ, ı, ß): they are not another spelling of a ticker.
    if not (symbol.isascii() and is_symbol(upper)):
        raise invalid(field, f"{field} is {symbol[:40]!r}; allowed: {SYMBOL_RULE}")
    return upper


class Decider:
    """Looks symbols up and has the policy decide. Wired once, in main."""

    def __init__(
        self,
        *,
        tiers: Tiers,
        admission: Admission,
        policy: Policy,
        meters: Meters,
        requests: Requests,
        oldest: OldestServed,
        now_ms: Callable[[], int],
        clock: Callable[[], float],
        make_id: Callable[[], str],
        l2_timeout_s: float,
    ) -> None:
        self.tiers = tiers
        self.admission = admission
        self.policy = policy
        self.now_ms = now_ms
        self.clock = clock
        self.model = Model(policy.table.name, policy.table.version, SCHEMA)
        self._meters = meters
        self._requests = requests
        self._oldest = oldest
        self._make_id = make_id
        self._l2_timeout_s = l2_timeout_s

    def try_hit(self, request: DecideRequest, started: float) -> DecideResponse | None:
        """The answer if L1 has the symbol fresh; awaits nothing."""
        entry = self.tiers.hit(request.symbol, started)
        if entry is None:
            return None
        self._meters.count_l1_hit()
        cache = CacheInfo(hit=True, tier="l1", age_ms=round((started - entry.loaded_at) * 1000.0, 3), run=entry.run)
        return self._respond(request, request.symbol, entry.evidence, cache, None, started)

    async def decide(self, request: DecideRequest, started: float) -> DecideResponse:
        """The answer for a symbol that `try_hit` did not have.

        Raises:
            Problem: 422 for what cannot be a symbol, 404 for a symbol outside the universe, 503 if too many are waiting already
                and L1 has nothing of it.
        """
        symbol = canonical(request.symbol)
        return self.answer(request, symbol, await self.look_up(symbol, request.deadline_ms, started), started)

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
            Problem: 404 for a symbol outside the universe.
        """
        if lookup.evidence is None:
            raise unknown_symbol(symbol, field)
        cache = cache_of(lookup)
        unproven = None if lookup.proven else lookup.trouble
        return self._respond(request, symbol, lookup.evidence, cache, unproven, started)

    def _respond(
        self,
        request: DecideRequest,
        symbol: str,
        evidence: Evidence,
        cache: CacheInfo,
        unproven: Trouble | None,
        started: float,
    ) -> DecideResponse:
        now_ms = self.now_ms()
        decision = self.policy.decide(evidence, now_ms, price=request.price, max_age_s=request.max_age_s, unproven=unproven)
        judged = decision.judged
        self._requests.decided(decision.action, cache.tier, judged.level)
        if judged.price is not None:
            self._oldest.served("price", judged.price.as_of_ms)
        if judged.agents is not None:
            self._oldest.served("agents", judged.agents.as_of_ms)
        fallback = Fallback(judged.level != "none", judged.level, judged.reason)
        as_of_ms, expires_at_ms = decision.as_of_ms, decision.expires_at_ms
        contributions: dict[str, float] | UnsetType = UNSET
        views: tuple[View, ...] | UnsetType = UNSET
        if request.explain:
            contributions = dict(zip(CONTRIBUTIONS, decision.contributions, strict=True))
            views = () if evidence.agents is None else views_of(evidence.agents.views)
        return DecideResponse(
            id=self._make_id(),
            symbol=symbol,
            action=decision.action,
            score=decision.score,
            confidence=decision.confidence,
            target_weight=decision.target_weight,
            as_of=None if as_of_ms is None else iso(as_of_ms),
            expires_at=None if expires_at_ms is None else iso(expires_at_ms),
            model=self.model,
            inputs=inputs_of(judged),
            cache=cache,
            fallback=fallback,
            latency_ms=round((self.clock() - started) * 1000.0, 3),
            contributions=contributions,
            views=views,
        )


def cache_of(lookup: Lookup) -> CacheInfo:
    """The cache's part of a response. An answer L1 gave because L2 could not is no hit."""
    return CacheInfo(
        hit=lookup.tier == "l1" and lookup.proven,
        tier=lookup.tier,
        age_ms=round(lookup.age_s * 1000.0, 3),
        run=None if lookup.evidence is None else lookup.evidence.run,
    )
