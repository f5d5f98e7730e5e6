"""The fallback ladder is a complete, monotone table."""

from itertools import product
from typing import get_args

from app.domain.fallback import Level, Status, make_ladder
from app.domain.records import KINDS

LADDER = KINDS.ladder
_STATUSES: tuple[Status, ...] = get_args(Status)
_RUNGS: dict[Level, int] = {"none": 0, "stale": 1, "price_only": 2, "agents_only": 2, "neutral": 3}
_GOOD_TO_BAD = {"present": 0, "stale": 1, "missing": 2, "error": 2}


def test_statuses_of_all_inputs_have_a_level() -> None:
    assert set(LADDER) == set(product(_STATUSES, repeat=3))
    assert set(LADDER.values()) == set(get_args(Level)) == set(_RUNGS)


def test_a_worse_input_never_gives_a_better_level() -> None:
    for (price, agents, tick), level in LADDER.items():
        for (other_price, other_agents, other_tick), other_level in LADDER.items():
            worse_price = _GOOD_TO_BAD[other_price] >= _GOOD_TO_BAD[price]
            worse_agents = _GOOD_TO_BAD[other_agents] >= _GOOD_TO_BAD[agents]
            worse_tick = other_tick in ("stale", "error") or tick in ("present", "missing")
            if worse_price and worse_agents and worse_tick:
                assert _RUNGS[other_level] >= _RUNGS[level]


def test_an_input_that_cannot_be_used_is_named_by_the_level() -> None:
    """price_only means that agents are missing or in error, agents_only the same of prices."""
    for (price, agents, _), level in LADDER.items():
        usable = (price in ("present", "stale"), agents in ("present", "stale"))
        assert {(True, False): "price_only", (False, True): "agents_only", (False, False): "neutral"}.get(usable, level) == level


def test_an_input_that_only_refines_may_be_missing_and_nothing_else() -> None:
    """Without it a decision is as good as it was before there was such an input; old or damaged, it is a fallback."""
    for pair, level in make_ladder(("price_only", "agents_only")).items():
        assert LADDER[(*pair, "present")] == LADDER[(*pair, "missing")] == level
        assert LADDER[(*pair, "stale")] == LADDER[(*pair, "error")] == ("stale" if level == "none" else level)
