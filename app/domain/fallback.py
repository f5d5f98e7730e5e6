"""The fallback ladder, as a table: from what is known of the inputs to how much of a decision can be made.

full (``none``) -> ``stale`` -> ``price_only`` / ``agents_only`` -> ``neutral``.
"""

from collections.abc import Sequence
from itertools import product
from typing import Literal, get_args

Status = Literal["present", "stale", "missing", "error"]
Level = Literal["none", "stale", "price_only", "agents_only", "neutral"]
"""``none``: no fallback. ``stale``: all inputs, at least one of them old or unproven. ``price_only`` and ``agents_only``: one
input, fresh or stale. ``neutral``: neither, so a hold."""

USABLE: frozenset[Status] = frozenset({"present", "stale"})
HARMLESS: frozenset[Status] = frozenset({"present", "missing"})
"""Of an input that only refines the others: it need not be there."""


def make_ladder(alone: Sequence[Level | None]) -> dict[tuple[Status, ...], Level]:
    """The level by the inputs' statuses. ``alone`` has each input's level where a decision rests on that one only, None for one
    that only refines the others.
    """
    return {statuses: _level(alone, statuses) for statuses in product(get_args(Status), repeat=len(alone))}


def _level(alone: Sequence[Level | None], statuses: tuple[Status, ...]) -> Level:
    pairs = tuple(zip(alone, statuses, strict=True))
    usable = [level for level, status in pairs if level is not None and status in USABLE]
    if not usable:
        return "neutral"
    if len(usable) < sum(level is not None for level in alone):
        return usable[0]
    as_it_should = all(status == "present" if level is not None else status in HARMLESS for level, status in pairs)
    return "none" if as_it_should else "stale"
