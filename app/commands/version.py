"""``decide version``: what this is, in one line; ``--json`` for programs."""

import json
import platform
import sys
from collections.abc import Sequence

from app.arguments import Parser
from app.domain.policy import HYBRID_1
from app.domain.vector import SCHEMA
from app.version import VERSION


def make_parser() -> Parser:
    """The arguments."""
    made = Parser(
        "decide version",
        description="Print the version, the policy's, the schema of the records that it reads, and the Python it runs on.\n"
        "A server and a warm job of the same schema understand each other.",
    )
    made.add_argument("--json", action="store_true", help="as one JSON object")
    return made


def main(arguments: Sequence[str]) -> int:
    """Entry point."""
    given = make_parser().parse_args(arguments)
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
