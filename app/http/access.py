"""Who may call what, and how often.

A caller is an API key where keys are wanted, an address otherwise, and all of a Unix socket are one. `Gate` knows them all.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from starlette.types import Scope

from app.cache.keyring import KeyRing
from app.domain.keys import Scope as KeyScope
from app.errors import Header, Problem
from app.http.hangup import NAMELESS
from app.http.limits import Limiter
from app.http.queues import Kind, Queues
from app.http.rules import Need

CALLER, LIMIT = "caller", "limit_headers"
"""Where a request's scope says who calls, and what its answer says of the limit."""
SOCKET = "socket"
"""Who calls over a Unix socket: callers there have no addresses, so those without keys are one caller together."""

_with_port = re.compile(r"([0-9.]+):[0-9]{1,5}|\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?").fullmatch
_BEARER = b"bearer "
_KEY = "key:"
_CHALLENGE = (("WWW-Authenticate", 'Bearer realm="decide"'),)
_NETWORK_BITS = 64
_FAULT_FROM = 500


@lru_cache(maxsize=65_536)
def caller_at(address: str) -> str:
    """Who calls from ``address``: an IPv6 network of 64 bits is one caller, since one host has as many addresses as it likes."""
    # Some proxies write the port too, and it would make each connection a caller.
    with_port = _with_port(address)
    try:
        found = ipaddress.ip_address(with_port[1] or with_port[2] if with_port else address)
    except ValueError:
        return f"address:{address[:64]}"
    if found.version == 6:  # noqa: PLR2004 - the version's number is its name
        if found.ipv4_mapped is not None:
            return f"address:{found.ipv4_mapped}"
        return f"address:{ipaddress.ip_network((found, _NETWORK_BITS), strict=False).network_address}/{_NETWORK_BITS}"
    return f"address:{found}"


def trusted_forms(proxies: str) -> list[str]:
    """The addresses and networks of ``proxies``, and as a socket of both families shows those of IPv4 (::ffff:10.0.0.1)."""
    found = []
    for each in filter(None, map(str.strip, proxies.split(","))):
        if each == NAMELESS:
            found.append(each)
            continue
        network = ipaddress.ip_network(each)
        found.append(str(network))
        if network.version == 4:  # noqa: PLR2004 - the version's number is its name
            found.append(f"::ffff:{network.network_address}/{96 + network.prefixlen}")
    return found


def _address(scope: Scope) -> str:
    client = scope.get("client")
    if client is None:
        return caller_at("unknown")
    return SOCKET if client[0] in ("", NAMELESS) else caller_at(client[0])


class Gate:
    """Tells callers apart and holds them to what they may. ``ring`` is None where nobody needs a key, ``limiter`` where there is
    no limit; ``refused`` counts by reason. Refusals wait in ``queues``: noise must hold up nobody.
    """

    def __init__(self, ring: KeyRing | None, limiter: Limiter | None, refused: Callable[[str], None], queues: Queues) -> None:
        self.ring = ring
        self.limiter = limiter
        self._queues = queues
        self._refused = refused
        self._holders: dict[str, set[Callable[[], None]]] = {}
        if ring is not None:
            ring.listeners.append(self._end_those_revoked)

    async def let_in(self, scope: Scope, headers: dict[bytes, bytes], need: Need, *, limited: bool = True) -> list[Header] | None:
        """What the answer is to say of the limit, None if there is none. Awaits nothing while the caller has tokens at hand.

        Raises:
            Problem: 401 without a key that is good, 403 if it does not allow ``need``, 503 if that cannot be known or too many
                wait for their refusal, 429 if the caller has asked too often.
        """
        limiter = self.limiter
        try:
            caller = self._caller(scope, headers, need)
        except Problem as problem:
            await self._queues.turn("other", _address(scope))
            if limiter is not None and problem.status < _FAULT_FROM:
                # Who has no good key pays from the address: guesses and noise are limited like everything else.
                await limiter.draw(_address(scope))
            raise
        scope[CALLER] = caller
        if limiter is None or not limited:
            return None
        try:
            return limiter.spend(caller) or await limiter.draw(caller)
        except Problem:
            await self._queues.turn("other", caller)
            raise

    async def line_up(self, scope: Scope, kind: Kind | None) -> None:
        """For who was let in: return in their turn of the queue ``kind``, which is at once with a good key, or without a queue.

        Raises:
            Problem: 503 if too many wait.
        """
        caller: str = scope[CALLER]
        if kind is not None and not caller.startswith(_KEY):
            await self._queues.turn(kind, caller)

    def let_in_still(self, scope: Scope) -> None:
        """For requests with a body, once it has come: that may take a while, and the key may have been revoked meanwhile.

        Raises:
            Problem: 401.
        """
        caller: str = scope[CALLER]
        if self.ring is not None and caller.startswith(_KEY) and not self.ring.is_good(caller.removeprefix(_KEY)):
            self._refused("revoked")
            raise Problem(401, "unauthorized", "Unauthorized", "the API key is not good any more", headers=_CHALLENGE)

    def allow(self, scope: Scope, need: KeyScope) -> None:
        """For requests that need it beyond what their path does.

        Raises:
            Problem: 403 if the caller's key does not allow it.
        """
        caller: str = scope[CALLER]
        if self.ring is not None and caller.startswith(_KEY) and not self.ring.allows(caller.removeprefix(_KEY), need):
            self._refused("scope")
            raise Problem(403, "forbidden", "Forbidden", f"the API key is not for this, which needs {need}")

    @contextmanager
    def hold(self, scope: Scope, end: Callable[[], None]) -> Iterator[None]:
        """For answers that last: ``end`` is called if the caller's key is no longer good meanwhile."""
        caller = scope.get(CALLER, "")
        if self.ring is None or not caller.startswith(_KEY):
            yield
            return
        holders = self._holders.setdefault(caller, set())
        holders.add(end)
        try:
            yield
        finally:
            holders.discard(end)
            if not holders:
                self._holders.pop(caller, None)

    def _end_those_revoked(self) -> None:
        assert self.ring is not None
        for caller, holders in tuple(self._holders.items()):
            if not self.ring.is_good(caller.removeprefix(_KEY)):
                for end in tuple(holders):
                    end()

    def _caller(self, scope: Scope, headers: dict[bytes, bytes], need: Need) -> str:
        if self.ring is None or need == "open":
            return _address(scope)
        presented = headers.get(b"x-api-key")
        if presented is None:
            authorization = headers.get(b"authorization", b"")
            if authorization[:7].lower() != _BEARER:
                self._refused("missing")
                raise Problem(
                    401,
                    "unauthorized",
                    "Unauthorized",
                    "an API key is needed: X-API-Key: KEY or Authorization: Bearer KEY",
                    headers=_CHALLENGE,
                )
            presented = authorization[7:].strip()
        key = self.ring.find(presented)
        if isinstance(key, str):
            self._refused(key)
            if key == "unproven":
                raise Problem(
                    503,
                    "keys-unavailable",
                    "Keys unavailable",
                    "the store that holds the API keys did not answer for too long",
                    headers=(("Retry-After", "1"),),
                )
            detail = "the API key has expired" if key == "expired" else "the API key is not known"
            raise Problem(401, "unauthorized", "Unauthorized", detail, headers=_CHALLENGE)
        if need != "any" and not key.allows(need):
            self._refused("scope")
            raise Problem(403, "forbidden", "Forbidden", f"the API key is for {', '.join(key.scopes)}; this needs {need}")
        return _KEY + key.key_id

    async def charge(self, scope: Scope, decisions: int, field: str | None = None) -> None:
        """The request pays for so many decisions, which ``field`` of it asks for.

        Raises:
            Problem: 429 if the caller does not have so many now, 422 if nobody ever does; that costs one.
        """
        self.let_in_still(scope)
        if self.limiter is None:
            return
        if decisions > self.limiter.burst:
            # A refusal costs what an answer does.
            await self.limiter.draw(scope[CALLER])
            raise Problem(
                422,
                "invalid-request",
                "Invalid request",
                f"{decisions} decisions at once are more than the rate limit's burst; allowed: up to {self.limiter.burst}",
                field,
            )
        scope[LIMIT] = await self.limiter.draw(scope[CALLER], decisions)
