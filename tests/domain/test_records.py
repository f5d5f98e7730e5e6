"""The table of kinds: what may stand in it, and what each kind says of its records."""

from dataclasses import replace

import msgspec
import pytest

from app.domain.records import AGENTS, HISTORY, KINDS, PRICE, STATUS, TICK, Kind, Kinds
from tests.kit.moods import MOOD, WITH_MOODS


def test_each_kind_has_a_fingerprint_of_its_own() -> None:
    """So a change of one kind makes nobody warm the others again. If one differs from what stands here, say so in the CHANGELOG:
    records of that kind must be warmed again.
    """
    assert {each.name: each.schema for each in KINDS.all} == {
        "price": "90a3019e5cbb177b",
        "agents": "e9b0c3383490781f",
        "history": "76a8bdcefd638ae2",
        "tick": "1251a75abeaadcb7",
        "status": "840e4e585e5ab698",
    }
    assert (PRICE.formerly, AGENTS.formerly) == (("58da68e1fd2ee18c",),) * 2
    assert HISTORY.formerly == ("39ed2f9016b7040c",)


def test_the_table_tells_inputs_runs_and_parts_apart() -> None:
    """Everybody else asks it, and names no kind."""
    assert (KINDS.inputs, KINDS.of_runs, KINDS.carried) == ((PRICE, AGENTS, TICK), (PRICE, AGENTS), (TICK, STATUS))
    assert (KINDS.further_inputs, WITH_MOODS.further_inputs) == ((), ("mood",))
    assert (KINDS.parts_of(PRICE), KINDS.parts_of(AGENTS)) == ((HISTORY,), ())
    assert (WITH_MOODS.inputs, WITH_MOODS.of_runs) == ((PRICE, AGENTS, TICK, MOOD), (PRICE, AGENTS))
    assert WITH_MOODS.carried == (TICK, STATUS, MOOD)
    assert WITH_MOODS.unread("absent").troubles == ("absent",) * 4


def test_inputs_stand_before_what_memory_holds_beside_them() -> None:
    """So a kind becomes an input by its mark alone."""
    assert KINDS.cached == (PRICE, AGENTS, TICK)
    beside = replace(MOOD, is_input=False)
    assert Kinds(PRICE, AGENTS, HISTORY, beside, TICK).cached == (PRICE, AGENTS, TICK, beside)
    assert Kinds(PRICE, AGENTS, HISTORY, MOOD, TICK).inputs == (PRICE, AGENTS, MOOD, TICK)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (replace(MOOD, name="a-b"), "kind 'a-b', 'moods'; allowed: small letters"),
        (replace(MOOD, plural="x;"), "'x;'; allowed: small letters"),
        (replace(MOOD, name="price"), "two kinds have one name"),
        (replace(MOOD, part_of="price"), "is part of 'price'; allowed: of a whole one"),
        (replace(HISTORY, name="more", part_of="history"), "is part of 'history'; allowed"),
        (replace(MOOD, decoder=PRICE.decoder), "kind 'mood' begins with .*; allowed: .*'sequence'"),  # type: ignore[arg-type]
        (replace(MOOD, life_ms=None), "'mood' is an input; allowed"),
        (replace(MOOD, held=("a",)), "has keys to be held; allowed: of a global kind"),
        (replace(MOOD, scope="global"), "'mood' is an input; allowed"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(wrong: Kind[msgspec.Struct], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Kinds(PRICE, AGENTS, HISTORY, wrong)
