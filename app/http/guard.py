"""Lets in who may, in front of everything but the fast routes, whose lane asks the gate itself (`app.http.lane`)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import Problem
from app.http.access import LIMIT, Gate
from app.http.bodies import Bodies
from app.http.rules import Rules


class Guard:
    """Middleware: lets in who may, inside `app.http.edge`, which answers what it raises."""

    def __init__(self, app: ASGIApp, gate: Gate, bodies: Bodies, rules: Rules) -> None:
        self._app = app
        self._gate = gate
        self._bodies = bodies
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or one websocket; lifespan passes."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        rule = self._rules.of(scope["path"], "WEBSOCKET" if scope["type"] == "websocket" else scope["method"])
        headers = dict(scope["headers"])
        try:
            scope[LIMIT] = await self._gate.let_in(scope, headers, rule.needs, limited=rule.cost == "one")
            await self._gate.line_up(scope, rule.queue)
        except Problem as refusal:
            raise await self._bodies.passed_over(refusal, receive, headers) from None
        if self._gate.limiter is None:
            await self._app(scope, receive, send)
            return

        async def limited(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *(scope[LIMIT] or ())]
            await send(message)

        await self._app(scope, receive, limited)
