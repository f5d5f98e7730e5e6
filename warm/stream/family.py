"""Parts that are processes of their own and live together: one that dies is started anew, and all end as one."""

import math
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

STOPPED, WRONG, CANNOT_LISTEN = 0, 2, 4
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
STEADY_S = 10.0
"""Whoever lived so long did not die of its start."""
_LOOK_S = 0.1


class Process(Protocol):
    """A part as it runs, with what it started itself."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        ...

    def tell(self, number: int) -> None:
        """Send it a signal."""
        ...

    def end(self) -> None:
        """Kill it, if it still runs, and all that is left of what it started."""
        ...


class Part(NamedTuple):
    """A command of Decide with its arguments; called by the command's name. With an exit code of ``ends`` it is done, and not
    started anew. ``variables`` of the environment are its own.
    """

    arguments: Sequence[str]
    ends: Sequence[int] = ()
    variables: Mapping[str, str] = {}

    @property
    def name(self) -> str:
        """The command's."""
        return self.arguments[0]


class _Life:
    """Of one part: its process (None: it is to be started ``at_s``), since when, and how it went so far."""

    def __init__(self, part: Part, at_s: float) -> None:
        self.part, self.at_s = part, at_s
        self.process: Process | None = None
        self.pause_s, self.lives = FIRST_PAUSE_S, 0

    def put_off(self, now_s: float) -> None:
        """Later each time."""
        self.at_s, self.pause_s = now_s + self.pause_s, min(2 * self.pause_s, LONGEST_PAUSE_S)


class Family:
    """``start`` starts a part; ``say`` is told of what happens: an event and its facts; ``clock`` tells seconds, and does not go
    back; ``rest`` waits some. ``grace_s`` is how long parts may take to end.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        start: Callable[[Part], Process],
        say: Callable[..., None],
        *,
        grace_s: float,
        clock: Callable[[], float] = time.monotonic,
        rest: Callable[[float], object] = time.sleep,
    ) -> None:
        self._start, self._say, self._clock, self._rest, self._grace_s = start, say, clock, rest, grace_s
        self._lives = [_Life(part, clock()) for part in parts]

    def run(self, stop: threading.Event, number: Callable[[], int] = lambda: signal.SIGTERM) -> int:
        """Until ``stop`` is set, or a part cannot live; the exit code. The parts are told to end by signal ``number``."""
        try:
            while not stop.is_set():
                for life in self._lives:
                    if (code := self._look(life)) is not None:
                        return code
                stop.wait(_LOOK_S)
        finally:
            self._end(number())
        return STOPPED

    def _look(self, life: _Life) -> int | None:
        """Start it if it is time to; the exit code of all if it cannot live."""
        process, now_s = life.process, self._clock()
        if process is None:
            if now_s >= life.at_s:
                self._begin(life, now_s)
            return None
        code = process.poll()
        if code is None:
            return None
        process.end()
        life.process = None
        if code in life.part.ends:
            self._say("done", part=life.part.name, exit_code=code)
            life.at_s = math.inf
            return None
        # A wrong setting does not mend itself. That a port is taken may: by the next life's time it is free.
        if code == WRONG or (code == CANNOT_LISTEN and life.lives == 1):
            self._say("cannot_live", part=life.part.name, exit_code=code)
            return code
        if now_s - life.at_s >= STEADY_S:
            life.pause_s = FIRST_PAUSE_S
        self._say("died", part=life.part.name, exit_code=code, again_in_s=life.pause_s)
        life.put_off(now_s)
        return None

    def _begin(self, life: _Life, now_s: float) -> None:
        try:
            life.process = self._start(life.part)
        except OSError as error:
            # No memory, or no room among the processes, just now.
            self._say("not_started", part=life.part.name, error=str(error), again_in_s=life.pause_s)
            life.put_off(now_s)
        else:
            life.at_s, life.lives = now_s, life.lives + 1
            self._say("started", part=life.part.name, pid=life.process.pid)

    def _end(self, number: int) -> None:
        """All of them; who takes too long is killed."""
        alive = [(life.part.name, life.process) for life in self._lives if life.process is not None]
        for _, process in alive:
            process.tell(number)
        until_s = self._clock() + self._grace_s
        while any(process.poll() is None for _, process in alive) and self._clock() < until_s:
            self._rest(_LOOK_S)
        for name, process in alive:
            if process.poll() is None:
                self._say("killed", part=name)
            process.end()
