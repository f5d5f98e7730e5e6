"""Memory of processes, as Linux tells it in ``/proc/PID/smaps_rollup``."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from bench.scenario import ScenarioError

_KIB = 1024


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """In bytes. ``resident`` counts a page that processes share in each of them; ``proportional`` (PSS) divides it among them, so
    that a sum over a tree of processes counts it once. ``anonymous`` is the part of that which is no file's.
    """

    resident: int = 0
    proportional: int = 0
    anonymous: int = 0

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(
            resident=self.resident + other.resident,
            proportional=self.proportional + other.proportional,
            anonymous=self.anonymous + other.anonymous,
        )


def parsed(rollup: str) -> Memory:
    """What the text of one ``smaps_rollup`` says; what it does not say is 0."""
    found = {}
    for line in rollup.splitlines():
        name, colon, rest = line.partition(":")
        words = rest.split()
        if colon and len(words) == 2 and words[1] == "kB":  # noqa: PLR2004 - a number and its unit
            found[name] = int(words[0]) * _KIB
    return Memory(resident=found.get("Rss", 0), proportional=found.get("Pss", 0), anonymous=found.get("Pss_Anon", 0))


def of(pids: Iterable[int], folder: Path = Path("/proc")) -> Memory:
    """All of these processes together; one that has ended has none.

    Raises:
        ScenarioError: one of them is there, and may not be looked at.
    """
    total = Memory()
    for pid in pids:
        try:
            total += parsed((folder / str(pid) / "smaps_rollup").read_text(encoding="ascii"))
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError as error:
            raise ScenarioError(f"the memory of process {pid} cannot be read: {error.strerror}") from error
    return total
