"""An answer made before it is asked for: what a symbol's evidence decides, encoded but for the few values that move.

Of a decision on fresh L1 only the id, the ages, the confidence (which fades with them) and the latency differ from one request
to the next, until an input turns stale or the records change. So the first hit of an entry encodes the whole answer, and every
other fills in those. The answer is kept with its entry and goes with it. Where the values stand is found by encoding marks
in their place, so both ways of answering have one layout; what they are is computed by the same functions of the policy.
"""

import math
from functools import cache
from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import astuple, replace

from app.domain.evidence import Evidence
from app.domain.policy import Decision
from app.domain.ticks import TickRecord
from app.domain.used import Used, faded
from app.observe.live import LiveMeters
from app.observe.oldest import OldestServed
from app.observe.tallies import Tally
from app.payloads import CacheInfo, DecideResponse

_encode = msgspec.json.Encoder().encode

_ID_MARK, _CONFIDENCE_MARK, _CACHE_MARK, _LATENCY_MARK = "\0", 1e301, 4e304, 5e305
_LATENCY = _encode(_LATENCY_MARK)


@cache
def _marks(count: int) -> tuple[tuple[float, ...], tuple[tuple[bytes, bytes], ...]]:
    """The marks of ages for so many inputs; and of all marks but the last the name before it, which no text can hold in quotes,
    and the mark, as they are encoded.
    """
    age_marks = tuple((place + 1) * 1e290 + 1e289 for place in range(count))
    ages = [(b'"age_s":', _encode(mark)) for mark in age_marks]
    first = (b'"id":"', _encode(_ID_MARK)[1:-1]), (b'"confidence":', _encode(_CONFIDENCE_MARK))
    return age_marks, (*first, *ages, (b'"age_ms":', _encode(_CACHE_MARK)))


def facts_of(level: str, reason: str | None) -> dict[str, object] | None:
    """What the log says of a decision that had to fall back."""
    return None if level == "none" else {"fallback": level, "reason": reason}


class Prepared(msgspec.Struct, gc=False):
    """The answer on one entry of L1, good while ``since_ms <= now_ms < until_ms`` of the domain clock.

    ``used`` are the inputs that it rests on, of which `OldestServed` was told in the window ``told``. ``one_ms`` and ``other_ms``
    are the times of the two inputs that always come first, None of one that is not there; ``more`` has of each further one that
    is told what stands before its age, and its time, the last first. ``tally`` is what
    it is counted in, ``facts`` what the log says of it, None if it had not to fall back. ``pieces`` stand around all these
    values, ``batch_pieces`` in a batch's element. ``ground`` is what `app.answering.moved` goes by; ``newest_tick`` was
    used last.
    """

    since_ms: float
    until_ms: float
    used: tuple[Used, ...]
    one_ms: int | None
    other_ms: int | None
    more: tuple[tuple[bytes, int | None], ...]
    strength: float
    loaded_at: float
    tally: Tally
    facts: dict[str, object] | None
    pieces: tuple[bytes, ...]
    batch_pieces: tuple[bytes, ...]
    told: int = -1
    ground: Any = None
    newest_tick: Any = None

    def tell(self, oldest: OldestServed) -> None:
        """It is served, and was not yet in this window."""
        oldest.served(self.used)
        self.told = oldest.window

    def use(self, tick: TickRecord | None, before: "Prepared | None", live: LiveMeters) -> None:
        """It rests on ``tick``, if on any; ``before`` is what the same symbol was answered from."""
        if before is None:
            # Nobody knows whether another answer used it.
            self.newest_tick = tick
            return
        newest = self.newest_tick = before.newest_tick
        if tick is not None and tick is not newest:
            self.newest_tick = tick
            if tick.ingested_us is not None:
                live.decided(tick.ingested_us)

    def outdate(self) -> None:
        """It is no answer any more: an input has changed."""
        self.until_ms = -math.inf

    def render(self, decision_id: bytes, now_ms: int, now: float, latency_ms: bytes, *, in_batch: bool = False) -> bytes:
        """The answer at ``now_ms`` of the domain clock and ``now`` of the monotonic one, or a batch's element that has it.
        ``latency_ms`` is JSON already.
        """
        first, second, third, fourth, fifth, sixth, last = self.batch_pieces if in_batch else self.pieces
        # A loop over two inputs would take longer than all the rest.
        one_ms, other_ms = self.one_ms, self.other_ms
        for piece, as_of_ms in self.more:
            age = b"null" if as_of_ms is None else _encode((now_ms - as_of_ms) / 1000.0 if now_ms > as_of_ms else 0.0)
            fifth = piece + age + fifth
        return b"".join(
            (
                first,
                decision_id,
                second,
                _encode(faded(self.strength, now_ms, self.used)),
                third,
                b"null" if one_ms is None else _encode((now_ms - one_ms) / 1000.0 if now_ms > one_ms else 0.0),
                fourth,
                b"null" if other_ms is None else _encode((now_ms - other_ms) / 1000.0 if now_ms > other_ms else 0.0),
                fifth,
                b"%.3f" % ((now - self.loaded_at) * 1000.0),
                sixth,
                latency_ms,
                last,
            )
        )


def _time_ms(record: Any) -> int | None:  # noqa: ANN401 - of whatever kind
    if isinstance(record, TickRecord):
        return record.time_us // 1000
    return None if record is None else record.as_of_ms


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
    pieces = _cut(answer)
    told = zip(astuple(answer.inputs), evidence.records)  # noqa: B905 - it costs more
    times_ms = [_time_ms(record) for state, record in told if state is not UNSET]
    first, *between, last = *pieces[:4], *pieces[-3:]
    return Prepared(
        since_ms=period_ms[0],
        until_ms=period_ms[1],
        used=decision.used,
        one_ms=times_ms[0],
        other_ms=times_ms[1],
        more=tuple(zip(pieces[-4:3:-1], times_ms[:1:-1], strict=True)),
        strength=decision.strength,
        loaded_at=loaded_at,
        tally=tally,
        facts=facts_of(judged.level, judged.reason),
        pieces=(first, *between, last),
        batch_pieces=(b'{"symbol":"%b","decision":' % answer.symbol.encode() + first, *between, last + b',"problem":null}'),
    )


def _cut(answer: DecideResponse) -> tuple[bytes, ...]:
    """What stands before, between and after the values that move."""
    inputs, cached = answer.inputs, answer.cache
    states: tuple[Any, ...] = astuple(inputs)
    age_marks, marks = _marks(len(states) - states.count(UNSET))
    left = iter(age_marks)
    marked_states: list[Any] = [state if state is UNSET else replace(state, age_s=next(left)) for state in states]
    marked = _encode(
        replace(
            answer,
            id=_ID_MARK,
            confidence=_CONFIDENCE_MARK,
            inputs=type(inputs)(*marked_states),
            cache=CacheInfo(cached.hit, cached.tier, _CACHE_MARK, cached.run),
            latency_ms=_LATENCY_MARK,
        )
    )
    rest, _, last = marked.rpartition(_LATENCY)
    pieces = []
    for before, mark in marks:
        piece, found, rest = rest.partition(before + mark)
        assert found, f"no {mark!r} in {marked!r}"
        pieces.append(piece + before)
    return *pieces, rest, last
