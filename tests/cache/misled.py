"""A cache that holds a bad record, which was dated ten years ahead."""

from collections.abc import Awaitable, Callable

from tests.kit.house import House, shown
from tests.kit.records import AS_OF_MS, row

LATER_MS = AS_OF_MS + 10 * 365 * 86_400_000


class MisledHouse(House):
    """A's bad record is in both tiers; B's is right, and in L2."""

    def __init__(self) -> None:
        super().__init__("A", "B", stale_s=3600.0)

    def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """``work``, when the bad record has been read."""

        async def filled() -> None:
            self.store.put(row("A", LATER_MS, "bad"))
            await self.feed.step()
            assert shown(await self.fetch()) == ("bad", "l2", True)
            assert shown(await self.fetch()) == ("bad", "l1", True)
            await work()

        super().run(filled)
