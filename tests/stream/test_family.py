"""Parts that live together: who is started anew and when, and how all end. Time is the test's."""

import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from warm.stream.family import CANNOT_LISTEN, LONGEST_PAUSE_S, STEADY_S, WRONG, Family, Part

_PARTS = (Part(["serve"]), Part(["ingest", "--source", "synthetic"]), Part(["stream"]))


class _Process:
    """It runs until ``dies_s``, with ``code``; told to end it takes ``takes_s``."""

    def __init__(self, house: "_House", pid: int, dies_s: float, code: int) -> None:
        self._house, self.pid, self._dies_s, self._code = house, pid, dies_s, code
        self.told: list[int] = []
        self.is_ended = False

    def poll(self) -> int | None:
        return self._code if self._house.now_s >= self._dies_s or self.is_ended else None

    def tell(self, number: int) -> None:
        self.told.append(number)
        self._dies_s, self._code = self._house.now_s + self._house.takes_s, 0

    def end(self) -> None:
        self.is_ended = True


class _House(threading.Event):
    """Where a family lives: each life of part ``name`` is as long as ``lives`` says, and then ends with a code; of one of
    less than nothing the first three starts fail.
    """

    def __init__(
        self,
        until_s: float,
        lives: Callable[[str, int], tuple[float, int]],
        takes_s: float = 0.0,
        parts: Sequence[Part] = _PARTS,
    ) -> None:
        super().__init__()
        self.now_s, self.takes_s, self._until_s, self._lives = 0.0, takes_s, until_s, lives
        self.started: dict[str, list[tuple[float, _Process]]] = {each.name: [] for each in _PARTS}
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.tries: list[float] = []
        self.family = Family(parts, self._start, self._say, grace_s=15.0, clock=lambda: self.now_s, rest=self.wait)

    def _start(self, part: Part) -> _Process:
        before = self.started[part.name]
        length_s, code = self._lives(part.name, len(before))
        if length_s < 0:
            self.tries.append(self.now_s)
            if len(self.tries) < 4:
                raise OSError("no room")
        before.append((self.now_s, _Process(self, len(before), self.now_s + length_s, code)))
        return before[-1][1]

    def _say(self, event: str, **facts: object) -> None:
        self.told.append((event, facts))

    def wait(self, timeout: float | None = None) -> bool:
        self.now_s = round(self.now_s + (timeout or 0.0), 3)
        return self.is_set()

    def is_set(self) -> bool:
        return self.now_s >= self._until_s

    def run(self) -> int:
        """The exit code."""
        return self.family.run(self, lambda: signal.SIGINT)

    @property
    def events(self) -> list[str]:
        """What it told of."""
        return [event for event, _ in self.told]

    @property
    def last(self) -> list[_Process]:
        """The last life of each."""
        return [lives[-1][1] for lives in self.started.values()]


def test_all_are_started_at_once_and_told_to_end_by_the_signal_that_came() -> None:
    house = _House(60, lambda *_: (1e9, 0), takes_s=3.0)
    assert house.run() == 0
    assert [[at_s for at_s, _ in lives] for lives in house.started.values()] == [[0.0], [0.0], [0.0]]
    assert [each.told for each in house.last] == [[signal.SIGINT]] * 3
    assert house.events == ["started"] * 3
    assert 63 <= house.now_s < 64


def test_who_takes_too_long_to_end_is_killed_with_all_that_it_started() -> None:
    house = _House(1, lambda *_: (1e9, 0), takes_s=1e9)
    assert house.run() == 0
    assert house.events == ["started"] * 3 + ["killed"] * 3
    assert all(each.is_ended for each in house.last)
    assert 15 <= house.now_s - 1 < 16


@pytest.mark.parametrize("name", [each.name for each in _PARTS])
def test_one_that_dies_is_started_anew_while_the_others_go_on(name: str) -> None:
    house = _House(60, lambda part, life: (5.0, -9) if (part, life) == (name, 0) else (1e9, 0))
    assert house.run() == 0
    assert {part: len(lives) for part, lives in house.started.items()} == {each.name: 1 + (each.name == name) for each in _PARTS}
    assert [facts for event, facts in house.told if event == "died"] == [{"part": name, "exit_code": -9, "again_in_s": 0.5}]
    # What it had started itself goes first.
    assert house.started[name][0][1].is_ended
    assert 5.5 <= house.started[name][1][0] < 5.8


@pytest.mark.parametrize(("code", "lives"), [(0, 1), (1, 1), (-9, 13)])
def test_one_that_may_end_is_not_started_anew_once_it_is_done(code: int, lives: int) -> None:
    parts = [part._replace(ends=(0, 1)) if part.name == "ingest" else part for part in _PARTS]
    house = _House(200, lambda part, _: (15.0, code) if part == "ingest" else (1e9, 0), parts=parts)
    assert house.run() == 0
    assert {part: len(each) for part, each in house.started.items()} == {"serve": 1, "ingest": lives, "stream": 1}
    done = [facts for event, facts in house.told if event == "done"]
    assert done == ([{"part": "ingest", "exit_code": code}] if lives == 1 else [])


def test_one_that_dies_again_and_again_is_started_later_each_time() -> None:
    house = _House(120, lambda part, _: (0.0, 1) if part == "stream" else (1e9, 0))
    house.run()
    pauses = [facts["again_in_s"] for event, facts in house.told if event == "died"]
    assert pauses[:6] == [0.5, 1.0, 2.0, 4.0, 8.0, LONGEST_PAUSE_S]
    assert set(pauses[5:]) == {LONGEST_PAUSE_S}


def test_one_that_lived_for_a_while_is_started_soon() -> None:
    house = _House(200, lambda part, life: ((0.0 if life < 5 else STEADY_S), 1) if part == "ingest" else (1e9, 0))
    house.run()
    pauses = [facts["again_in_s"] for event, facts in house.told if event == "died"]
    assert pauses[5:8] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(("name", "code"), [("serve", WRONG), ("ingest", WRONG), ("stream", WRONG), ("serve", CANNOT_LISTEN)])
def test_what_does_not_mend_itself_ends_all_with_its_code(name: str, code: int) -> None:
    house = _House(60, lambda part, _: (1.0, code) if part == name else (1e9, 0))
    assert house.run() == code
    assert house.told[-1] == ("cannot_live", {"part": name, "exit_code": code})
    assert all(each.poll() is not None for each in house.last)
    assert house.now_s < 2


def test_a_port_that_the_life_before_may_still_have_is_tried_again() -> None:
    house = _House(
        60,
        lambda part, life: (((20.0, -9), (1.0, CANNOT_LISTEN))[life] if life < 2 else (1e9, 0)) if part == "serve" else (1e9, 0),
    )
    assert house.run() == 0
    assert [facts["exit_code"] for event, facts in house.told if event == "died"] == [-9, CANNOT_LISTEN]
    assert len(house.started["serve"]) == 3


def test_one_that_there_is_no_room_for_is_started_once_there_is() -> None:
    house = _House(5, lambda part, _: (-1e9, 0) if part == "ingest" else (1e9, 0))
    assert house.run() == 0
    refused = [facts for event, facts in house.told if event == "not_started"]
    assert [(facts["error"], facts["again_in_s"]) for facts in refused] == [("no room", 0.5), ("no room", 1.0), ("no room", 2.0)]
    assert len(house.started["serve"]) == len(house.started["stream"]) == 1
    assert house.started["ingest"]
