"""``decide completion SHELL``: print a script that makes the shell complete commands, options and files.

Exit codes: 0 printed, 2 a wrong argument.
"""

import argparse
from collections.abc import Sequence

import shtab

from app.arguments import new_parser, parse, shown
from app.commands.table import COMMANDS, NotInstalled, load

_EPILOGUE = """\
To have it in every new shell:
  decide completion bash > ~/.local/share/bash-completion/completions/decide
  decide completion zsh > ~/.zfunc/_decide        (with fpath+=~/.zfunc before compinit in ~/.zshrc)
  decide completion fish > ~/.config/fish/completions/decide.fish
In this bash alone:
  source <(decide completion bash)
"""


def make_parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = new_parser("decide completion", "SHELL", description=__doc__, epilog=_EPILOGUE)
    made.add_argument("shell", type=_shell, choices=shtab.SUPPORTED_SHELLS, help="which shell")
    return made


def _shell(text: str) -> str:
    if text not in shtab.SUPPORTED_SHELLS:
        raise argparse.ArgumentTypeError(f"there is no shell {shown(text)}; there are: {', '.join(shtab.SUPPORTED_SHELLS)}")
    return text


def whole_parser() -> argparse.ArgumentParser:
    """All commands as one parser; of a command whose libraries are not installed, its name alone."""
    whole = argparse.ArgumentParser("decide")
    commands = whole.add_subparsers()
    for name, command in COMMANDS.items():
        try:
            own: list[argparse.ArgumentParser] = [load(name).make_parser()]
        except NotInstalled:
            own = []
        commands.add_parser(name, help=command.what, parents=own, add_help=not own, prog=f"decide {name}")
    return whole


def main(arguments: Sequence[str]) -> int:
    """Entry point."""
    given = parse(make_parser(), arguments)
    print(shtab.complete(whole_parser(), given.shell))
    return 0
