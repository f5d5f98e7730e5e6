"""Price files to one clean frame of bars.

Each file is recognised, read with typed columns and judged by one expression (`reader`). Only the rows that fail it are read
again, as text, so that the report can say what stood where. They are set aside and counted; what remains is sorted by symbol and
time, without duplicates, of one interval a symbol, and adjusted for splits and dividends.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from app.domain.intervals import DAY_S, INTERVALS
from warm.calendar.due import due_ms
from warm.calendar.intervals import Market
from warm.calendar.sessions import Session
from warm.errors import InputRefused
from warm.files.prices.flags import flag
from warm.files.prices.given import GivenBars
from warm.files.prices.reader import BAR_COLUMNS, Alike, PriceFile, Reckoning, read_file
from warm.files.prices.rules import PRICES as PRICE_NAMES
from warm.files.read import Source
from warm.files.recognise import PRICES, Choice, Format
from warm.files.rejects import EXAMPLES_MAX, Example, Rejects
from warm.files.reports import Fate, Fates


class Bars(NamedTuple):
    """Clean bars and how they came to be.

    ``frame`` has `BAR_COLUMNS`: prices adjusted, each symbol's rows together and strictly ascending in time. ``markets`` has each
    symbol's. ``rows`` counts rows read up to the cut, ``cut`` those after it; ``unsorted`` those that stood before an older row
    of their symbol; ``unfinished`` bars that were not over yet; ``left_out`` bars of an interval that another of the symbol's won
    over. ``given``: each file's bars with their digits, of all intervals, if they are wanted.
    """

    frame: pl.DataFrame
    markets: dict[str, Market]
    rows: int
    cut: int
    unsorted: int
    unfinished: int
    left_out: int
    fates: tuple[Fate, ...]
    rejects: Rejects
    given: tuple[GivenBars, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """The files that bars are from."""
        return tuple(each.file for each in self.fates if each.fate == "loaded")


def read_prices(path: Path, reckoning: Reckoning, choices: Sequence[Choice] = ()) -> Bars:
    """Read, validate, sort and adjust every price file at ``path``; bars after ``reckoning.as_of_ms`` are cut off first.

    Raises:
        FilesRefused: a file that cannot be used at all, or none that holds prices.
        InputRefused: no usable bar in any of them.
    """
    fates = Fates(path, "prices", PRICES, choices)
    parts: list[PriceFile] = []
    alike = Alike()

    def read(source: Source, form: Format, fate: Fate) -> None:
        part = read_file(source, form, len(parts), reckoning, alike)
        parts.append(part)
        fate.told |= part.told | {"unfinished": part.unfinished}
        fate.rows, fate.rejects = part.rows, part.rejects

    fates.read(read)
    loaded = fates.loaded
    for choice in reckoning.symbols:
        if not any(choice.fits(each.file, str(path / each.file) if path.is_dir() else str(path)) for each in loaded):
            raise fates.refused(InputRefused(f"--symbol {choice.pattern}={choice.symbol} fits no file of prices"))
    adjusted = any(part.adjusted for part in parts)
    rows, cut = sum(part.rows for part in parts), sum(part.cut for part in parts)
    unfinished = sum(part.unfinished for part in parts)
    markets, keep = _markets(parts, reckoning)
    try:
        _check_adjustment(parts, loaded)
    except InputRefused as refused:
        raise fates.refused(refused) from refused
    given = tuple(part.given for part in parts if part.given is not None)
    frame = pl.concat([part.frame for part in parts], how="vertical", rechunk=False)
    parts.clear()
    frame, left_out = _of_one_interval(frame, keep)
    frame, unsorted = _in_order(frame, loaded)
    rejects = Rejects()
    counts = dict(frame.group_by("file").len().iter_rows())
    for number, fate in enumerate(loaded):
        fate.used = counts.get(number, 0)
        fate.told["left_out"] = left_out.get(number, 0)
        rejects.merge(fate.rejects)
    if frame.is_empty():
        raise fates.refused(_why_empty(path, rejects, cut, unfinished, left_out, reckoning.interval))
    if adjusted:
        frame = _adjust(frame)
    flag(frame, loaded, markets, reckoning.session)
    return Bars(
        frame.select(BAR_COLUMNS),
        markets,
        rows,
        cut,
        unsorted,
        unfinished,
        sum(left_out.values()),
        tuple(fates.all),
        rejects,
        given,
    )


def _why_empty(
    path: Path, rejects: Rejects, cut: int, unfinished: int, left_out: dict[int, int], interval: str | None
) -> InputRefused:
    why = [f"rejected: {rejects.summary()}"] if rejects.total else []
    why += [f"{cut} rows are after --as-of"] if cut else []
    why += [f"{unfinished} bars are not over yet"] if unfinished else []
    why += [f"{sum(left_out.values())} bars are not of --interval {interval}"] if left_out else []
    return InputRefused(f"{path}: no usable bar ({', '.join(why) or 'no rows'})")


def _markets(parts: list[PriceFile], reckoning: Reckoning) -> tuple[dict[str, Market], list[set[str] | None]]:
    """Each symbol's market; and of each file the symbols whose bars count, None for all of them.

    A symbol has bars of one interval: the one ``wanted``, else the longest that any file has of it and that is not out of date:
    bars of another interval go on after it has ended. An interval that is only assumed, because a file has one bar of each
    symbol, yields to any that is known.
    """
    wanted, session = reckoning.interval, reckoning.session
    several = len({part.interval for part in parts} | ({wanted} - {None})) > 1
    never: dict[str, bool] = {}
    ends: dict[str, dict[str, tuple[bool, int]]] = {}
    for part in parts:
        known = part.told["interval_by"] != "assumed"
        newest = dict(part.frame.group_by("symbol").agg(pl.col("as_of_ms").max()).iter_rows()) if several else {}
        held = part.frame.get_column("symbol").unique()
        for symbol, closes_never in (
            part.symbols.filter(pl.col("symbol").is_in(held.implode())).select("symbol", "never").iter_rows()
        ):
            never[symbol] = never.get(symbol, False) or closes_never
            found = ends.setdefault(symbol, {})
            found[part.interval] = max(found.get(part.interval, (known, 0)), (known, newest.get(symbol, 0)))
    intervals = {
        symbol: wanted or _current(symbol, found, session.of(reckoning.aliases(symbol)), never_closes=never[symbol])
        for symbol, found in sorted(ends.items())
    }
    keep: list[set[str] | None] = [None for _ in parts]
    if several:
        keep = [{symbol for symbol, interval in intervals.items() if interval == part.interval} for part in parts]
    return {symbol: _market(symbol, interval, never[symbol], reckoning) for symbol, interval in intervals.items()}, keep


def _market(symbol: str, interval: str, never_closes: bool, reckoning: Reckoning) -> Market:  # noqa: FBT001 - as `Market` has it
    if never_closes or INTERVALS[interval] >= DAY_S:
        return Market(interval, never_closes)
    return Market(interval, never_closes, reckoning.session.of(reckoning.aliases(symbol)).days.session_s)


def _current(symbol: str, held: dict[str, tuple[bool, int]], session: Session, *, never_closes: bool) -> str:
    """Of a symbol's intervals (whether each is known, and its newest bar's end) the longest that is not out of date: no more than
    one bar after its newest has ended by the newest of all. Nights, weekends and holidays of its exchange have none.
    """
    if len(held) == 1:
        return next(iter(held))
    newest = max(end for _, end in held.values())

    def rank(interval: str) -> tuple[bool, bool, int]:
        known, end = held[interval]
        _, second, *_ = due_ms(symbol, end, Market(interval, never_closes), session)
        return known, second > newest, INTERVALS[interval]

    return max(held, key=rank)


def _check_adjustment(parts: list[PriceFile], loaded: list[Fate]) -> None:
    """See that no symbol is adjusted in one file and not in another: joined, they would have a jump where the files meet.

    Raises:
        InputRefused: one is.
    """
    if len({part.adjusted for part in parts}) < 2:  # noqa: PLR2004
        return
    seen: dict[str, tuple[bool, str]] = {}
    for part, fate in zip(parts, loaded, strict=True):
        for symbol in part.frame.get_column("symbol").unique():
            adjusted, file = seen.setdefault(symbol, (part.adjusted, fate.file))
            if adjusted != part.adjusted:
                raise InputRefused(
                    f"{symbol} has adjusted closes in one of {file} and {fate.file} and none in the other; allowed: one kind"
                )


def _of_one_interval(frame: pl.DataFrame, keep: list[set[str] | None]) -> tuple[pl.DataFrame, dict[int, int]]:
    """The rows of the symbols to keep of each file, and how many others there were by file."""
    if all(each is None for each in keep):
        return frame, {}
    wanted = pl.DataFrame(
        [(number, symbol) for number, symbols in enumerate(keep) for symbol in sorted(symbols or ())],
        schema={"file": pl.UInt32, "symbol": pl.String},
        orient="row",
    )
    others = frame.join(wanted, on=["file", "symbol"], how="anti").group_by("file").len()
    return frame.join(wanted, on=["file", "symbol"], how="semi", maintain_order="left"), dict(others.iter_rows())


def _in_order(frame: pl.DataFrame, fates: list[Fate]) -> tuple[pl.DataFrame, int]:
    """Each symbol's rows together, ascending and unique in time; of two rows of one moment the first read is kept.

    The order of rows in a file carries no information, so rows out of order are sorted, counted and not rejected.
    """
    follows = (pl.col("symbol") == pl.col("symbol").shift(1)).fill_null(value=False)
    later = pl.col("as_of_ms") > pl.col("as_of_ms").shift(1)
    runs, ascending, symbols = frame.select(
        follows.not_().sum().alias("runs"),
        (later | ~follows).all().alias("ascending"),
        pl.col("symbol").n_unique().alias("symbols"),
    ).row(0)
    if ascending and runs == symbols:
        return frame, 0
    unsorted = frame.select((pl.col("as_of_ms").diff().over("symbol") < 0).sum()).item()
    frame = frame.sort("symbol", "as_of_ms", "file", "row")
    again = (pl.col("symbol") == pl.col("symbol").shift(1)) & (pl.col("as_of_ms") == pl.col("as_of_ms").shift(1))
    if frame.select(again.any()).item():
        frame = _without_copies(frame, again, fates)
    repeated = frame.filter(again)
    if not repeated.is_empty():
        for (number,), group in repeated.sort("file", "row").group_by("file", maintain_order=True):
            fate = fates[int(str(number))]
            shown = group.head(EXAMPLES_MAX).select("row", "symbol", "as_of_ms").rows()
            examples = [Example(fate.file, row, symbol, "date", str(moment)) for row, symbol, moment in shown]
            fate.rejects.add("duplicate_timestamp", group.height, examples)
        frame = frame.filter(again.not_().fill_null(value=True))
    return frame, unsorted


def _without_copies(frame: pl.DataFrame, again: pl.Expr, fates: list[Fate]) -> pl.DataFrame:
    """The rows without those whose prices another file has too: two exports of the same sessions are no mistake."""
    same = pl.all_horizontal((pl.col(name) / pl.col(name).shift(1) - 1).abs() < _ROUNDING for name in PRICE_NAMES)
    copy = (again & same & (pl.col("file") != pl.col("file").shift(1))).fill_null(value=False)
    for number, count in frame.filter(copy).group_by("file").len().iter_rows():
        fates[number].told["repeated"] = count
    return frame.filter(~copy)


_ROUNDING = 1e-3
"""Relative difference up to which two exports' prices are the same."""


def _adjust(frame: pl.DataFrame) -> pl.DataFrame:
    """Prices adjusted for splits and dividends, on the scale of each symbol's last bar.

    A row's factor is adj_close / close. Sources scale it so that it is 1 on the day they were asked; dividing by the factor of
    the symbol's last bar here makes it 1 at that bar instead. So the last close is the price that was really traded, which a
    live price can be compared with, and no split or dividend after the last bar has any influence.
    """
    factor = pl.col("adj_close") / pl.col("close")
    last = frame.lazy().group_by("symbol").agg(factor.last().alias("last_factor"))
    return (
        frame.lazy()
        .join(last, on="symbol", how="left", maintain_order="left")
        .with_columns((factor / pl.col("last_factor")).alias("factor"))
        .with_columns(pl.col("open", "high", "low", "close") * pl.col("factor"))
        .select(*BAR_COLUMNS, "file")
        .collect()
    )
