"""``decide keys``: make, list and revoke API keys, in the store that the settings name.

A new key is printed once, alone, on standard output; everything else goes to standard error. Running servers take to it, and
leave a revoked one, within a second, and at the latest within their lease (L1_LEASE_S).
Exit codes: 0 done, 1 there is no such key, 2 a setting or an argument is wrong, 3 the store does not answer.
"""

import argparse
import asyncio
import functools
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import cast

from app.arguments import new_parser, parse
from app.domain.keys import NAME_RULE, SCOPES, SECRET_BYTES, Scope, decode_key, encode_key, is_key_id, is_name, make_key
from app.domain.text import harmless
from app.errors import StoreError
from app.options import Settings, store_place
from app.setting_options import STORE_SETTINGS, add_settings, settings_given, tells_settings
from app.store.opening import open_store
from app.store.patience import patiently
from app.store.protocol import KeyStore

_EPILOGUE = """\
Examples:
  export API_KEY_SECRET=$(openssl rand -hex 32)      # the same for the server
  decide keys new --name bot --scopes decide > bot.key
  decide keys list
  decide keys revoke 0123456789ab
"""
_DAY_MS = 86_400_000
_DAYS_MAX = 36_500
_READ_S = 5.0


def _name(text: str) -> str:
    if not is_name(text):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no name; allowed: {NAME_RULE}")
    return text


def _scopes(text: str) -> tuple[Scope, ...]:
    wanted = dict.fromkeys(text.split(","))
    for each in wanted:
        if each not in SCOPES:
            raise argparse.ArgumentTypeError(f"{each[:80]!r} is no scope; allowed: {', '.join(SCOPES)}, by commas")
    return cast("tuple[Scope, ...]", tuple(wanted))


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0 < days <= _DAYS_MAX:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no number of days; allowed: above 0 and at most {_DAYS_MAX:,}")
    return days


def _key_id(text: str) -> str:
    if not is_key_id(text):
        # Perhaps the key itself, which is then not repeated.
        raise argparse.ArgumentTypeError("that is no key's id; allowed: the 12 digits that `keys list` shows")
    return text


def make_parser() -> argparse.ArgumentParser:
    """The arguments."""
    # Not given they are left out: behind the command they would else undo what stands before it.
    store = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    add_settings(store, (*STORE_SETTINGS, "api_key_secret"), "where the keys are (else as the environment and .env say)")
    made = new_parser(
        "decide keys",
        "{new,list,revoke} [--OPTION VALUE ...]",
        description=__doc__,
        epilog=_EPILOGUE,
        parents=[store],
    )
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True, prog="decide keys")
    add = functools.partial(commands.add_parser, parents=[store], allow_abbrev=False)
    new = add("new", help="make a key and print it, once", usage="decide keys new --name NAME [--OPTION VALUE ...]")
    new.add_argument("--name", type=_name, required=True, help=f"whose it is; {NAME_RULE}")
    new.add_argument(
        "--scopes",
        type=_scopes,
        default=("decide", "read"),
        help="what it is for, by commas: decide, read (what is loaded), market:read (of that, prices and trades), admin (all, and"
        " /status); default: decide,read",
    )
    new.add_argument("--expires-days", type=_days, help="days after which it is not taken any more; default: never")
    listed = add(
        "list", help="show what keys there are; never the keys themselves", usage="decide keys list [--OPTION VALUE ...]"
    )
    revoke = add("revoke", help="forget a key", usage="decide keys revoke ID [--OPTION VALUE ...]")
    revoke.add_argument("id", type=_key_id, help="its 12 digits, which also stand in the key behind decide_")
    for command in (new, listed, revoke):
        command.set_defaults(parser=command)
    return made


def _date(time_ms: int | None) -> str:
    return "never" if time_ms is None else datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


async def _new(store: KeyStore, secret: bytes, arguments: argparse.Namespace) -> int:
    now_ms = time.time_ns() // 1_000_000
    days: float | None = arguments.expires_days
    key, record = make_key(
        secret,
        secrets.token_hex(6),
        secrets.token_urlsafe(SECRET_BYTES),
        name=arguments.name,
        scopes=arguments.scopes,
        created_at_ms=now_ms,
        expires_at_ms=None if days is None else now_ms + int(days * _DAY_MS),
    )
    await patiently(partial(store.put_key, record.key_id, encode_key(record)))
    told = f"made key {record.key_id} ({record.name}) for {', '.join(record.scopes)}, expires {_date(record.expires_at_ms)};"
    print(told, "it is shown only now:", file=sys.stderr)
    print(key)
    return 0


async def _list(store: KeyStore, secret: bytes, _: argparse.Namespace) -> int:
    stored = await patiently(store.keys)
    rows = [("id", "name", "scopes", "made (UTC)", "expires")]
    for key_id, raw in sorted(stored.items()):
        record = decode_key(secret, key_id, raw)
        if record is None:
            rows.append((harmless(key_id)[:40], "-", "not made with this API_KEY_SECRET: not taken", "", ""))
        else:
            made, ends = _date(record.created_at_ms), _date(record.expires_at_ms)
            rows.append((record.key_id, record.name, ",".join(record.scopes), made, ends))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return 0


async def _revoke(store: KeyStore, _: bytes, arguments: argparse.Namespace) -> int:
    if not await patiently(partial(store.remove_key, arguments.id)):
        print(f"there is no key {arguments.id}", file=sys.stderr)
        return 1
    print(f"revoked {arguments.id}", file=sys.stderr)
    return 0


_COMMANDS: dict[str, Callable[[KeyStore, bytes, argparse.Namespace], Awaitable[int]]] = {
    "new": _new,
    "list": _list,
    "revoke": _revoke,
}


async def _run(settings: Settings, arguments: argparse.Namespace) -> int:
    store = open_store(**store_place(settings), read_timeout_s=_READ_S)
    try:
        return await _COMMANDS[arguments.command](store, settings.api_key_secret.encode(), arguments)
    except StoreError as error:
        print(f"the store does not answer: {error}", file=sys.stderr)
        return 3
    finally:
        await store.close()


@tells_settings
def main(given: Sequence[str]) -> int:
    """Entry point."""
    arguments = parse(make_parser(), given)
    settings = settings_given(arguments)
    if not settings.api_key_secret:
        allowed = "at least 32 characters (`openssl rand -hex 32`), the same for all servers"
        print(f"settings: API_KEY_SECRET is empty; allowed: {allowed}", file=sys.stderr)
        return 2
    return asyncio.run(_run(settings, arguments))
