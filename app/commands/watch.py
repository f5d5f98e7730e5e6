"""Which workers are to be ended, and which to be started anew, and when; the main process does both."""

from app.observe.crew import Crew, Reason

LOOK_S = 1.0
"""How often the main process looks."""
STUCK_LOOKS = 10
"""Looks in a row that find no beat of a worker (`crew.BEAT_S`) before it counts as stuck. Looks, not seconds: a machine, or a
container, that stands still as a whole does not look either. Ten, because nothing a worker does holds its loop up for more than a
fraction of a second, and because callers give up by then.
"""
START_LOOKS = 60
"""The same for a worker that has not served yet, where others have: it imports the application, which takes a second or two."""
_STEADY_S = 60.0
"""Whoever lived so long did not die of its start."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_TRIES = 5
"""Deaths in a row, each within `_STEADY_S`, after which a server that has no other worker ends: whoever runs it may know more."""


class Watch:
    """One of a main process. Workers are numbered from 0; a moment is one of a clock that does not go back."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._seen = [0] * crew.workers
        self._still = [0] * crew.workers
        self._deaths = [0] * crew.workers
        self._born = [0.0] * crew.workers
        self._due: dict[int, float] = {}
        self._stuck: set[int] = set()
        self._served = False

    def started(self, worker: int, now: float) -> None:
        """It was started."""
        self._seen[worker] = self._still[worker] = 0
        self._born[worker] = now
        self._due.pop(worker, None)

    def look(self) -> list[int]:
        """Workers that are stuck, and must be ended. Before any has served, they may take their time."""
        stuck = []
        for worker in range(self._crew.workers):
            beats = self._crew.beats(worker)
            if worker in self._due or (beats == 0 and not self._served):
                continue
            self._served = True
            self._still[worker] = 0 if beats != self._seen[worker] else self._still[worker] + 1
            self._seen[worker] = beats
            if self._still[worker] >= (STUCK_LOOKS if beats else START_LOOKS):
                stuck.append(worker)
                self._stuck.add(worker)
        return stuck

    def ended(self, worker: int, now: float) -> Reason | None:
        """It has ended, and is to be started anew; why. None: the server must end, because none of its workers has ever served,
        or because the last of them dies again and again.
        """
        reason: Reason = "stuck" if worker in self._stuck else "died"
        self._stuck.discard(worker)
        self._served = self._served or any(map(self._crew.beats, range(self._crew.workers)))
        if now - self._born[worker] >= _STEADY_S:
            self._deaths[worker] = 0
        self._deaths[worker] += 1
        again = self._deaths[worker] - 1
        is_last = len(self._due) + 1 == self._crew.workers
        if not self._served or (is_last and again >= _TRIES):
            return None
        pause_s = min(_FIRST_PAUSE_S * 2 ** (again - 1), _LONGEST_PAUSE_S) if again else 0.0
        self._due[worker] = now + pause_s
        return reason

    def due(self, now: float) -> list[int]:
        """Workers that are to be started now."""
        return [worker for worker, moment in self._due.items() if moment <= now]
