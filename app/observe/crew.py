"""What a server's processes know of one another: a few numbers in memory that they share.

It imports nothing that workers alone may import: the main process makes it, and workers are copies of that.
"""

import mmap
import multiprocessing
from collections.abc import MutableSequence
from multiprocessing.sharedctypes import RawArray
from typing import Literal, cast

Reason = Literal["died", "stuck"]
REASONS: tuple[Reason, ...] = ("died", "stuck")
BEAT_S = 0.5
"""How often the event loop of a worker says that it turns."""
_LAST_STAGE = 2


def _shared(count: int) -> MutableSequence[int]:
    """So many numbers, all 0, that every process of the server reads and writes."""
    if multiprocessing.get_start_method() == "fork":
        # A copy of this process has it too; it needs no file, and so no folder that could be written to.
        return cast("MutableSequence[int]", memoryview(mmap.mmap(-1, 8 * count)).cast("Q"))
    return cast("MutableSequence[int]", RawArray("Q", count))


class Crew:
    """One of a server, for so many ``workers``. Each number is written by one process alone."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._beats = _shared(workers)
        self._stage = _shared(1)
        self._restarts = _shared(len(REASONS))

    def beat(self, worker: int) -> None:
        """The event loop of ``worker``, from 0 on, turns."""
        self._beats[worker] += 1

    def beats(self, worker: int) -> int:
        """How often it has said so since it was started; 0: it does not serve yet."""
        return self._beats[worker]

    def begin(self, worker: int) -> None:
        """It is about to be started."""
        self._beats[worker] = 0

    @property
    def stage(self) -> int:
        """How near the end is: 0 it serves, 1 it drains, 2 it goes deaf. Who was started too late to be told reads it here."""
        return self._stage[0]

    def next_stage(self) -> None:
        """The end is nearer."""
        self._stage[0] = min(self._stage[0] + 1, _LAST_STAGE)

    def restarted(self, reason: Reason) -> None:
        """A worker is started anew."""
        self._restarts[REASONS.index(reason)] += 1

    def restarts(self) -> dict[str, int]:
        """How many workers were started anew, by what became of those before them."""
        return dict(zip(REASONS, self._restarts, strict=True))
