"""What is known of a symbol when a decision is asked for: its records, or why one is not there."""

from typing import Any, Literal

import msgspec

from app.domain.vector import AgentRecord, PriceRecord

Trouble = Literal[
    "absent",
    "schema_mismatch",
    "corrupt",
    "l2_error",
    "l2_timeout",
    "l2_overloaded",
    "l2_open",
    "l2_empty",
]
"""Why a record is not there. ``absent`` and ``schema_mismatch`` are answers of L2 (status missing); the others mean that the
record could not be read (status error). With a record it says why a newer one could not be had (status stale)."""


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """What is known of one symbol, an element for each kind that L1 holds, in the order of `app.domain.records.Kinds.cached`.

    Where a record is None, its trouble says why. One with a trouble is an earlier one that is used for want of the one that
    stands in L2 and cannot be. Price and agents come first, then other inputs of
    decisions, then what no decision rests on.
    """

    records: tuple[Any, ...]
    troubles: tuple[Trouble | None, ...]

    @property
    def price(self) -> PriceRecord | None:
        """The first input."""
        record: PriceRecord | None = self.records[0]
        return record

    @property
    def agents(self) -> AgentRecord | None:
        """The second input."""
        record: AgentRecord | None = self.records[1]
        return record

    @property
    def run(self) -> str | None:
        """Id of the warm run that wrote the newest of the records that a run wrote, None without any."""
        run, loaded_at_ms = None, -1
        for record in self.records:
            if record is not None and record.loaded_at_ms > loaded_at_ms and record.run:
                run, loaded_at_ms = record.run, record.loaded_at_ms
        return run

    def having(self, place: int, record: Any, trouble: Trouble | None = None) -> "Evidence":  # noqa: ANN401 - of the place's kind
        """The same with this record, and this trouble, in its place."""
        records, troubles = list(self.records), list(self.troubles)
        records[place], troubles[place] = record, trouble
        return Evidence(tuple(records), tuple(troubles))
