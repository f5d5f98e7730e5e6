"""Rows that were set aside: how many for which reason, and the first few of each to look at."""

from collections.abc import Sequence
from typing import Any

import msgspec
import polars as pl

from app.domain.text import harmless

EXAMPLES_MAX = 5
"""Examples kept for each reason."""

TEXT_MAX = 100
"""Characters of an offending value that a report keeps."""

Rule = tuple[str, str, pl.Expr]
"""A reason, the column it is about, and a predicate that is true for the rows it rejects."""


class Example(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rejected row. ``row`` is its line in a CSV file (the header is line 1), its number from 1 elsewhere."""

    file: str
    row: int | None
    symbol: str | None
    column: str | None
    value: str | None


class Rejects:
    """Counts and first examples by reason."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.examples: dict[str, list[Example]] = {}

    def add(self, reason: str, count: int, examples: list[Example]) -> None:
        """Count ``count`` rows rejected for ``reason``; keeps examples until there are `EXAMPLES_MAX`."""
        self.counts[reason] = self.counts.get(reason, 0) + count
        kept = self.examples.setdefault(reason, [])
        kept.extend(examples[: EXAMPLES_MAX - len(kept)])

    def merge(self, other: "Rejects") -> None:
        """Count ``other``'s rows too."""
        for reason, count in other.counts.items():
            self.add(reason, count, other.examples[reason])

    @property
    def total(self) -> int:
        """Rejected rows."""
        return sum(self.counts.values())

    def report(self) -> dict[str, Any]:
        """``{reason: {"count": …, "examples": […]}}``, most frequent first."""
        ordered = sorted(self.counts, key=lambda reason: (-self.counts[reason], reason))
        return {
            reason: {"count": self.counts[reason], "examples": [msgspec.to_builtins(each) for each in self.examples[reason]]}
            for reason in ordered
        }

    def summary(self) -> str:
        """``12 low_above_open_or_close, 3 missing_value``."""
        return ", ".join(f"{body['count']} {reason}" for reason, body in self.report().items())


def set_aside(frame: pl.DataFrame, rules: Sequence[Rule], file: str, rejects: Rejects) -> pl.DataFrame:
    """The rows that break none of ``rules``; the others are counted in ``rejects`` under the first rule they break.

    ``frame`` has a column ``row`` and, for ``symbol`` and each column that a rule names, the file's own text as ``text_*``.
    """
    broken = pl.coalesce(
        pl.when(rule.fill_null(value=False)).then(pl.lit(number, dtype=pl.UInt32)) for number, (*_, rule) in enumerate(rules)
    )
    judged = frame.with_columns(broken.alias("rule"))
    bad = judged.filter(pl.col("rule").is_not_null())
    for (number,), group in bad.group_by("rule", maintain_order=True):
        reason, column, _ = rules[int(str(number))]
        shown = group.head(EXAMPLES_MAX).select("row", "text_symbol", pl.col(f"text_{column}").alias("text_value")).rows()
        examples = [Example(file, row, cut(symbol), column, cut(value)) for row, symbol, value in shown]
        rejects.add(reason, group.height, examples)
    return judged.filter(pl.col("rule").is_null()).drop("rule")


def cut(text: str | None) -> str | None:
    """``text``, shortened to what a report keeps, and acting on nobody's terminal."""
    return None if text is None else harmless(text[:TEXT_MAX])
