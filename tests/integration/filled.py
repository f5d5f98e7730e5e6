"""A store with two runs in it, of which the second is bad."""

from app.store.protocol import Row
from tests.integration.places import LiveStore
from tests.kit.records import AS_OF_MS, replaced, row, run_info

LATER_MS = AS_OF_MS + 10 * 365 * 86_400_000


def agents_only(made: Row) -> Row:
    """Without its price."""
    return replaced(made, price=None, history=None)


def price_only(made: Row) -> Row:
    """Without its agents."""
    return replaced(made, agents=None)


async def fill(store: LiveStore) -> str:
    """Three symbols of run r1; then r2 with a bad bar of A, ten years ahead, and agents of B. The feed's position."""
    await store.publish_run([row("A", run="r1"), row("B", run="r1"), row("C", AS_OF_MS - 1, "r1")], run_info("r1", symbols=3))
    await store.publish_run([price_only(row("A", LATER_MS, "r2")), agents_only(row("B", AS_OF_MS + 5, "r2"))], run_info("r2"))
    return await store.feed_position()
