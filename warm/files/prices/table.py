"""Long tables: one row a bar, in CSV, Parquet, Feather (Arrow) or JSON lines, under any of the usual column names."""

from zoneinfo import ZoneInfo

import polars as pl

from app.domain.symbols import canonical_symbol
from warm.calendar.intervals import interval_named
from warm.files.names import Named, name_of, saying
from warm.files.prices.aliases import (
    ALIASES,
    CHINESE,
    CLOCKS,
    CURRENCIES,
    METATRADER,
    OPTIONAL,
    PERIODS,
    REQUIRED,
    UTC_NAMES,
    WEAK,
)
from warm.files.prices.reading import BAR, Reading, Says, from_table
from warm.files.prices.rules import PRICES
from warm.files.read import Source
from warm.files.stamps import read_stamps
from warm.files.tables import Table, choose_columns, open_table, plain_name

_UTC = ZoneInfo("UTC")
_DAY_MS = 86_400_000


def meanings(header: list[str], *, weak: bool = False) -> set[str]:
    """What the columns of ``header`` mean, of those that a price table has; ``weak`` names count if that is said."""
    plain = [plain_name(each) for each in header]
    found = {ALIASES.get(each, each) for each in plain} & {*REQUIRED, *OPTIONAL}
    return found | {WEAK[each] for each in plain if each in WEAK} if weak else found


def resembles(header: list[str]) -> bool:
    """Whether ``header`` is a price table's, or would be but for a slip: most of the four prices are there."""
    return len(meanings(header, weak=True) & {*PRICES}) >= len(PRICES) - 1


def hints(header: list[str]) -> bool:
    """Whether ``header`` speaks of a price and of a symbol or a date: too little to be a price table, too much to be none."""
    return bool(meanings(header) & {*PRICES} and meanings(header) & {"symbol", "date"})


def read(source: Source) -> Reading:
    """The file's rows. Without a column for the symbol the file's name tells it.

    Raises:
        InputRefused: the table cannot be read, a column is missing, two say different things, or nothing tells the symbol.
    """
    table = open_table(source)
    named = _named(source)
    says = Says(interval=named.interval, hint=named.hint)
    dates, header = _dates(table)
    metatrader = bool({plain_name(each) for each in header} & METATRADER)
    if metatrader:
        # Its real volume is zero where no exchange counts any.
        header = [each for each in header if plain_name(each) != "vol"]
    weak = WEAK if named.symbol is None else {name: own for name, own in WEAK.items() if own != "symbol"}
    told = "symbol" in meanings(header, weak=weak is WEAK)
    if not told:
        if named.symbol is None:
            raise source.refuse(
                "column 'symbol' is missing, and the file's name tells none (as AAPL.csv or BTC-USD-1h.csv would);"
                f" {saying(source)}"
            )
        says = says._replace(symbol=named.symbol, named_by="file name")
    required = [name for name in (*(("symbol",) if told else ()), *BAR) if name not in ("volume", "date")]
    chosen = choose_columns(source, header, ALIASES, required, ("volume", *OPTIONAL), weak)
    if not dates:
        raise source.refuse(f"column 'date' is missing; required: {', '.join(required)}, date; optional: volume, adj_close")
    period = next((each for each in header if plain_name(each) in PERIODS), None)
    currency = next((each for each in header if plain_name(each) in CURRENCIES), None)
    beside = {theirs: f"date_{at}" for at, theirs in enumerate(dates[1:], 1)}
    beside |= {theirs: own for theirs, own in ((period, "period"), (currency, "currency")) if theirs is not None}
    columns = {dates[0]: "date", **chosen}
    if metatrader:
        says = says._replace(unknown_clock="a MetaTrader broker's")
    reading = from_table(table, columns, says, "line" if source.kind == "csv" else "row", beside)
    frame = reading.frame
    if len(dates) > 1:
        frame, columns = _one_date(source, frame, columns, dates)
    if plain_name(next(theirs for theirs, own in columns.items() if own == "date")) in UTC_NAMES:
        says = says._replace(zone="UTC", unknown_clock=None)
    if any(own == "symbol" and theirs.strip() in CHINESE for theirs, own in columns.items()):
        # Their zeros are lost where they were taken for numbers.
        code = pl.col("symbol").cast(pl.String).str.strip_chars()
        frame = frame.with_columns(
            pl.when(code.str.contains(r"^\d{1,6}$")).then(code.str.zfill(6)).otherwise(code).alias("symbol")
        )
    if period is not None:
        says, frame = _said(source, says, frame), frame.drop("period")
    return reading._replace(frame=frame, says=says, columns=columns)


def _named(source: Source) -> Named:
    """What the file's name says; or a folder's, as Hive, Spark and Polars write partitions."""
    named = name_of(source)
    for folder in source.label.split("/")[:-1]:
        key, equals, value = folder.partition("=")
        if equals and source.symbol is None and ALIASES.get(key.lower(), key.lower()) == "symbol":
            named = named._replace(symbol=canonical_symbol(value))
    return named


def _dates(table: Table) -> tuple[list[str], list[str]]:
    """The columns of stamps, and the header without them."""
    header = table.header
    dates = [each for each in header if ALIASES.get(plain_name(each), plain_name(each)) == "date"]
    if not dates:
        by_name = {plain_name(each): each for each in reversed(header)}
        dates = [by_name[name] for name, own in WEAK.items() if own == "date" and name in by_name][:1]
    if not dates and header and plain_name(header[0]) in ("", "index", "unnamed: 0", "__index_level_0__"):
        # What pandas writes of a frame whose index has no name.
        dates = header[:1]
    return dates, [each for each in header if each not in dates]


def _one_date(
    source: Source, frame: pl.DataFrame, columns: dict[str, str], dates: list[str]
) -> tuple[pl.DataFrame, dict[str, str]]:
    """The frame with one column of stamps of several: dates and times of day are joined; of others that agree the finest counts,
    numbers before text.

    Raises:
        InputRefused: they do not agree.
    """
    names = ["date", *(f"date_{at}" for at in range(1, len(dates)))]
    others = list(zip(names, dates, strict=True))
    clock = next((each for each in others if plain_name(each[1]) in CLOCKS and _is_clock(frame.get_column(each[0]))), None)
    if clock is not None:
        others.remove(clock)
        frame = frame.with_columns(_joined(others[0][0], clock[0]).alias(others[0][0]))
    best, theirs = max(
        others,
        key=lambda each: (frame.get_column(each[0]).n_unique(), _is_number(frame.get_column(each[0])), -others.index(each)),
    )
    for name, also in others:
        if name != best and not _agree(source, frame, best, name):
            raise source.refuse(f"columns {theirs[:40]!r} and {also[:40]!r} both mean 'date' and disagree; allowed: one of them")
    columns = {name: own for name, own in columns.items() if own != "date"} | {theirs: "date"}
    return frame.with_columns(pl.col(best).alias("date")).drop(names[1:]), columns


def _is_clock(values: pl.Series) -> bool:
    """Whether a column holds times of day."""
    texts = values.cast(pl.String).str.strip_chars().drop_nulls()
    return bool(texts.str.contains(r"^\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?$|^\d{1,6}$").all())


def _is_number(values: pl.Series) -> bool:
    return values.dtype.is_numeric() or bool(values.cast(pl.String).str.contains(r"^\s*\d{9,19}\s*$").all())


def _agree(source: Source, frame: pl.DataFrame, one: str, other: str) -> bool:
    """Whether two columns of stamps say the same, but for time zones and for a date that stands for a moment of its day."""
    moments = [
        frame.select(pl.col(name).alias("date")).join(
            read_stamps(source, frame.get_column(name), _UTC, _UTC).table, on="date", how="left", maintain_order="left"
        )
        for name in (one, other)
    ]
    apart = moments[0].get_column("stamp_ms") - moments[1].get_column("stamp_ms")
    return bool((apart.abs() < _DAY_MS).all()) and apart.null_count() < apart.len()


def _said(source: Source, says: Says, frame: pl.DataFrame) -> Says:
    """What the file says, with the interval of its column of intervals, if that is one that is known.

    Raises:
        InputRefused: rows of several intervals.
    """
    periods = frame.get_column("period").cast(pl.String).unique().drop_nulls().sort().to_list()
    if len(periods) > 1:
        raise source.refuse(f"bars of several intervals in one file ({', '.join(periods[:4])}); allowed: one")
    told = interval_named(periods[0].lower() if periods[0] != "1M" else "1M") if periods else None
    return says if told is None else says._replace(interval=told)


_HHMM = 4


def _joined(date: str, clock: str) -> pl.Expr:
    """A column of dates and one of times of day (HHMMSS, HHMM, or with colons) as moments; as dates where every time is zero."""
    times = pl.col(clock).cast(pl.String).str.strip_chars()
    digits = times.str.extract(r"^([\d:]+)", 1).str.replace_all(":", "")
    # Hours and minutes, or seconds too: told by the longest, for zeros in front may be lost.
    short = digits.str.len_bytes().max() <= _HHMM
    digits = pl.when(short).then(digits.str.zfill(_HHMM) + "00").otherwise(digits.str.zfill(_HHMM + 2))
    half = times.str.extract(r"([AaPp][Mm])$", 1).fill_null("")
    time = pl.concat_str(digits.str.slice(0, 2), digits.str.slice(2, 2), digits.str.slice(4, 2), separator=":")
    written = pl.col(date).cast(pl.String).str.strip_chars()
    moment = pl.concat_str(written, pl.lit(" "), time, half)
    return pl.when((digits == "000000").all()).then(written).otherwise(moment)
