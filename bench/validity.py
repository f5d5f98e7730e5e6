"""Is an answer what `app.payloads` says, and an answer to what was asked? And what does it tell of the cache?"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from app.payloads import BatchResponse, DecideResponse, ProblemBody
from bench.mix import Prepared

OK, NOT_FOUND, SERVER_ERROR, REFUSED = 200, 404, 500, 503

_decision = msgspec.json.Decoder(DecideResponse).decode
_batch = msgspec.json.Decoder(BatchResponse).decode
_problem = msgspec.json.Decoder(ProblemBody).decode


class Verdict(NamedTuple):
    """``fault`` is None for a valid answer; ``decisions`` are those in it."""

    fault: str | None
    decisions: tuple[DecideResponse, ...] = ()


def judge(request: Prepared, status: int, body: bytes) -> Verdict:
    """Look at one answer."""
    try:
        if status >= SERVER_ERROR:
            # Counted as a server's error by its status; what is asked here is whether it says so properly.
            return Verdict(_wrong_problem(_problem(body), status))
        return _JUDGES[request.kind](request, status, body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Verdict(f"{request.kind} answered {status} with a body that is no such payload: {error}")


def _judge_decide(request: Prepared, status: int, body: bytes) -> Verdict:
    if status != OK:
        return Verdict(f"decide {request.symbols[0]} answered {status}: {body[:200]!r}")
    decision = _decision(body)
    return Verdict(_wrong_decision(decision, request.symbols[0]), (decision,))


def _judge_batch(request: Prepared, status: int, body: bytes) -> Verdict:
    if status != OK:
        return Verdict(f"batch answered {status}: {body[:200]!r}")
    answer = _batch(body)
    if len(answer.answers) != len(request.symbols):
        return Verdict(f"batch of {len(request.symbols)} has {len(answer.answers)} answers")
    decisions = []
    for asked, item in zip(request.symbols, answer.answers, strict=True):
        if item.decision is None:
            return Verdict(f"batch has no decision for {asked}: {item.problem}")
        fault = _wrong_decision(item.decision, asked)
        if fault is not None:
            return Verdict(fault)
        decisions.append(item.decision)
    return Verdict(None, tuple(decisions))


def _judge_unknown(request: Prepared, status: int, body: bytes) -> Verdict:
    if status == OK:
        # While L2 does not answer, nobody can know whether the symbol is one; then the answer says so.
        decision = _decision(body)
        if decision.fallback.level == "neutral" and "l2_" in (decision.fallback.reason or ""):
            return Verdict(_wrong_decision(decision, request.symbols[0]), (decision,))
    if status != NOT_FOUND:
        return Verdict(f"unknown symbol {request.symbols[0]} answered {status}, not 404: {body[:200]!r}")
    return Verdict(_wrong_problem(_problem(body), status))


def _wrong_problem(problem: ProblemBody, status: int) -> str | None:
    return None if problem.status == status else f"problem of {status} says {problem.status}"


def _wrong_decision(decision: DecideResponse, symbol: str) -> str | None:
    if decision.symbol != symbol:
        return f"asked for {symbol}, answered for {decision.symbol}"
    if decision.cache.hit and decision.cache.tier != "l1":
        return f"{symbol}: a hit of tier {decision.cache.tier}"
    return None


_JUDGES: dict[str, Callable[[Prepared, int, bytes], Verdict]] = {
    "decide": _judge_decide,
    "batch": _judge_batch,
    "unknown": _judge_unknown,
}
