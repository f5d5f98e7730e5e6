"""What the consumer of a log marks in the market store beside trades."""

from typing import Literal, NamedTuple


class Missing(NamedTuple):
    """Ids of trades that did not come, of a source whose ids count by one: those from ``first`` to ``last``."""

    first: int
    last: int
    from_us: int
    to_us: int


class DeadMark(NamedTuple):
    """That a message was put among the dead letters, by where it stood: one that is put there twice is one."""

    topic_id: str
    partition: int
    offset: int


Settled = Literal["replayed", "dropped"]
"""What became of a dead letter."""
