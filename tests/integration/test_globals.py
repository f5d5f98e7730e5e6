"""Global records that a worker holds: a made-up kind that changes carry, and one that they name."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec
import pytest

from app.domain.records import Kind
from app.domain.vector import fingerprint
from app.errors import StoreError
from app.store.codec import encode
from app.store.protocol import Record
from tests.integration.places import LiveStore, Place
from tests.integration.upserting import MODEL, model
from tests.kit.faulty import FaultyStore
from tests.kit.house import House
from tests.kit.moods import WITH_MOODS
from tests.kit.records import AS_OF_MS


class PolicyRecord(msgspec.Struct, array_like=True, frozen=True):
    """A global record that changes carry."""

    schema: str
    as_of_ms: int
    loaded_at_ms: int
    run: str
    sequence: int
    cap: float


RULE = Kind(
    name="rule",
    plural="rules",
    decoder=msgspec.msgpack.Decoder(PolicyRecord),
    schema=fingerprint("rule-1"),
    fault=lambda record: None if record.cap > 0 else f"cap is {record.cap}, not above 0",
    scope="global",
    carries_value=True,
    held=("current",),
)
KINDS_HELD = WITH_MOODS.adding(replace(MODEL, held=("volatility",)), RULE)


def _rule(as_of_ms: int, cap: float, sequence: int = 0, key: str = "current") -> Record:
    return Record("rule", key, encode(PolicyRecord(RULE.schema, as_of_ms, as_of_ms, "", sequence, cap)))


class GlobalHouse(House):
    """A worker's feed of a real store, and what it holds."""

    def __init__(self, live: LiveStore) -> None:
        self.live, self.faulty = live, FaultyStore(live)
        super().__init__(over=self.faulty, lease_s=5.0, kinds=KINDS_HELD)

    def held(self) -> tuple[float | None, float | None]:
        """The rule's cap and the model's weight."""
        rule, model_ = self.feed.globals.get("rule", "current"), self.feed.globals.get("model", "volatility")
        return None if rule is None else rule.cap, None if model_ is None else model_.weight


@pytest.fixture
def run(place: Place) -> Callable[[Callable[[GlobalHouse], Awaitable[None]]], None]:
    """Runs something in a house on an empty store."""
    return lambda work: replace(place, kinds=KINDS_HELD).run(lambda store: work(GlobalHouse(store)))


def test_a_worker_holds_global_records_as_they_stand_in_the_store_and_as_they_come(
    run: Callable[[Callable[[GlobalHouse], Awaitable[None]]], None],
) -> None:
    async def work(house: GlobalHouse) -> None:
        await house.live.upsert([_rule(AS_OF_MS, 0.1), model("volatility", AS_OF_MS, 1.0), model("other", AS_OF_MS, 7.0)])
        assert house.held() == (None, None)
        assert await house.feed.step()
        assert house.held() == (0.1, 1.0)
        await house.live.upsert([_rule(AS_OF_MS, 0.3, 2), _rule(AS_OF_MS, 0.9, key="another")])
        assert await house.feed.step()
        assert house.held() == (0.3, 1.0)
        house.feed.globals.apply([_rule(AS_OF_MS, 0.2, 1)])
        assert house.held() == (0.3, 1.0)
        await house.live.upsert([model("volatility", AS_OF_MS + 1, 2.0)])
        assert await house.feed.step()
        assert house.held() == (0.3, 2.0)
        assert house.feed.globals.get("model", "other") is house.feed.globals.get("rule", "another") is None

    run(work)


def test_a_global_record_that_cannot_be_used_leaves_the_one_before_it(
    run: Callable[[Callable[[GlobalHouse], Awaitable[None]]], None],
) -> None:
    async def work(house: GlobalHouse) -> None:
        await house.live.upsert([_rule(AS_OF_MS, 0.1)])
        await house.feed.step()
        await house.live.upsert([_rule(AS_OF_MS + 1, -1.0)])
        await house.feed.step()
        assert house.held() == (0.1, None)
        assert house.meters.counts["fault corrupt"] == 1
        house.feed.globals.apply([Record("rule", "current", b"")])
        assert house.held() == (None, None)

    run(work)


def test_global_records_are_read_again_after_a_loss_once_the_store_answers(
    run: Callable[[Callable[[GlobalHouse], Awaitable[None]]], None],
) -> None:
    async def work(house: GlobalHouse) -> None:
        await house.live.upsert([_rule(AS_OF_MS, 0.1)])
        await house.feed.step()
        house.feed.globals.lost()
        house.faulty.down = True
        with pytest.raises(StoreError):
            await house.feed.globals.read()
        assert (house.held(), house.feed.globals.is_due) == ((0.1, None), True)
        house.faulty.down = False
        assert await house.feed.step()
        assert (house.held(), house.feed.globals.is_due) == ((0.1, None), False)

    run(work)
