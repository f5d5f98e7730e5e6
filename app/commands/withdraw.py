"""``decide withdraw``: take back what was published, from the store that the settings name, while servers run.

SYMBOLs are taken back whole; of a run every record that it wrote. It is one step: done wholly or not at all. Servers forget the
data as soon as their change feed tells them, and serve none of it as fresh beyond their lease (L1_LEASE_S). What is loaded
afterwards counts, also where it is older than what was taken back.
Exit codes: 0 withdrawn, 1 nothing of it was there, or not every SYMBOL, 2 a setting or an argument is wrong, 3 the store failed.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from app.arguments import new_parser, parse
from app.domain.aliases import NO_ALIASES, Aliases, make_aliases
from app.domain.symbols import canonical_symbol
from app.domain.text import harmless
from app.domain.vector import SYMBOL_RULE, is_symbol
from app.errors import StoreError
from app.options import Settings, store_place
from app.setting_options import STORE_SETTINGS, add_settings, settings_given, tells_settings
from app.store.opening import open_store
from app.store.patience import patiently
from app.store.protocol import Withdrawn

_EPILOGUE = """\
Examples:
  decide withdraw AAPL btcusdt                                  all that there is of two symbols
  decide withdraw --run 01998c1e-9c3c-7f0a-8a3e-5d1f0c0ffee0    what one run wrote: cache.run of an answer, run of /status
  decide withdraw AAPL && decide warm --prices right.csv        and load what is right
"""
_NAMES_SHOWN = 12
_NEXT = "next: load what is right (`decide warm --prices FILES --agents FILES`); it counts, also where it is older"
_READ_S = 5.0


def _symbol(text: str) -> str:
    symbol = canonical_symbol(text)
    if not (text.isascii() and is_symbol(symbol)):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no symbol; allowed: {SYMBOL_RULE}")
    return symbol


def _run_name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("'' is no run; allowed: the name that answers have in cache.run")
    return text


def make_parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = new_parser("decide withdraw", "SYMBOL [SYMBOL ...] | --run RUN", description=__doc__, epilog=_EPILOGUE)
    made.add_argument("symbols", metavar="SYMBOL", nargs="*", help="a symbol, in any spelling that callers may use")
    made.add_argument("--run", type=_run_name, help="a warm run, in place of symbols")
    add_settings(made, STORE_SETTINGS, "where the data is (else as the environment and .env say)")
    return made


def _names(all_of_them: Sequence[str]) -> str:
    more = len(all_of_them) - _NAMES_SHOWN
    return ", ".join(map(harmless, all_of_them[:_NAMES_SHOWN])) + (f" and {more:,} more" if more > 0 else "")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _left(done: Withdrawn) -> str:
    if not done.symbols_left:
        return "there is nothing in the store now"
    left = f"left: {_counted(done.symbols_left, 'symbol')}"
    if not done.newest_run:
        return left
    when = datetime.fromtimestamp(done.newest_as_of_ms / 1000, UTC)
    newest = f"{harmless(done.newest_symbol)} of {when:%Y-%m-%d %H:%M:%S} UTC, run {harmless(done.newest_run)}"
    return f"{left}; newest record: {newest}"


def _taken(done: Withdrawn) -> str:
    *some, last = [_counted(count, f"{name.removesuffix('s')} record") for name, count in done.records.items() if count]
    records = f"{', '.join(some)} and {last}" if some else last
    taken = f"withdrew {records} of {_counted(len(done.symbols), 'symbol')}: {_names(done.symbols)}"
    return f"{taken}\nwritten by {_counted(len(done.runs), 'run')}: {_names(done.runs)}" if done.runs else taken


def tell(done: Withdrawn, run: str, aliases: Aliases = NO_ALIASES) -> int:
    """Say what was done, on standard output, and what was not there, on standard error; the exit code."""
    if done.symbols:
        print(_taken(done), _left(done), _NEXT, sep="\n")
    wrong = ""
    if done.unknown:
        kept = [f"; {harmless(each)} is kept as {aliases(each)}" for each in done.unknown if aliases(each) != each]
        wrong = f"not in the store: {_names(done.unknown)}{''.join(kept[:_NAMES_SHOWN])}"
    elif not done.symbols:
        wrong = f"not in the store: any record of run {harmless(run)[:80]} (cache.run of an answer and run of /status name runs)"
    if wrong:
        print(wrong if done.symbols else f"{wrong}; nothing was removed; {_left(done)}", file=sys.stderr)
    return 1 if wrong else 0


async def _withdraw(settings: Settings, arguments: argparse.Namespace) -> int:
    store = open_store(**store_place(settings), read_timeout_s=_READ_S)
    run: str = arguments.run or ""
    try:
        done = await patiently(partial(store.withdraw, symbols=arguments.symbols, run=run))
    except StoreError as error:
        print(f"the store failed, so either all of it was removed or nothing; try again: {error}", file=sys.stderr)
        return 3
    finally:
        await store.close()
    return tell(done, run, make_aliases(settings.symbol_aliases, settings.stablecoins))


@tells_settings
def main(given: Sequence[str]) -> int:
    """Entry point."""
    parser = make_parser()
    arguments = parse(parser, given)
    try:
        # Not before it is known that none of them is an unknown option's value, which would be repeated.
        arguments.symbols = [_symbol(each) for each in arguments.symbols]
    except argparse.ArgumentTypeError as error:
        parser.error(f"argument SYMBOL: {error}")
    if bool(arguments.symbols) == (arguments.run is not None):
        parser.error("say what is taken back: SYMBOLs or --run RUN, one of the two")
    settings = settings_given(arguments)
    return asyncio.run(_withdraw(settings, arguments))
