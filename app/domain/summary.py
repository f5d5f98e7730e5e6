"""The agents' part of the hybrid vector: what their views come to."""

import msgspec

from app.domain.vector import AgentView


class AgentsSummary(msgspec.Struct, frozen=True, gc=False):
    """The agents' part of the hybrid vector. ``agreement`` is 1 if all views point one way, 0 if they cancel out."""

    view: float
    agreement: float
    used: int
    abstained: int
    failed: int


NO_AGENTS = AgentsSummary(view=0.0, agreement=1.0, used=0, abstained=0, failed=0)


def summarise_agents(views: tuple[AgentView, ...], half_life_ms: float, default_confidence: float) -> AgentsSummary:
    """Mean view weighted by ``confidence * 0.5 ** (age / half_life)``; abstentions and failures are counted, not averaged, and
    summaries are passed over: what they sum up is averaged.

    Age is the time by which a view is older than the newest of them. Seen from any later moment all weights shrink by one
    factor, so the mean is the same: it stands for as long as the record does.
    """
    counted = [each for each in views if each.view is not None and each.status != "summary"]
    failed = abstained = 0
    if len(counted) < len(views):
        for each in views:
            if each.view is None:
                failed += each.status == "failed"
                abstained += each.status == "abstained"
    total = weighted = absolute = 0.0
    newest_ms = max([each.as_of_ms for each in counted], default=0)
    for each in counted:
        view: float = each.view  # type: ignore[assignment]
        confidence = default_confidence if each.confidence is None else each.confidence
        weight = confidence * 0.5 ** ((newest_ms - each.as_of_ms) / half_life_ms)
        total += weight
        weighted += weight * view
        absolute += weight * abs(view)
    mean = weighted / total if total > 0.0 else 0.0
    agreement = abs(weighted) / absolute if absolute > 0.0 else 1.0
    return AgentsSummary(mean, agreement, len(counted), abstained, failed)
