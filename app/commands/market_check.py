"""``decide market check``: whether the market store's bars are what its trades make, and what it lacks.

Bars of minutes are computed anew from the trades and compared, then the quarters, hours and days that are kept of minutes. Gaps
that nobody filled are listed, symbols that have too few bars for the indicators of a decision, and those whose price record in
L2 cannot be carried on with the store's bars, and why; none of that is a fault. Servers and jobs go on meanwhile. Of bars whose
trades were removed (`decide market retain`) nothing can be said.
Exit codes: 0 all is right, 1 something is wrong: put back a backup (`decide market restore`) and load again what came since,
2 a setting or an argument is wrong, 3 there is no store, or it failed.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from app.arguments import new_parser, parse
from app.domain.intervals import INTERVALS
from app.domain.records import HISTORY
from app.domain.symbols import canonical_symbol
from app.errors import MarketError, RecordError, StoreError
from app.market.checking import Checked, check_symbol
from app.market.history import history_of
from app.market.opening import open_contents, open_reader
from app.market.protocol import CandlesWanted
from app.market.sqlite_contents import damage_of
from app.options import MarketPlace, Settings, market_place, names_in, store_place
from app.setting_options import STORE_SETTINGS, add_market_settings, add_settings, settings_given, tells_settings
from app.store.codec import decode
from app.store.opening import open_store
from app.store.patience import patiently

HISTORY_BARS = 60
"""So many bars the longest window of an indicator has."""
_READ_S = 60.0
_SHOWN = 20


def make_parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = new_parser("decide market check", "[SYMBOL ...] [--OPTION VALUE ...]", description=__doc__)
    made.add_argument("symbols", metavar="SYMBOL", nargs="*", help="these alone (default: all)")
    made.add_argument(
        "--interval", choices=tuple(INTERVALS), default="1d", help="of the bars whose history is looked at (default 1d)"
    )
    made.add_argument("--json", action="store_true", help="one JSON object, in place of lines for people")
    add_market_settings(made)
    add_settings(made, STORE_SETTINGS, "where L2 is (else as the environment and .env say)")
    return made


@tells_settings
def main(given: Sequence[str]) -> int:
    """Entry point."""
    arguments = parse(make_parser(), given)
    settings = settings_given(arguments)
    place = market_place(settings)
    try:
        wanted = [canonical_symbol(each) for each in arguments.symbols]
        checked = _checked(place, wanted)
        symbols = [each.symbol for each in checked]
        short = asyncio.run(_short(place, symbols, arguments.interval))
        has_l2 = bool(settings.redis_url) or Path(settings.store_path).exists()
        stay = asyncio.run(_stay(settings, place, symbols)) if has_l2 else None
    except MarketError as error:
        print(f"the market store failed: {error}", file=sys.stderr)
        return 3
    except LookupError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    report = _report(checked, short, arguments.interval) | {"price_records_stay": stay}
    print(json.dumps(report) if arguments.json else _told(report))
    return 1 if report["wrong"] else 0


def _checked(place: MarketPlace, wanted: Sequence[str]) -> list[Checked]:
    """Each symbol at one moment of its own: one for all would keep what is written meanwhile from being cleared away."""
    if not place["url"] and (damage := damage_of(place["path"])):
        raise MarketError("market_error", f"SQLite at {place['path']} is damaged: {'; '.join(damage)}")
    with open_contents(**place) as contents:
        symbols = contents.symbols()
    if unknown := [each for each in wanted if each not in symbols]:
        raise LookupError(f"not in the market store: {', '.join(unknown)}")
    checked = []
    for each in wanted or symbols:
        with open_contents(**place) as contents:
            checked.append(check_symbol(contents, each))
    return checked


async def _short(place: MarketPlace, symbols: Sequence[str], interval: str) -> dict[str, int]:
    """How many bars the symbols have that have fewer than an indicator needs."""
    reader = open_reader(**place, deadline_s=_READ_S)
    try:
        pages = [
            (symbol, await reader.candles(CandlesWanted(symbol, interval, HISTORY_BARS, descending=True))) for symbol in symbols
        ]
    finally:
        await reader.close()
    return {symbol: len(page.bars) for symbol, page in pages if len(page.bars) < HISTORY_BARS}


async def _stay(settings: Settings, place: MarketPlace, symbols: Sequence[str]) -> list[dict[str, str]] | None:
    """Symbols whose price record cannot be carried on, and why; None where L2 does not say."""
    sources = names_in(settings.market_sources)
    store, reader = open_store(**store_place(settings)), open_reader(**place, deadline_s=_READ_S, sources=sources)
    found, until_us = [], time.time_ns() // 1000
    try:
        for symbol in symbols:
            raw = await patiently(partial(store.record, HISTORY.name, symbol))
            if raw is not None:
                try:
                    why = (await history_of(reader, decode(HISTORY, raw, symbol), until_us)).lacks
                except RecordError as error:
                    why = f"its records cannot be read ({error.reason})"
                if why is not None:
                    found.append({"symbol": symbol, "why": why})
    except (StoreError, OSError) as error:
        print(f"L2 says nothing of price records: {error}", file=sys.stderr)
        return None
    finally:
        await reader.close()
        await store.close()
    return found


def _report(checked: Sequence[Checked], short: dict[str, int], interval: str) -> dict[str, Any]:
    faults = [{"symbol": each.symbol, **fault._asdict()} for each in checked for fault in each.faults]
    counts: dict[str, int] = {}
    for each in checked:
        for kind, count in each.counts.items():
            counts[kind] = counts.get(kind, 0) + count
    return {
        "symbols": len(checked),
        "trades": sum(each.trades for each in checked),
        "minutes": sum(each.minutes for each in checked),
        "wrong": sum(counts.values()),
        "faults_by_kind": counts,
        "faults": faults,
        "gaps": [gap._asdict() for each in checked for gap in each.gaps],
        "short_of_history": {"interval": interval, "needed": HISTORY_BARS, "bars": short},
    }


def _told(report: dict[str, Any]) -> str:
    lines = [f"checked {report['trades']:,} trades in {report['minutes']:,} minutes of {report['symbols']:,} symbols"]
    for each in report["faults"][:_SHOWN]:
        lines.append(
            f"wrong: {each['symbol']} {each['interval']} of {each['source']} at {_moment(each['start_us'])}: {each['what']}"
        )
    if report["wrong"]:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in report["faults_by_kind"].items())
        lines.append(f"{report['wrong']:,} bars are not right ({kinds}): `decide market restore` puts back a backup")
    for gap in report["gaps"][:_SHOWN]:
        missing = "" if gap["missing"] is None else f", {gap['missing']:,} trades"
        lines.append(f"gap: {gap['symbol']} at {gap['venue']} from {_moment(gap['from_us'])} to {_moment(gap['to_us'])}{missing}")
    if len(report["gaps"]) > _SHOWN:
        lines.append(f"and {len(report['gaps']) - _SHOWN:,} more gaps: --json has them")
    history = report["short_of_history"]
    if history["bars"]:
        some = ", ".join(f"{symbol} {count}" for symbol, count in list(history["bars"].items())[:_SHOWN])
        more = ", …" if len(history["bars"]) > _SHOWN else ""
        lines.append(f"fewer than {history['needed']} bars of {history['interval']}, which indicators need: {some}{more}")
    for each in (report["price_records_stay"] or [])[:_SHOWN]:
        lines.append(f"its price record stays as it is: {each['symbol']}: {each['why']}")
    if report["price_records_stay"]:
        lines.append(f"{len(report['price_records_stay']):,} price records stay: `decide warm --bars` gives the store their bars")
    if not report["wrong"]:
        lines.append("all bars are what their trades make")
    return "\n".join(lines)


def _moment(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
