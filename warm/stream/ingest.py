"""``decide ingest --source NAME``: put a source's trades into the log. Of several of a name on one machine one is active, and the
others wait for its end.

synthetic: a trade of each symbol every INGESTION_INTERVAL_SECONDS. Nobody made these: source, venue and market are `simulated`,
and that market never closes. Before its first trade a symbol gets a simulated past, 150 days and the minutes of a day, in the
market store, and a price record in L2: so there are candles and decisions at once. After a restart prices go on from the last.
Price records that L2 lost are made anew.
replay: recorded trades, from files as `decide market load` reads them, several at once by their times, as fast as REPLAY_SPEED
says. Killed and begun again it goes on where it was; once all is told it ends, and the same command tells all again. What cannot
be read is refused as that command does, and the rest is told.
coinbase: Coinbase's public trades as they are made. What its WebSocket leaves out, or nobody listened to, comes from its REST.
While log, market store or L2 are away it waits; trades wait with it. /metrics and /livez are at INGEST_PORT.
Exit codes: 0 ended by SIGTERM or Ctrl-C, or all is replayed, 1 a file was refused, or too many of its rows, and the rest is
replayed, or a bug ended it, 2 a setting or an argument is wrong, the port is taken, or the market store has real trades of a
simulated symbol.
"""

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.arguments import PathAction, new_parser, number, parse
from app.domain.symbols import currency_of
from app.market.opening import open_writer
from app.options import Settings, market_place
from app.setting_options import (
    INGEST_SETTINGS,
    MARKET_SETTINGS,
    STORE_SETTINGS,
    add_settings,
    destination,
    settings_given,
    tells_settings,
)
from app.settings import choices
from warm.market.arguments import add_reading
from warm.stream.running import ending_all
from warm.stream.sample import symbols_of
from warm.stream.synthetic.process import SYMBOLS

if TYPE_CHECKING:
    from warm.stream.ingesting import Begun, Target

    Begin = Callable[[Callable[..., None], Target], Begun]
    Keep = Callable[[Callable[..., None], threading.Event], None]

SOURCES = ("synthetic", "replay", "coinbase")
RETENTION_MS = 7 * 86_400_000
"""How long the log has messages for a consumer that is away."""
_BUSY_S = 1.0
"""How long the log is waited for before it counts as away."""
_SYMBOLS = {"synthetic": ",".join(SYMBOLS), "coinbase": "BTC-USD,ETH-USD"}
_OPTIONS = {
    "seed": ("synthetic",),
    "symbols": ("synthetic", "coinbase"),
    **dict.fromkeys(("file", "venue", "symbol", "naive_timezone", "max_rejects"), ("replay",)),
}
"""Which sources have which of the options of `add_source`."""


class _Files(PathAction):
    """Takes paths, also several times."""

    def __call__(self, _parser: object, namespace: argparse.Namespace, values: Any, _option: str | None = None) -> None:  # noqa: ANN401
        """Keep them behind those before."""
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), *values])


def make_parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = new_parser("decide ingest", "--source NAME [--OPTION VALUE ...]", description=__doc__)
    made.add_argument("--source", choices=SOURCES, required=True, help="where trades come from")
    add_source(made)
    add_settings(
        made, (*INGEST_SETTINGS, *MARKET_SETTINGS, *STORE_SETTINGS), "from where to where (else as the environment says)"
    )
    return made


def add_source(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` the options of the sources."""
    parser.add_argument(
        "--seed",
        type=number(least=0, most=2**32 - 1, whole=True),
        help="synthetic: which prices are made, from the beginning (default: any)",
    )
    told = "; ".join(f"{name}: {each}" for name, each in _SYMBOLS.items())
    parser.add_argument("--symbols", help=f"synthetic, coinbase: separated by commas (default {told})")
    group = parser.add_argument_group("replay")
    group.add_argument(
        "--file",
        action=_Files,
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="file or folder of trades; several are allowed",
    )
    speed = "replay_speed"
    group.add_argument("--speed", dest=destination(speed), choices=choices(speed), help="the same as --replay-speed")
    add_reading(group)


def chosen(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> list[str]:
    """The source that ``arguments`` choose and its options, as arguments again; ends the process with code 2 where they make no
    sense. Symbols are spelled as ours then.
    """
    source, given = arguments.source, ["--source", arguments.source]
    if source in _SYMBOLS:
        symbols = symbols_of(parser, arguments.symbols or _SYMBOLS[source])
        arguments.symbols = ",".join(symbols)
        if source == "coinbase" and (wrong := next((each for each in symbols if currency_of(each) is None), None)):
            parser.error(f"--symbols: {wrong} is no product of Coinbase; allowed: pairs as BTC-USD")
    if source == "replay" and not arguments.file:
        parser.error("--source replay needs --file FILE")
    for name, sources in _OPTIONS.items():
        value = getattr(arguments, name)
        if value == parser.get_default(name):
            continue
        option = f"--{name.replace('_', '-')}"
        if source not in sources:
            parser.error(f"{option} is nothing to --source {source}; allowed: with {', '.join(sources)}")
        given += [part for each in (value if isinstance(value, list) else [value]) for part in (option, str(each))]
    return given


@tells_settings
def main(given: Sequence[str]) -> int:
    """Entry point."""
    parser = make_parser()
    arguments = parse(parser, given)
    chosen(parser, arguments)
    stop = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: stop.set())
    settings = settings_given(arguments)
    # Help needs none of it.
    from warm.errors import InputRefused  # noqa: PLC0415
    from warm.stream.sources import opening  # noqa: PLC0415

    if arguments.source == "replay":
        return _replay(parser, arguments, settings, stop)
    symbols = arguments.symbols.split(",")
    keep: Keep | None = None
    if arguments.source == "coinbase":
        begin: Begin = opening.Coinbase(settings, symbols).begin
    else:
        begin = lambda _, target: opening.synthetic(settings, symbols, arguments.seed, target)  # noqa: E731
        keep = partial(opening.keep_synthetic, settings, symbols)
    try:
        return ingest(settings, arguments.source, begin, stop, keep)
    except InputRefused as refused:
        sys.stderr.write(f"ingest: {refused}\n")
        return 2


def _replay(parser: argparse.ArgumentParser, arguments: argparse.Namespace, settings: Settings, stop: threading.Event) -> int:
    from warm.errors import InputRefused  # noqa: PLC0415 - as above
    from warm.market.loading import options_of  # noqa: PLC0415
    from warm.market.telling import open_teller  # noqa: PLC0415
    from warm.stream.sources.opening import now_us  # noqa: PLC0415
    from warm.stream.sources.recordings import Wanted  # noqa: PLC0415
    from warm.stream.sources.replay import NAME, WORDS, Replay  # noqa: PLC0415

    options, symbols = options_of(parser, arguments)
    speed = settings.replay_speed
    wanted = Wanted(tuple(arguments.file), options, symbols, moved=speed == "real-time")
    teller = open_teller(sys.stderr, WORDS)
    replay = Replay(wanted, speed, arguments.max_rejects, partial(open_writer, **market_place(settings)), teller, now_us)
    try:
        ingest(settings, NAME, replay.begin, stop)
    except InputRefused as refused:
        return replay.end(str(refused))
    except BaseException:
        teller.stop()
        raise
    return replay.end()


def ingest(settings: Settings, name: str, begin: "Begin", stop: threading.Event, keep: "Keep | None" = None) -> int:
    """Until ``stop`` is set, or the source ``name`` is at its end; 1 if a bug ended it, else 0. ``begin`` begins it, and is told
    by what to say what happens. ``keep`` works beside it, once it began.

    Raises:
        InputRefused: what it was asked for cannot be.
        SettingsError: its port is taken.
    """
    # Help needs none of it.
    from app.errors import MarketError, OffsetMoved  # noqa: PLC0415
    from warm.saying import sayer  # noqa: PLC0415
    from warm.stream.ingesting import LONGEST_PAUSE_S, Ingesting, LogAnew, Target, persistently  # noqa: PLC0415
    from warm.stream.lease import Lease  # noqa: PLC0415
    from warm.stream.metrics import IngestMeters, served  # noqa: PLC0415
    from warm.stream.opening import open_log, partitions_of_log, place_of_log  # noqa: PLC0415
    from warm.stream.sources.opening import now_us  # noqa: PLC0415
    from warm.stream.tracing import tracing  # noqa: PLC0415

    say, left, is_over, meters, died = sayer(sys.stderr, "ingest"), 0, False, IngestMeters(name), threading.Event()
    # Of this machine with Kafka, too. Two machines' sources would tell the same trades twice, or make different ones of the same
    # numbers, of which the first ones count: prices jump, nothing is lost. So one is to be started for a topic.
    lease, log = Lease(Path(settings.stream_path), name), open_log(settings, busy_s=_BUSY_S)
    target = Target(log, settings.kafka_topic, partitions_of_log(settings), RETENTION_MS)
    keeper = (
        None if keep is None else threading.Thread(target=ending_all, args=(partial(keep, say), stop, died), name="decide-keep")
    )
    with tracing(settings, say) as traces, ExitStack() as ending:
        ending.enter_context(served(meters.registry, settings.host, settings.ingest_port, "INGEST_PORT"))
        ending.callback(log.close)
        ending.callback(lease.release)
        while not stop.is_set():
            persistently(partial(lease.wait, say, stop), say, stop)
            begun = persistently(partial(begin, say, target), say, stop)
            if begun is None:
                break
            if keeper is not None and keeper.ident is None:
                keeper.start()
                ending.callback(keeper.join)
                ending.callback(stop.set)
            try:
                say("ingesting", source=name, **begun.told, topic=target.topic, log=place_of_log(settings))
                spans = None if traces is None else traces.source(target.topic)
                left = Ingesting(begun, target, say, stop, now_us, meters, spans=spans).run()
                is_over = not stop.is_set()
            except LogAnew as anew:
                say("log_anew", error=str(anew))
            except (MarketError, OffsetMoved) as error:
                say("failed", error=str(error), again_in_s=LONGEST_PAUSE_S)
                stop.wait(LONGEST_PAUSE_S)
            finally:
                begun.close(is_over)
            if is_over:
                break
            lease.release()
    say("over" if not stop.is_set() or is_over else "stopped", **({"not_taken": left} if left else {}))
    return int(died.is_set())
