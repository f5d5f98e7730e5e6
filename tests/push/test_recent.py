"""What changed lately: by position, bounded, and honest about what is not known."""

import asyncio

from app.push import recent as recent_module
from app.push.recent import Recent
from app.slices import SLICE
from app.store.protocol import Changes
from tests.kit.store import UNIVERSE, FakeStore

_ALL = ("A", "B", "C")


def _recent() -> Recent:
    found = Recent()
    found.start("s")
    return found


def test_what_changed_after_a_position_is_told_in_the_order_asked_for() -> None:
    recent = _recent()
    recent.add("1", ("C", "A"))
    recent.add("2", ("A", "Z"))
    assert recent.since("s", _ALL) == ["A", "C"]
    assert recent.since("1", _ALL) == ["A"]
    assert recent.since("2", _ALL) == []
    assert recent.since("0", _ALL) is None


def test_the_oldest_positions_are_forgotten_and_no_change_is() -> None:
    recent = _recent()
    for number in range(recent_module._POSITIONS_MAX + 5):
        recent.add(str(number), ("A",) if number else ("B",))
    assert recent.since("s", _ALL) is None
    assert recent.since("3", _ALL) is None
    assert recent.since("100", _ALL) == ["A"]


def test_too_many_symbols_begin_it_anew() -> None:
    recent = _recent()
    recent.add_earlier("before", ("A",))
    recent.add("1", tuple(f"S{number}" for number in range(recent_module._SYMBOLS_MAX)))
    recent.add("2", ("A",))
    assert [recent.since(position, _ALL) for position in ("before", "s", "1", "2")] == [None, None, None, []]


def test_a_part_of_a_change_is_known_before_its_position_is() -> None:
    """Whoever comes back to the position before is told of all parts so far. One too many begins it anew at no position."""
    recent = _recent()
    recent.add("1", ("B",))
    recent.add(None, ("A",))
    assert recent.since("1", _ALL) == ["A"]
    recent.add("2", ("C",))
    assert [recent.since(position, _ALL) for position in ("s", "1", "2")] == [["A", "B", "C"], ["A", "C"], []]
    recent.add(None, tuple(f"S{number}" for number in range(recent_module._SYMBOLS_MAX)))
    recent.add("3", ("A",))
    assert [recent.since(position, _ALL) for position in ("2", "3")] == [None, []]


def test_what_the_store_told_of_earlier_times_is_bounded_by_its_symbols_too() -> None:
    recent = _recent()
    half = {f"S{number}" for number in range(recent_module._SYMBOLS_MAX // 2)}
    for position in ("1", "2", "3"):
        recent.add_earlier(position, half)
    assert [recent.since(position, _ALL) for position in ("1", "2", "3")] == [None, [], []]
    recent.add_earlier("4", half | {f"T{number}" for number in range(recent_module._SYMBOLS_MAX)})
    assert recent.since("4", _ALL) is None


def test_an_account_of_too_many_symbols_is_not_read_to_its_end() -> None:
    """Who was away for that much is told everything."""

    async def work() -> None:
        store = FakeStore(*UNIVERSE)
        symbols = tuple(f"S{number}" for number in range(recent_module._SYMBOLS_MAX + 1))
        store.pages = {"1": Changes("2", symbols, lost=False), "2": Changes("2", (), lost=False)}
        assert await recent_module.look_back(store, "1") is None
        assert store.looks == ["1"]
        store.pages["1"] = Changes("2", symbols[1:], lost=False)
        assert await recent_module.look_back(store, "1") == set(symbols[1:])

    asyncio.run(work())


def test_what_is_forgotten_is_given_back_in_slices() -> None:
    """A loss of the feed costs nobody else their turn."""

    async def work() -> None:
        recent = _recent()
        symbols = {f"S{number}" for number in range(10 * SLICE)}
        recent.add("1", tuple(symbols))
        recent.start("2")
        assert recent.since("2", symbols) == []
        turns = 0
        tidying = asyncio.create_task(recent.tidy())
        while not tidying.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 10
        await recent.tidy()
        assert recent.since("2", symbols) == []

    asyncio.run(work())


def test_what_the_store_told_of_earlier_times_counts_with_all_that_came_since() -> None:
    recent = _recent()
    recent.add_earlier("before", {"A"})
    recent.add("1", ("B",))
    assert recent.since("before", _ALL) == ["A", "B"]
    for number in range(recent_module._EARLIER_MAX):
        recent.add_earlier(f"e{number}", ())
    assert recent.since("before", _ALL) is None
    assert recent.since("e0", _ALL) == ["B"]


def test_an_account_that_a_loss_of_the_feed_overtook_is_not_used() -> None:
    """It may be from before the gap."""
    store = FakeStore(*UNIVERSE)
    store.pages = {"0": Changes("1", ("A",), lost=False), "1": Changes("1", (), lost=False)}

    class Overtaken(FakeStore):
        """Loses the feed while it is read."""

        async def changes_since(self, after: str) -> Changes:
            recent.start("s")
            return await store.changes_since(after)

    async def work() -> None:
        assert await recent.ask(Overtaken(), "0", _ALL) is None
        assert await recent.ask(store, "0", _ALL) == ["A"]

    recent = _recent()
    asyncio.run(work())
