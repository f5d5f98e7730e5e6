"""Entries of JSON files to rows: what every importer but the native table's does with a word that it has found."""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import polars as pl

from app.domain.symbols import canonical_symbol
from app.domain.text import harmless
from app.domain.vector import is_symbol
from warm.agents.rows import AGENT_PATTERN, AGENT_SCHEMA, LABEL_MAX, SIGNALS, Context, Imported, clean_text
from warm.agents.tally import Tally
from warm.files import Source
from warm.names import day_named
from warm.rejects import Example, Rejects, cut

PERCENT = 100.0
_STATUS = 2
"""Where a row without its symbol has its status."""

_is_agent = re.compile(AGENT_PATTERN).fullmatch


class Judged(NamedTuple):
    """An entry as it is meant: status, view, confidence in [0, 1], reason."""

    status: str
    view: float | None = None
    confidence: float | None = None
    reason: str | None = None


class Unusable(Exception):
    """One entry cannot be read: reason and the member it is about."""

    def __init__(self, reason: str, column: str, value: object) -> None:
        super().__init__(reason)
        self.reason, self.column, self.value = reason, column, value


class Entry(NamedTuple):
    """One agent's word on one symbol, as a file has it; ``moment_ms`` replaces ``as_of`` where the importer knows the moment.

    ``sums_up``: it repeats what the others of its ``run`` said, where any had a view.
    """

    agent: object
    symbol: object
    as_of: object
    judge: Callable[[], Judged]
    model: object = None
    reasoning: object = None
    input_hash: str | None = None
    moment_ms: int | None = None
    sums_up: bool = False
    run: object = None


class Collector:
    """Takes a file's entries one by one: good ones become rows, the others are counted with their reason and place."""

    def __init__(self, source: Source, context: Context, dated_by: str = "column") -> None:
        self._source, self._context, self._dated_by = source, context, dated_by
        self._rows: list[tuple[object, ...]] = []
        self._said: set[tuple[object, object]] = set()
        self._summaries: list[tuple[int, tuple[object, object]]] = []
        self._rejects = Rejects()
        self._entries = 0
        self._lost: Tally = Tally()

    def add(self, entry: Entry) -> None:
        """Take an entry."""
        self._entries += 1
        try:
            symbol, as_of_ms = self._symbol(entry), self._moment(entry)
            if self._context.as_of_ms is not None and as_of_ms > self._context.as_of_ms:
                self._lose(entry, "cut")
                return
            row = self._row(entry, as_of_ms)
            if row[_STATUS] == "view":
                of = symbol, entry.run
                if entry.sums_up:
                    self._summaries.append((len(self._rows), of))
                else:
                    self._said.add(of)
            self._rows.append((symbol, *row))
        except Unusable as error:
            label = harmless(f"{str(entry.agent)[:LABEL_MAX]}.{error.column}")
            example = Example(self._source.label, None, cut(text_of(entry.symbol)), label, cut(repr(error.value)))
            self._rejects.add(error.reason, 1, [example])
            self._lose(entry, "unknown_symbol" if error.column == "symbol" else "refused")

    def _lose(self, entry: Entry, fate: str) -> None:
        try:
            status = entry.judge().status
        except Unusable:
            status = "view"
        self._lost[status, fate] += 1

    def imported(self, **told: Any) -> Imported:  # noqa: ANN401
        """All of it."""
        for at, of in self._summaries:
            if of in self._said:
                row = self._rows[at]
                self._rows[at] = (*row[: _STATUS + 1], "summary", *row[_STATUS + 2 :])
        frame = pl.DataFrame(self._rows, schema=AGENT_SCHEMA, orient="row")
        return Imported(frame, self._entries, self._lost, self._dated_by, self._rejects, told)

    def _symbol(self, entry: Entry) -> str:
        if not isinstance(entry.symbol, str):
            raise Unusable("missing_value" if entry.symbol is None else "bad_symbol", "symbol", entry.symbol)
        symbol = canonical_symbol(entry.symbol.strip())
        if not (symbol.isascii() and is_symbol(symbol)):
            raise Unusable("bad_symbol", "symbol", entry.symbol)
        return symbol

    def _moment(self, entry: Entry) -> int:
        if entry.moment_ms is not None:
            return entry.moment_ms
        if entry.as_of is None:
            raise Unusable("missing_value", "as_of", None)
        symbol = canonical_symbol(str(entry.symbol).strip())
        moment_ms = (
            self._context.moment_ms(entry.as_of, symbol, self._source.written_ms) if isinstance(entry.as_of, str) else None
        )
        if moment_ms is None:
            raise Unusable("unparsable_value", "as_of", entry.as_of)
        if moment_ms < 0:
            raise Unusable("before_1970", "as_of", entry.as_of)
        return moment_ms

    def _row(self, entry: Entry, as_of_ms: int) -> tuple[object, ...]:
        if not (isinstance(entry.agent, str) and _is_agent(entry.agent)):
            raise Unusable("bad_agent", "agent", entry.agent)
        if as_of_ms > self._context.latest_ms:
            raise Unusable("future_view", "as_of", entry.as_of)
        judged = entry.judge()
        return (
            entry.agent,
            as_of_ms,
            judged.status,
            judged.view,
            judged.confidence,
            clean_text(text_of(entry.model), LABEL_MAX),
            clean_text(text_of(entry.reasoning)),
            judged.reason,
            self._source.label,
            entry.input_hash,
        )


def text_of(value: object) -> str | None:
    """Text as it is, anything else as JSON, None as None."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def word_of(value: object, column: str, words: dict[str, float] = SIGNALS) -> float:
    """The view that a word stands for.

    Raises:
        Unusable: none of ``words``.
    """
    found = words.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise Unusable("unknown_signal", column, value)
    return found


def number_in(value: object, column: str, least: float, greatest: float) -> float | None:
    """A number from ``least`` to ``greatest``, or null.

    Raises:
        Unusable: no number, or beyond them.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unusable("unparsable_value", column, value)
    if not least <= value <= greatest:
        raise Unusable(f"{column}_out_of_range", column, value)
    return float(value)


def percent_in(value: object) -> float | None:
    """A confidence from 0 to 100 as one from 0 to 1, or null.

    Raises:
        Unusable: no number, or beyond them.
    """
    share = number_in(value, "confidence", 0, PERCENT)
    return None if share is None else share / PERCENT


def today(context: Context | None) -> date:
    """The last day that it may be anywhere when a run is at ``context``; without one, the last of all."""
    # A day ahead: where the clock is later than here it may be tomorrow.
    return date.max if context is None else (datetime.fromtimestamp(context.now_ms / 1000, UTC) + timedelta(days=1)).date()


def day_of(source: Source, name: str, context: Context | None) -> date | None:
    """The day that ``name``, of a file or in it, tells (`day_named`).

    Raises:
        InputRefused: it can be read in two ways.
    """
    try:
        return day_named(name, today(context))
    except ValueError as error:
        raise source.refuse(f"of {error} nothing tells whether the day or the month is first; allowed: YYYY-MM-DD") from error


def dated(source: Source, context: Context) -> tuple[str | None, int | None, str]:
    """When a file without a date is from: a day, or else a moment in milliseconds; and what says so.

    Raises:
        InputRefused: the day in its name can be read in two ways.
    """
    day = day_of(source, source.label.rpartition("/")[2], context)
    if day is not None:
        return day.isoformat(), None, "file_name"
    if context.as_of_ms is not None:
        return None, context.as_of_ms, "as_of"
    return None, source.written_ms, "file_time"


def member(value: object, name: str) -> Any:  # noqa: ANN401
    """``value[name]`` of an object, None of anything else."""
    return value.get(name) if isinstance(value, dict) else None
