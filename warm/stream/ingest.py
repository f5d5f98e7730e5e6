"""``decide ingest --source synthetic``: put a trade of each symbol into the log, every INGESTION_INTERVAL_SECONDS.

Nobody made these trades: source, venue and market are `simulated`, and that market never closes. Before its first trade a
symbol gets a simulated past, 150 days and the minutes of a day, in the market store, and a price record in L2: so there are
candles and decisions at once. After a restart prices go on from the last one. Of several that are started for one log on one
machine one is active, and the others wait for its end. While log, market store or L2 are away it waits; trades wait with it.
Price records that L2 lost are made anew. /metrics and /livez are at INGEST_PORT.
Exit codes: 0 ended by SIGTERM or Ctrl-C, 1 a bug ended it, 2 a setting or an argument is wrong, the port is taken, or the market
store has real trades of a symbol.
"""

import argparse
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.arguments import new_parser, number, parse
from app.market.opening import open_reader, open_writer
from app.options import Settings, market_place
from app.setting_options import INGEST_SETTINGS, MARKET_SETTINGS, STORE_SETTINGS, add_settings, settings_given, tells_settings
from warm.stream.running import ending_all
from warm.stream.sample import symbols_of
from warm.stream.synthetic.process import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.market.protocol import Reader
    from warm.publish import JobStore
    from warm.stream.ingesting import Target
    from warm.stream.synthetic.founding import Market

RETENTION_MS = 7 * 86_400_000
"""How long the log has messages for a consumer that is away."""
_READ_S, _BUSY_S = 60.0, 1.0
"""How long the market store may take for days, and how long the log is waited for before it counts as away."""


def make_parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = new_parser("decide ingest", "--source synthetic [--OPTION VALUE ...]", description=__doc__)
    made.add_argument("--source", choices=("synthetic",), required=True, help="where trades come from")
    add_source(made)
    add_settings(
        made, (*INGEST_SETTINGS, *MARKET_SETTINGS, *STORE_SETTINGS), "from where to where (else as the environment says)"
    )
    return made


def add_source(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` the options of the synthetic source."""
    parser.add_argument(
        "--seed",
        type=number(least=0, most=2**32 - 1, whole=True),
        help="which prices are made, from the beginning (default: any)",
    )
    parser.add_argument("--symbols", default=",".join(SYMBOLS), help=f"separated by commas (default {','.join(SYMBOLS)})")


@tells_settings
def main(given: Sequence[str]) -> int:
    """Entry point."""
    parser = make_parser()
    arguments = parse(parser, given)
    symbols = symbols_of(parser, arguments.symbols)
    stop = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: stop.set())
    return ingest(settings_given(arguments), symbols, arguments.seed, stop)


def ingest(settings: Settings, symbols: Sequence[str], seed: int | None, stop: threading.Event) -> int:
    """Until ``stop`` is set; the exit code."""
    # Help needs none of it.
    from warm.errors import InputRefused  # noqa: PLC0415
    from warm.saying import sayer  # noqa: PLC0415
    from warm.stream.ingesting import Ingesting, LogAnew, Target, persistently  # noqa: PLC0415
    from warm.stream.lease import Lease  # noqa: PLC0415
    from warm.stream.metrics import IngestMeters, served  # noqa: PLC0415
    from warm.stream.opening import open_log, partitions_of_log, place_of_log  # noqa: PLC0415
    from warm.stream.synthetic.records import keep_prices  # noqa: PLC0415
    from warm.stream.synthetic.source import NAME, SyntheticSource  # noqa: PLC0415
    from warm.stream.tracing import tracing  # noqa: PLC0415

    say, left = sayer(sys.stderr, "ingest"), 0
    meters, died = IngestMeters(NAME), threading.Event()
    keep = partial(keep_prices, *_stores(settings), symbols, _now_us, say)
    keeper = threading.Thread(target=ending_all, args=(keep, stop, died), name="decide-prices")
    # Of this machine with Kafka, too. Two machines' sources would make different trades of the same numbers, of which the first
    # ones count: prices jump, nothing is lost. So one is to be started for a topic.
    lease, log = Lease(Path(settings.stream_path), NAME), open_log(settings, busy_s=_BUSY_S)
    target = Target(log, settings.kafka_topic, partitions_of_log(settings), RETENTION_MS)
    with tracing(settings, say) as traces, ExitStack() as ending:
        ending.enter_context(served(meters.registry, settings.host, settings.ingest_port, "INGEST_PORT"))
        ending.callback(log.close)
        ending.callback(lease.release)
        while not stop.is_set():
            try:
                persistently(partial(lease.wait, say, stop), say, stop)
                begun = persistently(partial(_begun, settings, target, symbols, seed), say, stop)
                if begun is not None:
                    market, topic_id = begun
                    if keeper.ident is None:
                        keeper.start()
                        ending.callback(keeper.join)
                        ending.callback(stop.set)
                    source = SyntheticSource(market.walk, market.states, market.last_us)
                    say("ingesting", source=NAME, symbols=list(symbols), topic=target.topic, log=place_of_log(settings))
                    spans = None if traces is None else traces.source(target.topic)
                    left = Ingesting(source, target, say, stop, _now_us, meters, topic_id=topic_id, spans=spans).run()
            except LogAnew as anew:
                say("log_anew", error=str(anew))
                lease.release()
            except InputRefused as refused:
                sys.stderr.write(f"ingest: {refused}\n")
                return 2
    say("stopped", **({"not_taken": left} if left else {}))
    return int(died.is_set())


def _stores(settings: Settings) -> "tuple[Callable[[], Reader], Callable[[], JobStore]]":
    """What opens the market store, to be read, and L2."""
    from warm.publish import settings_store  # noqa: PLC0415 - as above

    return partial(open_reader, **market_place(settings), deadline_s=_READ_S), partial(settings_store, settings)


def _begun(settings: Settings, target: "Target", symbols: Sequence[str], seed: int | None) -> "tuple[Market, str]":
    """The market, in the market store, with price records in L2; and the id of the topic that its trades go to."""
    from warm.stream.synthetic.founding import found, last_in_log  # noqa: PLC0415 - as above
    from warm.stream.synthetic.records import publish_prices  # noqa: PLC0415

    topic_id = target.create()
    interval_us = round(settings.ingestion_interval_seconds * 1_000_000)
    with closing(open_writer(**market_place(settings))) as writer:
        last = last_in_log(target.log, target.topic, writer, symbols)
        market = found(writer, last, symbols=symbols, seed=seed, interval_us=interval_us, now_us=_now_us())
    publish_prices(*_stores(settings), symbols, _now_us())
    return market, topic_id


def _now_us() -> int:
    return time.time_ns() // 1000
