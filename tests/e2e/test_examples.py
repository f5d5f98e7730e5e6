"""The examples that the README shows, as they stand, against the real server."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from app.payloads import DecideResponse
from tests.e2e.publishing import publish_universe
from tests.kit.servers import ROOT, DecideServer, clean_environment, decide_server, free_port

_EXAMPLES = ROOT / "data" / "examples"
_STAND_IN = '''
class IStrategy:
    """As much of freqtrade's as the example leans on."""

    wallets = None

    def __init__(self, config):
        self.config = config
'''
# What freqtrade does with a strategy around an entry, in its order.
_TRADES = """
import json, logging, types
logging.basicConfig(level="WARNING", format="%(message)s")
from freqtrade_strategy import DecideStrategy

def strategy_in(runmode):
    made = DecideStrategy({"runmode": types.SimpleNamespace(value=runmode)})
    made.wallets = types.SimpleNamespace(get_total_stake_amount=lambda: 1000.0)
    return made

live = strategy_in("dry_run")
decision = live.decide("BTC/USDT", 101.0)
around = dict(current_time=None, entry_tag=None, side="long")
stake = dict(current_rate=101.0, proposed_stake=50.0, leverage=1.0, **around)
order = dict(order_type="limit", amount=1.0, rate=101.0, time_in_force="GTC", **around)
print(json.dumps({
    "symbol": decision and decision["symbol"],
    "weight": decision and decision["target_weight"],
    "stake": live.custom_stake_amount("BTC/USDT", min_stake=5.0, max_stake=900.0, **stake),
    "at most": live.custom_stake_amount("BTC/USDT", min_stake=5.0, max_stake=7.0, **stake),
    "too little": live.custom_stake_amount("BTC/USDT", min_stake=800.0, max_stake=900.0, **stake),
    "confirmed": live.confirm_trade_entry("BTC/USDT", **order),
    "unknown": live.confirm_trade_entry("NO/PAIR", **order),
    "backtest": strategy_in("backtest").decide("BTC/USDT", 101.0),
}))
"""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DecideServer]:
    """A server that knows a share and a pair."""
    folder = tmp_path_factory.mktemp("pairs")
    publish_universe(folder / "store.sqlite3", ["AAPL", "BTC-USDT"])
    with decide_server(folder, STORE_PATH=str(folder / "store.sqlite3"), CLOCK="replay") as running:
        running.wait_ready()
        yield running


def _run(url: str, *command: str, path: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    environment = clean_environment({"DECIDE_URL": url, "PYTHONPATH": str(path)})
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"no {name} on the PATH: in CI this test is never skipped")
        pytest.skip(f"NO {name.upper()}: it is not on the PATH; its example was not run")
    return found


def test_the_shells_example_prints_the_servers_answer(pairs: DecideServer) -> None:
    _tool("curl")
    command = _tool("bash"), str(_EXAMPLES / "decide.sh")
    ran = _run(pairs.url, *command, "btc/usdt")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert msgspec.json.decode(ran.stdout, type=DecideResponse).symbol == "BTC-USDT"
    refused = _run(pairs.url, *command, "NOPE")
    assert refused.returncode != 0
    assert "Unknown symbol" in refused.stdout


def test_pythons_example_says_what_to_do(pairs: DecideServer) -> None:
    command = sys.executable, str(_EXAMPLES / "decide.py")
    ran = _run(pairs.url, *command)
    assert (ran.returncode, ran.stdout) == (0, "AAPL: buy, +34.4% of the portfolio, confidence 0.79\n"), ran.stderr
    refused = _run(pairs.url, *command, "NOPE")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Unknown symbol: ")


def test_javascripts_example_says_what_to_do(pairs: DecideServer) -> None:
    command = _tool("node"), str(_EXAMPLES / "decide.mjs")
    ran = _run(pairs.url, *command)
    assert (ran.returncode, ran.stdout) == (0, "AAPL: buy, 34.4% of the portfolio, confidence 0.79\n"), ran.stderr
    refused = _run(pairs.url, *command, "NOPE")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Unknown symbol: ")


def _freqtrade(folder: Path) -> Path:
    """A path with the strategy, and with a stand-in for freqtrade where there is none."""
    shutil.copy(_EXAMPLES / "freqtrade_strategy.py", folder)
    if find_spec("freqtrade") is None:
        (folder / "freqtrade").mkdir()
        (folder / "freqtrade" / "__init__.py").touch()
        (folder / "freqtrade" / "strategy.py").write_text(_STAND_IN, encoding="utf-8")
    return folder


def test_the_freqtrade_strategy_trades_what_decide_says(pairs: DecideServer, tmp_path: Path) -> None:
    """The share it names of the wallet, within the exchange's bounds; nothing without a decision, and nothing in a backtest."""
    ran = _run(pairs.url, sys.executable, "-c", _TRADES, path=_freqtrade(tmp_path))
    assert ran.returncode == 0, ran.stderr
    told = msgspec.json.decode(ran.stdout, type=dict[str, object])
    weight = told.pop("weight")
    assert isinstance(weight, float)
    assert 0 < weight <= 0.5
    assert told == {
        "symbol": "BTC-USDT",
        "stake": pytest.approx(1000.0 * weight, rel=1e-6),
        "at most": 7.0,
        "too little": 0.0,
        "confirmed": True,
        "unknown": False,
        "backtest": None,
    }
    assert "NO/PAIR: no decision from Decide: HTTP Error 404" in ran.stderr


def test_without_decide_the_freqtrade_strategy_enters_nothing_and_says_why(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    ran = _run(url, sys.executable, "-c", _TRADES, path=_freqtrade(tmp_path))
    assert ran.returncode == 0, ran.stderr
    told = msgspec.json.decode(ran.stdout, type=dict[str, object])
    assert (told["symbol"], told["stake"], told["confirmed"]) == (None, 0.0, False)
    assert "BTC/USDT: no decision from Decide: <urlopen error [Errno 111] Connection refused>" in ran.stderr
