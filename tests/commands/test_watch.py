"""Which workers the main process ends, and starts anew, and when."""

import pytest

from app.commands.watch import START_LOOKS, STUCK_LOOKS, Watch
from app.observe.crew import Crew


def _crew(workers: int, *serving: int) -> tuple[Crew, Watch]:
    crew = Crew(workers)
    watch = Watch(crew)
    for number in range(workers):
        watch.started(number, 0.0)
    for number in serving:
        crew.beat(number)
    watch.look()
    return crew, watch


def test_a_worker_without_a_beat_for_ten_looks_is_stuck_and_no_other() -> None:
    crew, watch = _crew(2, 0, 1)
    for _ in range(STUCK_LOOKS - 1):
        crew.beat(1)
        assert watch.look() == []
    crew.beat(1)
    assert watch.look() == [0]


def test_a_single_beat_begins_the_count_anew() -> None:
    crew, watch = _crew(1, 0)
    for _ in range(3):
        for _ in range(STUCK_LOOKS - 1):
            assert watch.look() == []
        crew.beat(0)
        assert watch.look() == []


def test_workers_of_which_none_has_served_may_take_their_time() -> None:
    """Whoever runs the server sees that it does not begin."""
    watch = Watch(Crew(2))
    for _ in range(10 * START_LOOKS):
        assert watch.look() == []


def test_a_worker_that_does_not_begin_to_serve_is_stuck_where_others_serve() -> None:
    """It has longer than one that has served; callers of its share wait for it."""
    crew, watch = _crew(2, 1)
    stuck: list[int] = []
    for _ in range(START_LOOKS):
        assert stuck == []
        crew.beat(1)
        stuck = watch.look()
    assert stuck == [0]


def test_who_died_is_replaced_at_once_and_who_was_stuck_is_told_apart() -> None:
    crew, watch = _crew(2, 0, 1)
    assert watch.ended(1, 100.0) == "died"
    assert watch.due(100.0) == [1]
    crew.begin(1)
    watch.started(1, 100.0)
    assert watch.due(100.0) == []
    for _ in range(STUCK_LOOKS):
        crew.beat(0)
        crew.beat(1)
        watch.look()
    for _ in range(STUCK_LOOKS):
        crew.beat(0)
        watch.look()
    assert watch.ended(1, 200.0) == "stuck"


def test_one_that_dies_again_and_again_is_replaced_ever_later_while_another_serves() -> None:
    """Never more often than twice a minute in the end, and at once again when one has lived for a minute."""
    crew, watch = _crew(2, 0, 1)
    now, pauses = 1000.0, []
    for _ in range(9):
        assert watch.ended(1, now) == "died"
        pause = next(pause for pause in (0, 1, 2, 4, 8, 16, 30) if watch.due(now + pause) == [1])
        pauses.append(pause)
        now += pause
        crew.begin(1)
        watch.started(1, now)
    assert pauses == [0, 1, 2, 4, 8, 16, 30, 30, 30]
    crew.beat(1)
    assert watch.ended(1, now + 61.0) == "died"
    assert watch.due(now + 61.0) == [1]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_none_of_whose_workers_ever_served_ends(workers: int) -> None:
    """A store's folder that cannot be written to is no better the second time."""
    _, watch = _crew(workers)
    assert watch.ended(0, 1.0) is None


def test_a_server_whose_last_worker_dies_again_and_again_ends() -> None:
    """Whoever runs it is told, and may do more than start it again."""
    crew, watch = _crew(1, 0)
    now = 1000.0
    for _ in range(5):
        assert watch.ended(0, now) == "died"
        now += 16.0
        assert watch.due(now) == [0]
        watch.started(0, now)
        crew.begin(0)
    assert watch.ended(0, now) is None


def test_a_worker_that_waits_for_its_turn_is_not_looked_at() -> None:
    crew, watch = _crew(2, 0, 1)
    watch.ended(1, 1.0)
    for _ in range(2 * STUCK_LOOKS):
        crew.beat(0)
        assert watch.look() == []
