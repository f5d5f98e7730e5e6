"""More at once than the limit: refused in words, and only what L1 cannot answer."""

import asyncio

import httpx
import pytest

from app.payloads import BatchResponse
from tests.kit.serving import Served, decoded, problem_of
from tests.kit.store import FakeStore

_SYMBOLS = [f"S{number}" for number in range(60)]
_ENOUGH_TURNS = 1000
"""Of the loop: enough for any answer that comes at all, however slow the machine. The others wait for ever."""


class Crowd:
    """Requests at once to one application, some of which wait for a store that hangs."""

    def __init__(self, served: Served) -> None:
        self.served = served

    def ask(self, *asked: tuple[str, object]) -> list[httpx.Response | None]:
        """The answers to these paths and bodies, sent one after the other; None for one that is still waiting in the end."""

        async def all_of_them() -> list[httpx.Response | None]:
            transport = httpx.ASGITransport(app=self.served.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://decide.test") as client:
                tasks = []
                for path, body in asked:
                    work = client.get(path) if body is None else client.post(path, json=body)
                    tasks.append(asyncio.create_task(work))
                    for _ in range(_ENOUGH_TURNS):
                        await asyncio.sleep(0)
                answers = [task.result() if task.done() else None for task in tasks]
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                return answers

        return self.served.runner.run(all_of_them())


def _hanging(max_in_flight: int) -> Served:
    served = Served(FakeStore(*_SYMBOLS), max_in_flight=max_in_flight, l2_timeout_ms=60_000.0)
    served.decide("S0")
    served.decide("S1")
    served.store.hangs = True
    return served


def test_beyond_the_limit_misses_are_refused_and_hits_are_served() -> None:
    with _hanging(2) as served:
        answers = Crowd(served).ask(
            ("/decide", {"symbol": "S10"}),
            ("/decide", {"symbol": "S11"}),
            ("/decide", {"symbol": "S12"}),
            ("/decide", {"symbol": "S0"}),
            ("/decide", {"symbol": "s1"}),
            ("/features/S13", None),
            ("/features/S0", None),
            ("/symbols", None),
        )
        waiting, refused, hits = answers[:2], [answers[2], answers[5], answers[7]], [answers[3], answers[4], answers[6]]
        assert waiting == [None, None]
        for each in refused:
            assert each is not None
            problem = problem_of(each, 503, "overloaded")
            assert problem.detail == "2 decisions are under way, of at most 2; try again in 1 s"
            assert each.headers["retry-after"] == "1"
        for each in hits:
            assert each is not None
            assert each.status_code == 200
            assert each.json()["cache"]["hit"] is True
        # Callers who went away while they waited make room.
        assert served.parts.admission.in_flight == 0


def test_beyond_the_limit_a_stale_entry_answers_rather_than_nobody() -> None:
    """It costs as much as the refusal, tells more, and says what it is."""
    with _hanging(1) as served:
        served.clock.now += 61.0
        waiting, stale, refused = Crowd(served).ask(
            ("/decide", {"symbol": "S10"}), ("/decide", {"symbol": "S0"}), ("/decide", {"symbol": "S11"})
        )
        assert waiting is None
        assert stale is not None
        assert stale.status_code == 200
        assert stale.json()["fallback"] == {"used": True, "level": "stale", "reason": "price_l2_overloaded"}
        assert refused is not None
        problem_of(refused, 503, "overloaded")


def test_a_batch_counts_as_its_decisions() -> None:
    """One is refused that would go over the limit, whether or not there is room for less; and what is full decodes no batch."""
    with _hanging(10) as served:
        eight, three, two, wrong, large = Crowd(served).ask(
            ("/decide/batch", {"symbols": _SYMBOLS[10:18]}),
            ("/decide/batch", {"symbols": _SYMBOLS[20:23]}),
            ("/decide/batch", {"symbols": _SYMBOLS[20:22]}),
            ("/decide/batch", {"nonsense": 1}),
            ("/decide/batch", {"symbols": ["LONG-SYMBOL-OF-NOBODY"] * 900}),
        )
        assert (eight, two) == (None, None)
        for each in (three, wrong, large):
            assert each is not None
            problem_of(each, 503, "overloaded")


def test_refusals_end_with_the_load() -> None:
    with _hanging(1) as served:
        Crowd(served).ask(("/decide", {"symbol": "S10"}), ("/decide", {"symbol": "S11"}))
        served.store.hangs = False
        # The load that hung goes on for those who may come; another symbol has one of its own.
        assert served.decide("S12").cache.tier == "l2"


@pytest.mark.parametrize("count", [1, 49, 50, 51, 60])
def test_batches_at_once_are_each_answered_whole_and_in_order(count: int) -> None:
    with Served(FakeStore(*_SYMBOLS)) as served:
        asked = [_SYMBOLS[:count], _SYMBOLS[::-1][:count], ["NOPE", *_SYMBOLS[:count]][:count]]
        answers = Crowd(served).ask(*(("/decide/batch", {"symbols": symbols}) for symbols in asked))
        for symbols, answer in zip(asked, answers, strict=True):
            assert answer is not None
            found = decoded(answer, BatchResponse)
            assert [each.symbol for each in found.answers] == symbols
            assert found.failed == symbols.count("NOPE")
            assert found.decided + found.failed == count
