"""`decide dead-letters`: what could not be used is listed and shown, and replayed once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stream.places import TOPIC
from tests.stream.rig import Rig, trade
from warm.stream.dead_letters import topic_of_dead_letters
from warm.stream.log import Outgoing
from warm.stream.messages import PRICE_TOPIC
from warm.stream.replaying import main

Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def run(rig: Rig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command on what the rig has; its exit code and its lines."""
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "MARKET_PATH", "STREAM_PATH"):
        monkeypatch.delenv(name, raising=False)
    place = {"MARKET_PATH": str(rig.market.path)}
    if (url := getattr(rig.market, "url", "")) != "":
        place = {"DATABASE_URL": url}
    for name, value in {**place, "STREAM_PATH": str(rig.folder / "log.sqlite3")}.items():
        monkeypatch.setenv(name, value)

    def command(*arguments: str) -> tuple[int, list[str]]:
        code = main(arguments)
        said = capsys.readouterr()
        return code, (said.out + said.err).splitlines()

    return command


def _ids(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines]


def test_dead_letters_are_listed_once_with_whence_and_why(rig: Rig, run: Run) -> None:
    assert run("list") == (0, [])
    rig.append(b"no json\x1b[2J", trade(1), None)
    rig.consume()
    letters = rig.log.reader([topic_of_dead_letters(TOPIC)], lambda _: None)
    twice = [Outgoing(each.key, each.value, each.headers) for each in letters.poll(10, 0)]
    letters.close()
    rig.log.append(topic_of_dead_letters(TOPIC), [*twice, Outgoing(None, b"somebody else's")])
    code, lines = run("list")
    assert (code, _ids(lines)) == (0, ["decide.trades/0/0", "decide.trades/0/2"])
    assert "malformed: value is 'no json\ufffd[2J' (11 bytes); allowed: a JSON object" in lines[0]
    assert "\x1b" not in "".join(lines)
    code, lines = run("show", "decide.trades/0/0", "--json")
    shown: dict[str, Any] = json.loads(lines[0])
    assert (code, shown["value"], shown["key"], shown["state"]) == (0, "no json\x1b[2J", "BTC-USD", "open")
    code, lines = run("show", "decide.trades/0/2")
    assert (code, "value: None" in lines) == (0, True)


def test_those_of_prices_are_listed_and_replayed_beside_those_of_trades(rig: Rig, run: Run) -> None:
    rig.append(b"one")
    rig.append(b"two", trade(1), topic=PRICE_TOPIC)
    rig.consume()
    assert _ids(run("list")[1]) == ["decide.trades/0/0", "decide.prices/0/0", "decide.prices/0/1"]
    assert run("drop", "decide.prices/0/0") == (0, ["dropped 1"])
    assert run("replay", "--all") == (0, ["replayed 2"])
    rig.consume()
    assert _ids(run("list")[1]) == ["decide.trades/0/1", "decide.prices/0/2"]


def test_replaying_twice_changes_nothing(rig: Rig, run: Run) -> None:
    """What fails again is another dead letter, which tells of its last failure."""
    rig.append(b"no json", trade(1))
    rig.consume()
    assert run("replay", "--all") == (0, ["replayed 1"])
    assert run("replay", "--all") == (0, ["replayed 0"])
    assert run("replay", "decide.trades/0/0") == (0, ["replayed 0"])
    assert rig.log.watermarks(TOPIC).popitem()[1].high == 3
    assert run("list") == (0, [])
    rig.consume()
    assert _ids(run("list")[1]) == ["decide.trades/0/2"]
    _, lines = run("list", "--all")
    assert [line.split()[2] for line in lines[:1]] == ["replayed"]
    assert len(lines) == 2


def test_a_message_that_can_be_used_now_is_used_once_it_is_replayed(rig: Rig, run: Run) -> None:
    """A clock that was wrong then is right by now."""
    rig.now_us = trade(0).time_us
    rig.append(trade(1), trade(60))
    rig.consume()
    assert rig.ids() == ["1"]
    rig.now_us += 100_000_000
    # The command has a clock of its own, which is far ahead.
    assert run("replay", "--all")[0] == 0
    rig.consume()
    assert rig.ids() == ["1", "60"]
    assert run("list") == (0, [])


def test_what_is_dropped_is_not_replayed(rig: Rig, run: Run) -> None:
    rig.append(b"one", b"two")
    rig.consume()
    assert run("drop", "decide.trades/0/1") == (0, ["dropped 1"])
    assert _ids(run("list")[1]) == ["decide.trades/0/0"]
    assert run("replay", "decide.trades/0/1") == (0, ["replayed 0"])
    assert run("drop", "--all") == (0, ["dropped 1"])
    assert run("list") == (0, [])


def test_what_is_no_dead_letter_is_refused_by_name(rig: Rig, run: Run) -> None:
    rig.append(b"one")
    rig.consume()
    code, lines = run("replay", "decide.trades/0/7", "decide.trades/0/0")
    assert code == 1
    assert "there is no dead letter decide.trades/0/7; allowed: TOPIC/PARTITION/OFFSET of one that list has" in lines
    assert "replayed 1" in lines


@pytest.mark.parametrize("arguments", [("show",), ("replay",), ("drop", "a/0/1", "--all"), ("keep",)])
def test_a_command_line_that_says_too_little_or_too_much_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_a_log_that_is_not_there_is_told_and_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["list", "--stream-path", "nowhere/log.sqlite3"]) == 3
    assert "there is no log at nowhere/log.sqlite3" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
