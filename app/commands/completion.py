"""``decide completion SHELL``: print a script that makes the shell complete commands, options and files.

Exit codes: 0 printed, 2 a wrong argument.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import shtab

from app.arguments import Parser, shown
from app.commands.table import COMMANDS, NotInstalled, load

_EPILOGUE = """\
To have it in every new shell:
  decide completion bash > ~/.local/share/bash-completion/completions/decide
  decide completion zsh > ~/.zfunc/_decide        (with fpath+=~/.zfunc before compinit in ~/.zshrc)
  decide completion fish > ~/.config/fish/completions/decide.fish
In this bash alone:
  source <(decide completion bash)
"""


def make_parser() -> Parser:
    """The arguments."""
    made = Parser("decide completion", description=(__doc__ or "").replace("``", "`"), epilog=_EPILOGUE)
    made.add_argument("shell", type=_shell, choices=shtab.SUPPORTED_SHELLS, help="which shell")
    return made


def _shell(text: str) -> str:
    if text not in shtab.SUPPORTED_SHELLS:
        raise argparse.ArgumentTypeError(f"there is no shell {shown(text)}; there are: {', '.join(shtab.SUPPORTED_SHELLS)}")
    return text


def whole_parser() -> Parser:
    """All commands as one parser; of a command whose libraries are not installed, its name alone."""
    whole = Parser("decide")
    commands = whole.add_subparsers(parser_class=Parser)
    for name, command in COMMANDS.items():
        try:
            own: list[Parser] = [load(name).make_parser()]
        except NotInstalled:
            own = []
        added = commands.add_parser(name, help=command.what, parents=own, add_help=not own, prog=f"decide {name}")
        _complete_values(added)
    return whole


def _complete_values(parser: argparse.ArgumentParser) -> None:
    """Have every argument that is a path completed by the files there are, and others by the words that they name."""
    for action in parser._actions:  # noqa: SLF001 - argparse tells what it knows in no other way
        if action.type is Path or action.metavar == "PATH":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif words := getattr(action, "completed_by", None):
            action.choices = words


def main(arguments: Sequence[str]) -> int:
    """Entry point."""
    given = make_parser().parse_args(arguments)
    print(shtab.complete(whole_parser(), given.shell))
    return 0
