"""How many workers were started anew, as a metric: of the whole server, whichever of its workers is asked."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

Restarts = Callable[[], Mapping[str, int]]
"""The number by reason (`crew.REASONS`)."""


class RestartsCollector(Collector):
    """Reads it when somebody looks: the main process counts, and has no metrics of its own."""

    def __init__(self, restarts: Restarts) -> None:
        self._restarts = restarts

    def collect(self) -> Iterator[CounterMetricFamily]:
        """One family."""
        family = CounterMetricFamily(
            "decide_worker_restarts", "Workers started anew, because the one before died or was stuck.", labels=["reason"]
        )
        for reason, count in self._restarts().items():
            family.add_metric([reason], count)
        yield family
