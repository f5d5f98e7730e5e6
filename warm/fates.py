"""Every file's fate: loaded, skipped because it is something else, or refused; and one run over all of them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import polars as pl

from warm.errors import FilesRefused, InputRefused
from warm.files import Source, one_line
from warm.finding import find_sources
from warm.formats import Choice, Format, Kind, Unknown, identify
from warm.memory import memory
from warm.rejects import Rejects

SPOILT = (Exception, pl.exceptions.PanicException)
"""What a library may raise on a file that is spoilt in a way nobody thought of; Polars' panics are no `Exception`."""


def not_understood(source: Source, error: BaseException) -> InputRefused:
    """The refusal of a file on which a library failed: one line, in place of a traceback that says nothing of the file."""
    if isinstance(error, MemoryError):
        return InputRefused(memory().over())
    return source.refuse(f"it cannot be understood ({type(error).__name__}: {one_line(error)})")


class Fate(msgspec.Struct, kw_only=True):
    """What became of one file. ``rows`` were read, ``used`` of them became bars or agents' outputs; ``why`` says what kept a file
    from being loaded; ``told`` is what its format tells besides.
    """

    file: str
    kind: Kind
    format: str | None = None
    fate: Literal["loaded", "skipped", "refused"] = "loaded"
    rows: int = 0
    used: int = 0
    rejects: Rejects = msgspec.field(default_factory=Rejects)
    why: str | None = None
    told: dict[str, Any] = msgspec.field(default_factory=dict)

    def report(self) -> dict[str, Any]:
        """As JSON-ready values."""
        told = {name: value for name, value in self.told.items() if value is not None}
        return {
            "file": self.file,
            "kind": self.kind,
            "format": self.format,
            "fate": self.fate,
            "rows": self.rows,
            "used": self.used,
            "rejected": self.rejects.total,
            "reasons": self.rejects.report(),
            "why": self.why,
            **told,
        }


class Fates:
    """The files at ``path`` and what becomes of each. All are looked at, whatever becomes of the first, so that a user learns at
    once of everything that is wrong; a file that is refused then refuses the run, because what it held is not known.
    """

    def __init__(self, path: Path, kind: Kind, formats: Sequence[Format], choices: Sequence[Choice]) -> None:
        self._path, self._kind, self._formats, self._choices = path, kind, formats, choices
        self.all: list[Fate] = []

    @property
    def loaded(self) -> list[Fate]:
        """The files that were loaded, in the order in which they were read."""
        return [each for each in self.all if each.fate == "loaded"]

    def read(self, read: Callable[[Source, Format, Fate], None]) -> None:
        """Find, recognise and read every file.

        Raises:
            FilesRefused: nothing there, a file that cannot be used, or none of the right kind.
        """
        sources, others = find_sources(self._path)
        refusals = []
        for source in sources:
            fate = Fate(file=source.label, kind=self._kind)
            self.all.append(fate)
            memory().reading = source.label
            try:
                self._one(source, fate, read)
            except InputRefused as refused:
                fate.fate, fate.why = "refused", str(refused)
                refusals.append(str(refused))
            except SPOILT as error:
                fate.fate, fate.why = "refused", str(not_understood(source, error))
                refusals.append(fate.why)
            source.forget()
        memory().reading = None
        self.all.extend(Fate(file=each, kind=self._kind, fate="skipped", why="its name is no data file's") for each in others)
        if refusals:
            more = f" (and {len(refusals) - 1} more files: see the report)" if len(refusals) > 1 else ""
            raise FilesRefused(refusals[0] + more, self.all)
        if not self.loaded:
            raise self.refused(InputRefused(self._nothing()))

    def refused(self, error: InputRefused) -> "FilesRefused":
        """``error`` with what is known of the files."""
        return FilesRefused(str(error), self.all)

    def _one(self, source: Source, fate: Fate, read: Callable[[Source, Format, Fate], None]) -> None:
        found, _ = identify(source, (self._kind,), self._choices)
        if isinstance(found, Unknown):
            if found.nearly == self._kind:
                # One slip away from a table of this kind: its reader says what is missing.
                found = self._formats[0]
            else:
                fate.fate, fate.why = "skipped", f"no format recognises it ({found.said})"
                return
        fate.format = found.name
        if found.kind != self._kind:
            fate.fate, fate.why = "skipped", "agents' outputs" if found.kind == "agents" else "prices"
            return
        read(source, found, fate)

    def _nothing(self) -> str:
        what = "prices" if self._kind == "prices" else "agents' outputs"
        known = "; ".join(f"{each.name} ({each.description})" for each in self._formats)
        shown = [each for each in self.all if each.why][:3]
        seen = "; ".join(f"{each.file}: {each.why}" for each in shown)
        return f"{self._path}: no file holds {what}: {seen}; known: {known}"
