"""POST /decide/batch: many decisions in one request, one read of L2 for all that L1 does not have.

A batch is the only request that costs much more than its refusal, so it is what overload is about: decisions under way are
limited (`app.answering.admission`), and batches take turns (`app.answering.turns`) by slices of about a millisecond.
"""

from collections.abc import Awaitable, Callable

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.answering.decider import Decider
from app.answering.suggestions import cost_of
from app.answering.turns import Turns
from app.cache.loads import Begun, Lookup
from app.cache.read_through import READ_AT_ONCE
from app.errors import Problem, invalid
from app.http.bodies import Bodies, require_json
from app.http.decoding import StrictDecoder
from app.messages import body_of
from app.payloads import BatchItem, BatchRequest, BatchResponse, DecideRequest
from app.slices import shares

DECISIONS_IN_A_ROW = 50
HITS_IN_A_ROW = READ_AT_ONCE
"""After so many decisions, or prepared answers (about 1 ms either), others get their turn."""


class BatchRoute:
    """The endpoint."""

    def __init__(
        self,
        decider: Decider,
        clock: Callable[[], float],
        *,
        batch_max: int,
        bodies: Bodies,
        charge: Callable[[Scope, int, str | None], Awaitable[None]],
        turns: Turns,
    ) -> None:
        self._decider = decider
        self._clock = clock
        self._batch_max = batch_max
        self._read = bodies.read
        self._charge = charge
        self._turns = turns
        self._decode = StrictDecoder(BatchRequest).decode
        self._encode = msgspec.json.Encoder().encode

    async def post(self, request: Request) -> Response:
        """One answer for each asked, in order; a wrong symbol is a problem in its place, not of the batch."""
        arrival = request.scope["arrival"]
        admission = self._decider.admission
        try:
            require_json(arrival.headers)
            asked, place = self._asked(self._decode(await self._read(request.receive, arrival.headers)))
        except Problem:
            # A refusal costs what an answer of one does, whatever it is for.
            await self._charge(request.scope, 1, None)
            raise
        await self._charge(request.scope, len(asked), place.partition("[")[0])
        if not admission.enter(len(asked)):
            raise admission.refusal()
        try:
            with self._turns.under_way():
                parts, decided = await self._proven_answers(asked, place, arrival.started, arrival.request_id)
        finally:
            admission.leave(len(asked))
        latency_ms = round((self._clock() - arrival.started) * 1000.0, 3)
        # The answers are megabytes and already encoded: they are copied once, into the frame of an answer without any.
        frame = self._encode(BatchResponse((), decided, len(asked) - decided, latency_ms))
        before, _, after = frame.partition(b"[]")
        parts[0] = before + b"[" + parts[0]
        parts[-1] += b"]" + after
        return Response(
            b",".join(parts),
            media_type="application/json",
            headers={"Server-Timing": f"decide;dur={latency_ms:.3f}"},
        )

    def _asked(self, batch: BatchRequest) -> tuple[tuple[DecideRequest, ...], str]:
        """The requests of the batch, and where in it the symbol of each stands (``%d`` for its position).

        Raises:
            Problem: 422 if it has both or neither of its two forms, or too many requests.
        """
        if (batch.symbols is UNSET) == (batch.requests is UNSET):
            raise invalid("symbols", "a batch has either symbols or requests")
        if batch.requests is not UNSET:
            if batch.max_age_s is not None or batch.deadline_ms is not None or batch.explain:
                raise invalid("requests", "max_age_s, explain and deadline_ms go into each of requests")
            name, place, asked = "requests", "requests[%d].symbol", batch.requests
        else:
            assert batch.symbols is not UNSET
            name, place = "symbols", "symbols[%d]"
            asked = tuple(
                DecideRequest(symbol, None, batch.max_age_s, batch.explain, batch.deadline_ms) for symbol in batch.symbols
            )
        if not 1 <= len(asked) <= self._batch_max:
            raise invalid(name, f"{name} has {len(asked)} elements; allowed: 1 to {self._batch_max}")
        return asked, place

    async def _proven_answers(
        self, asked: tuple[DecideRequest, ...], place: str, started: float, request_id: str
    ) -> tuple[list[bytes], int]:
        """`_answers`, anew if the lease on L1 ended in the meantime: what was fresh for its first slices is so no more."""
        memory = self._decider.tiers.memory
        lease_was_on = memory.proven_until > self._clock()
        answers = await self._answers(asked, place, started, request_id)
        if lease_was_on and memory.proven_until <= self._clock():
            answers = await self._answers(asked, place, started, request_id)
        return answers

    async def _answers(
        self, asked: tuple[DecideRequest, ...], place: str, started: float, request_id: str
    ) -> tuple[list[bytes], int]:
        """The encoded answers, and how many of them are decisions."""
        parts: list[bytes] = []
        later: list[tuple[int, str]] = []
        begun: list[Begun] = []
        decided = 0
        for first in range(0, len(asked), HITS_IN_A_ROW):
            async with self._turns.slice():
                missing: list[str] = []
                rendering = self._decider.rendering(started)
                for position, each in enumerate(asked[first : first + HITS_IN_A_ROW], first):
                    part = rendering.item(each)
                    if part is None:
                        try:
                            symbol = self._decider.canonical(each.symbol, place % position)
                        except Problem as problem:
                            part = self._encode(BatchItem(each.symbol, None, body_of(problem, request_id)))
                        else:
                            missing.append(symbol)
                            later.append((position, symbol))
                            part = b""
                    parts.append(part)
                decided += rendering.end()
                begun += self._decider.tiers.begin_many(missing)
        if later:
            deadlines = [each.deadline_ms for each in asked if each.deadline_ms is not None]
            budget_s = self._decider.budget_s(min(deadlines, default=None), started)
            found = await self._decider.tiers.finish_many(begun, budget_s)
            if any(lookup.evidence is None for lookup in found):
                await self._decider.suggestions.ready()
            for share in shares(map(cost_of, found), DECISIONS_IN_A_ROW):
                async with self._turns.slice():
                    for at in share:
                        position, symbol = later[at]
                        item = self._answer(asked[position], symbol, found[at], place % position, started, request_id)
                        decided += item.decision is not None
                        parts[position] = self._encode(item)
        return parts, decided

    def _answer(
        self, asked: DecideRequest, symbol: str, lookup: Lookup, field: str, started: float, request_id: str
    ) -> BatchItem:
        try:
            return BatchItem(symbol, self._decider.answer(asked, symbol, lookup, started, field), None)
        except Problem as problem:
            return BatchItem(symbol, None, body_of(problem, request_id))
