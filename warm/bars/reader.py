"""One price file to clean rows: symbols spelled canonically, the interval found and checked, stamps made ends of bars."""

from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import polars as pl

from app.domain.symbols import canonical_symbol, never_closes
from app.domain.vector import is_symbol
from warm.bars.reading import Reading, Stamp
from warm.files import Source
from warm.formats import Format
from warm.intervals import DAY_S, INTERVALS, Spacing, spacing
from warm.rejects import Rejects, set_aside
from warm.rules import row_rules
from warm.sessions import NEVER_CLOSES, Session
from warm.stamps import Stamps, read_stamps

BAR_COLUMNS = ("symbol", "as_of_ms", "open", "high", "low", "close", "volume")

SAMPLED_SYMBOLS = 200
"""Symbols of a file that its spacing is taken from: they tell it as well as thousands do."""

ON_GRID = 0.9
"""The share of distances between bars that must be whole multiples of the interval; below it nobody can say what a bar is."""

Calendar = Literal["auto", "equities", "always"]


class Reckoning(msgspec.Struct, frozen=True, kw_only=True):
    """How stamps become moments: the exchange's session, and what the caller says where files say nothing.

    ``interval`` is the one wanted, None for each symbol's longest; ``zone`` is for stamps without one (None: the exchange's, or
    UTC); ``stamps`` overrules what formats say; ``calendar`` ``auto`` takes pairs of currencies for markets that never close and
    all else for the exchange's.
    """

    session: Session
    now_ms: int
    as_of_ms: int | None = None
    interval: str | None = None
    calendar: Calendar = "auto"
    stamps: Stamp | None = None
    zone: ZoneInfo | None = None


class PriceFile(NamedTuple):
    """What one file brought: its rows that passed, and what is told of it. ``frame`` has `BAR_COLUMNS`, ``adj_close``, ``file``
    and ``row``; ``symbols`` has ``symbol`` (canonical), ``written`` and ``never`` (whether its market never closes).
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


def read_file(source: Source, form: Format, number: int, reckoning: Reckoning) -> PriceFile:
    """Read, understand and judge one file; ``number`` is its own in the frame.

    Raises:
        InputRefused: it cannot be used at all.
    """
    reading: Reading = form.read(source)
    says, raw = reading.says, reading.frame
    if "symbol" not in raw.columns:
        raw = raw.with_columns(pl.lit(says.symbol, dtype=pl.String).alias("symbol"))
    raw = raw.with_columns(pl.col("symbol").cast(pl.String))
    names, sessions = _names(raw, reckoning, says.never_closes)
    # Where a file has one market, as most have, its rows need not be told apart.
    on = ["date"] if len(sessions) == 1 else ["date", "market"]
    if len(on) > 1:
        raw = raw.join(names.select("symbol", "market"), on="symbol", how="left", maintain_order="left", nulls_equal=True)
    read = [_stamps(source, raw, market, session, says.zone, reckoning) for market, session in enumerate(sessions)]
    stamps = pl.concat(each.table.with_columns(_number(market)) for market, each in enumerate(read))
    dates = stamps.get_column("day").null_count() == stamps.get_column("stamp_ms").null_count()
    always = sessions == [NEVER_CLOSES]
    # What lies in the future is no bar, and must not stretch the distances.
    past = stamps.filter(pl.col("stamp_ms") <= reckoning.now_ms)
    found = _spacing(raw, past, on, dates=dates and not always)
    interval, how = _interval(source, says.interval, found, reckoning.interval, dates=dates)
    kind = reckoning.stamps or says.stamps
    moments = pl.concat(
        _ends(each.table, interval, kind, session).with_columns(_number(market))
        for market, (each, session) in enumerate(zip(read, sessions, strict=True))
    )
    frame = (
        raw.lazy()
        .join(names.drop("market").lazy(), on="symbol", how="left", maintain_order="left", nulls_equal=True)
        .join(moments.lazy().select(*on, "as_of_ms"), on=on, how="left", maintain_order="left")
        .with_columns(pl.col("canonical").alias("symbol"))
        .drop(*on, "canonical")
        .collect()
    )
    del raw
    adjusted = "adj_close" in frame.columns
    if not adjusted:
        frame = frame.with_columns(pl.col("close").alias("adj_close"))
    rejects = Rejects()
    frame, rows, cut, unfinished = _judge(source, reading, frame, interval, reckoning, rejects)
    kept = frame.select(*BAR_COLUMNS, "adj_close", pl.lit(number, dtype=pl.UInt32).alias("file"), "row")
    told = {
        "interval": interval,
        "interval_by": how,
        "stamps": "date" if dates and INTERVALS[interval] == DAY_S else kind or "open",
        "zone": next((each.zone for each in read if each.zone), None) or ("own" if not dates else None),
        "exchanges": [each.exchange.code for each in sessions if each.exchange],
        "symbol_by": says.named_by or "column",
        "columns": dict(reading.columns),
    }
    symbols = names.select(pl.col("canonical").alias("symbol"), pl.col("symbol").alias("written"), "never")
    return PriceFile(kept, symbols, rows, cut, unfinished, adjusted, interval, rejects, told)


def _number(market: int) -> pl.Expr:
    return pl.lit(market, dtype=pl.UInt8).alias("market")


def _stamps(source: Source, raw: pl.DataFrame, market: int, session: Session, said: str | None, reckoning: Reckoning) -> Stamps:
    """The stamps of the rows of a market. Moments without a time zone are where the format says, else the caller, else on the
    exchange's clock; in UTC for a market that never closes. The exchange's is the safe mistake: in America its clock is behind
    UTC, so data would be late, not early.
    """
    zone = ZoneInfo(said) if said is not None else reckoning.zone or session.timezone
    rows = raw.filter(pl.col("market") == market) if "market" in raw.columns else raw
    own = reckoning.session if session is NEVER_CLOSES else session
    return read_stamps(source, rows.get_column("date"), zone, own.timezone)


def _names(raw: pl.DataFrame, reckoning: Reckoning, says: bool | None) -> tuple[pl.DataFrame, list[Session]]:  # noqa: FBT001
    """Each symbol as written once: its canonical spelling, whether it is one, whether its market never closes, and the number of
    its market; and the markets' sessions.
    """
    written = raw.get_column("symbol").unique(maintain_order=True)
    canonical = [None if each is None else canonical_symbol(each.strip()) for each in written]
    if reckoning.calendar == "auto":
        never = [bool(each) and (never_closes(each or "") if says is None else says) for each in canonical]
    else:
        never = [reckoning.calendar == "always"] * len(canonical)
    own = [NEVER_CLOSES if always else reckoning.session.of(each or "") for each, always in zip(canonical, never, strict=True)]
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


def _spacing(raw: pl.DataFrame, stamps: pl.DataFrame, on: list[str], *, dates: bool) -> Spacing:
    symbols = raw.lazy().select(pl.col("symbol").unique().sort().head(SAMPLED_SYMBOLS))
    sample = raw.lazy().select("symbol", *on).join(symbols, on="symbol", how="semi", nulls_equal=True)
    return spacing(sample.join(stamps.lazy(), on=on, how="inner").select("symbol", "stamp_ms").collect(), dates=dates)


def _interval(source: Source, said: str | None, found: Spacing, wanted: str | None, *, dates: bool) -> tuple[str, str]:
    """A file's interval, and what tells it: the file itself, its spacing, or nothing (then the one wanted, or a day).

    Raises:
        InputRefused: the file says one thing and its spacing another, the spacing is none of the known ones, or its symbols
        differ.
    """
    if found.distances == 0 or found.seconds is None:
        return said or wanted or "1d", "file" if said else "--interval" if wanted else "assumed"
    apart = f"most of its bars are {_length(found.seconds)} apart"
    if said is not None:
        # Where little is traded the most frequent distance may be longer than a bar, but the shortest is one.
        if found.interval != said and (dates or found.least != INTERVALS[said]):
            raise source.refuse(f"it says its interval is {said}, but {apart}")
        return said, "file"
    if found.interval is None or (found.share < ON_GRID and found.interval != "1M"):
        if wanted is not None and (dates or found.least % INTERVALS[wanted] == 0):
            return wanted, "--interval"
        if found.interval is None:
            raise source.refuse(f"{apart}, which is no known interval; --interval says it: {', '.join(INTERVALS)}")
        raise source.refuse(f"{apart}, but only {found.share:.0%} of the distances are whole multiples of that: no regular bars")
    long = 2 * DAY_S if dates else DAY_S
    if INTERVALS[found.interval] < long <= found.longest_least:
        raise source.refuse(
            f"{apart}, but those of other symbols are {_length(found.longest_least)} apart; allowed: one interval a file"
        )
    return found.interval, "spacing"


def _length(seconds: float) -> str:
    for name, unit in (("days", DAY_S), ("hours", 3600), ("minutes", 60)):
        if seconds % unit == 0:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} seconds"


def _ends(stamps: pl.DataFrame, interval: str, kind: Stamp | None, session: Session) -> pl.DataFrame:
    """Each stamp's (``date``) end of bar, ``as_of_ms``, in milliseconds, on an exchange or where it never closes.

    A date is its session's close; of a bar of several days that it opens, the close of the last of them. A moment opens its bar
    unless its format or the caller says that it closes it, or it is the very close of its session.
    """
    seconds = INTERVALS[interval]
    opened_ms = 0 if kind == "close" else seconds * 1000
    moments = stamps.with_columns((pl.col("stamp_ms") + opened_ms).alias("moment_ms"))
    if seconds < DAY_S:
        return moments.select("date", pl.col("moment_ms").alias("as_of_ms"))
    last = pl.col("day")
    if kind != "close":
        last = last.dt.month_end() if interval == "1M" else last.dt.offset_by(f"{seconds // DAY_S - 1}d")
    if session is NEVER_CLOSES:
        days = moments.select(pl.col("utc_day").alias("day")).unique().drop_nulls()
    else:
        local = pl.from_epoch("stamp_ms", "ms").dt.replace_time_zone("UTC").dt.convert_time_zone(session.timezone.key).dt.date()
        moments = moments.with_columns(pl.coalesce("day", local).alias("session_day"))
        days = moments.select(pl.col("session_day").alias("day")).unique().drop_nulls()
    closes = days.with_columns(last.alias("last"))
    closes = closes.select(
        "day",
        pl.Series("own_close", [session.close_ms(each) for each in closes.get_column("day")], dtype=pl.Int64),
        pl.Series("usual_close", [session.usual_close_ms(each) for each in closes.get_column("day")], dtype=pl.Int64),
        pl.Series("last_close", [session.close_ms(each) for each in closes.get_column("last")], dtype=pl.Int64),
    )
    if session is NEVER_CLOSES:
        moments = moments.join(closes, left_on="utc_day", right_on="day", how="left", maintain_order="left")
        return moments.select("date", pl.coalesce("last_close", "moment_ms").alias("as_of_ms"))
    moments = moments.join(closes, left_on="session_day", right_on="day", how="left", maintain_order="left")
    at_close = (pl.col("stamp_ms") == pl.col("own_close")) | (pl.col("stamp_ms") == pl.col("usual_close"))
    end = pl.when(pl.col("day").is_not_null()).then("last_close").when(at_close).then("stamp_ms").otherwise("moment_ms")
    return moments.select("date", end.alias("as_of_ms"))


def _judge(
    source: Source, reading: Reading, frame: pl.DataFrame, interval: str, reckoning: Reckoning, rejects: Rejects
) -> tuple[pl.DataFrame, int, int, int]:
    """The rows that pass, how many there were up to the cut, how many after it, and how many bars are not over yet."""
    total = frame.height
    if reckoning.as_of_ms is not None:
        frame = frame.filter(pl.col("as_of_ms").le(reckoning.as_of_ms).fill_null(value=True))
    rows = frame.height
    now_ms, length_ms = reckoning.now_ms, INTERVALS[interval] * 1000
    begun = (pl.col("as_of_ms") > now_ms) & (pl.col("as_of_ms") - length_ms <= now_ms)
    frame = frame.filter(begun.not_().fill_null(value=True))
    unfinished = rows - frame.height
    bad = pl.any_horizontal(rule.fill_null(value=False) for *_, rule in row_rules(now_ms))
    suspects = frame.filter(bad)
    if not suspects.is_empty():
        frame = frame.filter(~bad)
        texts = reading.texts(suspects.get_column("row"))
        # A blank line is no row.
        blank = texts.filter(pl.all_horizontal(pl.exclude("row").is_null())).get_column("row")
        rows, total = rows - blank.len(), total - blank.len()
        told = suspects.filter(~pl.col("row").is_in(blank.implode())).join(
            texts, on=[name for name in ("row", "group") if name in texts.columns], how="left", maintain_order="left"
        )
        missing = [name for name in ("adj_close", "symbol") if f"text_{name}" not in told.columns]
        told = told.with_columns(
            (pl.col("symbol") if name == "symbol" else pl.lit(None, dtype=pl.String)).alias(f"text_{name}") for name in missing
        )
        set_aside(told, row_rules(now_ms, text=True), source.label, rejects)
    return frame, rows, total - rows, unfinished
