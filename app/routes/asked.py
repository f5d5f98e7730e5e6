"""What a caller of /stream or /ws asks to follow: decisions on symbols, prices of symbols, or both; and what comes of it."""

from collections.abc import Callable, Sequence

from msgspec import UNSET, UnsetType
from starlette.types import Scope

from app.errors import invalid
from app.http.access import Gate
from app.messages import INTERVAL_MS
from app.push.hub import Hub
from app.push.subscriber import Subscriber

_EVERYTHING = "*"


def asked_of(
    symbols: Sequence[str], most: int, canonical: Callable[[str, str], str], field: str = "symbols"
) -> dict[str, str] | None:
    """The symbols as the universe spells them, each with how it was asked for (first, if it was more than once). None: all.

    Raises:
        Problem: 422 naming the field.
    """
    if _EVERYTHING in symbols:
        if len(symbols) > 1:
            raise invalid(field, f"{field} has '*' and {len(symbols) - 1} more; allowed: '*' alone, for all, or symbols")
        return None
    if not 1 <= len(symbols) <= most:
        raise invalid(field, f"{field} has {len(symbols)} elements; allowed: 1 to {most}")
    asked: dict[str, str] = {}
    for position, symbol in enumerate(symbols):
        asked.setdefault(canonical(symbol, f"{field}[{position}]"), symbol)
    return asked


class Asked:
    """``symbols`` to follow decisions on, and ``prices``, canonical to as spelled. What was not asked for (UNSET) is empty.

    Raises:
        Problem: 422 naming the field.
    """

    def __init__(
        self, hub: Hub, symbols: Sequence[str] | UnsetType, prices: Sequence[str] | UnsetType, interval_ms: int = INTERVAL_MS
    ) -> None:
        most, canonical = hub.max_symbols, hub.decider.canonical
        decisions = {} if symbols is UNSET else asked_of(symbols, most, canonical)
        of_prices = {} if prices is UNSET else asked_of(prices, most, canonical, "prices")
        self.all_symbols, self.all_prices = decisions is None, of_prices is None
        self.symbols, self.prices = decisions or {}, of_prices or {}
        self._interval_s = interval_ms / 1000.0

    def allowed(self, gate: Gate, scope: Scope) -> None:
        """Decisions need the scope of decisions, prices that of market data.

        Raises:
            Problem: 403 if the caller's key lacks one.
        """
        if self.symbols or self.all_symbols:
            gate.allow(scope, "decide")
        if self.prices or self.all_prices:
            gate.allow(scope, "market:read")

    async def listed(self, hub: Hub) -> None:
        """Where all are wanted, it knows now which they are.

        Raises:
            Problem: 422 if these are more than one may follow, 503 if L2 does not list them.
        """
        if self.all_symbols:
            self.symbols = await hub.everything("symbols")
        if self.all_prices:
            self.prices = await hub.everything("prices")

    async def paid(self, gate: Gate, scope: Scope) -> None:
        """It is told as many decisions and prices at once as a batch would be.

        Raises:
            Problem: 429 or 422, as `Gate.charge`.
        """
        await gate.charge(scope, max(1, len(self.symbols) + len(self.prices)), "symbols" if self.symbols else "prices")

    async def loaded(self, hub: Hub, started: float) -> None:
        """L1 knows of all of it.

        Raises:
            Problem: 503 if too many are waiting already.
        """
        await hub.decider.load(tuple(dict.fromkeys((*self.symbols, *self.prices))), started)

    async def joined(self, hub: Hub, subscriber: Subscriber, after: str | None) -> None:
        """Have it follow, and be told what comes first."""
        subscriber.interval_s = self._interval_s
        if self.prices or self.all_prices:
            hub.prices.join(subscriber, self.prices, self._interval_s, everything=self.all_prices)
        if self.symbols or self.all_symbols:
            await hub.join(subscriber, self.symbols, after, everything=self.all_symbols)
