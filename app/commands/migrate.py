"""``decide migrate``: bring the market store that the settings name up to this version of Decide.

A store that is not there yet is made. Each migration is one transaction, under a lock: what is killed in it has applied it or
not, and of two who migrate one waits. Servers and jobs do it themselves unless MARKET_MIGRATIONS is ``command``.
Exit codes: 0 applied, or there was nothing to apply, 1 refused: it was migrated otherwise, 2 a setting or an argument is wrong,
3 the store failed.
"""

import argparse
import sys
from collections.abc import Sequence

from app.arguments import new_parser, parse
from app.errors import MarketError, MigrationRefused
from app.market.opening import migrate
from app.options import market_place
from app.setting_options import add_market_settings, settings_given, tells_settings


def make_parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = new_parser("decide migrate", "[--OPTION VALUE ...]", description=__doc__)
    add_market_settings(made)
    return made


@tells_settings
def main(given: Sequence[str]) -> int:
    """Entry point."""
    arguments = parse(make_parser(), given)
    settings = settings_given(arguments)
    place = market_place(settings)
    where = "PostgreSQL" if place["url"] else str(place["path"].absolute())
    try:
        applied = migrate(**place)
    except MigrationRefused as error:
        print(f"not migrated: {error}", file=sys.stderr)
        return 1
    except MarketError as error:
        print(f"the market store failed, each migration is applied or not: {error}", file=sys.stderr)
        return 3
    print(*(f"applied {name}" for name in applied), sep="\n", end="\n" if applied else "")
    print(f"the market store ({where}) is up to date" + ("" if applied else "; there was nothing to apply"))
    return 0
