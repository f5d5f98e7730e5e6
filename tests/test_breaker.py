"""The circuit breaker's states."""

from hypothesis import given
from hypothesis import strategies as st

from app.breaker import Breaker
from tests.kit.clock import Clock
from tests.kit.house import make_breaker


def _made(seed: int = 1) -> tuple[Breaker, Clock]:
    """One that opens after three failures and pauses for 1 to 8 seconds."""
    clock = Clock()
    return make_breaker(clock, 3, seed), clock


def _fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed()


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    """A success in between begins the count anew."""
    breaker, _ = _made()
    _fail(breaker, 2)
    breaker.succeeded()
    _fail(breaker, 2)
    assert breaker.state == "closed"
    assert breaker.allows()
    _fail(breaker, 1)
    assert (breaker.state, breaker.opened) == ("open", 1)
    assert not breaker.allows()


def test_after_the_pause_one_load_is_let_through() -> None:
    breaker, clock = _made()
    _fail(breaker, 3)
    clock.now += 0.49
    assert not breaker.allows()
    clock.now += 0.6
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    assert breaker.state == "half_open"


def test_a_probe_that_succeeds_closes_it() -> None:
    """Everything goes to L2 again, and the next outage begins with a short pause."""
    breaker, clock = _made()
    _fail(breaker, 3)
    clock.now += 1.0
    assert breaker.allows()
    breaker.succeeded()
    assert [breaker.allows() for _ in range(3)] == [True, True, True]
    _fail(breaker, 3)
    clock.now += 1.0
    assert breaker.allows()


def test_pauses_grow_to_their_bound_and_are_shortened_at_random() -> None:
    """Each is 0.5 to 1 times 1, 2, 4, 8, 8 seconds; two breakers do not probe in step."""
    pauses_of = []
    for seed in (1, 2):
        breaker, clock = _made(seed)
        _fail(breaker, 3)
        pauses = []
        for _ in range(6):
            started = clock.now
            while not breaker.allows():
                clock.now += 0.01
            pauses.append(clock.now - started)
            breaker.failed()
        pauses_of.append(pauses)
        for pause, longest in zip(pauses, (1, 2, 4, 8, 8, 8), strict=True):
            assert 0.5 * longest - 0.02 <= pause <= longest + 0.02
    assert pauses_of[0] != pauses_of[1]


def test_failures_of_loads_that_were_under_way_do_not_lengthen_the_pause() -> None:
    """They began before it opened, and say nothing new."""
    breaker, clock = _made()
    _fail(breaker, 30)
    clock.now += 1.0
    assert breaker.allows()
    assert breaker.opened == 1


def test_word_from_elsewhere_ends_the_pause() -> None:
    breaker, _ = _made()
    _fail(breaker, 3)
    assert not breaker.allows()
    breaker.heard()
    assert [breaker.allows() for _ in range(2)] == [True, False]


def test_a_probe_that_never_asked_leaves_the_place_to_the_next_one() -> None:
    breaker, clock = _made()
    _fail(breaker, 3)
    clock.now += 1.0
    assert [breaker.allows(), breaker.allows()] == [True, False]
    breaker.unasked()
    assert breaker.state == "open"
    assert [breaker.allows(), breaker.allows()] == [True, False]


@given(st.lists(st.sampled_from(["ask", "succeed", "fail", "wait", "hear", "leave"]), max_size=200))
def test_whatever_happens_it_lets_a_load_through_within_its_longest_pause(events: list[str]) -> None:
    """It never stays shut: unless a probe is under way, 8 seconds on one is allowed; and a success always closes it."""
    breaker, clock = _made()
    probing = False
    for event in events:
        match event:
            case "ask":
                was_open = breaker.state == "open"
                probing = (breaker.allows() and was_open) or probing
            case "succeed":
                breaker.succeeded()
                probing = False
                assert breaker.state == "closed"
            case "fail":
                breaker.failed()
                probing = False
            case "leave":
                breaker.unasked()
                probing = False
            case "wait":
                clock.now += 3.0
            case _:
                breaker.heard()
    clock.now += 8.0
    assert breaker.allows() or probing
