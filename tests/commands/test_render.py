"""Decisions on a terminal: what is said of the last trade."""

import pytest
from msgspec import UNSET, Raw, UnsetType, structs

from app.commands.render import table
from app.payloads import DecideResponse, TickInput
from app.routes.examples import DECISIONS


@pytest.mark.parametrize(
    ("tick", "says"),
    [
        (UNSET, "present 1.0 h "),
        (TickInput("present", 1.4, Raw(b"1"), "a-feed", "complete"), "present 1.0 h, trade present 1.4 s "),
        (TickInput("stale", 90.0, Raw(b"1"), "a-feed", "complete", "stale"), "present 1.0 h, trade stale 1.5 min "),
        (TickInput("error", None, Raw(b"null"), None, None, "corrupt"), "present 1.0 h, trade error "),
        (TickInput("present", 90.0, Raw(b"1"), "a-feed", "complete", "older_than_bars"), "present 1.0 h "),
    ],
)
def test_a_last_trade_stands_beside_the_bars_unless_these_decide_without_it(tick: TickInput | UnsetType, says: str) -> None:
    decision = DECISIONS["plain"]
    assert isinstance(decision, DecideResponse)
    (_, line) = table([structs.replace(decision, inputs=structs.replace(decision.inputs, tick=tick))])
    assert f"{says} " in line
