"""What is known of a symbol when a decision is asked for: its records, or why one is not there."""

from typing import Literal

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
    """Both records of a symbol; where one is None, its trouble says why. One with a trouble is an earlier one that is used for
    want of the one that stands in L2 and cannot be.
    """

    price: PriceRecord | None
    agents: AgentRecord | None
    price_trouble: Trouble | None = None
    agents_trouble: Trouble | None = None

    @property
    def run(self) -> str | None:
        """Id of the warm run that wrote the newest record, None without records."""
        if self.price is None:
            return None if self.agents is None else self.agents.run
        if self.agents is None or self.agents.loaded_at_ms <= self.price.loaded_at_ms:
            return self.price.run
        return self.agents.run


def unread(trouble: Trouble) -> Evidence:
    """Evidence of a symbol nothing could be read of."""
    return Evidence(price=None, agents=None, price_trouble=trouble, agents_trouble=trouble)
