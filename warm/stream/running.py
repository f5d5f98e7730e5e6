"""``decide stream``: follow the log: trades, and providers' prices with their moving averages, into the market store, each
symbol's last price into L2, from where servers answer.
Once a bar of a price record is over, that is computed anew where the market store has its history (`decide market check`).

What of the log was used stands in the market store, in the transaction of what it brought: whenever this is ended, it goes on
there, and nothing is lost or counts twice. Several share the partitions of a log in Kafka. Messages that cannot be used are kept
(`decide dead-letters`). While log, market store or L2 are away it waits. /metrics and /livez are at STREAM_PORT.
Exit codes: 0 ended by SIGTERM or Ctrl-C, 1 a bug ended it, 2 a setting or an argument is wrong, or the port is taken.
"""

import argparse
import gc
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from app.arguments import new_parser, parse
from app.market.opening import open_reader, open_writer
from app.options import Settings, market_place, names_in
from app.setting_options import MARKET_SETTINGS, STORE_SETTINGS, STREAM_SETTINGS, add_settings, settings_given, tells_settings

_READ_S = 60.0
"""How long the bars of one symbol may take."""


def make_parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = new_parser("decide stream", "[--OPTION VALUE ...]", description=__doc__)
    add_settings(
        made, (*STREAM_SETTINGS, *MARKET_SETTINGS, *STORE_SETTINGS), "from where to where (else as the environment says)"
    )
    return made


@tells_settings
def main(given: Sequence[str]) -> int:
    """Entry point."""
    arguments = parse(make_parser(), given)
    stop = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: stop.set())
    return _run(settings_given(arguments), stop)


def _run(settings: Settings, stop: threading.Event) -> int:
    # Help needs none of it.
    from warm.publish import settings_store  # noqa: PLC0415
    from warm.saying import sayer  # noqa: PLC0415
    from warm.stream.consumer import Consumer, Places  # noqa: PLC0415
    from warm.stream.features import FeatureTopic  # noqa: PLC0415
    from warm.stream.metrics import ConsumerMeters, served  # noqa: PLC0415
    from warm.stream.opening import open_log, place_of_log  # noqa: PLC0415
    from warm.stream.prices import Prices  # noqa: PLC0415
    from warm.stream.sifting import Rules  # noqa: PLC0415
    from warm.stream.ticks import Ticks  # noqa: PLC0415
    from warm.stream.tracing import tracing  # noqa: PLC0415

    meters, say = ConsumerMeters(), sayer(sys.stderr, "stream")
    log = open_log(settings)
    writer, store = open_writer(**market_place(settings)), settings_store(settings)
    # From where it is written, no replica: what was written is read at once.
    reader = open_reader(
        **market_place(settings) | {"read_url": ""}, sources=names_in(settings.market_sources), deadline_s=_READ_S
    )
    prices = Prices(reader, settings_store(settings), meters, say, lambda: time.time_ns() // 1000)
    features = (
        FeatureTopic(log, settings.kafka_topic, writer, settings.window_size, meters) if settings.feature_rows == "on" else None
    )
    rules = Rules(int(settings.max_clock_skew_s * 1e6), settings.market_retention_days)
    with tracing(settings, say) as traces, ExitStack() as ending:
        spans = None if traces is None else traces.consumer()
        ticks = (Ticks if spans is None else spans.ticks)(store, settings.tick_publish_ms / 1000.0, meters, say)
        ending.callback(writer.close)
        ending.callback(log.close)
        ending.callback(ticks.close, store.close)
        ending.callback(prices.close)
        ending.enter_context(served(meters.registry, settings.host, settings.stream_port, "STREAM_PORT"))
        # What was imported stays: nobody needs to look at it again and again.
        gc.freeze()
        say("following", topic=settings.kafka_topic, log=place_of_log(settings), port=settings.stream_port)
        died = threading.Event()
        thread = threading.Thread(target=ending_all, args=(prices.run, stop, died), name="decide-prices")
        thread.start()
        ending.callback(thread.join)
        ending.callback(stop.set)
        Consumer(Places(log, settings.kafka_topic, writer, ticks, prices, features), rules, meters, say, stop, spans=spans).run()
    say("stopped")
    return int(died.is_set())


def ending_all(run: Callable[[threading.Event], None], stop: threading.Event, died: threading.Event) -> None:
    """Have ``run`` work until ``stop``. If it dies, all else ends, too: nobody is to think that it still works."""
    try:
        run(stop)
    except BaseException:
        died.set()
        stop.set()
        raise
