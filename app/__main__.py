"""``decide COMMAND``, which is ``python -m app COMMAND``: the one entry point of the package, of the image and of the binary."""

import difflib
import errno
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from app.arguments import shown
from app.commands.table import COMMANDS, NotInstalled, load, missing_told

_UNWRITTEN, _USAGE, _INTERRUPTED = 1, 2, 130


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
Settings are environment variables or stand in a file .env; `decide serve --help` lists them all. Ctrl-C ends a command with 130.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; the exit code. Ctrl-C is 130, an output that nobody takes is 1, whatever the command."""
    _open_standard_files()
    if argv is None and sys.argv[1:2] == ["warm"] and "--watch" in sys.argv:
        _end_well_from_now_on()
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        # Python would try again at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.ENOSPC:
            print(f"decide: not all could be written: {error.strerror}", file=sys.stderr)
        return _UNWRITTEN
    return code


def _end_well_from_now_on() -> None:
    """SIGTERM and Ctrl-C end watching with 0 at any moment: until it has handlers of its own nothing is under way."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: os._exit(0))


def _open_standard_files() -> None:
    """Have something in the place of standard files that were closed (``>&-``): what is opened next, a store or a connection,
    would get their numbers, and what is meant for them.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, and so this one.
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


def _run(arguments: list[str]) -> int:
    name, *arguments = arguments or ["serve"]
    if name in ("-h", "--help", "help"):
        print(_help(), end="")
        return 0
    if name in ("-V", "--version"):
        name = "version"
    if name not in COMMANDS:
        print(f"decide: {_no_command(name)}", file=sys.stderr)
        return _USAGE
    try:
        # What a command's help can do without is imported when it runs.
        with missing_told(name):
            try:
                Path.cwd()
                module = load(name)
            except FileNotFoundError:
                print("decide: the working folder is not there any more; go to one that is", file=sys.stderr)
                return _USAGE
            code: int = module.main(arguments)
    except NotInstalled as error:
        print(f"decide: {error}", file=sys.stderr)
        return _USAGE
    return code


def _no_command(name: str) -> str:
    there_are = f"There are: {', '.join(COMMANDS)}"
    if name.startswith("-"):
        return f"options stand behind a command, as in `decide serve --port 9000`. {there_are}"
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    return f"there is no command {shown(name)}.{f' Did you mean {near[0]}?' if near else ''} {there_are}"


if __name__ == "__main__":
    sys.exit(main())
