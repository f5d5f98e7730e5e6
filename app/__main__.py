"""``decide COMMAND``, which is ``python -m app COMMAND``: the one entry point of the package, of the image and of the binary."""

import difflib
import sys
from collections.abc import Sequence

from app.commands.table import COMMANDS, NotInstalled, load

_USAGE = 2


def _help() -> str:
    width = max(map(len, COMMANDS))
    commands = "".join(f"  {name:{width}}  {command.what}\n" for name, command in COMMANDS.items())
    return f"""\
usage: decide [COMMAND] [ARGUMENT ...]

Serves what LLM trading agents found out, joined with the price as it is now, as decisions.

commands (each has its own --help):
{commands}
In an empty folder: `decide demo` shows all of it on a sample. Then `decide serve` in one terminal, and in another
`decide warm --prices my/prices --agents my/agents` and `decide ask AAPL`.
Settings are environment variables or stand in a file .env; `decide serve --help` lists them all.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    name, *arguments = (sys.argv[1:] if argv is None else argv) or ["serve"]
    if name in ("-h", "--help", "help"):
        print(_help(), end="")
        return 0
    if name in ("-V", "--version"):
        name = "version"
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        print(f"decide: there is no command {name[:80]!r}.{hint} There are: {', '.join(COMMANDS)}", file=sys.stderr)
        return _USAGE
    try:
        module = load(name)
    except NotInstalled as error:
        print(f"decide: {error}", file=sys.stderr)
        return _USAGE
    code: int = module.main(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
