"""Whether all that is loaded is too old for the clock, which is so when its newest record is."""

WAYS_OUT = "load newer data, or have it served as if it were live by CLOCK=replay"


def outdated(age: float, stale: float, limit: float) -> str | None:
    """What is wrong with data whose newest record is of this ``age``, None if that is new enough for an input: records are stale
    past one, and not used past the other. All three are in one unit.
    """
    if age > limit:
        return "all inputs are stale, and too old to be used"
    return "all inputs are stale" if age > stale else None
