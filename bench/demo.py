"""``decide demo``: warm the sample into the embedded store, start the real server, ask it everything once cold and once warm.
Then have simulated prices move, and decisions follow.

Black box: the warm job and the servers are processes of their own, and all it knows of them is their command lines, HTTP and
`app.payloads`. Exit code 0 if every answer was as it should be, 1 otherwise.
"""

import argparse
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec

from app.arguments import new_parser, parse
from app.payloads import DecideResponse, ProblemBody, ReadyResponse, SymbolsResponse
from app.program import DECIDE, ROOT, environment
from bench.addresses import free_port

if TYPE_CHECKING:
    # Imported where it is used: the extra brings it, and the help needs none.
    from rich.console import Console

_FOLDER = Path(".decide/demo")
"""Its own, so that no .env is read but what stands there."""
_STORE = _FOLDER / "store.sqlite3"
_LOG = _FOLDER / "server.log"
_LIVE = _FOLDER / "live"
_MOVES, _MOVES_S, _LOOK_S = 6, 20.0, 0.05
_READY_S = 30.0
_IS_CHECKOUT = (ROOT / "justfile").is_file()
_KEPT = re.compile(
    r"PATH|HOME|LANG|LC_.*|TZ|TERM|COLUMNS|NO_COLOR|FORCE_COLOR|TMPDIR|TMP|TEMP|SYSTEMROOT|COMSPEC|PATHEXT|VIRTUAL_ENV"
    r"|PYTHON.*|LD_.*|DYLD_.*|_?PYI.*|SSL_.*|COVERAGE.*",
    re.IGNORECASE,
).fullmatch
"""Variables that programs need to run at all; none is a setting."""


_CURL = 'curl -sd \'{"symbol": "AAPL", "price": 431.5}\' -H \'Content-Type: application/json\' localhost:8000/decide'
_NEXT_IN_A_CHECKOUT = (
    ("just live", "prices that move, on port 8000, until Ctrl-C"),
    ("just warm && CLOCK=replay just serve", "the sample on port 8000, until Ctrl-C"),
    (_CURL, ""),
    ("just test", "all tests"),
    ("just --list", "everything else"),
)
_NEXT = (
    ("decide live", "prices that move, on port 8000, until Ctrl-C"),
    ("decide warm && decide serve --clock replay", "the sample on port 8000, until Ctrl-C"),
    (_CURL, ""),
    ("decide warm --prices my/prices --agents my/agents", "your own data; then decide serve"),
    ("decide --help", "everything else"),
)


class Caller:
    """One keep-alive connection to the server, as a bot would hold it."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes, float]:
        """Status, body and the milliseconds until the last byte was here."""
        sent = None if body is None else msgspec.json.encode(body)
        started = time.perf_counter()
        self._connection.request(method, path, sent, {"Content-Type": "application/json"} if sent else {})
        response = self._connection.getresponse()
        received = response.read()
        return response.status, received, (time.perf_counter() - started) * 1000.0

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _environment(**settings: str) -> dict[str, str]:
    """For processes of the demo: none of the caller's settings, which may name a store of his, and these."""
    kept = environment({name: value for name, value in os.environ.items() if _KEPT(name)})
    return {**kept, "STORE_PATH": _STORE.name, "CLOCK": "replay", "LOG_FORMAT": "json", "DRAIN_S": "0", **settings}


def warm(console: "Console") -> bool:
    """Run the warm job on the sample; a new store, so that the first answers are cold."""
    for leftover in (_STORE, Path(f"{_STORE}-wal"), Path(f"{_STORE}-shm")):
        leftover.unlink(missing_ok=True)
    console.rule("decide warm")
    return subprocess.run([*DECIDE, "warm"], cwd=_FOLDER, env=_environment(), check=False).returncode == 0


class Ending:
    """Turns what would end this process at once into an exception, so that nothing is left behind; not while it is held."""

    def __init__(self) -> None:
        self._held = False
        self._came = 0
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            # Whoever starts it may have it ignore one (nohup), and there is no SIGHUP on Windows.
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._hear)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Signals wait for the end of this."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._came:
            self._end(self._came)

    def _hear(self, number: int, _: object) -> None:
        self._came = number
        if not self._held:
            self._end(number)

    def _end(self, number: int) -> NoReturn:
        self._came = 0
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


@contextmanager
def server(port: int, ending: Ending, command: str = "serve", folder: Path = _FOLDER, **settings: str) -> Iterator[None]:
    """The real server, up and ready, by ``command`` in ``folder``; stopped at the end, whatever that is."""
    process = None
    try:
        with ending.held(), _LOG.open("wb") as log:
            process = subprocess.Popen(
                [*DECIDE, command],
                cwd=folder,
                env=_environment(HOST="127.0.0.1", PORT=str(port), **settings),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_ready(port, process)
        yield
    finally:
        # A terminal's signal comes twice, from the kernel and from the bootloader of the one file.
        with ending.held():
            if process is not None:
                process.terminate()
                process.wait(30)


def wait_ready(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Return once /readyz answers 200."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        caller = Caller(port)
        try:
            status, body, _ = caller.ask("GET", "/readyz")
            if status == http.HTTPStatus.OK and msgspec.json.decode(body, type=ReadyResponse).status == "ok":
                return
        except OSError:
            pass
        finally:
            caller.close()
        time.sleep(0.05)
    raise SystemExit(f"the server did not get ready; its log is {_LOG}:\n{_LOG.read_text()}")


def decide_all(caller: Caller, symbols: tuple[str, ...], console: "Console") -> list[DecideResponse]:
    """Two rounds over all symbols, as a table."""
    from rich.table import Table  # noqa: PLC0415 - as Console

    table = Table(title="POST /decide, the clock replaying the sample's last day")
    for name in ("symbol", "action"):
        table.add_column(name)
    for name in ("score", "confidence", "target weight"):
        table.add_column(name, justify="right")
    for name in ("tier", "fallback"):
        table.add_column(name)
    for name in ("server ms", "client ms"):
        table.add_column(name, justify="right")
    answers = []
    for _ in ("cold", "warm"):
        for symbol in symbols:
            status, body, client_ms = caller.ask("POST", "/decide", {"symbol": symbol})
            if status != http.HTTPStatus.OK:
                raise SystemExit(f"POST /decide for {symbol} answered {status}: {body.decode()}")
            answer = msgspec.json.decode(body, type=DecideResponse)
            answers.append(answer)
            numbers = (f"{answer.score:+.3f}", f"{answer.confidence:.3f}", f"{answer.target_weight:+.3f}")
            times = (f"{answer.latency_ms:.3f}", f"{client_ms:.3f}")
            table.add_row(symbol, answer.action, *numbers, answer.cache.tier, answer.fallback.level, *times)
        table.add_section()
    console.print(table)
    return answers


def show_failed_agents(caller: Caller, answers: list[DecideResponse], console: "Console") -> None:
    """What a caller learns when some of a symbol's agents failed."""
    from rich.table import Table  # noqa: PLC0415 - as Console

    worst = max(answers, key=lambda answer: answer.inputs.agents.failed)
    _, body, _ = caller.ask("POST", "/decide", {"symbol": worst.symbol, "explain": True})
    answer = msgspec.json.decode(body, type=DecideResponse)
    agents = answer.inputs.agents
    console.print(
        f"\n[bold]{worst.symbol}[/bold]: {agents.used} agents' views used, {agents.abstained} abstained, {agents.failed} failed"
    )
    table = Table(title=f'POST /decide {{"symbol": "{worst.symbol}", "explain": true}}: views')
    for name in ("agent", "status", "view", "confidence", "as of", "reason"):
        table.add_column(name)
    for view in answer.views or ():
        numbers = ("" if value is None else f"{value:+.2f}" for value in (view.view, view.confidence))
        table.add_row(view.agent, view.status, *numbers, view.as_of[:10], view.reason or "")
    console.print(table)


def show_unknown(caller: Caller, console: "Console") -> bool:
    """What a caller gets for a symbol outside the universe."""
    status, body, _ = caller.ask("POST", "/decide", {"symbol": "NOPE"})
    problem = msgspec.json.decode(body, type=ProblemBody)
    console.print(f"\n[bold]NOPE[/bold]: HTTP {status}, {problem.type}: {problem.detail}")
    return status == http.HTTPStatus.NOT_FOUND


def show_live(caller: Caller, console: "Console") -> bool:
    """A price that moves, and the decision that follows it; whether both did."""
    from rich.table import Table  # noqa: PLC0415 - as Console

    table = Table(title="POST /decide for AAPL, on simulated trades of now")
    for name in ("trade's age", "price", "action", "score", "confidence"):
        table.add_column(name, justify="left" if name == "action" else "right")
    rows: list[tuple[float, float]] = []
    deadline = time.monotonic() + _MOVES_S
    while len(rows) < _MOVES and time.monotonic() < deadline:
        status, body, _ = caller.ask("POST", "/decide", {"symbol": "AAPL"})
        answer = msgspec.json.decode(body) if status == http.HTTPStatus.OK else {"inputs": {}}
        inputs = answer["inputs"]
        tick = inputs.get("tick")
        if tick and inputs["price"]["status"] == tick["status"] == "present" and (not rows or rows[-1][0] != tick["price"]):
            rows.append((tick["price"], answer["score"]))
            numbers = f"{answer['score']:+.4f}", f"{answer['confidence']:.3f}"
            table.add_row(f"{tick['age_s']:.3f} s", f"{tick['price']:.2f}", answer["action"], *numbers)
        time.sleep(_LOOK_S)
    console.print(table)
    return len(rows) == _MOVES and len({score for _, score in rows}) > 1


def make_parser() -> argparse.ArgumentParser:
    """The arguments: there are none."""
    return new_parser(
        "decide demo",
        "",
        description="Warm the sample (five stocks to March 2013, simulated agents) into a SQLite file of its own, start the\n"
        "real server on a free port, ask it for every symbol once cold and once warm, for an unknown one and for why, and stop.\n"
        "Then the same with simulated prices that move (`decide live`).\n"
        "None of your settings is used, and none of your stores.\n"
        f"It writes into {_FOLDER}, below the working folder. Exit codes: 0 every answer was as it should be, 1 not.",
    )


def main(arguments: Sequence[str]) -> int:
    """The demo."""
    parse(make_parser(), arguments)
    from rich.console import Console  # noqa: PLC0415 - as above

    ending = Ending()
    # Output into a file or a pipe is not cut to the 80 columns rich would take there.
    console = Console() if sys.stdout.isatty() else Console(width=120)
    try:
        # The folder of the user's own store too. Both are nobody else's.
        _FOLDER.parent.mkdir(0o700, exist_ok=True)
        _FOLDER.mkdir(0o700, exist_ok=True)
        _LOG.touch()
    except OSError as error:
        print(f"demo: {_LOG.absolute()} cannot be written ({error.strerror}); run it in a folder of your own", file=sys.stderr)
        return 1
    if not warm(console):
        return 1
    console.rule("decide serve")
    port = free_port()
    with server(port, ending):
        caller = Caller(port)
        _, body, _ = caller.ask("GET", "/symbols")
        symbols = msgspec.json.decode(body, type=SymbolsResponse).symbols
        answers = decide_all(caller, symbols, console)
        show_failed_agents(caller, answers, console)
        right = show_unknown(caller, console)
        caller.close()
    tiers = [answer.cache.tier for answer in answers]
    right = right and tiers == ["l2"] * len(symbols) + ["l1"] * len(symbols)
    console.rule("decide live")
    shutil.rmtree(_LIVE, ignore_errors=True)
    _LIVE.mkdir(0o700)
    port = free_port()
    with server(port, ending, "live", _LIVE, CLOCK="wall", INGESTION_INTERVAL_SECONDS="0.2"):
        caller = Caller(port)
        right = show_live(caller, console) and right
        caller.close()
    console.print("\nNext, try:")
    for command, effect in _NEXT_IN_A_CHECKOUT if _IS_CHECKOUT else _NEXT:
        console.print(f"  [bold]{command}[/bold]" + (f"  # {effect}" if effect else ""), soft_wrap=True, highlight=False)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
