"""``decide warm``. What it needs besides the server's libraries is imported once its arguments are right."""

import sys
from collections.abc import Sequence

from warm.arguments import make_parser as make_parser  # noqa: PLC0414 - as every command's module has it
from warm.publish import OpenStore


def main(
    argv: Sequence[str] | None = None,
    *,
    now_ms: int | None = None,
    run: str | None = None,
    open_store: OpenStore | None = None,
) -> int:
    """Run the job; the exit code. Clock, run id and store can be given, for tests and for rebuilding a past run."""
    parser = make_parser()
    given = sys.argv[1:] if argv is None else argv
    arguments = parser.parse_args(given)
    from warm.running import start  # noqa: PLC0415 - help needs none of it

    return start(parser, arguments, given, now_ms=now_ms, run=run, open_store=open_store)


if __name__ == "__main__":
    sys.exit(main())
