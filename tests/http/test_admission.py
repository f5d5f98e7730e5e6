"""How many decisions may be waited for."""

from hypothesis import given
from hypothesis import strategies as st

from app.answering.admission import Admission


def test_more_than_the_limit_is_refused_until_some_have_left() -> None:
    admission = Admission(10)
    assert admission.enter(6)
    assert not admission.enter(5)
    assert admission.enter(4)
    assert (admission.full, admission.enter(1)) == (True, False)
    admission.leave(6)
    assert (admission.full, admission.enter(5)) == (False, True)
    assert admission.in_flight == 9


def test_a_batch_above_the_limit_comes_in_alone() -> None:
    """Else it could never be answered, whatever the settings say of batches."""
    admission = Admission(10)
    assert admission.enter(50)
    assert not admission.enter(1)
    admission.leave(50)
    assert admission.enter(1)
    assert not admission.enter(50)


@given(st.lists(st.integers(1, 40), max_size=50), st.integers(1, 30))
def test_what_is_in_flight_is_what_came_in(sizes: list[int], limit: int) -> None:
    """Never above the limit but for one batch that is so by itself."""
    admission = Admission(limit)
    inside = [size for size in sizes if admission.enter(size)]
    assert admission.in_flight == sum(inside)
    assert admission.in_flight <= limit or len(inside) == 1
    for size in inside:
        admission.leave(size)
    assert admission.in_flight == 0


def test_the_refusal_says_when_to_come_again() -> None:
    admission = Admission(3)
    admission.enter(3)
    problem = admission.refusal()
    assert (problem.status, problem.slug, problem.headers) == (503, "overloaded", (("Retry-After", "1"),))
    assert problem.detail == "3 decisions are under way, of at most 3; try again in 1 s"
