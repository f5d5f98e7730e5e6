"""What is counted and logged of a finished request. Fallbacks and errors are always logged, successes and refusals (503) in
samples: a server with more work than it can do must not write a line for each request that it refuses.
"""

from collections.abc import Callable

from app.observe.tallies import Durations
from app.withheld import withheld

with withheld("rich"):
    from structlog.stdlib import BoundLogger

_OK_BELOW = 400
_FAULT_FROM = 500
_REFUSED = frozenset({401, 403, 404, 429, 503})
"""Who is refused can ask again at once, and as often as the network allows."""
_OVERLOADED = 503


class Requests:
    """One a process; `begin` and `end` bracket every request."""

    def __init__(
        self, durations: Callable[[str, int], Durations], logger: BoundLogger, clock: Callable[[], float], sample_every: int
    ) -> None:
        self.durations = durations
        self._logger = logger
        self._clock = clock
        self._sample_every = sample_every
        self._successes = 0
        self._refusals: dict[int, int] = {}
        self.in_flight = 0

    def begin(self) -> None:
        """A request is being answered."""
        self.in_flight += 1

    def end_well(self, durations: Durations, started: float) -> bool:
        """The hot path's `end` of a success without facts; whether it is one to be logged, which then is `end`'s to do."""
        if (self._successes + 1) % self._sample_every == 0:
            return True
        self._successes += 1
        self.in_flight -= 1
        durations.observe(self._clock() - started)
        return False

    def end(
        self,
        method: str,
        route: str,
        status: int,
        started: float,
        request_id: str,
        trace_id: str | None,
        facts: dict[str, object] | None = None,
        begun: float | None = None,
    ) -> None:
        """It has been answered (or its caller has gone: status 499). ``facts`` go into the log line, and make sure that there
        is one. An answer that went on for as long as its caller liked counts with the time until it had ``begun``.
        """
        self.in_flight -= 1
        now = self._clock()
        lasted = {} if begun is None else {"lasted_s": round(now - begun, 3)}
        seconds = (now if begun is None else begun) - started
        self.durations(route, status).observe(seconds)
        if status < _OK_BELOW and facts is None:
            self._successes += 1
            if self._successes % self._sample_every:
                return
            facts = {"sampled_one_in": self._sample_every}
        elif status in _REFUSED:
            # The first is always logged.
            before = self._refusals.get(status, 0)
            self._refusals[status] = before + 1
            if before % self._sample_every:
                return
            facts = {"sampled_one_in": self._sample_every}
        facts = facts or {}
        if trace_id is not None:
            facts = {**facts, "trace_id": trace_id}
        if status == _OVERLOADED:
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
            **lasted,
            **facts,
        )

    def failed(self, error: BaseException, request_id: str) -> None:
        """An error nobody foresaw; the caller gets a 500."""
        self._logger.error("request_failed", request_id=request_id, exc_info=error)
