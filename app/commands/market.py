"""``decide market``: what can be done with the market store, the system of record of trades and bars.

Each command has its own --help. Exit codes: 0 done, 1 something is wrong or was refused, 2 a setting or an argument is wrong,
3 a store failed, 130 interrupted.
"""

import argparse
from collections.abc import Sequence

from app.arguments import new_parser, parse
from app.commands.table import Command, NotInstalled, load, missing_told

PARTS = {
    "market load": Command("warm.market.arguments", "read files of trades", "warm"),
    "market check": Command("app.commands.market_check", "compare bars with their trades, list gaps"),
    "market retain": Command("app.commands.market_retain", "remove old trades; bars stay"),
    "market backup": Command("app.commands.market_backup", "copy it to a file, which is checked"),
    "market restore": Command("app.commands.market_restore", "put a backup in its place"),
}
"""By what stands behind ``decide``."""


def make_parser() -> argparse.ArgumentParser:
    """The arguments; of a command whose libraries are not installed, its name alone."""
    made = new_parser("decide market", "COMMAND [--OPTION VALUE ...]", description=__doc__)
    commands = made.add_subparsers(metavar="COMMAND", required=True, prog="decide market")
    for name, part in PARTS.items():
        try:
            own: list[argparse.ArgumentParser] = [load(name, PARTS).make_parser()]
        except NotInstalled:
            own = []
        commands.add_parser(name.partition(" ")[2], help=part.what, parents=own, add_help=not own, allow_abbrev=False)
    return made


def main(given: Sequence[str]) -> int:
    """Entry point."""
    name = f"market {given[0]}" if given else ""
    if name not in PARTS:
        parse(make_parser(), given)
        raise AssertionError(f"{name} is no command, and argparse takes it")
    # As with every command: what its help can do without is imported when it runs.
    with missing_told(name, PARTS):
        code: int = load(name, PARTS).main(given[1:])
    return code
