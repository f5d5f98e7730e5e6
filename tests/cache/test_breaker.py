"""The circuit breaker's states."""

import random

from hypothesis import given
from hypothesis import strategies as st

from app.cache.breaker import Breaker
from tests.cache.fakes import Clock


class House:
    """A breaker that opens after three failures and pauses for 1 to 8 seconds."""

    def __init__(self, seed: int = 1) -> None:
        self.clock = Clock()
        self.breaker = Breaker(failures=3, first_pause_s=1.0, longest_pause_s=8.0, clock=self.clock, rng=random.Random(seed))

    def fail(self, times: int) -> None:
        """Loads fail."""
        for _ in range(times):
            self.breaker.failed()


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    """A success in between begins the count anew."""
    house = House()
    house.fail(2)
    house.breaker.succeeded()
    house.fail(2)
    assert house.breaker.state == "closed"
    assert house.breaker.allows()
    house.fail(1)
    assert (house.breaker.state, house.breaker.opened) == ("open", 1)
    assert not house.breaker.allows()


def test_after_the_pause_one_load_is_let_through() -> None:
    house = House()
    house.fail(3)
    house.clock.now += 0.49
    assert not house.breaker.allows()
    house.clock.now += 0.6
    assert [house.breaker.allows() for _ in range(3)] == [True, False, False]
    assert house.breaker.state == "half_open"


def test_a_probe_that_succeeds_closes_it() -> None:
    """Everything goes to L2 again, and the next outage begins with a short pause."""
    house = House()
    house.fail(3)
    house.clock.now += 1.0
    assert house.breaker.allows()
    house.breaker.succeeded()
    assert [house.breaker.allows() for _ in range(3)] == [True, True, True]
    house.fail(3)
    house.clock.now += 1.0
    assert house.breaker.allows()


def test_pauses_grow_to_their_bound_and_are_shortened_at_random() -> None:
    """Each is 0.5 to 1 times 1, 2, 4, 8, 8 seconds; two breakers do not probe in step."""
    pauses_of = []
    for seed in (1, 2):
        house = House(seed)
        house.fail(3)
        pauses = []
        for _ in range(6):
            started = house.clock.now
            while not house.breaker.allows():
                house.clock.now += 0.01
            pauses.append(house.clock.now - started)
            house.breaker.failed()
        pauses_of.append(pauses)
        for pause, longest in zip(pauses, (1, 2, 4, 8, 8, 8), strict=True):
            assert 0.5 * longest - 0.02 <= pause <= longest + 0.02
    assert pauses_of[0] != pauses_of[1]


def test_failures_of_loads_that_were_under_way_do_not_lengthen_the_pause() -> None:
    """They began before it opened, and say nothing new."""
    house = House()
    house.fail(30)
    house.clock.now += 1.0
    assert house.breaker.allows()
    assert house.breaker.opened == 1


def test_word_from_elsewhere_ends_the_pause() -> None:
    house = House()
    house.fail(3)
    assert not house.breaker.allows()
    house.breaker.heard()
    assert [house.breaker.allows() for _ in range(2)] == [True, False]


@given(st.lists(st.sampled_from(["ask", "succeed", "fail", "wait", "hear"]), max_size=200))
def test_whatever_happens_it_lets_a_load_through_within_its_longest_pause(events: list[str]) -> None:
    """It never stays shut: unless a probe is under way, 8 seconds on one is allowed; and a success always closes it."""
    house = House()
    probing = False
    for event in events:
        match event:
            case "ask":
                was_open = house.breaker.state == "open"
                probing = (house.breaker.allows() and was_open) or probing
            case "succeed":
                house.breaker.succeeded()
                probing = False
                assert house.breaker.state == "closed"
            case "fail":
                house.breaker.failed()
                probing = False
            case "wait":
                house.clock.now += 3.0
            case _:
                house.breaker.heard()
    house.clock.now += 8.0
    assert house.breaker.allows() or probing
