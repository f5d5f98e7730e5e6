"""A decider by itself."""

import random
from collections.abc import Callable

from app.answering.admission import Admission
from app.answering.decider import Decider
from app.answering.live_prices import ANY_PRICE
from app.observe.meters import Meters
from app.observe.oldest import OldestServed
from app.parts import make_id, make_policy, make_tiers
from tests.kit.clock import Clock
from tests.kit.serving import settings_of
from tests.kit.store import UNIVERSE, FakeStore


def make_decider(now_ms: Callable[[], int], meters: Meters | None = None) -> Decider:
    """A decider on an empty L1, at ``now_ms`` of the domain clock."""
    (settings, constants), clock = settings_of({"clock": "wall"}), Clock()
    meters = meters or Meters(version="1", policy="1", schema="s")
    return Decider(
        tiers=make_tiers(settings, constants, FakeStore(*UNIVERSE), meters, clock, random.Random(1)),
        admission=Admission(1),
        policy=make_policy(settings),
        meters=meters,
        oldest=OldestServed(now_ms, ["price", "agents", "tick"]),
        now_ms=now_ms,
        clock=clock,
        make_id=make_id,
        l2_timeout_s=1.0,
        live_prices=ANY_PRICE,
    )
