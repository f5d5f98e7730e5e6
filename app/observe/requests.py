"""What is counted and logged of a finished request. Fallbacks and errors are always logged, successes and refusals (503) in
samples: a server with more work than it can do must not write a line for each request that it refuses.
"""

from collections.abc import Callable

from prometheus_client import Counter, Histogram
from structlog.stdlib import BoundLogger

_OK_BELOW = 400
_FAULT_FROM = 500
_REFUSED = 503


class Requests:
    """One a process; `begin` and `end` bracket every request."""

    def __init__(
        self, durations: Histogram, decisions: Counter, logger: BoundLogger, clock: Callable[[], float], sample_every: int
    ) -> None:
        self._durations = durations
        self._decisions = decisions
        self._logger = logger
        self._clock = clock
        self._sample_every = sample_every
        self._successes = 0
        self._refusals = 0
        self._duration_of: dict[tuple[str, int], Histogram] = {}
        self._decision_of: dict[tuple[str, str, str], Counter] = {}
        self.in_flight = 0

    def decided(self, action: str, tier: str, level: str) -> None:
        """A decision was made."""
        key = (action, tier, level)
        child = self._decision_of.get(key)
        if child is None:
            child = self._decision_of[key] = self._decisions.labels(*key)
        child.inc()

    def begin(self) -> None:
        """A request is being answered."""
        self.in_flight += 1

    def end(
        self,
        method: str,
        route: str,
        status: int,
        started: float,
        request_id: str,
        trace_id: str | None,
        **facts: object,
    ) -> None:
        """It has been answered (or its caller has gone: status 499). ``facts`` go into the log line; one named ``fallback``
        makes sure that there is a line.
        """
        self.in_flight -= 1
        seconds = self._clock() - started
        key = (route, status)
        child = self._duration_of.get(key)
        if child is None:
            child = self._duration_of[key] = self._durations.labels(route, str(status))
        child.observe(seconds)
        if status < _OK_BELOW and "fallback" not in facts:
            self._successes += 1
            if self._successes % self._sample_every:
                return
            facts["sampled_one_in"] = self._sample_every
        elif status == _REFUSED:
            # The first is always logged.
            self._refusals += 1
            if (self._refusals - 1) % self._sample_every:
                return
            facts["sampled_one_in"] = self._sample_every
        if trace_id is not None:
            facts["trace_id"] = trace_id
        if status == _REFUSED:
            log = self._logger.warning
        else:
            log = self._logger.error if status >= _FAULT_FROM else self._logger.info
        log(
            "request",
            method=method,
            route=route,
            status=status,
            duration_ms=round(seconds * 1000.0, 3),
            request_id=request_id,
            **facts,
        )

    def failed(self, error: BaseException, request_id: str) -> None:
        """An error nobody foresaw; the caller gets a 500."""
        self._logger.error("request_failed", request_id=request_id, exc_info=error)
