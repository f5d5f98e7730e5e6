"""``--explain FILE``: how a file is understood, and what a run would make of it, by the run's own rules and without a store."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.domain.text import harmless
from warm.agents.rows import Imported
from warm.agents.tally import KEPT, STATUSES, lines
from warm.bars.reader import read_file
from warm.errors import InputRefused
from warm.fates import SPOILT, not_understood
from warm.files import Source
from warm.finding import find_sources
from warm.formats import AGENTS, PRICES, Format, Kind, Unknown, identify
from warm.job import Options, join
from warm.memory import memory
from warm.rejects import Rejects
from warm.sessions import iso

ROWS_SHOWN = 3
USED_SHOWN = 20
SYMBOLS_SHOWN = 10
BY = {
    "spacing": "the distance between its bars",
    "file": "the file says so",
    "--interval": "--interval, as there is only one bar",
    "assumed": "assumed, as there is only one bar",
}
_OUTPUT = ["symbol", "as_of_ms", "agent", "status", "view", "confidence", "reason"]
MOMENT = {
    "open": "when a bar begins",
    "close": "when a bar ends",
    "date": "the date of a session, which ends it",
    "both": "when a bar begins or ends, by market",
}


class Others(NamedTuple):
    """What ``--prices`` and ``--agents`` say, None where they are not given."""

    prices: Path | None = None
    agents: Path | None = None


def explain(path: Path, others: Others, options: Options, now_ms: int, console: Console) -> bool:
    """Tell on ``console`` what each file at ``path`` is taken for and what is read from it, what a run would make of all of them
    with those of ``others``, and which outputs it would use; whether the run would not be refused.
    """
    try:
        sources, unread = find_sources(path)
    except InputRefused as refused:
        console.print(Text(str(refused), style="red"))
        return False
    kinds: set[Kind] = set()
    for source in sources:
        console.print(Text(source.label, style="bold"))
        memory().reading = source.label
        try:
            facts, shown = _one(source, options, now_ms, kinds)
        except InputRefused as refused:
            facts, shown = [("refused", str(refused))], None
        except SPOILT as error:
            facts, shown = [("refused", str(not_understood(source, error)))], None
        for name, fact in facts:
            console.print(Text(harmless(f"  {name:<10}{fact}")), soft_wrap=True)
        if shown is not None:
            console.print(shown)
        source.forget()
    for name in unread:
        console.print(Text(f"{name}: not looked at, its name is no data file's"))
    return _judge(path, kinds, others, options, now_ms, console)


Facts = list[tuple[str, str]]


class _Silent:
    """A `Reporter` that says nothing."""

    def stage(self, name: str) -> None:
        """Not told."""

    def stop(self) -> None:
        """Nothing to give back."""

    def close(self, report: dict[str, Any]) -> None:
        """Not told."""


def _judge(path: Path, kinds: set[Kind], others: Others, options: Options, now_ms: int, console: Console) -> bool:
    """Whether a run would take ``path``, as what it is, with ``others``; and what it would make of the agents' outputs."""
    prices = path if "prices" in kinds else others.prices
    agents = path if "agents" in kinds else others.agents
    if not kinds:
        console.print(Text(harmless(f"{path}: no file holds prices or agents' outputs"), style="red"), soft_wrap=True)
        return False
    report: dict[str, Any] = {}
    try:
        settled = join(prices, msgspec.structs.replace(options, agents=agents), now_ms, _Silent(), report).settled
    except InputRefused as refused:
        console.print(Text(harmless(f"a run is refused: {refused}"), style="red"), soft_wrap=True)
        return False
    for warning in report.get("warnings", []):
        console.print(Text(warning, style="yellow"), soft_wrap=True)
    if agents is not None:
        for line in lines(report["agent_fates"]):
            console.print(Text(line))
        used = settled.filter(pl.col("fate").is_in(KEPT)).select(_OUTPUT)
        table = _table(_OUTPUT, used.head(USED_SHOWN).iter_rows())
        table.title = "What a run uses" if used.height <= USED_SHOWN else f"What a run uses: {USED_SHOWN} of {used.height:,}"
        console.print(table)
    return True


def _one(source: Source, options: Options, now_ms: int, kinds: set[Kind]) -> tuple[Facts, Table | None]:
    """What is told of one file; what it holds, or nearly does, is added to ``kinds``."""
    form, said = identify(source, ("prices", "agents"), options.choices)
    if isinstance(form, Unknown):
        if form.nearly is None:
            return [("skipped", f"no format recognises it: {form.said}")], None
        kinds.add(form.nearly)
        form = (PRICES if form.nearly == "prices" else AGENTS)[0]
    kinds.add(form.kind)
    facts = [("format", f"{form.name}: {form.description} ({'--format' if said else 'recognised by its content'})")]
    more, shown = _prices(source, form, options, now_ms) if form.kind == "prices" else _agents(source, form, options, now_ms)
    return facts + more, shown


def _prices(source: Source, form: Format, options: Options, now_ms: int) -> tuple[Facts, Table]:
    part = read_file(source, form, 0, options.reckoning(now_ms))
    told = part.told
    named = part.symbols.filter(part.symbols.get_column("symbol").is_not_null()).sort("symbol")
    names = [
        written if written == symbol else f"{written} as {symbol}" for symbol, written, _ in named.head(SYMBOLS_SHOWN).iter_rows()
    ]
    more = "" if named.height <= SYMBOLS_SHOWN else f" and {named.height - SYMBOLS_SHOWN} more"
    always = set(named.get_column("never"))
    by = f"the sessions of {', '.join(told['exchanges']) or 'the exchange'}"
    market = "never closes" if always == {True} else by if always == {False} else f"{by}; pairs never close"
    facts = [
        ("columns", ", ".join(f"{theirs} → {own}" for theirs, own in told["columns"].items())),
        ("symbols", f"{', '.join(names)}{more} (from the {told['symbol_by']})"),
        ("market", market),
        ("interval", f"{told['interval']} ({BY[told['interval_by']]})"),
        ("stamps", f"{MOMENT[told['stamps']]}; time zone: {told['zone'] or 'that of the market'}"),
        ("adjusted", "for splits and dividends, by its adj_close" if part.adjusted else "as they are: it has no adj_close"),
        ("rows", f"{part.rows} read, {part.frame.height} good, {part.unfinished} not over yet, {part.cut} after --as-of"),
        *_rejected(part.rejects),
        *(("note", note) for note in told["notes"] or ()),
    ]
    rows = (
        part.frame.sort("symbol", "as_of_ms")
        .head(ROWS_SHOWN)
        .select("symbol", "as_of_ms", "open", "high", "low", "close", "volume")
    )
    return facts, _table(rows.columns, rows.iter_rows())


def _agents(source: Source, form: Format, options: Options, now_ms: int) -> tuple[Facts, Table]:
    imported: Imported = form.read(source, options.context(now_ms))
    counts = dict(imported.frame.group_by("status").len().iter_rows())
    dated = {"column": "the file itself", "file_name": "its name", "as_of": "--as-of", "file_time": "when it was written"}
    facts = [
        ("dated by", dated[imported.dated_by]),
        (
            "rows",
            f"{imported.rows} read, {sum(count for (_, fate), count in imported.lost.items() if fate == 'cut')} after --as-of",
        ),
        (
            "outputs",
            ", ".join(
                f"{counts.get(status, 0)} {name}"
                for name, status in (*STATUSES.items(), ("summaries", "summary"))
                if status in counts or status != "summary"
            ),
        ),
        ("agents", ", ".join(sorted(set(imported.frame.get_column("agent")))[:SYMBOLS_SHOWN]) or "none"),
        *((name.replace("_", " "), str(value)) for name, value in imported.told.items() if value is not None),
        *_rejected(imported.rejects),
    ]
    return facts, _table(_OUTPUT, imported.frame.head(ROWS_SHOWN).select(_OUTPUT).iter_rows())


def _rejected(rejects: Rejects) -> Facts:
    facts = []
    for reason, count in rejects.counts.items():
        first = rejects.examples[reason][0]
        where = "" if first.row is None else f"line or row {first.row}, "
        facts.append(("rejected", f"{count} {reason}; first: {where}{first.symbol}, {first.column} {first.value!r}"))
    return facts


def _table(columns: list[str], rows: Iterable[tuple[object, ...]]) -> Table:
    """The first rows; their second column is a moment."""
    table = Table(*[name.removesuffix("_ms") for name in columns])
    for row in rows:
        cells = ["" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value) for value in row]
        moment = row[1]
        cells[1] = iso(moment) if isinstance(moment, int) else ""
        table.add_row(*[Text(cell) for cell in cells])
    return table
