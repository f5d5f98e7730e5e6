"""From a mix and a universe to the requests themselves, ready to be sent. Pure, and the same for the same seed."""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from bench.credentials import key_headers
from bench.scenario import Mix, ScenarioError

Kind = Literal["decide", "batch", "unknown"]
_DRAWN_AT_ONCE = 1024
_COLD_SHARE_OF_UNIVERSE = 0.2
_NO_SYMBOL = "NO-SUCH-{:04d}"
_UNKNOWN_SYMBOLS = 50
_LIVE_PRICES = (0.999, 1.001)
"""As shares of the last close: near enough to be believed of calm symbols too."""


class Prepared(NamedTuple):
    """One request: its kind, the symbols it asks for, and its bytes on the wire."""

    kind: Kind
    symbols: tuple[str, ...]
    wire: bytes


class Encoder:
    """Makes the bytes of requests to one host, each with ``max_age_s`` if that is given, and with the key of the environment."""

    def __init__(self, host: str, max_age_s: float | None = None) -> None:
        self._host = host
        self._key = "".join(f"{name}: {value}\r\n" for name, value in key_headers().items())
        self._more = {} if max_age_s is None else {"max_age_s": max_age_s}

    def prepared(self, kind: Kind, symbols: tuple[str, ...], price: float | None = None) -> Prepared:
        """A request for ``symbols``; a batch if the kind says so."""
        body: dict[str, object] = dict(self._more)
        path, body["symbol"] = "/decide", symbols[0]
        if kind == "batch":
            path, body = "/decide/batch", {"symbols": symbols, **self._more}
        elif price is not None:
            body["price"] = price
        content = msgspec.json.encode(body)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\n"
            f"Content-Type: application/json\r\n{self._key}Content-Length: {len(content)}\r\n\r\n"
        )
        return Prepared(kind, symbols, head.encode("ascii") + content)


class Universe:
    """The symbols of a server in an order of popularity, the last part of it kept for cold requests until they were asked for.

    ``closes`` are the last closes of those that may be sent a live price, which lies near it: a server refuses others.
    """

    def __init__(self, symbols: Sequence[str], seed: int, closes: Mapping[str, float] | None = None) -> None:
        if not symbols:
            raise ScenarioError("the server's universe is empty: run the warm job")
        self.all = tuple(symbols)
        self.closes = {} if closes is None else closes
        shuffled = list(symbols)
        random.Random(seed).shuffle(shuffled)
        cold = int(len(shuffled) * _COLD_SHARE_OF_UNIVERSE)
        self.popular = tuple(shuffled[: len(shuffled) - cold])
        self.cold = iter(shuffled[len(shuffled) - cold :])


def draw(mix: Mix, universe: Universe, encoder: Encoder, seed: int) -> Iterator[Prepared]:
    """Requests without end."""
    if mix.rotate:
        symbols = universe.all[: mix.symbols]
        singles = [encoder.prepared("decide", (symbol,)) for symbol in symbols]
        yield from itertools.cycle(singles)
    rng = random.Random(seed)
    popular = universe.popular[: mix.symbols]
    cumulative = list(itertools.accumulate((rank + 1) ** -mix.zipf_exponent for rank in range(len(popular))))
    ready = {symbol: encoder.prepared("decide", (symbol,)) for symbol in popular}
    unknown = [encoder.prepared("unknown", (_NO_SYMBOL.format(number),)) for number in range(_UNKNOWN_SYMBOLS)]
    while True:
        symbols_drawn = rng.choices(popular, cum_weights=cumulative, k=_DRAWN_AT_ONCE)
        for symbol in symbols_drawn:
            share = rng.random()
            if share < mix.cold and (cold := next(universe.cold, None)) is not None:
                yield encoder.prepared("decide", (cold,))
            elif mix.cold <= share < mix.cold + mix.unknown:
                yield rng.choice(unknown)
            elif mix.cold + mix.unknown <= share < mix.cold + mix.unknown + mix.batch:
                yield encoder.prepared("batch", tuple(rng.choices(popular, cum_weights=cumulative, k=mix.batch_size)))
            elif mix.live_price and rng.random() < mix.live_price and (close := universe.closes.get(symbol)):
                yield encoder.prepared("decide", (symbol,), close * rng.uniform(*_LIVE_PRICES))
            else:
                yield ready[symbol]
