"""An answer made before it is asked for: what a symbol's evidence decides, encoded but for the few values that move.

Of a decision on fresh L1 only the id, the ages, the confidence (which fades with them) and the latency differ from one request
to the next, until an input turns stale or the records change. So the first hit of an entry encodes the whole answer, and every
other fills in those. The answer is kept with its entry and goes with it. Where the values stand is found by encoding marks
in their place, so both ways of answering have one layout; what they are is computed by the same functions of the policy.
"""

import msgspec

from app.domain.evidence import Evidence
from app.domain.policy import Decision, Used, faded
from app.observe.tallies import Tally
from app.payloads import CacheInfo, DecideResponse

_encode = msgspec.json.Encoder().encode
_replace = msgspec.structs.replace

_ID_MARK, _CONFIDENCE_MARK, _CACHE_MARK, _LATENCY_MARK = "\0", 1e301, 4e304, 5e305


def _age_mark(place: int) -> float:
    return (place + 1) * 1e290 + 1e289


def facts_of(level: str, reason: str | None) -> dict[str, object] | None:
    """What the log says of a decision that had to fall back."""
    return None if level == "none" else {"fallback": level, "reason": reason}


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """The answer on one entry of L1, good while ``since_ms <= now_ms < until_ms`` of the domain clock.

    ``used`` are the inputs that it rests on; ``ages`` has, for each input, what stands before its age, and its ``as_of``, None
    where it is not there. ``tally`` is what it is counted in, ``facts`` what the log says of it, None if it had not to fall back.
    ``ends`` are the first and the last piece, ``batch_ends`` those of a batch's element.
    """

    since_ms: float
    until_ms: float
    used: tuple[Used, ...]
    ages: tuple[tuple[bytes, int | None], ...]
    strength: float
    loaded_at: float
    tally: Tally
    facts: dict[str, object] | None
    between: tuple[bytes, bytes, bytes]
    ends: tuple[bytes, bytes]
    batch_ends: tuple[bytes, bytes]

    def render(self, decision_id: bytes, now_ms: int, now: float, latency_ms: bytes, *, in_batch: bool = False) -> bytes:
        """The answer at ``now_ms`` of the domain clock and ``now`` of the monotonic one, or a batch's element that has it.
        ``latency_ms`` is JSON already.
        """
        first, last = self.batch_ends if in_batch else self.ends
        before_confidence, before_age, before_latency = self.between
        pieces = [first, decision_id, before_confidence, _encode(faded(self.strength, now_ms, self.used))]
        for piece, as_of_ms in self.ages:
            age = b"null" if as_of_ms is None else _encode((now_ms - as_of_ms) / 1000.0 if now_ms > as_of_ms else 0.0)
            pieces += (piece, age)
        pieces += (before_age, b"%.3f" % ((now - self.loaded_at) * 1000.0), before_latency, latency_ms, last)
        return b"".join(pieces)


def prepare(
    evidence: Evidence,
    decision: Decision,
    answer: DecideResponse,
    period_ms: tuple[float, float],
    loaded_at: float,
    tally: Tally,
) -> Prepared:
    """``answer``, which has ``decision`` on ``evidence``, for as long as ``period_ms``."""
    judged = decision.judged
    first, before_confidence, *before_ages, before_age, before_latency, last = _cut(answer)
    times = (None if record is None else record.as_of_ms for record in evidence.records)
    return Prepared(
        since_ms=period_ms[0],
        until_ms=period_ms[1],
        used=decision.used,
        ages=tuple(zip(before_ages, times, strict=True)),
        strength=decision.strength,
        loaded_at=loaded_at,
        tally=tally,
        facts=facts_of(judged.level, judged.reason),
        between=(before_confidence, before_age, before_latency),
        ends=(first, last),
        batch_ends=(b'{"symbol":"%b","decision":' % answer.symbol.encode() + first, last + b',"problem":null}'),
    )


def _cut(answer: DecideResponse) -> tuple[bytes, ...]:
    """What stands before, between and after the values that move."""
    inputs, cache = answer.inputs, answer.cache
    names = inputs.__struct_fields__
    age_marks = {name: _age_mark(place) for place, name in enumerate(names)}
    marked = _encode(
        _replace(
            answer,
            id=_ID_MARK,
            confidence=_CONFIDENCE_MARK,
            inputs=_replace(inputs, **{name: _replace(getattr(inputs, name), age_s=mark) for name, mark in age_marks.items()}),
            cache=CacheInfo(cache.hit, cache.tier, _CACHE_MARK, cache.run),
            latency_ms=_LATENCY_MARK,
        )
    )
    # The only text of foreign make, the run's name, stands behind all marks but the last.
    rest, _, last = marked.rpartition(_encode(_LATENCY_MARK))
    pieces = []
    for mark in (_encode(_ID_MARK)[1:-1], *map(_encode, (_CONFIDENCE_MARK, *age_marks.values(), _CACHE_MARK))):
        piece, found, rest = rest.partition(mark)
        assert found, f"no {mark!r} in {marked!r}"
        pieces.append(piece)
    return *pieces, rest, last
