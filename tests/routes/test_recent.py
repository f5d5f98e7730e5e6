"""What changed lately: by position, bounded, and honest about what is not known."""

from app.routes import recent as recent_module
from app.routes.recent import Recent

_ALL = ("A", "B", "C")


def _recent() -> Recent:
    found = Recent()
    found.start("s")
    return found


def test_what_changed_after_a_position_is_told_in_the_order_asked_for() -> None:
    """Of the start, of any later position, of the newest; a position that was never there is not known."""
    recent = _recent()
    recent.add("1", ("C", "A"))
    recent.add("2", ("A", "Z"))
    assert recent.since("s", _ALL) == ["A", "C"]
    assert recent.since("1", _ALL) == ["A"]
    assert recent.since("2", _ALL) == []
    assert recent.since("0", _ALL) is None


def test_the_oldest_positions_are_forgotten_and_no_change_is() -> None:
    """So many positions are kept; those that are left still know what came after them."""
    recent = _recent()
    for number in range(recent_module._POSITIONS_MAX + 5):
        recent.add(str(number), ("A",) if number else ("B",))
    assert recent.since("s", _ALL) is None
    assert recent.since("3", _ALL) is None
    assert recent.since("100", _ALL) == ["A"]


def test_too_many_symbols_begin_it_anew() -> None:
    """What came before is then not known, and never wrong."""
    recent = _recent()
    recent.add_earlier("before", ("A",))
    recent.add("1", tuple(f"S{number}" for number in range(recent_module._SYMBOLS_MAX)))
    recent.add("2", ("A",))
    assert [recent.since(position, _ALL) for position in ("before", "s", "1", "2")] == [None, None, None, []]


def test_what_the_store_told_of_earlier_times_counts_with_all_that_came_since() -> None:
    """For the position that it was asked of, and for so many of them."""
    recent = _recent()
    recent.add_earlier("before", {"A"})
    recent.add("1", ("B",))
    assert recent.since("before", _ALL) == ["A", "B"]
    for number in range(recent_module._EARLIER_MAX):
        recent.add_earlier(f"e{number}", ())
    assert recent.since("before", _ALL) is None
    assert recent.since("e0", _ALL) == ["B"]
