"""What every peer does between its cache and its answer: the same records, the same policy, the same answer.

Peers differ from Decide in how they are asked, how they reach their data and how they answer; not in what they compute. So they
are given Decide's own decoding and policy, which is more than their users would have. The only module of the harness that knows
the server's inside.
"""

import time

import uuid_utils
from msgspec import to_builtins

from app.domain.evidence import Evidence
from app.domain.policy import HYBRID_1, Policy
from app.domain.records import KINDS, PRICE
from app.domain.staleness import Limits
from app.domain.vector import PRICE_FEATURES, SCHEMA
from app.payloads import AgentsInput, CacheInfo, DecideResponse, Fallback, Inputs, Model, PriceInput
from app.store.codec import decode, decoded
from app.store.protocol import Stored

_DAY_MS = 86_400_000.0
_POLICY = Policy(
    HYBRID_1, Limits(price_ms=0, price_bars=2, agents_ms=7 * _DAY_MS, input_ms=30 * _DAY_MS, half_life_ms=5 * _DAY_MS)
)
_MODEL = Model(HYBRID_1.name, HYBRID_1.version, SCHEMA)


def price_key(symbol: str) -> str:
    """Where Decide's warm job put the symbol's prices."""
    return f"decide:1:{{{symbol}}}:price"


def agents_key(symbol: str) -> str:
    """Where it put what agents say of it."""
    return f"decide:1:{{{symbol}}}:agents"


def evidence_of(symbol: str, price: bytes | None, agents: bytes | None) -> Evidence | None:
    """Decode both records; None for a symbol that has neither."""
    if price is None and agents is None:
        return None
    found = {"price": price, "agents": agents}
    records = {kind: raw for kind, raw in found.items() if raw is not None}
    return decoded(KINDS, symbol, Stored(known=True, records=records), _refuse)


def _refuse(reason: str) -> None:
    raise ValueError(reason)


def features_of(symbol: str, price: bytes) -> dict[str, float]:
    """The symbol's price features by name, for a feature server."""
    values = decode(PRICE, price, symbol).values
    return {name: 0.0 if value is None else value for name, value in zip(PRICE_FEATURES, values, strict=False)}


class Judgement:
    """Decides, with a clock that starts at the newest record as Decide's replay clock does."""

    def __init__(self, newest_as_of_ms: int) -> None:
        self._newest_as_of_ms = newest_as_of_ms
        self._started = time.monotonic()

    def decide(self, symbol: str, evidence: Evidence, *, hit: bool) -> DecideResponse:
        """The answer in the shape of Decide's."""
        started = time.perf_counter()
        now_ms = self._newest_as_of_ms + int((time.monotonic() - self._started) * 1000.0)
        decision = _POLICY.decide(evidence, now_ms)
        judged = decision.judged
        summary = judged.summary
        # Whoever is measured has no trades, so nothing is said of a last one.
        (price, agents, _), (price_s, agents_s, _) = judged.statuses, judged.ages_s
        of_agents = AgentsInput(agents, agents_s, summary.used, summary.abstained, summary.failed)
        return DecideResponse(
            id=str(uuid_utils.uuid7()),
            symbol=symbol,
            requested=symbol,
            action=decision.action,
            score=decision.score,
            confidence=decision.confidence,
            target_weight=decision.target_weight,
            as_of=_iso(decision.as_of_ms),
            expires_at=_iso(decision.expires_at_ms),
            model=_MODEL,
            inputs=Inputs(PriceInput(price, price_s), of_agents),
            cache=CacheInfo(hit, "l1" if hit else "l2", 0.0, evidence.run),
            fallback=Fallback(judged.level != "none", judged.level, judged.reason),
            latency_ms=round((time.perf_counter() - started) * 1000.0, 3),
        )

    def decide_plainly(self, symbol: str, evidence: Evidence, *, hit: bool) -> dict[str, object]:
        """The same as dicts, for frameworks with models of their own."""
        answer: dict[str, object] = to_builtins(self.decide(symbol, evidence, hit=hit))
        return answer


def _iso(time_ms: int | None) -> str | None:
    return None if time_ms is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_ms / 1000))
