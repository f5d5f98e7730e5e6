"""The only reader of the environment. Every setting stands in `app.options`.

`load_settings` merges a ``.env`` file (lower precedence) with the process environment and refuses to go on if any value is
wrong, with one line for each. ``.env.example`` is rendered from this table (``python -m app.settings``), so the two cannot
drift.
"""

import difflib
import io
import ipaddress
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from dotenv.parser import parse_stream

from app.domain.aliases import parse_aliases
from app.errors import SettingsError
from app.fitting import kafka_at_odds, out_of_bounds
from app.options import Settings, allowed_by
from app.redis_urls import redis_parts
from app.strangers import GONE, STRANGERS, instead
from app.unix_sockets import PATH_MAX_BYTES, UNIX, socket_path

_SHOWN_MAX = 60
_LEAST_RATE_PER_S = 0.001
_MORE_RULES = {
    "host": "; an IP address or a name, or unix:/… with a socket's absolute path of"
    f" {PATH_MAX_BYTES} bytes at most (not on Windows)",
    "rate_limit_per_s": ", or 0.001 and more; 0 is no limit",
    "symbol_aliases": "; pairs of symbols, FROM=TO, each FROM once and no TO among them",
    "socket_mode": ", as 660",
    "trusted_proxies": "; IP addresses, and networks without bits behind their mask, as 10.0.0.0/8, and unix",
}
_IN_WORDS = {
    "redis_url": "empty, redis://…, rediss://… or unix://…",
    "database_url": "empty, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
    "kafka_bootstrap_servers": "empty, or HOST:PORT, by commas",
    "kafka_topic": "1 to 240 of A-Z a-z 0-9 . _ -, of which the first is no dot",
    "database_read_url": "empty, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
}
_is_database = re.compile(r"(postgres(ql)?://\S+)?").fullmatch
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENVIRONMENT_OF_OTHERS = ("COMPOSE_", "DOCKER_", "GRANIAN_", "OTEL_", "PYTHON", "UV_")


MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus-client's own variable; `app.commands.serve` sets it for several workers."""
SECRETS = frozenset(
    {
        *("redis_url", "redis_password", "database_url", "database_read_url", "database_password", "api_key_secret"),
        *("kafka_sasl_password", "kafka_ssl_key_password"),
    }
)
"""Never shown. Each may also come from a file that the variable of the same name with ``_FILE`` at its end names."""
JOB_PORTS_VARIABLE = "DECIDE_JOB_PORTS"
"""By which `decide live` tells its server where its jobs show what they count: ports on loopback, by commas."""
_SECRET_MAX_BYTES = 4096
_STATE_DIRECTORY = "/var/lib/decide"
"""What systemd calls the folder of the shipped units (StateDirectory=decide); a user's, or another unit's, is another."""


def _fields() -> dict[str, object]:
    return get_type_hints(Settings, include_extras=True)


def allowed_values(name: str) -> str:
    """What setting ``name`` may be, in words."""
    return _IN_WORDS.get(name, allowed_by(_fields()[name])) + _MORE_RULES.get(name, "")


def choices(name: str) -> tuple[str, ...]:
    """The words that setting ``name`` may be; none if it is no matter of words."""
    base = get_args(_fields()[name])[0]
    return get_args(base) if get_origin(base) is Literal else ()


def description(name: str) -> str:
    """What setting ``name`` does, in a sentence."""
    found: str = next(meta.description for meta in get_args(_fields()[name])[1:])
    return found


def in_its_case(name: str, text: str) -> str:
    """``text``, if setting ``name`` is one of some words, as that is written: LOG_LEVEL=INFO is info."""
    return text.lower() if text.lower() in choices(name) else text


def check_setting(name: str, text: str) -> None:
    """See that ``text`` may be the value of setting ``name``; empty means the default.

    Raises:
        ValueError: it may not.
    """
    if text:
        _read(name, _fields()[name], text)


def shown(name: str, value: str) -> str:
    """``value`` as it may be printed: a secret's is hidden, a long one is cut."""
    if name in SECRETS:
        return "(hidden)"
    return repr(value if len(value) <= _SHOWN_MAX else value[: _SHOWN_MAX - 3] + "...")


def _read(name: str, annotation: object, text: str) -> object:
    """One value, converted and checked. Raises ValueError if it is not allowed."""
    base = get_args(annotation)[0]
    text = in_its_case(name, text)
    try:
        value = msgspec.convert(text, annotation, strict=base is str or get_origin(base) is Literal)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    if not text.isprintable():
        raise ValueError("not printable")
    _check(name, text)
    return value


def _check(name: str, text: str) -> None:
    """What no type and no pattern says; raises ValueError if ``text`` is not allowed."""
    if name == "redis_url":
        redis_parts(text)
    elif name.startswith("database_") and name.endswith("_url") and not _is_database(text):
        raise ValueError("not a PostgreSQL URL")
    elif name == "rate_limit_per_s" and 0 < float(text) < _LEAST_RATE_PER_S:
        raise ValueError("less than the least rate")
    elif name == "symbol_aliases":
        parse_aliases(filter(None, map(str.strip, text.split(","))))
    elif name == "trusted_proxies":
        for each in filter(None, map(str.strip, text.split(","))):
            if each != UNIX:
                ipaddress.ip_network(each)
    elif name == "host" and socket_path(text) is None:
        # A socket's path that lacks its unix:, or has it otherwise, would be no address either; the resolver says so too late.
        if "/" in text or text != "".join(text.split()) or text.lower().startswith(f"{UNIX}:"):
            raise ValueError("neither an address nor a name")
        # What the resolver does first; it refuses labels that are empty or too long.
        text.encode("idna")


def _read_env_file(path: Path, lines: list[str]) -> dict[str, str]:
    """The assignments in ``path``, none if there is no such file; what cannot be read is added to ``lines``."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        lines.append(f"{path} cannot be read ({error}); allowed: UTF-8 text of NAME=value lines")
        return {}
    found = {}
    for each in parse_stream(io.StringIO(text)):
        # What is no name is not shown: "REDIS_URL:redis://…?a=b" is read as a key that holds a password.
        if each.error or (each.key is not None and (each.value is None or not _VARIABLE.fullmatch(each.key))):
            # A statement's text begins with the empty lines before it.
            above = each.original.string[: -len(each.original.string.lstrip()) or None].count("\n")
            lines.append(
                f"line {each.original.line + above} of {path} is no assignment; allowed: NAME=value, comments, empty lines"
            )
        elif each.key is not None and each.value is not None:
            found[each.key] = each.value
    return found


def _secret(name: str, text: str, given: Mapping[str, str], lines: list[str]) -> str:
    """``text``, or what stands in the file that variable ``name`` names, without its last line's end; what is wrong with it is
    added to ``lines``.
    """
    path = given.get(name, "")
    if path and text:
        lines.append(f"{name[:-5]} and {name} are both set; allowed: one of them")
    if text or not path:
        return text
    allowed = f"a readable file of 1 to {_SECRET_MAX_BYTES} bytes of printable text, which is {name[:-5]}"
    try:
        with Path(path).open("rb") as file:
            text = file.read(_SECRET_MAX_BYTES + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        lines.append(f"{name} is {shown(name, path)} ({why}); allowed: {allowed}")
        return ""
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or len(text.encode()) > _SECRET_MAX_BYTES or not text.isprintable():
        what = "is empty" if not text else "holds more than that"
        lines.append(f"{name} is {shown(name, path)}, which {what}; allowed: {allowed}")
        return ""
    return text


def settings_gone(
    environ: Mapping[str, str] | None = None, env_file: Path | None = None, *, options: Mapping[str, str] | None = None
) -> list[str]:
    """A line for each setting of the version before that is still given, wherever `load_settings` looks."""
    environ = os.environ if environ is None else environ
    given = {**_read_env_file(env_file or Path(".env"), []), **environ, **(options or {})}
    return [f"{name} is no setting any more and is passed over; {GONE[name]}" for name in GONE if given.get(name)]


def lend_to_workers(options: Mapping[str, str], environ: MutableMapping[str, str] | None = None) -> None:
    """Have ``options`` of the command line, by variable, stand in the environment, where all processes of a server read them."""
    environ = os.environ if environ is None else environ
    together = _over(environ, options)
    for name in set(environ) - set(together):
        del environ[name]
    environ.update(together)


def _over(lower: Mapping[str, str], upper: Mapping[str, str]) -> dict[str, str]:
    """Both, ``upper``'s where both have it. A secret and the variable that names its file are one: where ``upper`` has either,
    ``lower`` has neither.
    """
    kept = dict(lower)
    for pair in ((name.upper(), f"{name.upper()}_FILE") for name in SECRETS):
        if any(upper.get(each) for each in pair):
            for each in pair:
                kept.pop(each, None)
    return {**kept, **upper}


def load_settings(
    environ: Mapping[str, str] | None = None, env_file: Path | None = None, *, options: Mapping[str, str] | None = None
) -> Settings:
    """Settings from the environment, over those from ``env_file`` (default ``.env`` of the working folder, if it is there), and
    below those of the command line (``options``, by variable).

    An empty value means the default. A variable in ``env_file`` that no setting has is an error (a typing mistake would
    otherwise pass in silence); in the process environment, others' variables are everybody's and are left alone.

    Raises:
        SettingsError: one line for each wrong variable: its name, its value (secrets hidden) and what is allowed.
    """
    options = options or {}
    lines: list[str] = []
    given = _given(environ, env_file, options, lines)
    values: dict[str, object] = {}
    for name, annotation in _fields().items():
        text = given.get(name.upper(), "")
        if name in SECRETS:
            text = _secret(f"{name.upper()}_FILE", text, given, lines)
        if text == "":
            continue
        try:
            values[name] = _read(name, annotation, text)
        except ValueError:
            allowed = allowed_values(name)
            if not text.isprintable():
                allowed += "; printable characters only"
            lines.append(f"{name.upper()} is {shown(name, text)}; allowed: {allowed}")
    settings = msgspec.convert(values, Settings)
    wrong = {line.partition(" ")[0] for line in lines}
    lines += [*_at_odds(settings, given), *out_of_bounds(settings, given, wrong), *kafka_at_odds(settings, wrong)]
    if options.get("STORE_PATH") and settings.redis_url:
        allowed = "one of them; REDIS_URL= before the command, for SQLite"
        lines.append(
            f"STORE_PATH is {shown('store_path', settings.store_path)}, by option, and REDIS_URL is set; allowed: {allowed}"
        )
    if lines:
        raise SettingsError(lines)
    return settings


def _given(
    environ: Mapping[str, str] | None, env_file: Path | None, options: Mapping[str, str], lines: list[str]
) -> dict[str, str]:
    """The text of each variable from where it counts; what is wrong with the file is added to ``lines``."""
    environ = os.environ if environ is None else environ
    names = [*(name.upper() for name in _fields()), *sorted(f"{name.upper()}_FILE" for name in SECRETS)]
    from_file = _read_env_file(env_file or Path(".env"), lines)
    for key in from_file:
        if key.upper() in STRANGERS:
            lines.append(f"{key} in .env is not a setting; {instead(key.upper())}")
        elif key not in names and key not in GONE and not key.startswith(_ENVIRONMENT_OF_OTHERS):
            near = difflib.get_close_matches(key.upper(), names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            lines.append(f"{key} in .env is not a setting{hint} (.env.example lists them all)")
    # A variable that is set and empty means the default, whatever the file says.
    return _over(_over(from_file, {name: environ[name] for name in names if name in environ}), options)


def load_setting(name: str, environ: Mapping[str, str] | None = None, env_file: Path | None = None) -> Any:  # noqa: ANN401
    """One setting, as `load_settings` finds it, for who needs no other: what is wrong with those is not looked at.

    Raises:
        SettingsError: it is wrong.
    """
    text = _given(environ, env_file, {}, []).get(name.upper(), "")
    try:
        return _read(name, _fields()[name], text) if text else getattr(Settings(), name)
    except ValueError as error:
        raise SettingsError([f"{name.upper()} is {shown(name, text)}; allowed: {allowed_values(name)}"]) from error


def secret_files(
    environ: Mapping[str, str] | None = None, env_file: Path | None = None, *, options: Mapping[str, str] | None = None
) -> dict[str, Path]:
    """Of each secret that comes from a file, by setting, the file's whole path. They are found as `load_settings` finds them,
    which has taken them.
    """
    given = _given(environ, env_file, options or {}, [])
    return {name: Path(path).absolute() for name in SECRETS if (path := given.get(f"{name.upper()}_FILE"))}


def _at_odds(settings: Settings, given: Mapping[str, str]) -> list[str]:
    """Settings that are right by themselves and not together. ``given``: those that are wrong by themselves are told already."""
    lines = []
    if settings.redis_password and redis_parts(settings.redis_url).get("password"):
        lines.append("REDIS_PASSWORD is (hidden) and REDIS_URL has a password too; allowed: one of them")
    if settings.database_read_url and not settings.database_url:
        lines.append(
            "DATABASE_READ_URL is (hidden) and DATABASE_URL is empty; allowed: both, DATABASE_URL alone, or neither: a replica is"
            " of a database"
        )
    over_unix = socket_path(settings.host) is not None
    trusts_unix = UNIX in map(str.strip, settings.trusted_proxies.split(","))
    if settings.trusted_proxies and over_unix != trusts_unix and settings.host == (given.get("HOST") or settings.host):
        which = (
            f"TRUSTED_PROXIES is {shown('trusted_proxies', settings.trusted_proxies)} and HOST is {shown('host', settings.host)}"
        )
        if over_unix:
            lines.append(f"{which}, a Unix socket, whose callers have no address; allowed: empty, or unix among them")
        else:
            lines.append(f"{which}, where nobody comes from a Unix socket; allowed: addresses and networks")
    return lines


def keys_wanted(settings: Settings) -> bool:
    """Whether callers need an API key: as ``access`` says; ``auto`` asks for one wherever others than this machine may call. Who
    may call over a Unix socket the permissions of its file say.

    Raises:
        SettingsError: they do, and there is no secret to know keys by.
    """
    if settings.access == "off" or (settings.access == "auto" and is_loopback(settings.host)):
        return False
    if not settings.api_key_secret:
        why = "ACCESS is keys" if settings.access == "keys" else f"HOST is {settings.host!r}, where others may call"
        allowed = "at least 32 characters (`openssl rand -hex 32`), or ACCESS=off if everybody who reaches the server may call it"
        raise SettingsError([f"API_KEY_SECRET is empty and {why}; allowed: {allowed}"])
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``."""
    if socket_path(host) is not None:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def supervisor_socket() -> str:
    """Where systemd wants to be told how the server is (``Type=notify``); empty if nobody does."""
    return os.environ.get("NOTIFY_SOCKET", "")


def loaded_by_unit() -> bool:
    """Whether the shipped ``decide-warm.service`` loads what this process serves: whoever shares its folder is its server."""
    return os.environ.get("STATE_DIRECTORY") == _STATE_DIRECTORY and not job_ports()


def job_ports() -> tuple[int, ...]:
    """Those of the jobs that `decide live` runs beside this server; none where it is by itself."""
    return tuple(map(int, filter(None, os.environ.get(JOB_PORTS_VARIABLE, "").split(","))))


def multiprocess_dir() -> str:
    """Folder of the metrics that several workers share, empty with one worker."""
    return os.environ.get(MULTIPROCESS_VARIABLE, "")


def lend_to_opentelemetry(environ: MutableMapping[str, str] | None = None, env_file: Path | None = None) -> None:
    """OpenTelemetry's SDK reads its variables (``OTEL_…``) itself, from the process's environment: put there what ``env_file``
    has of them besides, and have the SDK count what it drops.
    """
    environ = os.environ if environ is None else environ
    for name, value in _read_env_file(env_file or Path(".env"), []).items():
        if name.startswith("OTEL_") and value:
            environ.setdefault(name, value)
    environ.setdefault("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")


_ENV_EXAMPLE_HEAD = """\
# Settings of Decide. Copy to .env and change what you need; an environment variable of the same name wins.
# Made by `python -m app.settings > .env.example`; a test holds the two together.
"""


def render_env_example() -> str:
    """The text of ``.env.example``: each setting's effect, what is allowed, and its default, commented out."""
    defaults = Settings()
    parts = [_ENV_EXAMPLE_HEAD]
    for name, annotation in _fields().items():
        default = getattr(defaults, name)
        shown_default = "empty" if default == "" else default
        parts.append(
            f"# {description(name)}\n# Allowed: {allowed_by(annotation)}. Default: {shown_default}\n# {name.upper()}={default}\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(render_env_example())
