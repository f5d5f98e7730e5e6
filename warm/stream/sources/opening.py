"""How each source begins: from what log and stores have, and again whenever the log is another one."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial

from app.errors import SettingsError
from app.market.opening import open_reader, open_writer
from app.market.protocol import Reader
from app.options import Settings, market_place
from warm.market.listing import Listing
from warm.publish import JobStore, settings_store
from warm.stream.ingesting import Begun, Target
from warm.stream.unused import known_ids

_READ_S = 60.0
"""How long the market store may take for days."""
_OPEN_S, _CLOSE_S = 5.0, 1.0
"""How long Coinbase may take to open a connection, and to end one."""


def synthetic(settings: Settings, symbols: Sequence[str], seed: int | None, target: Target) -> Begun:
    """The simulated market, which is in the market store then, with price records in L2."""
    from warm.stream.synthetic.founding import found, last_in_log  # noqa: PLC0415 - other sources need none of it
    from warm.stream.synthetic.records import publish_prices  # noqa: PLC0415 - as above
    from warm.stream.synthetic.source import SyntheticSource  # noqa: PLC0415 - as above

    topic_id, interval_us = target.create(), round(settings.ingestion_interval_seconds * 1_000_000)
    with closing(open_writer(**market_place(settings))) as writer:
        last = last_in_log(target.log, target.topic, writer, symbols)
        market = found(writer, last, symbols=symbols, seed=seed, interval_us=interval_us, now_us=now_us())
    publish_prices(*_stores(settings), symbols, now_us())
    return Begun(SyntheticSource(market.walk, market.states, market.last_us), topic_id, {"symbols": list(symbols)})


def keep_synthetic(settings: Settings, symbols: Sequence[str], say: Callable[..., None], stop: threading.Event) -> None:
    """Until it is to stop, make price records of that market anew that L2 lost."""
    from warm.stream.synthetic.records import keep_prices  # noqa: PLC0415 - as above

    keep_prices(*_stores(settings), symbols, now_us, say, stop)


def _stores(settings: Settings) -> tuple[Callable[[], Reader], Callable[[], JobStore]]:
    """What opens the market store, to be read, and L2."""
    return partial(open_reader, **market_place(settings), deadline_s=_READ_S), partial(settings_store, settings)


class Coinbase:
    """Products of Coinbase Exchange. ``counts`` are of the whole run.

    Raises:
        SettingsError: what its WebSocket needs is not installed.
    """

    def __init__(self, settings: Settings, products: Sequence[str]) -> None:
        try:
            from warm.stream.sources.coinbase import Counts  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "websockets":
                raise
            what = "--source is coinbase and websockets is not installed"
            raise SettingsError([f"{what}; allowed: another one, or with requirements-coinbase.lock installed"]) from error
        self._settings, self._products, self.counts = settings, products, Counts()

    def begin(self, say: Callable[..., None], target: Target) -> Begun:
        """From the ids that are known."""
        from websockets.sync.client import connect  # noqa: PLC0415 - an extra

        from warm.stream.sources.coinbase import MESSAGE_BYTES_MAX, VENUE, CoinbaseSource  # noqa: PLC0415 - as above
        from warm.stream.sources.coinbase_rest import Rest  # noqa: PLC0415 - as above

        topic_id = target.create()
        with closing(open_writer(**market_place(self._settings))) as writer:
            Listing(writer).tell(self._products, VENUE)
            ids = known_ids(target.log, target.topic, writer, VENUE, self._products)
        opened = partial(
            connect, self._settings.coinbase_websocket_url, open_timeout=_OPEN_S, close_timeout=_CLOSE_S,
            max_size=MESSAGE_BYTES_MAX, legacy=True,
        )  # fmt: skip
        rest = Rest(self._settings.coinbase_rest_url, self.counts.requests)
        source = CoinbaseSource(ids, opened, rest, say, self.counts)
        return Begun(source, topic_id, {"products": list(self._products)}, close=lambda _: source.close())


def now_us() -> int:
    """Epoch microseconds."""
    return time.time_ns() // 1000
