"""Where servers are: what may be given, and that both kinds of address are reached alike."""

import asyncio
import itertools
import json
import pickle
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from bench import scrape
from bench.__main__ import main
from bench.addresses import Address, Addresses, TcpAddress, UnixAddress, address_of
from bench.capacity import _measure, measure
from bench.load import Load
from bench.loops import run
from bench.mix import Encoder
from bench.scenario import Phase, ScenarioError
from bench.streams import main as stream_main
from tests.bench.servers import answering, well

_ASK = Encoder("localhost").prepared("decide", ("AAPL",))


class _Echo(BaseHTTPRequestHandler):
    """Answers a GET with its path and host."""

    def do_GET(self) -> None:
        body = json.dumps({"path": self.path, "host": self.headers["Host"]}).encode()
        self.send_response(404 if self.path == "/nothing" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        """Callers on a Unix socket have no address."""
        return "somebody"

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002, ANN401 - the base class's own
        """Nothing."""


@contextmanager
def _echoing(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _closed(requests: int) -> Phase:
    return Phase(name="closed", loop="closed", connections=3, requests=requests)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8000", TcpAddress("127.0.0.1", 8000)),
        ("http://decide/", TcpAddress("decide", 80)),
        ("http://[::1]:8000", TcpAddress("::1", 8000)),
        ("unix:/run/decide/decide.sock", UnixAddress("/run/decide/decide.sock")),
        ("unix:///run/decide/decide.sock", UnixAddress("/run/decide/decide.sock")),
        ("unix:/a b?#%41", UnixAddress("/a b?#%41")),
    ],
)
def test_a_url_says_where_a_server_is(url: str, address: Address) -> None:
    assert address_of(url) == address
    assert pickle.loads(pickle.dumps(address)) == address  # noqa: S301 - its own


@pytest.mark.parametrize(
    "url",
    [
        *("", "decide", "https://x", "http://", "http://x:0", "http://x:y", "http://x/path"),
        *("unix:", "unix:/", "unix:decide.sock", "unix://run/decide.sock", "unix:////run/x", "unix:/run/", "unix:/a\0b"),
        *("unix:/run/.", "unix:/run/..", "unix:/a\nb"),
        f"unix:/{'x' * 107}",
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(url: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        address_of(url)
    assert f"--url is {url!r}; allowed: http://host[:port], or unix:/path of a socket" in str(caught.value)


def test_hosts_and_places_are_shown_as_people_write_them() -> None:
    assert TcpAddress("::1", 80).host == "[::1]:80"
    assert TcpAddress("a", 80).url("/metrics") == "http://a:80/metrics"
    assert UnixAddress("/x").host == "localhost"
    assert UnixAddress("/x").url("/metrics") == "/metrics on unix:/x"


def test_a_socket_is_loaded_as_a_port_is(tmp_path: Path) -> None:
    path = str(tmp_path / "decide.sock")

    async def both() -> Load:
        server = await asyncio.start_unix_server(answering(well), path)
        load = Load(_closed(100), itertools.repeat(_ASK), Addresses(UnixAddress(path)), rate_per_s=None)
        await load.run()
        server.close()
        return load

    load = run(both())
    assert (load.recorder.answers, load.recorder.invalid, load.recorder.faults) == (100, 0, {})


def test_a_socket_that_is_not_there_is_nobody_listening(tmp_path: Path) -> None:
    """As a port on which nobody listens: connections are refused, and no request is lost by it."""
    addresses = Addresses(UnixAddress(str(tmp_path / "nothing.sock")))

    async def nobody() -> Load:
        load = Load(_closed(5), itertools.repeat(_ASK), addresses, rate_per_s=None, silence_s=0.2)
        await load.run()
        return load

    recorder = run(nobody()).recorder
    assert recorder.refused_connections >= 3
    assert recorder.faults == {"never_sent": 5}
    addresses.look_again()
    assert addresses.all == [addresses.take()]


def test_servers_are_asked_over_either(tmp_path: Path) -> None:
    """With a Host that says where, and on a socket one that every server takes; an answer that is none names the place."""
    path = tmp_path / "echo.sock"
    with (
        socketserver.TCPServer(("127.0.0.1", 0), _Echo) as tcp,
        socketserver.UnixStreamServer(str(path), _Echo) as unix,
        _echoing(tcp),
        _echoing(unix),
    ):
        port = int(tcp.server_address[1])
        assert scrape.get_json(TcpAddress("127.0.0.1", port), "/a") == {"path": "/a", "host": f"127.0.0.1:{port}"}
        assert scrape.get_json(UnixAddress(str(path)), "/a") == {"path": "/a", "host": "localhost"}
        with pytest.raises(scrape.ServerError, match=r"^GET /nothing on unix:.*/echo\.sock answered 404"):
            scrape.get(UnixAddress(str(path)), "/nothing")


def test_the_harness_measures_itself_over_what_it_measures() -> None:
    """A constant reply on a socket, where the server is on one."""
    capacity = run(measure(_ASK, b"{}", socket=True))
    assert capacity.requests_per_s > 100


def test_a_constant_server_that_does_not_start_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ScenarioError, match=r"^the constant server that .* did not start: its process ended with 1, "):
        run(_measure(_ASK, b"{}", str(tmp_path / "nowhere" / "constant")))
    assert "FileNotFoundError" in capfd.readouterr().err


def test_a_socket_that_cannot_be_reached_ends_a_run_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nothing.sock"
    assert main(["--url", f"unix:{path}", "--scenario", "closed", "--out", str(tmp_path)]) == 2
    assert stream_main(["--url", f"unix:{path}", "--publish", "true"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    for line in errors:
        assert line.startswith("bench: GET /symbols?limit=1000 on unix:")
        assert "No such file" in line


def test_one_experiment_alone_is_for_the_peers(capsys: pytest.CaptureFixture[str]) -> None:
    """Elsewhere the option is refused rather than ignored."""
    with pytest.raises(SystemExit) as caught:
        main(["--scenario", "closed", "--only", "sockets"])
    assert caught.value.code == 2
    assert (
        "--only is 'sockets' with --scenario closed; allowed: with --scenario peers or market or stream"
        in capsys.readouterr().err
    )
