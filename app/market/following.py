"""The market store, as the consumer of a log sees it: all that it knows stands there."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from app.domain.trades import Trade
from app.market.marks import DeadMark, Settled
from app.market.protocol import Applied, Batch, Gap, Heard, Writer
from app.market.windows import Moment

Then = Callable[[Moment, Sequence[Trade]], None]
"""Is told of a batch before it is written for good: what the store sees then, and the trades that are new and count."""


class Known(NamedTuple):
    """What is known of a symbol: its last trade with a size, which sources were heard, and gaps in which trades are lacking."""

    last: Trade | None
    heard: tuple[Heard, ...]
    gaps: tuple[Gap, ...]


class StreamWriter(Writer, Protocol):
    """For the consumer of a log, too."""

    def apply(self, batch: Batch, then: Then | None = None) -> Applied:
        """As `Writer`. What ``then`` does is done before the end of the transaction; where it fails, nothing is written."""
        ...

    def moment(self) -> AbstractContextManager[Moment]:
        """The store in a transaction of its own."""
        ...

    def known(self, symbols: Sequence[str] | None = None) -> dict[str, Known]:
        """What is known of ``symbols`` (None: of all that were heard), of one moment; what is not there is known by nothing."""
        ...

    def dead_letters(self) -> Mapping[DeadMark, Settled | None]:
        """Those that were marked, and what became of each; None: nothing yet."""
        ...

    def settle(self, marks: Sequence[DeadMark], how: Settled) -> None:
        """Say that this became of dead letters, marked or not."""
        ...
