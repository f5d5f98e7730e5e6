"""The histogram of requests' durations, by route, the route's class of the SLO, and status."""

import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from app.observe.tallies import BatchedHistogram, Durations

REQUEST_BUCKETS_S = (
    *(50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1.0, 2.5, 10.0),
)
_DECIDE = "/decide"


class RequestDurations:
    """Declared on the registry of `app.observe.meters`. ``classes`` has the class of each route; other requests are unmatched."""

    def __init__(self, registry: CollectorRegistry, classes: Mapping[str, str]) -> None:
        self._classes = classes
        self._durations: dict[tuple[str, str], Durations] = {}
        self._histogram = BatchedHistogram(
            "decide_request_duration_seconds",
            "Time from the request's arrival in the app to its last send.",
            ["route", "slo_class", "status"],
            buckets=REQUEST_BUCKETS_S,
            registry=registry,
        )
        # A series that begins with its first event hides that event from rates.
        for route in (_DECIDE, "/decide/batch"):
            for status in ("200", "404", "422", "500", "503"):
                self._child(route, status)

    def _child(self, route: str, status: str) -> BatchedHistogram:
        return self._histogram.labels(route, self._classes.get(route, "unmatched"), status)

    def of(self, route: str, status: int) -> Durations:
        """Those of requests of ``route`` that were answered with ``status``."""
        key = route, str(status)
        durations = self._durations.get(key)
        if durations is None:
            durations = self._durations[key] = Durations(self._child(*key), REQUEST_BUCKETS_S)
        return durations

    def totals(self) -> tuple[int, tuple[int, ...]]:
        """How many requests there were since the start, and those of POST /decide by bucket."""
        of_decide = [0] * (len(REQUEST_BUCKETS_S) + 1)
        requests = 0
        for (route, _), durations in self._durations.items():
            counts = durations.so_far()
            requests += sum(counts)
            if route == _DECIDE:
                of_decide = [so_far + count for so_far, count in zip(of_decide, counts, strict=True)]
        return requests, tuple(of_decide)

    def exemplify(self, route: str, status: int, seconds: float, trace_id: str) -> None:
        """This trace is an example of a request so answered, and of how long that takes."""
        self._child(route, str(status)).exemplify(seconds, {"trace_id": trace_id}, time.time())

    def flush(self) -> None:
        """Tell the histogram."""
        for durations in self._durations.values():
            durations.flush()
