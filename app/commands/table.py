"""What `decide` can do. A command is a module that is imported when it is asked for and not before: the server never loads
Polars, and a client needs no server. So it stands here by its name; nobody imports the warm job or the bench from here.

Each module has ``make_parser() -> argparse.ArgumentParser`` and ``main(arguments: Sequence[str]) -> int``, the exit code.
"""

import contextlib
import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import NamedTuple


class Command(NamedTuple):
    """A command's module, what it does, and the extra of the package that it needs (empty: none)."""

    module: str
    what: str
    extra: str = ""


COMMANDS = {
    "serve": Command("app.commands.serve", "start the server; so does no command at all"),
    "live": Command("warm.stream.live", "all in one: simulated prices that move, and the server whose decisions follow", "warm"),
    "warm": Command("warm.__main__", "load prices and agents' outputs into the store", "warm"),
    "withdraw": Command("app.commands.withdraw", "take back what was loaded: symbols, or a run"),
    "ask": Command("app.commands.ask", "ask a running server for decisions"),
    "market": Command("app.commands.market", "load trades into the market store, and look after it"),
    "sample": Command("warm.stream.sample", "write simulated trades to a file", "warm"),
    "ingest": Command("warm.stream.ingest", "put the trades of a source into the log", "warm"),
    "stream": Command("warm.stream.running", "follow the log: trades into the market store, last prices into L2", "warm"),
    "dead-letters": Command("warm.stream.replaying", "list, show, replay or drop messages that the stream could not use"),
    "features": Command("warm.market.features", "write rows of features of stored trades, for training models", "warm"),
    "migrate": Command("app.commands.migrate", "bring the market store up to this version"),
    "keys": Command("app.commands.keys", "make, list and revoke API keys"),
    "bench": Command("bench.__main__", "measure a running server and say whether what must hold holds", "bench"),
    "demo": Command("bench.demo", "warm the sample, start a server, ask it everything, stop", "warm"),
    "completion": Command("app.commands.completion", "print what makes a shell complete all this"),
    "version": Command("app.commands.version", "print the version, and of what it is made"),
}

_OURS = ("app", "warm", "bench")


class NotInstalled(Exception):
    """A library that a command needs is not there."""


@contextlib.contextmanager
def missing_told(name: str, commands: Mapping[str, Command] = COMMANDS) -> Iterator[None]:
    """While something of command ``name`` is imported.

    Raises:
        NotInstalled: it needs a library that is not there; the text says which, and how to get it.
    """
    command = commands[name]
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if not missing or not command.extra or (missing in _OURS and importlib.util.find_spec(missing) is not None):
            raise
        wanted = f"install decide[{command.extra}], or requirements-{command.extra}.lock"
        raise NotInstalled(f"{name} needs {missing}, which is not installed; {wanted}") from error


def load(name: str, commands: Mapping[str, Command] = COMMANDS) -> ModuleType:
    """The module of command ``name``.

    Raises:
        NotInstalled: as of `missing_told`.
    """
    with missing_told(name, commands):
        return importlib.import_module(commands[name].module)
