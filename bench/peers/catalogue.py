"""The servers that are measured: how each is started, as its own documentation would have it, one worker unless it says so."""

import shutil
import sys
from pathlib import Path

import msgspec

from bench.addresses import UnixAddress
from bench.peers.processes import ROOT, Process, free_address

FEAST_PYTHON = ROOT / ".venv-feast" / "bin" / "python"


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """``command`` may hold {port}, {folder}, {python} and {bin}; ``ready`` is a path that answers 200 once it can be measured,
    empty where listening is enough. ``limit``: it computes nothing, and shows what its part alone costs. ``socket``: it listens
    on the Unix socket of that name in {folder}, and on no port.
    """

    name: str
    title: str
    command: tuple[str, ...]
    ready: str = ""
    environment: dict[str, str] = {}
    limit: bool = False
    socket: str = ""


_GRANIAN = ("{bin}/granian", "--interface", "asgi", "--http", "1", "--no-ws", "--loop", "uvloop", "--log-level", "warning")
_UVICORN = ("{bin}/uvicorn", "--no-access-log", "--log-level", "warning", "--port", "{port}")
_RAW = "bench.peers.servers.raw_asgi"


def decide(name: str = "decide", title: str = "Decide", **environment: str) -> Server:
    """Decide with these settings."""
    plain = {"CLOCK": "replay", "LOG_LEVEL": "warning", "PORT": "{port}", "HOST": "127.0.0.1", "DRAIN_S": "0"}
    return Server(
        name=name, title=title, command=("{python}", "-m", "app"), ready="/readyz", environment={**plain, **environment}
    )


def granian(name: str, title: str, application: str, *options: str) -> Server:
    """A bare ASGI function on Granian."""
    command = (*_GRANIAN, "--port", "{port}", *options, f"{_RAW}:{application}")
    return Server(name=name, title=title, command=command, limit=True)


def uvicorn(name: str, title: str, application: str, *, limit: bool = False) -> Server:
    """An ASGI application on Uvicorn."""
    return Server(name=name, title=title, command=(*_UVICORN, application), limit=limit)


DECIDE = decide()
DECIDE_TCP = decide("decide_tcp", "Decide, TCP on loopback")
DECIDE_UNIX = msgspec.structs.replace(
    decide("decide_unix", "Decide, Unix socket", HOST="unix:{folder}/decide.sock"), socket="decide.sock"
)
RAW = granian("granian_raw", "Granian, constant reply", "constant")
RAW_BODY = granian("granian_body", "Granian, constant reply after the body", "after_body")
ONE_GET = granian("granian_get", "Granian, one GET a request and a constant reply", "one_get")
FASTAPI = uvicorn("fastapi_redis", "FastAPI + Uvicorn + redis-py", "bench.peers.servers.fastapi_redis:app")
CASHEWS = uvicorn("fastapi_cashews", "FastAPI + cashews, client-side cache", "bench.peers.servers.fastapi_cashews:app")
LITESTAR = uvicorn("litestar_memory", "Litestar + in-memory TTL cache", "bench.peers.servers.litestar_memory:app")
UVICORN = uvicorn("uvicorn_raw", "Uvicorn, constant reply", f"{_RAW}:constant", limit=True)
UVICORN_BODY = uvicorn("uvicorn_body", "Uvicorn, constant reply after the body", f"{_RAW}:after_body", limit=True)
FEAST = Server(
    name="feast",
    title="Feast, Python feature server (31 features, no decision)",
    command=(
        *(str(FEAST_PYTHON.parent / "feast"), "-c", "{folder}/feast", "serve"),
        *("--host", "127.0.0.1", "--port", "{port}", "--no-access-log", "--max-requests", "0"),
    ),
    ready="/health",
)
NGINX = Server(
    name="nginx",
    title="nginx, constant reply (one worker)",
    command=("nginx", "-p", "{folder}", "-c", "{folder}/nginx-{port}.conf"),
    limit=True,
)
_NGINX_CONF = """daemon off;
worker_processes 1;
pid {folder}/nginx-{port}.pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ default_type application/json; return 200 '{reply}'; }}
  }}
}}
"""


def peers() -> list[Server]:
    """Those that are here: nginx may not be installed, nor Feast's environment."""
    found = [DECIDE, RAW, RAW_BODY, UVICORN, UVICORN_BODY, FASTAPI, CASHEWS, LITESTAR]
    if shutil.which("nginx") is not None:
        found.append(NGINX)
    if FEAST_PYTHON.exists():
        found.append(FEAST)
    return found


def start(server: Server, folder: Path, environment: dict[str, str]) -> Process:
    """Start it; what it needs is in ``folder`` and ``environment``."""
    tcp = free_address()
    address = UnixAddress(str(folder / server.socket)) if server.socket else tcp
    port = tcp.port
    values = {"port": str(port), "folder": str(folder), "python": sys.executable, "bin": str(Path(sys.executable).parent)}
    if server is NGINX:
        reply = Path(environment["PEER_REPLY"]).read_text(encoding="utf-8")
        (folder / f"nginx-{port}.conf").write_text(_NGINX_CONF.format(reply=reply, **values), encoding="utf-8")
    filled = {key: value.format(**values) for key, value in server.environment.items()}
    process = Process([part.format(**values) for part in server.command], folder, address, {**environment, **filled})
    process.wait_ready(server.ready)
    return process
