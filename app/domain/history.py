"""Whether bars reach as far back as those that a price record was made of, and are adjusted alike."""

import math
from collections.abc import Sequence

from app.domain.vector import HistoryRecord

_DIGITS = 1e-6
"""Relative difference up to which two closes are the same: floats of four bytes have no more digits."""


def lack(history: HistoryRecord, ends_ms: Sequence[int], closes: Sequence[float]) -> str | None:
    """What bars lack that ended at ``ends_ms``, ascending, with these ``closes``, of the bars behind the price record that
    ``history`` belongs to; None: nothing. Later bars than its own are not looked at.
    """
    if not history.bars:
        return "the record does not say of how many bars it was made"
    held = dict(zip(ends_ms, closes, strict=True))
    # The store's own may have changed since, by a late trade.
    theirs = () if history.is_of_store else history.times_ms
    for end_ms, close in zip(theirs, history.closes, strict=False):
        if end_ms not in held:
            return f"no bar ends at {end_ms}"
        if not math.isclose(held[end_ms], close, rel_tol=_DIGITS):
            return f"the close at {end_ms} is {held[end_ms]}, not {close}: of another source, or adjusted otherwise"
    count = sum(end_ms <= history.as_of_ms for end_ms in ends_ms)
    return f"{count} bars of {history.bars}" if count < history.bars else None
