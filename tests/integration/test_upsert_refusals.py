"""Records that cannot be stored by themselves are refused, by name, and nothing is written."""

import re
from dataclasses import replace

import msgspec
import pytest

from app.domain.records import AGENTS, PRICE
from app.domain.vector import AS_OF_MAX_MS
from app.store.codec import encode
from app.store.protocol import VALUE_MAX_BYTES, Record
from tests.integration.places import LiveStore, Place
from tests.integration.upserting import KINDS_HERE
from tests.kit.moods import mood, mood_record
from tests.kit.records import AS_OF_MS, agent_record, history_record, price_record, tick


@pytest.fixture
def place(place: Place) -> Place:
    """It knows the made-up kinds."""
    return replace(place, kinds=KINDS_HERE)


_LONG = encode(msgspec.structs.replace(mood_record("A"), run="r" * VALUE_MAX_BYTES))


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (
            Record("dream", "A", b""),
            "kind 'dream' of 'A': there is none; allowed: price, agents, history, tick, status, mood, model",
        ),
        (Record("mood", "a", mood().value), "mood of 'a': its key is no symbol; allowed: 1 to 32 of"),
        (Record("model", "A", b"1"), "model of 'A': its key cannot be one; allowed: 1 to 64 of a-z"),
        (Record("mood", "A", b""), f"mood of 'A': it has 0 bytes; allowed: 1 to {VALUE_MAX_BYTES}"),
        (Record("mood", "A", _LONG), f"mood of 'A': it has {len(_LONG)} bytes; allowed: 1 to {VALUE_MAX_BYTES}"),
        (Record("mood", "A", b"\xc1"), "mood of 'A': it does not begin as a record does: "),
        (Record("mood", "A", encode(price_record("A"))), "mood of 'A': it does not begin as a record does: "),
        (
            Record("price", "A", encode(agent_record("A"))),
            f"price of 'A': its schema is '{AGENTS.schema}'; allowed: '{PRICE.schema}'",
        ),
        (mood("A", AS_OF_MAX_MS), f"mood of 'A': its times are {AS_OF_MAX_MS} and {AS_OF_MAX_MS + 1000}; allowed: 0 to"),
        (mood("A", sequence=2**53), f"mood of 'A': its sequence is {2**53}; allowed: 0 to {2**53 - 1}"),
        (
            Record("history", "A", encode(history_record("A"))),
            "history of A: it comes alone; allowed: with the price that it is a part",
        ),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name_and_nothing_is_written(record: Record, told: str, place: Place) -> None:
    async def work(store: LiveStore) -> None:
        with pytest.raises(ValueError, match=re.escape(told)):
            await store.upsert([mood("B"), record])
        assert await store.run_info() is None

    place.run(work)


def test_an_older_record_of_any_number_of_fields_sets_none_back(place: Place) -> None:
    """An array of more than 15 begins otherwise."""

    async def work(store: LiveStore) -> None:
        newer, older = tick("A", AS_OF_MS + 1), tick("A", AS_OF_MS)
        assert newer.value[0] == 0xDC
        assert await store.upsert([newer]) == (1, 0)
        assert await store.upsert([older]) == (0, 1)
        assert await store.record("tick", "A") == newer.value
        assert (await store.withdraw(symbols=["A"])).records["tick"] == 1

    place.run(work)
