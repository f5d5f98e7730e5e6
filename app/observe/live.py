"""What is measured of live data: how long a trade takes from its source to a decision, and whether a stream still speaks."""

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge, Histogram

from app.domain.status import StatusRecord

_BUCKETS_S = (1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1.0, 2.5, 5.0, 10.0, 60.0)


class LiveMeters:
    """``now_us``: epoch microseconds, by the wall's clock."""

    def __init__(self, registry: CollectorRegistry, now_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._now_us = now_us
        self._seconds = Histogram(
            "decide_tick_to_decision_seconds",
            "From when a trade came to its source until the first answer from memory that used it, by the clocks of both.",
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._silent = Gauge(
            "decide_stream_silent_seconds",
            "Time since a stream last said how it is; 0 without one, or after it was stopped.",
            registry=registry,
            multiprocess_mode="livemax",
        )

    def decided(self, ingested_us: int) -> None:
        """A trade that came to its source then is used for the first time."""
        self._seconds.observe(max(0, self._now_us() - ingested_us) / 1e6)

    def refresh(self, said: StatusRecord | None) -> None:
        """A stream ``said`` that last."""
        if said is None or said.state == "stopped":
            self._silent.set(0)
        else:
            self._silent.set(max(0, self._now_us() // 1000 - said.loaded_at_ms) / 1000)
