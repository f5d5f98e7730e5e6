"""One name for what prices and agents call differently: aliases, and what is told of symbols that only one of them has."""

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from app.domain.aliases import Aliases
from app.domain.nearest import nearest
from warm.errors import InputRefused
from warm.files.prices.frame import Bars

TOLD_MAX = 100
"""Symbols that a report names of each kind; it counts them all."""


def _renamed(aliases: Aliases, symbols: Iterable[str]) -> dict[str, str]:
    """The symbols that are kept under another name, with that."""
    return {symbol: kept for symbol in sorted(symbols) if (kept := aliases(symbol)) != symbol}


def with_aliases(bars: Bars, aliases: Aliases) -> tuple[Bars, dict[str, str]]:
    """``bars`` under the names that are kept, and which those are by the names that files have.

    Raises:
        InputRefused: two series would be one symbol's.
    """
    names = _renamed(aliases, bars.markets)
    taken: dict[str, str] = {symbol: symbol for symbol in bars.markets if symbol not in names}
    for symbol, kept in names.items():
        if kept in taken:
            raise InputRefused(
                f"prices of {taken[kept]} and of {symbol} would both be {kept} (--alias, --stablecoins); allowed: one of the two"
            )
        taken[kept] = symbol
    if not names:
        return bars, names
    markets = {names.get(symbol, symbol): market for symbol, market in bars.markets.items()}
    return bars._replace(frame=_under(bars.frame, names), markets=markets), names


def views_with_aliases(agents: pl.DataFrame, aliases: Aliases) -> tuple[pl.DataFrame, dict[str, str]]:
    """Agents' outputs under the names that are kept, and which those are."""
    names = _renamed(aliases, agents.get_column("symbol").unique())
    return (_under(agents, names) if names else agents), names


def _under(frame: pl.DataFrame, names: dict[str, str]) -> pl.DataFrame:
    return frame.with_columns(pl.col("symbol").replace(names))


def unmatched(priced: Iterable[str], spoken_of: Iterable[str]) -> dict[str, Any]:
    """What is told of symbols that have prices or agents' outputs, and not both: how many, and the first of them with the nearest
    symbols of the other kind.
    """
    prices, agents = set(priced), set(spoken_of)
    return {
        "agents_without_prices": _alone(agents - prices, sorted(prices)),
        "prices_without_agents": _alone(prices - agents, sorted(agents)),
    }


def _alone(symbols: set[str], others: Sequence[str]) -> dict[str, Any]:
    return {"count": len(symbols), "symbols": {each: list(nearest(each, others)) for each in sorted(symbols)[:TOLD_MAX]}}


def unmatched_lines(told: dict[str, Any], most: int) -> list[str]:
    """The same for people, ``most`` symbols of each kind."""
    lines = []
    views, prices = told["agents_without_prices"], told["prices_without_agents"]
    for symbol, near in list(views["symbols"].items())[:most]:
        meant = f"; did you mean {' or '.join(near)}? (--alias {symbol}={near[0]})" if near else ""
        lines.append(f"agents speak of {symbol}, which has no prices{meant}")
    if views["count"] > most:
        lines.append(f"and of {views['count'] - most:,} more symbols without prices")
    if prices["count"]:
        some = ", ".join(list(prices["symbols"])[:most])
        have = "symbol has" if prices["count"] == 1 else "symbols have"
        lines.append(f"{prices['count']:,} {have} prices and no agents' views: {some}{', …' if prices['count'] > most else ''}")
    return lines
