"""What a server shows of its settings: all in its status; at its start, with its console, those that are no defaults."""

from app.options import Settings
from app.settings import SECRETS
from app.unix_sockets import socket_path


def public_settings(settings: Settings) -> dict[str, object]:
    """Settings for people to see: secrets only as set or not set."""
    return {
        name: ("set" if getattr(settings, name) else "not set") if name in SECRETS else getattr(settings, name)
        for name in settings.__struct_fields__
    }


def started_facts(settings: Settings) -> dict[str, object]:
    """The fields of a worker's first line."""
    console, defaults = console_url(settings), Settings()
    changed = {
        name: value for name, value in public_settings(settings).items() if getattr(settings, name) != getattr(defaults, name)
    }
    return ({} if console is None else {"console": console}) | {"settings": changed}


def console_url(settings: Settings) -> str | None:
    """Where a browser on this machine finds the console; None where there is none: without pages, or on a Unix socket."""
    if settings.pages == "off" or socket_path(settings.host) is not None:
        return None
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - it is asked for, not bound
    return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{settings.port}/"
