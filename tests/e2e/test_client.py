"""``decide ask`` against the real server, and against servers that mean harm."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from app.commands.table import COMMANDS
from app.payloads import BatchItem, DecideResponse
from tests.kit.servers import ROOT, DecideServer, clean_environment, free_port

_DECISION = {
    "id": "1",
    "symbol": "AAPL",
    "requested": "AAPL",
    "action": "hold",
    "score": 0.0,
    "confidence": 0.0,
    "target_weight": 0.0,
    "as_of": None,
    "expires_at": None,
    "model": {"name": "hybrid", "version": "1", "schema": "1"},
    "inputs": {
        "price": {"status": "missing", "age_s": None},
        "agents": {"status": "stale", "age_s": 7200.0, "used": 1, "abstained": 0, "failed": 0},
    },
    "cache": {"hit": False, "tier": "none", "age_ms": 0.0, "run": None},
    "fallback": {"used": True, "level": "neutral", "reason": "price_absent"},
    "latency_ms": 1.0,
}
_ACTS_ON_TERMINALS = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egpj\u2066\r\n\ud7ff\ue000"


def _run(*arguments: str, key: str = "") -> "subprocess.CompletedProcess[str]":
    environment = clean_environment({"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "DECIDE_API_KEY": key})
    command = [sys.executable, "-m", "app", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)


class _Hostile(ThreadingHTTPServer):
    """Answers every POST as it was told to, and remembers what it was asked."""

    status = 200
    headers: tuple[tuple[str, str], ...] = ()
    body = b""
    drip_s = 0.0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: _Hostile

    def do_POST(self) -> None:
        """Answers."""
        here = self.server
        body = self.rfile.read(int(self.headers["content-length"]))
        here.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(here.status)
        for name, value in here.headers:
            self.send_header(name, value)
        self.end_headers()
        try:
            for at in range(len(here.body) if here.drip_s else 1):
                self.wfile.write(here.body[at : at + 1] if here.drip_s else here.body)
                time.sleep(here.drip_s)
        except OSError:
            # The client has had enough.
            return

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def _serving() -> Iterator[_Hostile]:
    with _Hostile() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def hostile() -> Iterator[_Hostile]:
    """A server that does as it was told."""
    with _serving() as server:
        yield server


def test_a_decision_is_a_table_with_named_columns(server: DecideServer) -> None:
    ran = _run("ask", "aapl", "IBM", "--url", server.url)
    assert (ran.returncode, ran.stderr) == (0, "")
    head, *rows = ran.stdout.splitlines()
    assert head.split()[:5] == ["SYMBOL", "ACTION", "SCORE", "CONFIDENCE", "WEIGHT"]
    assert [row.split()[:2] for row in rows] == [["AAPL", "buy"], ["IBM", "buy"]]
    for column in ("ACTION", "PRICE", "TIER"):
        assert all(row[head.index(column) - 1] == " " and row[head.index(column)] != " " for row in rows)


def test_json_is_the_servers_own_one_line_for_each(server: DecideServer) -> None:
    ran = _run("ask", "AAPL", "--json", "--price", "101.5", "--explain", "--deadline-ms", "500", "--url", server.url)
    decision = msgspec.json.decode(ran.stdout, type=DecideResponse)
    assert (ran.returncode, ran.stdout.count("\n"), decision.symbol) == (0, 1, "AAPL")
    assert isinstance(decision.views, tuple)
    assert decision.views
    several = _run("ask", "AAPL", "NOPE", "--json", "--url", server.url)
    items = [msgspec.json.decode(line, type=BatchItem) for line in several.stdout.splitlines()]
    assert [item.symbol for item in items] == ["AAPL", "NOPE"]
    assert several.returncode == 1


def test_explain_shows_contributions_and_views(server: DecideServer) -> None:
    ran = _run("ask", "AAPL", "--explain", "--url", server.url)
    assert "momentum" in ran.stdout
    assert any(line.split()[:2] == ["agent_a", "+0.60"] for line in ran.stdout.splitlines())


def test_a_refusal_shows_title_field_and_detail(server: DecideServer) -> None:
    said = "Unknown symbol ({}): symbol NOPE is not in the loaded universe (GET /symbols lists it)\n"
    one = _run("ask", "NOPE", "--url", server.url)
    assert (one.returncode, one.stdout, one.stderr) == (1, "", "decide: " + said.format("symbol"))
    two = _run("ask", "AAPL", "NOPE", "--url", server.url)
    assert (two.returncode, two.stderr) == (1, "decide: " + said.format("symbols[1]"))
    assert len(two.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("AAPL", "--price", "nan"),
        ("AAPL", "--price", "-1"),
        ("AAPL", "IBM", "--price", "1"),
        ("AAPL", "--timeout-s", "0"),
        ("AAPL", "--max-age-s", "inf"),
        ("AAPL", "--url", "ftp://there"),
        ("AAPL", "--url", "http://there:port"),
        ("AAPL", "--url", "http://user:secret-word@there"),
        ("AAPL", "--key", "secret-word with space"),
        ("AAPL", "--key=secret-word\r\nX-Evil: 1"),
        ("AAPL", "--kee=secret-word"),
        ("AAPL", "--key", "secret-word", "--key-file", "there"),
        ("AAPL", "--key-file", "/no/such/file"),
    ],
)
def test_wrong_arguments_are_two_and_no_secret_is_shown(arguments: tuple[str, ...]) -> None:
    ran = _run("ask", *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "error:" in ran.stderr
    assert "secret-word" not in ran.stderr
    assert "Traceback" not in ran.stderr


def test_nobody_there_is_three() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    ran = _run("ask", "AAPL", "--url", url)
    assert (ran.returncode, ran.stdout, ran.stderr) == (3, "", f"decide: no answer from {url}: Connection refused\n")


def test_a_server_that_drips_is_left_when_the_time_is_up(hostile: _Hostile) -> None:
    """The time is for all of it, however often a byte comes."""
    hostile.body, hostile.drip_s = b" " * 1000, 0.1
    began = time.monotonic()
    ran = _run("ask", "AAPL", "--timeout-s", "1", "--url", hostile.url)
    hostile.drip_s = 0.001
    assert (ran.returncode, ran.stderr) == (3, f"decide: no answer from {hostile.url}: no answer within 1 s\n")
    assert time.monotonic() - began < 30


def test_a_redirect_is_not_followed_and_the_key_stays(hostile: _Hostile) -> None:
    with _serving() as other:
        hostile.status, hostile.headers = 307, (("Location", other.url + "/decide"),)
        ran = _run("ask", "AAPL", "--url", hostile.url, key="key-1")
        assert other.asked == []
    assert ran.returncode == 3
    assert "redirects are not followed" in ran.stderr


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"symbol":"AAPL"}',
        b'"\xff"',
        b"[" * 100_000,
        json.dumps({**_DECISION, "action": "\x1b[31m"}).encode(),
    ],
    ids=["empty", "html", "list", "half", "bytes", "deep", "action"],
)
def test_what_is_no_decision_is_three(hostile: _Hostile, body: bytes) -> None:
    hostile.body = body
    ran = _run("ask", "AAPL", "--url", hostile.url)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr == f"decide: no answer from {hostile.url}: what came is no decision of Decide's\n"


def test_too_large_an_answer_is_given_up(hostile: _Hostile) -> None:
    hostile.body = b" " * 70_000_000
    ran = _run("ask", "AAPL", "--timeout-s", "30", "--url", hostile.url)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "more than 67,108,864 bytes" in ran.stderr


def _is_harmless(text: str) -> bool:
    return all(each.isprintable() or each == "\n" for each in text)


def test_nothing_a_server_says_acts_on_the_terminal(hostile: _Hostile) -> None:
    evil = _ACTS_ON_TERMINALS
    view = {"agent": evil, "status": "view", "view": 0.5, "confidence": 0.5, "as_of": evil, "model": None}
    view |= {"reasoning": evil * 100, "reason": None, "source": None, "input_hash": None}
    decision = {**_DECISION, "symbol": evil, "as_of": evil, "contributions": {evil: 1.0}, "views": [view]}
    decision["fallback"] = {"used": True, "level": "stale", "reason": evil}
    hostile.body = json.dumps(decision, ensure_ascii=False, indent=1).encode()
    shown = _run("ask", "AAPL", "--explain", "--url", hostile.url)
    assert shown.returncode == 0
    assert _is_harmless(shown.stdout)
    raw = _run("ask", "AAPL", "--json", "--url", hostile.url)
    assert raw.stdout.count("\n") == 1
    assert _is_harmless(raw.stdout)
    assert json.loads(raw.stdout) == decision
    hostile.status = 422
    hostile.body = json.dumps({"type": "t", "title": evil, "status": 422, "detail": evil, "field": evil}).encode()
    refused = _run("ask", "AAPL", "--url", hostile.url)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert _is_harmless(refused.stderr)


def test_a_proxy_that_speaks_no_problem_json_is_a_refusal_by_its_status(hostile: _Hostile) -> None:
    hostile.status, hostile.body = 502, b"<html>\x1b[2J"
    ran = _run("ask", "AAPL", "--url", hostile.url)
    assert (ran.returncode, ran.stderr) == (1, "decide: 502 Bad Gateway: it does not say why\n")


def test_the_key_goes_into_its_header_from_each_of_its_places(hostile: _Hostile, tmp_path: Path) -> None:
    """The command line's is not taken in silence, and none is ever shown; the address may have a path before the server's."""
    hostile.body = json.dumps(_DECISION).encode()
    path = tmp_path / "key"
    path.write_text("key-of-file\n")
    url = hostile.url + "/behind/"
    runs = [
        _run("ask", "AAPL", "--url", url, key="key-of-environment"),
        _run("ask", "AAPL", "--url", url, "--key-file", str(path), key="key-of-environment"),
        _run("ask", "AAPL", "--url", url, "--key", "key-of-argument", key="key-of-environment"),
        _run("ask", "AAPL", "--url", url),
    ]
    assert [each.returncode for each in runs] == [0, 0, 0, 0]
    assert [headers.get("authorization") for _, headers, _ in hostile.asked] == [
        "Bearer key-of-environment",
        "Bearer key-of-file",
        "Bearer key-of-argument",
        None,
    ]
    assert {asked for asked, _, _ in hostile.asked} == {"/behind/decide"}
    assert [bool(each.stderr) for each in runs] == [False, False, True, False]
    assert "DECIDE_API_KEY" in runs[2].stderr
    assert all("key-of" not in each.stdout + each.stderr for each in runs)


def test_a_key_over_plain_http_to_another_machine_is_warned_of() -> None:
    """On this machine it is nobody else's business."""
    ran = _run("ask", "AAPL", "--url", "http://decide.invalid", "--timeout-s", "5", key="key-1")
    assert ran.returncode == 3
    assert "the key goes over the network unencrypted" in ran.stderr


def test_the_client_imports_nothing_of_the_server() -> None:
    """It starts fast, and works where only the server's package is."""
    program = """
import sys
from app.__main__ import main
sys.argv = ["app", "ask", "AAPL", "--url", "http://127.0.0.1:1"]
code = main()
found = {name.partition(".")[0] for name in sys.modules} | {name for name in sys.modules if name.startswith("app.")}
print(code, sorted(found & {"granian", "starlette", "redis", "structlog", "app.main", "app.settings", "app.commands.serve"}))
"""
    environment = clean_environment({"PYTHONPATH": str(ROOT)})
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "3 []\n"


def test_help_and_unknown_commands_say_what_there_is() -> None:
    every = _run("--help")
    assert every.returncode == 0
    assert all(f"  {name} " in every.stdout for name in COMMANDS)
    client = _run("ask", "--help").stdout
    assert "DECIDE_API_KEY" in client
    assert "history" in client
    assert "Exit codes:" in client
    assert _run("serve", "--help").returncode == 0
    assert _run("--port", "9").stderr.startswith("decide: options stand behind a command, as in `decide serve --port 9000`.")
    assert "sesame" not in _run("redis://:sesame@cache").stderr
    wrong = _run("serv")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith(
        f"decide: there is no command 'serv'. Did you mean serve? There are: {', '.join([*COMMANDS][:3])}, "
    )


def test_serve_by_name_is_the_server(tmp_path: Path) -> None:
    environment = clean_environment({"PYTHONPATH": str(ROOT), "PORT": "none"})
    command = [sys.executable, "-m", "app", "serve"]
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
    )
    assert (ran.returncode, ran.stderr.startswith("settings: PORT is 'none'")) == (2, True)
    assert not list(tmp_path.iterdir())
