"""A prepared answer whose symbol was traded again: what its last trade moves is made anew, and all else stays.

While prices move, there is a trade between any two answers. They differ in the action, score and weight, in their times, and in
the price that was paid. All else was judged and encoded before, and holds until another input changes: that makes another entry.
What is made anew comes of the policy's own functions, so that the answer is the one that `prepare` would have made.
"""

import math
from collections.abc import Callable

import msgspec

from app.answering.moments import iso
from app.answering.prepared import Prepared
from app.domain.evidence import Evidence
from app.domain.policy import Decision, Judged, Policy
from app.domain.records import KINDS, TICK
from app.domain.staleness import narrowed
from app.domain.tick_input import tick_life_ms, tick_turns_ms
from app.domain.ticks import TickRecord
from app.domain.used import Used, lifetime
from app.observe.tallies import Tally

_encode = msgspec.json.Encoder().encode
_TICK = KINDS.inputs.index(TICK)


class Ground(msgspec.Struct, gc=False):
    """What an answer keeps while its last trade alone moves, which is used as ``tick`` was when it was ``judged``.

    ``used``, and their times, are those of the other inputs, of which nothing else is said while
    ``since_ms <= now_ms < until_ms``. ``before_action``, ``from_model`` and ``from_source`` are parts of the answer as it is
    encoded, up to there or from there on.
    """

    tick: TickRecord
    judged: Judged
    used: tuple[Used, ...]
    as_of_ms: int
    expires_at_ms: int
    since_ms: float
    until_ms: float
    action: str
    before_action: bytes
    from_model: bytes
    from_source: bytes


def ground_of(prepared: Prepared, evidence: Evidence, decision: Decision, policy: Policy, now_ms: int) -> Ground | None:
    """Of an answer that has ``decision`` on ``evidence`` at ``now_ms``; None where a trade changes more than `again` does."""
    judged = decision.judged
    if judged.tick is None or evidence.troubles[_TICK] is not None or policy.kinds.further_inputs:
        return None
    used = tuple([each for each in decision.used if each[0] != _TICK])
    as_of_ms, expires_at_ms = lifetime(used)
    assert as_of_ms is not None
    assert expires_at_ms is not None
    since_ms, until_ms = policy.unchanged(evidence.having(_TICK, None, "absent"), now_ms)
    _, second, third, _, fifth, _, _ = prepared.pieces
    return Ground(
        tick=judged.tick,
        judged=judged,
        used=used,
        as_of_ms=as_of_ms,
        expires_at_ms=expires_at_ms,
        since_ms=since_ms,
        until_ms=until_ms,
        action=decision.action,
        before_action=second[: second.index(b'"action":')],
        from_model=third[third.index(b',"model":') :],
        from_source=fifth[fifth.index(b',"source":') :],
    )


def again(prepared: Prepared, evidence: Evidence, policy: Policy, now_ms: int, tally_of: Callable[[str, str], Tally]) -> bool:
    """Make ``prepared`` the answer on ``evidence`` at ``now_ms``, where its last trade has moved; false where more has changed.
    ``tally_of`` has what decisions of an action and a level are counted in.
    """
    ground: Ground | None = prepared.ground
    if ground is None:
        return False
    tick: TickRecord = evidence.records[_TICK]
    if not ground.since_ms <= now_ms < ground.until_ms:
        return False
    if tick.coverage != ground.tick.coverage or tick.source != ground.tick.source:
        return False
    scored = policy.scored_on(evidence, now_ms, ground.judged)
    if scored is None:
        return False
    limits, made_ms = policy.limits, tick.time_us // 1000
    prepared.since_ms, prepared.until_ms = narrowed(tick_turns_ms(limits, tick), now_ms, ground.since_ms, ground.until_ms)
    prepared.used = (*ground.used, (_TICK, made_ms, math.inf))
    prepared.strength = scored.strength
    if scored.action != ground.action:
        prepared.tally, ground.action = tally_of(scored.action, ground.judged.level), scored.action
    ends_ms = made_ms + int(tick_life_ms(limits, tick))
    first, _, _, fourth, _, *after = prepared.pieces
    second = b'%b"action":"%b","score":%b,"confidence":' % (ground.before_action, scored.action.encode(), _encode(scored.score))
    third = b',"target_weight":%b,"as_of":"%b","expires_at":"%b"%b' % (
        _encode(scored.target_weight),
        iso(max(made_ms, ground.as_of_ms)).encode(),
        iso(min(ends_ms, ground.expires_at_ms)).encode(),
        ground.from_model,
    )
    fifth = b',"price":%b%b' % (tick.price.encode(), ground.from_source)
    ((before_age, _),) = prepared.more
    prepared.more = ((before_age, made_ms),)
    between = second, third, fourth, fifth, after[0]
    prepared.pieces = (first, *between, after[1])
    prepared.batch_pieces = (prepared.batch_pieces[0], *between, prepared.batch_pieces[-1])
    return True
