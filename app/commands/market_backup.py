"""``decide market backup``: copy the market store to a file, while servers and jobs go on.

The copy is of one moment, and it is checked before it gets its name. A newer backup is not replaced. In a FOLDER (one that is
there, or that ends in /) each copy is named after its time; --keep removes the oldest.
Exit codes: 0 copied, 1 refused: there is a newer backup, 2 a setting or an argument is wrong, 3 it could not be copied.
On PostgreSQL: pg_dump --format=custom --file=FILE "$DATABASE_URL"
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from app.arguments import PathAction, new_parser, number, parse
from app.errors import MarketError, MigrationRefused
from app.market.sqlite_backup import Newer, back_up
from app.options import market_place
from app.setting_options import add_market_settings, settings_given, tells_settings

_KEEP_MAX = 10_000
_is_ours = re.compile(r"market-\d{8}T\d{6}Z\.sqlite3").fullmatch
_POSTGRES = (
    'not copied: the market store is on PostgreSQL, whose own tool does it: pg_dump --format=custom --file={} "$DATABASE_URL"'
)


def make_parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = new_parser("decide market backup", "FILE|FOLDER/ [--OPTION VALUE ...]", description=__doc__)
    made.add_argument("file", metavar="FILE", action=PathAction, help="what to copy to")
    made.add_argument(
        "--keep", type=number(least=1, most=_KEEP_MAX, whole=True), help="in a folder: keep so many backups (default: all)"
    )
    made.add_argument("--force", action="store_true", help="replace a newer backup too")
    add_market_settings(made)
    return made


@tells_settings
def main(given: Sequence[str]) -> int:
    """Entry point."""
    parser = make_parser()
    arguments = parse(parser, given)
    target = Path(arguments.file)
    in_folder = target.is_dir() or arguments.file.endswith(os.sep)
    if arguments.keep is not None and not in_folder:
        parser.error("--keep is given with a file; allowed: with a folder, whose name ends in /")
    settings = settings_given(arguments)
    place = market_place(settings)
    if place["url"]:
        print(_POSTGRES.format(target / "market.dump" if in_folder else target), file=sys.stderr)
        return 2
    if in_folder:
        target /= f"market-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.sqlite3"
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        size = back_up(place["path"], target, force=arguments.force)
        gone = [] if arguments.keep is None else _rotated(target.parent, arguments.keep)
    except Newer as newer:
        print(f"not copied: {target} is a newer backup ({_span(newer)}); --force replaces it", file=sys.stderr)
        return 1
    except (MarketError, OSError) as error:
        refusal = isinstance(error, MigrationRefused)
        print(f"not copied: {error}", file=sys.stderr)
        return 1 if refusal else 3
    print(f"copied to {target}, {size:,} bytes, checked" + (f"; removed {len(gone):,} older" if gone else ""))
    return 0


def _rotated(folder: Path, keep: int) -> list[Path]:
    """Remove all but the newest backups of a folder; which."""
    ours = sorted(each for each in folder.iterdir() if _is_ours(each.name))
    gone = ours[:-keep]
    for each in gone:
        each.unlink()
    return gone


def _span(newer: Newer) -> str:
    there, new = (datetime.fromtimestamp(each / 1_000_000, UTC) for each in (newer.there_us, newer.new_us))
    return f"its last change is of {there:%Y-%m-%d %H:%M:%S} UTC, the store's of {new:%Y-%m-%d %H:%M:%S}"
