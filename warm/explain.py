"""``--explain FILE``: how a file is understood, without a run and without a store."""

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.domain.text import harmless
from warm.agents.rows import Context, Imported
from warm.bars.reader import read_file
from warm.errors import InputRefused
from warm.fates import SPOILT, not_understood
from warm.files import Source, find_sources
from warm.formats import Format, Unknown, identify
from warm.job import Options
from warm.memory import memory
from warm.rejects import Rejects
from warm.sessions import iso

ROWS_SHOWN = 3
SYMBOLS_SHOWN = 10
BY = {
    "spacing": "the distance between its bars",
    "file": "the file says so",
    "--interval": "--interval, as there is only one bar",
    "assumed": "assumed, as there is only one bar",
}
MOMENT = {"open": "when a bar begins", "close": "when a bar ends", "date": "the date of a session, which ends it"}


def explain(path: Path, options: Options, now_ms: int, console: Console) -> bool:
    """Tell on ``console`` what each file at ``path`` is taken for and what is read from it; whether all of it can be used."""
    try:
        sources, others = find_sources(path)
    except InputRefused as refused:
        console.print(Text(str(refused), style="red"))
        return False
    whole = True
    for source in sources:
        console.print(Text(source.label, style="bold"))
        memory().reading = source.label
        try:
            facts, shown = _one(source, options, now_ms)
        except InputRefused as refused:
            facts, shown, whole = [("refused", str(refused))], None, False
        except SPOILT as error:
            facts, shown, whole = [("refused", str(not_understood(source, error)))], None, False
        for name, fact in facts:
            console.print(Text(harmless(f"  {name:<10}{fact}")), soft_wrap=True)
        if shown is not None:
            console.print(shown)
        source.forget()
    for name in others:
        console.print(Text(f"{name}: not looked at, its name is no data file's"))
    return whole


Facts = list[tuple[str, str]]


def _one(source: Source, options: Options, now_ms: int) -> tuple[Facts, Table | None]:
    form, said = identify(source, ("prices", "agents"), options.choices)
    if isinstance(form, Unknown):
        raise InputRefused(f"no format recognises it: {form.said}")
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
    market = "never closes" if always == {True} else "the exchange's sessions" if always == {False} else "both kinds, by symbol"
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
    context = Context(options.session, now_ms, options.as_of_ms, options.calendar)
    imported: Imported = form.read(source, context)
    counts = dict(imported.frame.group_by("status").len().iter_rows())
    dated = {"column": "the file itself", "file_name": "its name", "as_of": "--as-of", "file_time": "when it was written"}
    facts = [
        ("dated by", dated[imported.dated_by]),
        ("rows", f"{imported.rows} read, {imported.cut} after --as-of"),
        ("outputs", ", ".join(f"{counts.get(status, 0)} {name}" for status, name in _STATUSES)),
        ("agents", ", ".join(sorted(set(imported.frame.get_column("agent")))[:SYMBOLS_SHOWN]) or "none"),
        *((name.replace("_", " "), str(value)) for name, value in imported.told.items() if value is not None),
        *_rejected(imported.rejects),
    ]
    columns = ["symbol", "as_of_ms", "agent", "status", "view", "confidence", "reason"]
    return facts, _table(columns, imported.frame.head(ROWS_SHOWN).select(columns).iter_rows())


_STATUSES = (("view", "views"), ("abstained", "abstained"), ("failed", "failed"))


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
