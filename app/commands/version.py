"""``decide version``: what this is, in one line; ``--json`` for programs."""

import argparse
import json
import platform
import sys
from collections.abc import Sequence

from app.arguments import new_parser, parse
from app.domain.policy import HYBRID_1
from app.domain.vector import SCHEMA
from app.version import VERSION


def make_parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = new_parser(
        "decide version",
        "[--json]",
        description="Print the version, the policy's, the schema of the records that it reads, and the Python it runs on.\n"
        "A server and a warm job of the same schema understand each other.",
    )
    made.add_argument("--json", action="store_true", help="as one JSON object")
    return made


def main(arguments: Sequence[str]) -> int:
    """Entry point."""
    given = parse(make_parser(), arguments)
    found = {
        "version": VERSION,
        "policy": f"hybrid {HYBRID_1.version}",
        "schema": SCHEMA,
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "one_file": bool(getattr(sys, "frozen", False)),
    }
    if given.json:
        print(json.dumps(found))
        return 0
    kind = "one file" if found["one_file"] else "package"
    print(f"decide {VERSION} ({kind}; policy {found['policy']}, schema {SCHEMA}, Python {found['python']}, {found['platform']})")
    return 0
