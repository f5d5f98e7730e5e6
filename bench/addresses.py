"""Where a server is: a host and a port, or a Unix socket on this machine. The only module that knows how either is reached."""

import asyncio
import http.client
import socket
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

from app.unix_sockets import UNIX, NoSocket, socket_path
from bench.scenario import ScenarioError

ALLOWED = "http://host[:port], or unix:/path of a socket"

P = TypeVar("P", bound=asyncio.Protocol)


class Address(Protocol):
    """One server, or one replica of it. Addresses can be compared, hashed and sent to another process."""

    @property
    def host(self) -> str:
        """For the header Host."""
        ...

    def url(self, path: str) -> str:
        """``path`` there, for people."""
        ...

    def connect(self, timeout_s: float) -> socket.socket:
        """A connection that waits for ``timeout_s`` at most in each of its steps; raises OSError."""
        ...

    async def open(self, make: Callable[[], P]) -> P:
        """A connection of the running loop; raises OSError."""
        ...


class TcpAddress(NamedTuple):
    """``name`` may be an address or a name."""

    name: str
    port: int

    @property
    def host(self) -> str:
        """As in the URL, where addresses with colons stand in brackets."""
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"

    def url(self, path: str) -> str:
        """As a client would be given it."""
        return f"http://{self.host}{path}"

    def connect(self, timeout_s: float) -> socket.socket:
        """Without waiting for more to send, as http.client does it."""
        connection = socket.create_connection((self.name, self.port), timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    async def open(self, make: Callable[[], P]) -> P:
        """The protocol, connected."""
        _, protocol = await asyncio.get_running_loop().create_connection(make, self.name, self.port)
        return protocol


class UnixAddress(NamedTuple):
    """``path`` is absolute."""

    path: str

    @property
    def host(self) -> str:
        """Servers want one; a path is none."""
        return "localhost"

    def url(self, path: str) -> str:
        """There is no URL of a socket and a path that everybody reads alike."""
        return f"{path} on {UNIX}:{self.path}"

    def connect(self, timeout_s: float) -> socket.socket:
        """The socket must exist, and this user must be allowed to write to it."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(timeout_s)
            connection.connect(self.path)
        except OSError:
            connection.close()
            raise
        return connection

    async def open(self, make: Callable[[], P]) -> P:
        """The protocol, connected."""
        _, protocol = await asyncio.get_running_loop().create_unix_connection(make, self.path)
        return protocol


class HttpConnection(http.client.HTTPConnection):
    """The standard library's client, to either kind of address."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        # A host that has a port in it is taken apart by the base class, and both go into the header.
        super().__init__(address.host, timeout=timeout_s)
        self._address = address
        self._timeout_s = timeout_s

    def connect(self) -> None:
        """Called by the base class."""
        self.sock = self._address.connect(self._timeout_s)


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def address_of(url: str) -> TcpAddress | UnixAddress:
    """What ``url`` says.

    Raises:
        ScenarioError: it is neither an http URL of a host nor the path of a socket.
    """
    refusal = f"--url is {url!r}; allowed: {ALLOWED}"
    try:
        path = socket_path(url)
    except NoSocket as error:
        raise ScenarioError(f"{refusal}; {error}") from error
    if path is not None:
        return UnixAddress(path)
    parts = urlsplit(url)
    try:
        port = 80 if parts.port is None else parts.port
    except ValueError:
        port = 0
    if parts.scheme != "http" or not parts.hostname or not port or parts.path not in ("", "/"):
        raise ScenarioError(refusal)
    return TcpAddress(parts.hostname, port)


class Addresses:
    """Of one server: every address of its host (a service of several replicas has one each), in turn, or its one socket.

    Raises:
        OSError: the host has no address.
    """

    def __init__(self, target: TcpAddress | UnixAddress) -> None:
        self._target = target
        self._looked_at = 0.0
        self._next = 0
        self.all = self._look()

    def take(self) -> Address:
        """The next address."""
        self._next += 1
        return self.all[self._next % len(self.all)]

    def look_again(self) -> None:
        """Replicas may have come or gone: resolve the name anew, once a second at most."""
        if time.monotonic() - self._looked_at >= 1.0:
            try:
                self.all = self._look()
            except OSError:
                self._looked_at = time.monotonic()

    def _look(self) -> list[Address]:
        self._looked_at = time.monotonic()
        if isinstance(self._target, UnixAddress):
            return [self._target]
        name, port = self._target
        found = socket.getaddrinfo(name, port, socket.AF_INET, socket.SOCK_STREAM)
        return [TcpAddress(each, port) for each in sorted({str(address[0]) for *_, address in found})]
