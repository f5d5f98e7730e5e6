"""The simulated market as it goes on: a trade of each symbol every few seconds, and that its source is there."""

from collections.abc import Mapping
from decimal import Decimal

from app.domain.trades import SIMULATED
from warm.stream.log import Outgoing
from warm.stream.messages import HeartbeatMessage, TradeMessage
from warm.stream.synthetic.process import TICK, Made
from warm.stream.synthetic.random_walk import RandomWalk, Walked
from warm.stream.telling import outgoing

NAME = "synthetic"
HEARTBEAT_US = 5_000_000


class SyntheticSource:
    """``states`` are those that symbols go on from, after ``last_us``. Steps that nobody made in time are left out, and no price
    jumps for it.
    """

    def __init__(self, walk: RandomWalk, states: Mapping[str, Walked], last_us: int) -> None:
        self._walk, self._states, self._stepped_us, self._heard_us = walk, dict(states), last_us, 0

    def next_us(self, now_us: int) -> int:
        """The next step, or the next heartbeat."""
        return max(now_us, min(self._walk.step_after(self._stepped_us), self._heard_us + HEARTBEAT_US))

    def make(self, now_us: int) -> list[Outgoing]:
        """At most one step of each symbol, and at most one heartbeat."""
        made = []
        step_us = self._walk.step_before(now_us)
        if step_us > self._stepped_us:
            self._stepped_us = step_us
            for symbol, state in self._states.items():
                trade, self._states[symbol] = self._walk.step(symbol, state, step_us)
                made.append(outgoing(_trade(trade), now_us, NAME))
        # A clock that was set back has heartbeats, too.
        if not self._heard_us <= now_us < self._heard_us + HEARTBEAT_US:
            self._heard_us = now_us
            made += [outgoing(self._heartbeat(symbol, now_us), now_us, NAME) for symbol in self._states]
        return made

    def _heartbeat(self, symbol: str, now_us: int) -> HeartbeatMessage:
        last = self._states[symbol].step
        return HeartbeatMessage(
            schema=1, symbol=symbol, time_us=now_us, venue=SIMULATED, last_id=str(last) if last else "", sequential=True
        )


def _trade(made: Made) -> TradeMessage:
    return TradeMessage(
        schema=1,
        symbol=made.symbol,
        time_us=made.time_us,
        venue=SIMULATED,
        trade_id=str(made.number),
        price=made.price * TICK,
        size=Decimal(made.size),
        side=made.side,
        source=SIMULATED,
        sequential=True,
    )
