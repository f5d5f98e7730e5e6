"""Settings as options of a command line.

An option is worth more than the environment, and that more than ``.env``. Secrets are taken from none: what stands in a command
line is seen by everybody on the machine. Their ``_FILE`` variables have options.
"""

import argparse
import functools
import sys
from collections.abc import Callable, Iterable
from typing import ParamSpec

from app.arguments import PathAction
from app.errors import SettingsError
from app.options import Settings
from app.settings import SECRETS, allowed_values, check_setting, choices, description, in_its_case, load_settings, shown
from app.strangers import GONE

P = ParamSpec("P")

_SECTIONS = {
    "host": "where it listens, and for how many",
    "log_level": "logs",
    "redis_url": "L2: what the warm job loads",
    "database_url": "the market store: trades and bars",
    "stream_path": "the stream: from a source into the log, and from there into the market store",
    "kafka_bootstrap_servers": "the stream's log in Kafka",
    "clock": "the clock",
    "l1_max_entries": "L1: what a worker keeps in its memory",
    "l2_timeout_ms": "reading L2",
    "batch_max": "what a request may be",
    "price_max_age_s": "how old inputs may be",
    "access": "who may call, and how often",
    "pages": "pages, streams, traces",
    "drain_s": "the end",
}
"""Headings of the settings' options, each above the setting that it begins with."""
STORE_SETTINGS = ("redis_url", "redis_password", "store_path", "key_prefix")
"""Which settings say where L2 is."""
MARKET_SETTINGS = ("database_url", "database_password", "market_path", "market_migrations")
"""Which settings say where the market store is, to a command that writes it."""
LOG_SETTINGS = ("stream_path", *(name for name in Settings.__struct_fields__ if name.startswith("kafka_")))
"""Which settings say where the log is."""
STREAM_SETTINGS = (
    *LOG_SETTINGS,
    *(
        "stream_port",
        "tick_publish_ms",
        "max_clock_skew_s",
        "market_retention_days",
        "feature_rows",
        "window_size",
        "host",
        "traces",
    ),
)
"""What else the consumer of the log is told."""
INGEST_SETTINGS = (
    "ingestion_interval_seconds",
    "replay_speed",
    "coinbase_websocket_url",
    "coinbase_rest_url",
    *LOG_SETTINGS,
    "ingest_port",
    "host",
    "traces",
)
"""What else a source is told."""
_DESTINATION = "setting "


class _NeverTaken(argparse.Action):
    """Refuses a secret, whatever stands behind it, and says how it is taken."""

    def __call__(self, _parser: object, _namespace: object, _values: object, option: str | None = None) -> None:
        """Refuse it."""
        name = str(option).lstrip("-").replace("-", "_").upper()
        allowed = f"set {name} or {option}-file"
        raise argparse.ArgumentError(self, f"it is not taken from the command line, which everybody can read; {allowed}")


def add_settings(parser: argparse.ArgumentParser, names: Iterable[str] = Settings.__struct_fields__, title: str = "") -> None:
    """Give ``parser`` an option for each of the settings ``names``, of secrets for the file that holds them, under the headings
    of all settings or under ``title``.
    """
    group = parser.add_argument_group(title) if title else None
    for name in names:
        if not title and name in _SECTIONS:
            group = parser.add_argument_group(_SECTIONS[name])
        assert group is not None
        option = name.replace("_", "-")
        if name in SECRETS:
            group.add_argument(f"--{option}", action=_NeverTaken, nargs="?", dest=argparse.SUPPRESS, help=argparse.SUPPRESS)
            _add_file(group, option, name)
        else:
            _add(group, option, name)


def add_market_settings(parser: argparse.ArgumentParser, *, migrates: bool = False) -> None:
    """Give ``parser`` options for those that say where the market store is, and whether a command that ``migrates`` it may."""
    names = MARKET_SETTINGS if migrates else MARKET_SETTINGS[:-1]
    add_settings(parser, names, "where the market store is (else as the environment and .env say)")


def add_gone(parser: argparse.ArgumentParser, names: Iterable[str] = GONE) -> None:
    """Have ``parser`` take the options of settings that the version before had, which are told and passed over."""
    for name in names:
        parser.add_argument(f"--{name.lower().replace('_', '-')}", dest=_DESTINATION + name, help=argparse.SUPPRESS)


def destination(name: str) -> str:
    """Where the option of setting ``name`` puts its value."""
    return f"{_DESTINATION}{name.upper()}"


def _add(group: argparse._ArgumentGroup, option: str, name: str) -> None:
    default, words, is_path = getattr(Settings(), name), choices(name) or None, name.endswith("_path")
    allowed = "" if words else f" Allowed: {allowed_values(name)}."
    group.add_argument(
        f"--{option}",
        dest=destination(name),
        action=PathAction if is_path else "store",
        metavar=None if words else "PATH" if is_path else "VALUE",
        choices=words,
        type=_converter(name),
        help=_plain(f"{description(name)}{allowed} Default: {'empty' if default == '' else default}"),
    )


def _add_file(group: argparse._ArgumentGroup, option: str, name: str) -> None:
    group.add_argument(
        f"--{option}-file",
        dest=f"{_DESTINATION}{name.upper()}_FILE",
        action=PathAction,
        metavar="PATH",
        help=_plain(f"File that holds {name.upper()}: {description(name).partition('. ')[0]}"),
    )


def _converter(name: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        try:
            check_setting(name, text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{shown(name, text)} is not allowed; allowed: {allowed_values(name)}") from error
        return in_its_case(name, text)

    return convert


def _plain(text: str) -> str:
    """``text`` as argparse takes it: it reads % as the beginning of a placeholder."""
    return text.replace("%", "%%")


def given_settings(arguments: argparse.Namespace) -> dict[str, str]:
    """What the options of `add_settings` say, as environment variables."""
    return {
        name.removeprefix(_DESTINATION): value
        for name, value in vars(arguments).items()
        if name.startswith(_DESTINATION) and value is not None
    }


def settings_given(arguments: argparse.Namespace) -> Settings:
    """What the options of `add_settings`, the environment and ``.env`` say.

    Raises:
        SettingsError: a setting is wrong.
    """
    return load_settings(options=given_settings(arguments))


def tells_settings(command: Callable[P, int]) -> Callable[P, int]:
    """``command``, which says on standard error what is wrong with settings, wherever it meets that, and ends with code 2."""

    @functools.wraps(command)
    def told(*arguments: P.args, **options: P.kwargs) -> int:
        try:
            return command(*arguments, **options)
        except SettingsError as error:
            sys.stderr.write("".join(f"settings: {line}\n" for line in error.lines))
            return 2

    return told
