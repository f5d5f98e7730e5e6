"""What the log is told of a part that does not answer: why, and when it is over. Callers learn neither."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from app.errors import MarketError, StoreError

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

Part = Literal["l2_feed", "l2_reads", "keys", "rate_limit", "market"]

_AGAIN_S = 60.0
_CALM_S = 5.0
"""Answers among failures end nothing: the log would hear of each."""


class Outage:
    """Of one ``part`` of a worker: a warning at its first failure, at one for another reason, and at most once a minute for each
    reason while they go on; one line when it has answered, and not failed for 5 seconds.
    """

    def __init__(self, logger: "BoundLogger", part: Part, clock: Callable[[], float]) -> None:
        self._logger, self._part, self._clock = logger, part, clock
        self._began: float | None = None
        self._failed_at, self._failures = 0.0, 0
        self._told: dict[str, float] = {}

    def __call__(self, error: StoreError | MarketError | None) -> None:
        """The part answered, or failed."""
        if error is not None:
            self._failed(error)
        elif self._began is not None and self._clock() - self._failed_at >= _CALM_S:
            lasted_s = round(self._failed_at - self._began, 3)
            self._logger.info("outage_over", part=self._part, failures=self._failures, lasted_s=lasted_s)
            self._began, self._failures, self._told = None, 0, {}

    def _failed(self, error: StoreError | MarketError) -> None:
        now = self._failed_at = self._clock()
        self._failures += 1
        if self._began is None:
            self._began = now
        told_at = self._told.get(error.reason)
        if told_at is None or now - told_at >= _AGAIN_S:
            self._told[error.reason] = now
            detail = str(error).removeprefix(error.reason).removeprefix(": ")
            self._logger.warning("outage", part=self._part, reason=error.reason, detail=detail, failures=self._failures)
