"""An answer made before it is asked for: what a symbol's evidence decides, encoded but for the few values that move.

Of a decision on fresh L1 only the id, the ages, the confidence (which fades with them) and the latency differ from one request
to the next, until an input turns stale or the records change. So the first hit of an entry encodes the whole answer, and every
other fills in six values. The answer is kept with its entry and goes with it. Where the values stand is found by encoding marks
in their place, so both ways of answering have one layout; what they are is computed by the same functions of the policy.
"""

import msgspec

from app.domain.evidence import Evidence
from app.domain.policy import Decision, faded
from app.domain.staleness import Limits
from app.observe.tallies import Tally
from app.payloads import AgentsInput, CacheInfo, DecideResponse, PriceInput

_encode = msgspec.json.Encoder().encode
_replace = msgspec.structs.replace

_ID_MARK, _CONFIDENCE_MARK, _PRICE_MARK, _AGENTS_MARK, _CACHE_MARK, _LATENCY_MARK = "\0", 1e301, 2e302, 3e303, 4e304, 5e305


def facts_of(level: str, reason: str | None) -> dict[str, object] | None:
    """What the log says of a decision that had to fall back."""
    return None if level == "none" else {"fallback": level, "reason": reason}


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """The answer on one entry of L1, good while ``since_ms <= now_ms < until_ms`` of the domain clock.

    ``price_used_ms`` and ``agents_used_ms`` are the ``as_of`` of the inputs that it rests on, None where one is not used, and
    ``price_ms`` and ``agents_ms`` those of all that are there, and ``…_life_ms`` the ages past which those used are stale;
    ``tally`` is what it is counted in, ``facts`` what the log says of it, None if it had not to fall back.
    """

    since_ms: float
    until_ms: float
    price_ms: int | None
    agents_ms: int | None
    price_used_ms: int | None
    agents_used_ms: int | None
    price_life_ms: float
    price_stale_ms: float
    agents_life_ms: float
    strength: float
    loaded_at: float
    tally: Tally
    facts: dict[str, object] | None
    pieces: tuple[bytes, ...]
    batch_pieces: tuple[bytes, ...]

    def render(self, decision_id: bytes, now_ms: int, now: float, latency_ms: bytes, *, in_batch: bool = False) -> bytes:
        """The answer at ``now_ms`` of the domain clock and ``now`` of the monotonic one, or a batch's element that has it.
        ``latency_ms`` is JSON already.
        """
        first, second, third, fourth, fifth, sixth, last = self.batch_pieces if in_batch else self.pieces
        price_ms, agents_ms = self.price_ms, self.agents_ms
        return b"".join(
            (
                first,
                decision_id,
                second,
                _encode(
                    faded(self.strength, now_ms, self.price_used_ms, self.price_life_ms, self.agents_used_ms, self.agents_life_ms)
                ),
                third,
                b"null" if price_ms is None else _encode((now_ms - price_ms) / 1000.0 if now_ms > price_ms else 0.0),
                fourth,
                b"null" if agents_ms is None else _encode((now_ms - agents_ms) / 1000.0 if now_ms > agents_ms else 0.0),
                fifth,
                b"%.3f" % ((now - self.loaded_at) * 1000.0),
                sixth,
                latency_ms,
                last,
            )
        )


def prepare(
    evidence: Evidence,
    decision: Decision,
    answer: DecideResponse,
    period_ms: tuple[float, float],
    limits: Limits,
    loaded_at: float,
    tally: Tally,
) -> Prepared:
    """``answer``, which has ``decision`` on ``evidence``, for as long as ``period_ms``."""
    judged, price, agents = decision.judged, evidence.price, evidence.agents
    pieces = _cut(answer)
    first, *between, last = pieces
    life_ms = 1.0 if judged.price is None else limits.price_life_ms(judged.price)
    return Prepared(
        since_ms=period_ms[0],
        until_ms=period_ms[1],
        price_ms=None if price is None else price.as_of_ms,
        agents_ms=None if agents is None else agents.as_of_ms,
        price_used_ms=None if judged.price is None else judged.price.as_of_ms,
        agents_used_ms=None if judged.agents is None else judged.agents.as_of_ms,
        price_life_ms=life_ms,
        price_stale_ms=0.0 if judged.price is None else judged.price.as_of_ms + life_ms,
        agents_life_ms=limits.agents_ms,
        strength=decision.strength,
        loaded_at=loaded_at,
        tally=tally,
        facts=facts_of(judged.level, judged.reason),
        pieces=pieces,
        batch_pieces=(b'{"symbol":"%b","decision":' % answer.symbol.encode() + first, *between, last + b',"problem":null}'),
    )


def _cut(answer: DecideResponse) -> tuple[bytes, ...]:
    """What stands before, between and after the six values."""
    inputs, cache = answer.inputs, answer.cache
    price = PriceInput(inputs.price.status, _PRICE_MARK)
    agents = inputs.agents
    agents = AgentsInput(agents.status, _AGENTS_MARK, agents.used, agents.abstained, agents.failed)
    marked = _encode(
        _replace(
            answer,
            id=_ID_MARK,
            confidence=_CONFIDENCE_MARK,
            inputs=_replace(inputs, price=price, agents=agents),
            cache=CacheInfo(cache.hit, cache.tier, _CACHE_MARK, cache.run),
            latency_ms=_LATENCY_MARK,
        )
    )
    # The only text of foreign make, the run's name, stands behind all marks but the last.
    rest, _, last = marked.rpartition(_encode(_LATENCY_MARK))
    pieces = []
    for mark in (_encode(_ID_MARK)[1:-1], *map(_encode, (_CONFIDENCE_MARK, _PRICE_MARK, _AGENTS_MARK, _CACHE_MARK))):
        piece, found, rest = rest.partition(mark)
        assert found, f"no {mark!r} in {marked!r}"
        pieces.append(piece)
    return *pieces, rest, last
