"""One price file to clean rows: symbols spelled canonically, the interval found and checked, stamps made ends of bars."""

from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import polars as pl

from app.domain.aliases import NO_ALIASES, Aliases
from app.domain.intervals import DAY_S, INTERVALS
from app.domain.symbols import canonical_symbol, never_closes
from app.domain.vector import is_symbol
from warm.calendar.exchanges import assumed
from warm.calendar.sessions import NEVER_CLOSES, Session
from warm.files.names import SymbolChoice, said_symbol
from warm.files.prices.given import GivenBars, with_texts
from warm.files.prices.labels import are_dates, closing, ends, is_coin, may_be_days, never_rest, on_sessions
from warm.files.prices.reading import Reading, Says, Stamp
from warm.files.prices.rules import bad_row, row_rules
from warm.files.prices.spaced import interval_of, spacing_of
from warm.files.read import Source
from warm.files.recognise import Format
from warm.files.rejects import Rejects, set_aside
from warm.files.stamps import DateOrder, Stamps, read_stamps

BAR_COLUMNS = ("symbol", "as_of_ms", "open", "high", "low", "close", "volume")

Calendar = Literal["auto", "equities", "always"]


class Reckoning(msgspec.Struct, frozen=True, kw_only=True):
    """How stamps become moments: the exchange's session, and what the caller says where files say nothing.

    ``interval`` is the one wanted, None for each symbol's longest; ``zone`` is for stamps without one (None: the exchange's, or
    UTC); ``stamps`` overrules what formats say; ``calendar`` ``auto`` takes pairs of currencies for markets that never close and
    all else for the exchange's. ``date_order`` is for dates whose column does not tell it, ``symbols`` for files that do not.
    A symbol's market is that of the name which ``aliases`` keep it under.
    """

    session: Session
    now_ms: int
    as_of_ms: int | None = None
    interval: str | None = None
    calendar: Calendar = "auto"
    stamps: Stamp | None = None
    zone: ZoneInfo | None = None
    date_order: DateOrder | None = None
    symbols: tuple[SymbolChoice, ...] = ()
    aliases: Aliases = NO_ALIASES
    exact: bool = False
    """The digits of bars are wanted, as files write them (`PriceFile.given`)."""


class PriceFile(NamedTuple):
    """What one file brought: its rows that passed, and what is told of it. ``frame`` has `BAR_COLUMNS`, ``adj_close``, ``file``
    and ``row``; ``symbols`` has ``symbol`` (canonical), ``written`` and ``never`` (whether its market never closes). ``given``:
    the same bars with their digits, if they are wanted.
    """

    frame: pl.DataFrame
    symbols: pl.DataFrame
    rows: int
    cut: int
    unfinished: int
    adjusted: bool
    interval: str
    rejects: Rejects
    told: dict[str, Any]
    given: GivenBars | None = None


class _Dated(NamedTuple):
    """A file's symbols (`_names`), when the bar of each of its rows ended, in milliseconds, and what is told of its stamps."""

    names: pl.DataFrame
    as_of_ms: pl.Series
    interval: str
    told: dict[str, Any]


class Alike:
    """What was made of the last file's stamps. Files of one folder or archive mostly have the same ones, and understanding those
    of a small file takes longer than all else that is in it. ``made`` counts the files for which it was done.
    """

    def __init__(self) -> None:
        self.made = 0
        self._last: tuple[object, pl.Series, _Dated] | None = None

    def dated(self, source: Source, raw: pl.DataFrame, says: Says, reckoning: Reckoning) -> _Dated:
        """`_dated`, of one symbol's file only where its stamps, or what else tells their meaning, are others than the last one's.

        Raises:
            InputRefused: the stamps cannot be understood.
        """
        names, sessions = _names(raw, reckoning, says.never_closes, frozenset())
        column = raw.get_column("date")
        if names.height != 1 or column.len() > _ALIKE_ROWS_MAX or is_coin(names.item(0, "canonical")):
            return _dated(source, raw, says, reckoning)
        meaning = (
            says._replace(symbol=None, named_by=None),
            reckoning,
            sessions,
            names.item(0, "never"),
            names.item(0, "symbol_ok"),
        )
        if self._last is not None:
            last, stamps, dated = self._last
            if last == meaning and stamps.dtype == column.dtype and stamps.equals(column):
                return dated._replace(names=names)
        self.made += 1
        dated = _dated(source, raw, says, reckoning)
        self._last = meaning, column, dated
        return dated


_ALIKE_ROWS_MAX = 10_000
"""So much is remembered of a file at most; one that has more takes its time anyway."""


def read_file(source: Source, form: Format, number: int, reckoning: Reckoning, alike: Alike | None = None) -> PriceFile:
    """Read, understand and judge one file; ``number`` is its own in the frame.

    Raises:
        InputRefused: it cannot be used at all.
    """
    source.symbol = said_symbol(source, reckoning.symbols)
    reading: Reading = form.read(source)
    says, raw = reading.says, _complete(source, reading)
    if source.symbol is not None:
        says = says._replace(named_by="--symbol")
    names, as_of_ms, interval, told = (alike or Alike()).dated(source, raw, says, reckoning)
    frame = raw.drop("date").with_columns(as_of_ms)
    if names.height == 1:
        # For a small file a join takes longer than reading it.
        same = (pl.lit(names.item(0, name), names.schema[name]).alias(name) for name in ("canonical", "symbol_ok", "never"))
        frame = frame.with_columns(same)
    else:
        frame = frame.join(names.drop("market"), on="symbol", how="left", maintain_order="left", nulls_equal=True)
    frame = frame.with_columns(pl.col("canonical").alias("symbol")).drop("canonical")
    del raw
    adjusted = "adj_close" in frame.columns
    if not adjusted:
        frame = frame.with_columns(pl.col("close").alias("adj_close"))
    rejects = Rejects()
    frame, rows, cut, unfinished, hollow = _judge(source, reading, frame, interval, reckoning, rejects)
    kept = frame.select(*BAR_COLUMNS, "adj_close", pl.lit(number, dtype=pl.UInt32).alias("file"), "row")
    told = told | {
        "notes": [*told["notes"], *reading.notes, *(_assumed(names, reckoning) if reckoning.session.follows else ())] or None,
        "symbol_by": says.named_by or "column",
        "columns": dict(reading.columns),
        "no_price": hollow or None,
    }
    symbols = names.select(pl.col("canonical").alias("symbol"), pl.col("symbol").alias("written"), "never")
    given = (
        GivenBars(with_texts(reading, frame, BAR_COLUMNS), interval, form.name, source.written_ms) if reckoning.exact else None
    )
    return PriceFile(kept, symbols, rows, cut, unfinished, adjusted, interval, rejects, told, given)


def _dated(source: Source, raw: pl.DataFrame, says: Says, reckoning: Reckoning) -> _Dated:
    """By the symbols, the stamps, and what is said of them; of a file of one symbol its name counts only by its market."""
    found = _markets(source, raw, says, reckoning, frozenset())
    coins, notes = _resting(raw, found, says, reckoning)
    names, sessions, read = _markets(source, raw, says, reckoning, coins) if coins else found
    # Where a file has one market, as most have, its rows need not be told apart.
    on = ["date"] if len(sessions) == 1 else ["date", "market"]
    if len(on) > 1:
        raw = _with_market(raw, names)
    stamps = pl.concat(each.table.with_columns(_number(market)) for market, each in enumerate(read))
    dates = are_dates(stamps)
    # What lies in the future is no bar, and must not stretch the distances.
    past = stamps.filter(pl.col("stamp_ms") <= reckoning.now_ms)
    apart = spacing_of(raw, past, on, dates=dates and sessions != [NEVER_CLOSES])
    interval, how = interval_of(source, says, apart, reckoning.interval, dates=dates)
    kinds, unsure = _kinds(past, sessions, interval, reckoning.stamps or says.stamps)
    notes = [*(notes if INTERVALS[interval] <= DAY_S else ()), *unsure]
    moments = pl.concat(
        ends(each.table, interval, kind, session).with_columns(_number(market))
        for market, (each, kind, session) in enumerate(zip(read, kinds, sessions, strict=True))
    )
    as_of_ms = raw.select(on).join(moments.select(*on, "as_of_ms"), on=on, how="left", maintain_order="left")["as_of_ms"]
    told = {
        "interval": interval,
        "interval_by": how,
        "stamps": "date" if dates and INTERVALS[interval] == DAY_S else "both" if len(set(kinds)) > 1 else kinds[0],
        "zone": next((each.zone for each in read if each.zone), None) or ("own" if not dates else None),
        "exchanges": [each.exchange.code for each in sessions if each.exchange],
        "notes": notes,
    }
    return _Dated(names, as_of_ms, interval, told)


def _complete(source: Source, reading: Reading) -> pl.DataFrame:
    """The rows with a symbol and a volume each: the symbol that the format or ``--symbol`` says, no volume where no row has any.

    Raises:
        InputRefused: ``--symbol`` for a file of several symbols.
    """
    raw, says = reading.frame, reading.says
    if source.symbol is not None:
        if "symbol" in raw.columns and raw.get_column("symbol").drop_nulls().n_unique() > 1:
            raise source.refuse(f"it has several symbols, so --symbol cannot say that it is {source.symbol}")
        raw = raw.with_columns(pl.lit(source.symbol).alias("symbol"))
    elif "symbol" not in raw.columns:
        raw = raw.with_columns(pl.lit(says.symbol, dtype=pl.String).alias("symbol"))
    if "volume" not in raw.columns or _all_missing(reading, "volume"):
        raw = raw.with_columns(pl.lit(0.0).alias("volume"))
    return raw.with_columns(pl.col("symbol").cast(pl.String))


_MISSING = ("", "-", "null", "none", "nan", "n/a", "na", "#n/a")
"""What stands where there is no value, in small letters."""


def _missing(name: str) -> pl.Expr:
    return pl.col(f"text_{name}").str.strip_chars().str.to_lowercase().is_in(_MISSING).fill_null(value=True)


def _all_missing(reading: Reading, name: str) -> bool:
    """Whether no row has a value, nor a text that may have been meant for one."""
    values = reading.frame.get_column(name)
    if values.null_count() < values.len() or values.is_empty():
        return False
    texts = reading.texts(reading.frame.get_column("row").head(_SAMPLED_ROWS))
    return f"text_{name}" not in texts.columns or bool(texts.select(_missing(name).all()).item())


_SAMPLED_ROWS = 100


_AT_WEEKENDS = "bars on Saturdays and Sundays: --calendar always if its market never closes"


def _assumed(names: pl.DataFrame, reckoning: Reckoning) -> list[str]:
    shares = names.filter(~pl.col("never") & pl.col("symbol_ok")).select("canonical", "symbol").rows()
    return assumed((written, symbol, reckoning.aliases(symbol)) for symbol, written in sorted(shares))


class _Markets(NamedTuple):
    """A file's symbols (`_names`), and of each of its markets the session and the stamps."""

    names: pl.DataFrame
    sessions: list[Session]
    read: list[Stamps]


def _markets(source: Source, raw: pl.DataFrame, says: Says, reckoning: Reckoning, coins: frozenset[str]) -> _Markets:
    names, sessions = _names(raw, reckoning, says.never_closes, coins)
    if len(sessions) > 1:
        raw = _with_market(raw, names)
    read = [_stamps(source, raw, market, session, says, reckoning) for market, session in enumerate(sessions)]
    return _Markets(names, sessions, read)


def _with_market(raw: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    return raw.join(names.select("symbol", "market"), on="symbol", how="left", maintain_order="left", nulls_equal=True)


def _number(market: int) -> pl.Expr:
    return pl.lit(market, dtype=pl.UInt8).alias("market")


def _resting(raw: pl.DataFrame, found: _Markets, says: Says, reckoning: Reckoning) -> tuple[frozenset[str], list[str]]:
    """The coins that are known by their own bars at weekends; and what is to be said of other symbols that have such."""
    if reckoning.calendar != "auto" or says.never_closes is not None:
        return frozenset(), []

    def weekends(market: int, rows: pl.Expr | None) -> bool:
        """Whether some rows of a market, or all, have bars at weekends."""
        stamps = found.read[market].table
        if rows is not None:
            dates = raw.lazy().filter(rows).select(pl.col("date").unique())
            stamps = stamps.lazy().join(dates, on="date", how="semi").collect()
        return never_rest(stamps)

    exchanges = found.names.filter(~pl.col("never") & pl.col("symbol_ok"))
    named = exchanges.filter(pl.col("canonical").is_in([each for each in exchanges.get_column("canonical") if is_coin(each)]))
    coins = {
        symbol
        for written, symbol, market in named.select("symbol", "canonical", "market").iter_rows()
        if weekends(market, pl.col("symbol") == written)
    }
    others = exchanges.join(named, on="symbol", how="anti").get_column("market").unique().sort()
    rest = ~pl.col("symbol").is_in(named.get_column("symbol").implode()) if coins else None
    noted = any(weekends(market, rest) for market in others)
    return frozenset(coins), [_AT_WEEKENDS] if noted else []


def _kinds(past: pl.DataFrame, sessions: list[Session], interval: str, said: Stamp | None) -> tuple[list[Stamp], list[str]]:
    """What the stamps of each market are: what the format or the caller says, else what they themselves do, else beginnings; and
    what is to be said where they leave it open.
    """
    if said is not None:
        return [said] * len(sessions), []
    told = [closing(past.filter(pl.col("market") == market), interval, session) for market, session in enumerate(sessions)]
    return [kind or "open" for kind, _ in told], list(dict.fromkeys(note for _, note in told if note))


def _stamps(source: Source, raw: pl.DataFrame, market: int, session: Session, says: Says, reckoning: Reckoning) -> Stamps:
    """The stamps of the rows of a market. Moments without a time zone are where the format says, else the caller, else on the
    exchange's clock; in UTC for a market that never closes. The exchange's is the safe mistake: in America its clock is behind
    UTC, so data would be late, not early.

    Raises:
        InputRefused: they cannot be understood, or are on a clock that nobody tells.
    """
    zone = ZoneInfo(says.zone) if says.zone is not None else reckoning.zone or session.timezone
    rows = raw.filter(pl.col("market") == market) if "market" in raw.columns else raw
    own = reckoning.session if session is NEVER_CLOSES else session
    stamps = read_stamps(source, rows.get_column("date"), zone, own.timezone, reckoning.date_order)
    if says.unknown_clock is not None and stamps.zone is not None and reckoning.zone is None:
        raise source.refuse(
            f"its stamps are on a clock that it does not tell, {says.unknown_clock}; --naive-timezone says it (UTC, or for many"
            " brokers Europe/Athens)"
        )
    if session is NEVER_CLOSES or not may_be_days(says.interval):
        return stamps
    return stamps._replace(table=on_sessions(stamps.table, session))


def _names(
    raw: pl.DataFrame,
    reckoning: Reckoning,
    says: bool | None,  # noqa: FBT001
    coins: frozenset[str],
) -> tuple[pl.DataFrame, list[Session]]:
    """Each symbol as written once: its canonical spelling, whether it is one, whether its market never closes (as those of
    ``coins``), and the number of its market; and the markets' sessions.
    """
    written = raw.get_column("symbol").unique(maintain_order=True)
    canonical = [None if each is None else canonical_symbol(each.strip()) for each in written]
    kept = ["" if each is None else reckoning.aliases(each) for each in canonical]
    if reckoning.calendar == "auto":
        never = [
            bool(each) and (never_closes(name) or each in coins if says is None else says)
            for each, name in zip(canonical, kept, strict=True)
        ]
    else:
        never = [reckoning.calendar == "always"] * len(canonical)
    own = [NEVER_CLOSES if always else reckoning.session.of(each) for each, always in zip(kept, never, strict=True)]
    sessions = list(dict.fromkeys(own)) or [reckoning.session]
    names = pl.DataFrame(
        {
            "symbol": written,
            "canonical": canonical,
            "symbol_ok": [each is not None and each.isascii() and bool(is_symbol(each)) for each in canonical],
            "never": never,
            "market": [sessions.index(each) for each in own],
        },
        schema={
            "symbol": pl.String, "canonical": pl.String, "symbol_ok": pl.Boolean, "never": pl.Boolean, "market": pl.UInt8,
        },
    )  # fmt: skip
    return names, sessions


def _judge(
    source: Source, reading: Reading, frame: pl.DataFrame, interval: str, reckoning: Reckoning, rejects: Rejects
) -> tuple[pl.DataFrame, int, int, int, int]:
    """The rows that pass, how many there were up to the cut, how many after it, how many bars are not over yet, and how many rows
    have no price but maybe an open: those are no bars.
    """
    total, ends_ms = frame.height, frame.get_column("as_of_ms")
    if reckoning.as_of_ms is not None and _any_after(ends_ms, reckoning.as_of_ms):
        frame = frame.filter(pl.col("as_of_ms").le(reckoning.as_of_ms).fill_null(value=True))
    rows = frame.height
    now_ms, length_ms = reckoning.now_ms, INTERVALS[interval] * 1000
    if _any_after(ends_ms, now_ms):
        begun = (pl.col("as_of_ms") > now_ms) & (pl.col("as_of_ms") - length_ms <= now_ms)
        frame = frame.filter(begun.not_().fill_null(value=True))
    unfinished = rows - frame.height
    bad = bad_row(now_ms)
    suspects, hollow = frame.filter(bad), 0
    if not suspects.is_empty():
        frame = frame.filter(bad.not_().fill_null(value=True))
        texts = reading.texts(suspects.get_column("row"))
        # A blank line is no row.
        blank = texts.filter(pl.all_horizontal(pl.exclude("row").is_null())).get_column("row")
        rows, total = rows - blank.len(), total - blank.len()
        told = suspects.filter(~pl.col("row").is_in(blank.implode())).join(
            texts, on=[name for name in ("row", "group") if name in texts.columns], how="left", maintain_order="left"
        )
        unpriced = pl.all_horizontal(pl.col(name).is_null() & _missing(name) for name in ("high", "low", "close"))
        hollow = told.filter(unpriced).height
        told = told.filter(~unpriced)
        rows, total = rows - hollow, total - hollow
        missing = [name for name in ("adj_close", "symbol", "volume") if f"text_{name}" not in told.columns]
        told = told.with_columns(
            (pl.col("symbol") if name == "symbol" else pl.lit(None, dtype=pl.String)).alias(f"text_{name}") for name in missing
        )
        set_aside(told, row_rules(now_ms, text=True), source.label, rejects)
    return frame, rows, total - rows, unfinished, hollow


def _any_after(moments_ms: pl.Series, bound_ms: int) -> bool:
    last_ms = moments_ms.max()
    return isinstance(last_ms, int) and last_ms > bound_ms
