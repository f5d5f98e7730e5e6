"""``python -m app`` starts the server; ``python -m app COMMAND`` does what else there is. Each is a module of `app.commands`, and
only the one that is asked for is imported: a client needs no server.
"""

import difflib
import importlib
import sys

COMMANDS = {
    "serve": "start the server; so does no command at all",
    "decide": "ask a running server for decisions",
    "keys": "make, list and revoke API keys",
}


def main() -> int:
    """Entry point."""
    name, *arguments = sys.argv[1:] or ["serve"]
    if name in ("-h", "--help"):
        print("usage: python -m app [COMMAND] [ARGUMENT ...]\n\ncommands (each has its own --help):")
        for each, what in COMMANDS.items():
            print(f"  {each:8} {what}")
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        print(f"app: there is no command {name!r}.{hint} There are: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    code: int = importlib.import_module(f"app.commands.{name}").main(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
