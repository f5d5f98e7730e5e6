"""What the processes of a server know of one another."""

import multiprocessing
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.observe.crew import Crew
from app.observe.meters import Meters


def _in_a_worker(crew: Crew) -> None:
    crew.beat(1)
    crew.beat(1)


@pytest.mark.skipif(sys.platform == "win32", reason="WINDOWS: it has no fork")
def test_what_a_worker_says_the_main_process_reads() -> None:
    crew = Crew(2)
    process = multiprocessing.get_context("fork").Process(target=_in_a_worker, args=(crew,))
    process.start()
    process.join(20)
    assert (crew.beats(0), crew.beats(1)) == (0, 2)
    crew.begin(1)
    assert crew.beats(1) == 0


def test_the_end_has_two_stages() -> None:
    crew = Crew()
    stages = [crew.stage]
    for _ in range(3):
        crew.next_stage()
        stages.append(crew.stage)
    assert stages == [0, 1, 2, 2]


def test_restarts_are_counted_by_reason_in_the_metrics_from_zero_on() -> None:
    crew = Crew(2)
    meters = Meters(version="1", policy="p", schema="s", restarts=crew.restarts)

    def told() -> dict[str, float]:
        families = text_string_to_metric_families(meters.exposition().decode())
        samples = [sample for family in families for sample in family.samples if sample.name == "decide_worker_restarts_total"]
        return {sample.labels["reason"]: sample.value for sample in samples}

    assert told() == {"died": 0.0, "stuck": 0.0}
    crew.restarted("died")
    crew.restarted("stuck")
    crew.restarted("stuck")
    assert told() == {"died": 1.0, "stuck": 2.0}
