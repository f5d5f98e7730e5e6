"""How much work may be under way at once, and the refusal of more.

What is limited is decisions that somebody waits for, not requests: a batch of a thousand is a thousand times the work of one. A
decision from fresh L1 waits for nothing, costs hardly more than its refusal would, and is never refused.
"""

from app.errors import Problem

RETRY_AFTER_S = 1
"""What refused callers are told to wait. Work that was let in is over long before."""


class Admission:
    """One a process. What `enter` let in must `leave`."""

    def __init__(self, max_in_flight: int) -> None:
        self.max_in_flight = max_in_flight
        self.in_flight = 0

    @property
    def full(self) -> bool:
        """Whether not even one more decision is let in."""
        return self.in_flight >= self.max_in_flight

    def enter(self, decisions: int) -> bool:
        """Whether so many more may be waited for; if so, they count from now on. A batch above the limit may come in alone."""
        if self.in_flight and self.in_flight + decisions > self.max_in_flight:
            return False
        self.in_flight += decisions
        return True

    def leave(self, decisions: int) -> None:
        """So many are no longer waited for."""
        self.in_flight -= decisions

    def refusal(self) -> Problem:
        """503 with Retry-After."""
        return Problem(
            503,
            "overloaded",
            "Overloaded",
            f"{self.in_flight} decisions are under way, of at most {self.max_in_flight}; try again in {RETRY_AFTER_S} s",
            headers=(("Retry-After", str(RETRY_AFTER_S)),),
        )
