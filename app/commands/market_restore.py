"""``decide market restore``: put a backup in the place of what the market store has, while servers and jobs go on.

It is checked first, and put back in one transaction: whoever reads sees the old data or the new, and after a kill the old. A
store that has newer changes than the backup is not replaced. What was loaded since is loaded again by `decide market load`.
Exit codes: 0 restored, 1 refused: the store is newer, or the file is no backup of this version, 2 a setting or an argument is
wrong, 3 it could not be put back.
On PostgreSQL: pg_restore --clean --if-exists --single-transaction --dbname="$DATABASE_URL" FILE
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from app.arguments import PathAction, new_parser, parse
from app.errors import MarketError, MigrationRefused
from app.market.sqlite_backup import Newer, restore
from app.options import market_place
from app.setting_options import add_market_settings, settings_given, tells_settings

_POSTGRES = (
    "not restored: the market store is on PostgreSQL, whose own tool does it: "
    'pg_restore --clean --if-exists --single-transaction --dbname="$DATABASE_URL" {}'
)


def make_parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = new_parser("decide market restore", "FILE [--OPTION VALUE ...]", description=__doc__)
    made.add_argument("file", metavar="FILE", type=Path, action=PathAction, help="the backup")
    made.add_argument("--force", action="store_true", help="replace a newer store too")
    add_market_settings(made)
    return made


@tells_settings
def main(given: Sequence[str]) -> int:
    """Entry point."""
    arguments = parse(make_parser(), given)
    settings = settings_given(arguments)
    place = market_place(settings)
    if place["url"]:
        print(_POSTGRES.format(arguments.file), file=sys.stderr)
        return 2
    try:
        restore(arguments.file, place["path"], force=arguments.force)
    except Newer as newer:
        there, new = (datetime.fromtimestamp(each / 1_000_000, UTC) for each in (newer.there_us, newer.new_us))
        print(
            f"not restored: the last change of {place['path']} is of {there:%Y-%m-%d %H:%M:%S} UTC, and that of the backup of "
            f"{new:%Y-%m-%d %H:%M:%S}; --force replaces it",
            file=sys.stderr,
        )
        return 1
    except MigrationRefused as error:
        print(f"not restored: {error}", file=sys.stderr)
        return 1
    except MarketError as error:
        print(f"not restored: {error}", file=sys.stderr)
        return 3
    print(f"restored {place['path'].absolute()} from {arguments.file}")
    return 0
