"""The inputs that a decision rests on, and how it ages with them."""

import math

Used = tuple[int, int, float]
"""One input that a decision rests on: its place among the inputs, its time, and for how many milliseconds it is not stale. That
has no end for a last trade, which is young or not used: it does not fade.
"""


def faded(strength: float, now_ms: int, used: tuple[Used, ...]) -> float:
    """Confidence: strength times freshness, in [0, 1].

    Freshness halves over each used input's life, the age past which it is stale, and the older input counts.
    """
    ages = 0.0
    for _, as_of_ms, life_ms in used:
        age = (now_ms - as_of_ms) / life_ms
        if age > ages:  # noqa: PLR1730 - a call of max costs a third of all this
            ages = age
    confidence = strength * math.exp2(-ages)
    return confidence if confidence < 1.0 else 1.0  # noqa: FURB136 - as above


def lifetime(used: tuple[Used, ...]) -> tuple[int | None, int | None]:
    """The newest one's time, and when the first of them turns stale."""
    newest_ms: int | None = None
    first_stale_ms: int | None = None
    for _, as_of_ms, life_ms in used:
        if newest_ms is None or as_of_ms > newest_ms:
            newest_ms = as_of_ms
        if life_ms == math.inf:
            continue
        ends_ms = as_of_ms + int(life_ms)
        if first_stale_ms is None or ends_ms < first_stale_ms:
            first_stale_ms = ends_ms
    return newest_ms, first_stale_ms
