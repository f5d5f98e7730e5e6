"""What a bar's stamp stands for, where its format says nothing: the moment or day on which it begins, or on which it ends."""

import polars as pl

from app.domain.symbols import COINS
from warm.bars.reading import Stamp
from warm.intervals import DAY_S, INTERVALS
from warm.sessions import Session

_MINUTE_MS = 60_000
_FRIDAY, _SATURDAY, _SUNDAY = 5, 6, 7
_WEEKEND_SHARE = 0.2
_BARE_COINS = COINS | frozenset({
    "XRP", "ADA", "DOGE", "LTC", "BCH", "DOT", "LINK", "AVAX", "MATIC", "POL", "SHIB", "TRX", "UNI", "XLM", "ATOM", "XMR", "ETC",
    "FIL", "APT", "ARB", "OP", "NEAR", "PEPE", "SUI", "TON", "AAVE", "ALGO", "XTZ", "EOS",
})  # fmt: skip


def on_sessions(stamps: pl.DataFrame, session: Session) -> pl.DataFrame:
    """``stamps`` (`Stamps.table`) with ``day`` for each, if all are of one time of day on the exchange, up to its close: days
    that are stamped by when their sessions open, as TradingView and Yahoo have it.
    """
    local = pl.from_epoch("stamp_ms", "ms").dt.replace_time_zone("UTC").dt.convert_time_zone(session.timezone.key)
    moments = stamps.filter(pl.col("stamp_ms").is_not_null()).select(local.dt.date().alias("day"), local.dt.time().alias("time"))
    times = moments.get_column("time").unique()
    if times.len() != 1 or moments.get_column("day").n_unique() < 2:  # noqa: PLR2004
        return stamps
    minutes = moments.select((pl.col("time").dt.hour().cast(pl.Int64) * 60 + pl.col("time").dt.minute()).first()).item()
    return stamps.with_columns(local.dt.date().alias("day")) if minutes <= session.close_minutes else stamps


def closing(stamps: pl.DataFrame, interval: str, *, dates: bool, always: bool) -> tuple[Stamp | None, str | None]:
    """What stamps themselves say of being beginnings or ends, and what is to be said where they leave it open.

    The last second or millisecond of a minute ends a bar, and so does the Friday that labels a week of sessions.
    """
    moments = stamps.get_column("stamp_ms").drop_nulls()
    if not dates:
        ends = moments.len() > 0 and any(bool(((moments + before) % _MINUTE_MS == 0).all()) for before in (1, 1000))
        return ("close" if ends else None), None
    if interval != "1w":
        return None, None
    weekday = stamps.get_column("day").drop_nulls().dt.weekday().mode().max()
    if weekday == _SUNDAY:
        return None, "weeks are labelled by Sundays, taken for their first days: --stamps close if they are their last"
    return ("close" if weekday in (_FRIDAY, _SATURDAY) and not always else None), None


def never_rest(stamps: pl.DataFrame) -> bool:
    """Whether there are bars on Saturdays and on Sundays, as no exchange of shares has them."""
    weekdays = pl.from_epoch(stamps.get_column("stamp_ms").drop_nulls(), "ms").dt.weekday()
    weekend = weekdays.filter(weekdays >= _SATURDAY)
    return weekend.n_unique() == 2 and weekend.len() >= _WEEKEND_SHARE * weekdays.len()  # noqa: PLR2004


def is_coin(symbol: str | None) -> bool:
    """Whether a symbol that is no pair is a coin's name, if its market never rests; BTC is also a fund's."""
    return symbol in _BARE_COINS


def may_be_days(interval: str | None) -> bool:
    """Whether bars of which a file says ``interval``, or nothing, may be sessions."""
    return interval is None or INTERVALS[interval] >= DAY_S
