"""Consumers that kill themselves at one of their steps, before or after it.

For each line of its input, a PostgreSQL URL or a SQLite file, a rig's folder, the number of a moment and its window size, this
process has a consumer in a process of its own, and says how it ended and at which moment.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.market.places import Place, PostgresPlace
from tests.stream.rig import Rig

STEPS = ("poll", "append", "apply", "upsert")


class Killing:
    """What it wraps, with a moment before and one after each step."""

    def __init__(self, wrapped: Any, moments: "Moments") -> None:  # noqa: ANN401 - log, reader, writer or store
        self._wrapped, self._moments = wrapped, moments

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of what it wraps
        found = getattr(self._wrapped, name)
        if name == "reader":
            return lambda *given, **named: Killing(found(*given, **named), self._moments)
        if name == "upsert":
            return self._upsert
        if name not in STEPS:
            return found

        def step(*given: Any) -> Any:  # noqa: ANN401 - as above
            self._moments.passed(f"before {name}")
            done = found(*given)
            self._moments.passed(f"after {name}")
            return done

        return step

    async def _upsert(self, records: Any) -> Any:  # noqa: ANN401 - as above
        self._moments.passed("before upsert")
        done = await self._wrapped.upsert(records)
        self._moments.passed("after upsert")
        return done


class Moments:
    """Those that are counted; it does not survive number ``last``."""

    def __init__(self, last: int, told: int) -> None:
        self._left, self._told = last, told

    def passed(self, moment: str) -> None:
        """One of them."""
        self._left -= 1
        if self._left == 0:
            os.write(self._told, moment.encode())
            os.kill(os.getpid(), signal.SIGKILL)


def _consume(place: str, folder: str, number: int, window_size: int, told: int) -> None:
    market = PostgresPlace(place) if place.startswith("postgresql:") else Place(Path(place))
    moments = Moments(number, told)
    Rig(market, Path(folder), window_size=window_size).consume(
        batch_max=3,
        log=lambda it: Killing(it, moments),
        writer=lambda it: Killing(it, moments),
        store=lambda it: Killing(it, moments),
    )


if __name__ == "__main__":
    for line in sys.stdin:
        place, folder, number, window_size = line.split()
        reading, told = os.pipe()
        child = os.fork()
        if not child:
            _consume(place, folder, int(number), int(window_size), told)
            os._exit(0)
        os.close(told)
        _, status = os.waitpid(child, 0)
        moment = os.read(reading, 100).decode()
        os.close(reading)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)} {moment}\n")
        sys.stdout.flush()
