"""One load of files of trades into the market store. Stores, clock and teller are given by the caller."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from app.errors import MarketError, OffsetMoved, StoreError
from app.market.protocol import Batch as Written
from app.market.protocol import Writer
from warm.errors import InputRefused
from warm.files.memory import MemoryBound, memory
from warm.files.names import SymbolChoice
from warm.files.read import Source
from warm.files.rejects import Rejects
from warm.files.trades.batches import START, Batch
from warm.files.trades.names import Options
from warm.market.listing import Listing
from warm.market.places import LOG, Place, Places, Reached, reading_of
from warm.market.recordings import find_recordings, no_trades, read_trades, recognised
from warm.market.telling import Teller

LOADED = 0
REFUSED = 1
USAGE = 2
STORE_FAILED = 3
INTERRUPTED = 130
_GOES_ON = "the same command goes on where it stopped"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What to load and how. ``max_rejects`` is a share of the rows; ``part`` is how much of a file is one transaction, in bytes
    of text, else in rows (None: as its reader has it).
    """

    paths: tuple[Path, ...]
    options: Options = Options()
    symbols: tuple[SymbolChoice, ...] = ()
    max_rejects: float = 0.01
    part: int | None = None
    memory: MemoryBound = msgspec.field(default_factory=MemoryBound.of_machine)


class FileFate(msgspec.Struct, kw_only=True):
    """What became of one file in this run: ``new`` trades were written, others were ``there``. ``resumed_at``: the row that
    reading went on behind. ``unchanged``: it was read to its end before.
    """

    file: str
    format: str | None = None
    fate: str = "loaded"
    trades: int = 0
    new: int = 0
    there: int = 0
    too_old: int = 0
    others: int = 0
    resumed_at: int = 0
    rejects: Rejects = msgspec.field(default_factory=Rejects)
    why: str | None = None

    def report(self) -> dict[str, Any]:
        """As JSON-ready values."""
        told = {name: getattr(self, name) for name in self.__struct_fields__ if name != "rejects"}
        return told | {"refused": self.rejects.total, "reasons": self.rejects.report()}


class Load:
    """One run."""

    def __init__(self, wanted: Wanted, writer: Writer, teller: Teller) -> None:
        self._wanted, self._writer, self._teller = wanted, writer, teller
        self._listing = Listing(writer)
        self._size = {} if wanted.part is None else {"size": wanted.part}
        self.fates: list[FileFate] = []
        self.touched: set[str] = set()
        self.simulated: set[str] = set()
        self.resumed = False
        self._finished: list[Place] = []
        self._written = 0

    def run(self) -> None:
        """Read every file; what cannot be read is told of and passed over.

        Raises:
            InputRefused: something that was asked for is not there.
            MarketError: the store failed.
            OffsetMoved: somebody else loads the same file.
        """
        sources, others = find_recordings(self._wanted.paths, self._wanted.symbols)
        self.fates += [FileFate(file=each, fate="skipped", why="its name is no data file's") for each in others]
        places = Places(self._writer.offsets(LOG))
        for source in sources:
            fate = FileFate(file=source.label)
            self.fates.append(fate)
            memory().reading = source.label
            try:
                self._one(source, fate, places)
            except InputRefused as refused:
                fate.fate, fate.why = "refused", str(refused)
            source.forget()
        memory().reading = None

    def finish(self) -> None:
        """Keep which files were read to their ends: all that follows from their trades is written."""
        for place in self._finished:
            done = Reached(place.reached.position, done=True)
            self._writer.apply(Written(moves=place.moves(done)))
            place.moved(done)
        self._finished.clear()

    def _one(self, source: Source, fate: FileFate, places: Places) -> None:
        found = recognised(source, self._wanted.symbols, self._wanted.options)
        if isinstance(found, str):
            fate.fate, fate.why = "skipped", found
            return
        fate.format = found.name
        first = next((trade for batch in read_trades(source, found, START, self._size) for trade in batch.trades), None)
        place = places.find(source, reading_of(found.name, source, self._wanted.options, first))
        fate.resumed_at = place.reached.position.row
        if place.reached.done or place in self._finished:
            fate.fate, fate.why = "unchanged", "all of it was read before"
            return
        self.resumed |= fate.resumed_at > 0
        is_text = source.kind not in ("parquet", "arrow")
        self._teller.file(source.label, place.size if is_text else None)
        for batch in read_trades(source, found, place.reached.position, self._size):
            self._write(batch, place, fate, found.name)
            self._teller.read(batch.position.offset, self._written)
        self._finished.append(place)

    def _write(self, batch: Batch, place: Place, fate: FileFate, name: str) -> None:
        symbols, simulated = self._listing.tell_trades(batch.trades, name)
        reached = Reached(batch.position)
        done = self._writer.apply(Written(trades=batch.trades, moves=place.moves(reached)))
        place.moved(reached)
        self.touched |= symbols
        self.simulated |= simulated
        self._written += len(batch.trades)
        fate.trades += len(batch.trades)
        fate.new, fate.there, fate.too_old = fate.new + done.inserted, fate.there + done.duplicate, fate.too_old + done.too_old
        fate.others += batch.others
        batch.add_to(fate.rejects)


def run_load(
    wanted: Wanted,
    *,
    open_writer: Callable[[], Writer],
    publish: Callable[[Sequence[str] | None], int],
    teller: Teller,
    end: Callable[[dict[str, Any]], None] = lambda _: None,
) -> tuple[int, dict[str, Any]]:
    """Do one load; the exit code and the full report. ``publish`` publishes the last trades of some symbols (None: of all) and
    says of how many; ``end`` ends the process with the report of a load that takes more memory than it may.
    """
    begun_s = time.monotonic()
    writer = open_writer()
    load = Load(wanted, writer, teller)
    report: dict[str, Any] = {}
    try:
        with wanted.memory.watched(lambda why: end(_report(load) | {"status": "refused", "error": why, "exit_code": REFUSED})):
            load.run()
        # Where a load before was stopped, nobody knows any more which symbols it touched.
        ticks = publish(None if load.resumed else sorted(load.touched))
        load.finish()
        report = _report(load) | {"ticks": ticks}
        code, error = _judge(wanted, load, report)
    except (InputRefused, ValueError) as refused:
        code, error = REFUSED, str(refused)
    except MemoryError:
        code, error = REFUSED, wanted.memory.over()
    except OffsetMoved as moved:
        code, error = STORE_FAILED, f"another load reads the same file ({moved}); let it end, then {_GOES_ON}"
    except MarketError as failed:
        code, error = STORE_FAILED, f"the market store failed: {failed}; {_GOES_ON}"
    except StoreError as failed:
        code, error = STORE_FAILED, f"trades are loaded, and the last of each symbol could not be published: {failed}; {_GOES_ON}"
    except KeyboardInterrupt:
        code, error = INTERRUPTED, f"interrupted; {_GOES_ON}"
    finally:
        writer.close()
    report = report or _report(load)
    statuses = {LOADED: "loaded", REFUSED: "refused", STORE_FAILED: "store_failed", INTERRUPTED: "interrupted"}
    seconds = time.monotonic() - begun_s
    report |= {"status": statuses[code], "exit_code": code, "seconds": round(seconds, 3)}
    report["trades_per_s"] = round(report["trades"] / seconds) if seconds > 0 else 0
    return code, report | ({"error": error} if error else {})


def _report(load: Load) -> dict[str, Any]:
    rejects = Rejects()
    for each in load.fates:
        rejects.merge(each.rejects)
    sums = {name: sum(getattr(each, name) for each in load.fates) for name in ("trades", "new", "there", "too_old", "others")}
    return {
        **sums,
        "refused": rejects.total,
        "reasons": rejects.report(),
        "symbols": len(load.touched),
        **({"simulated": len(load.simulated)} if load.simulated else {}),
        "files_read": sum(each.fate == "loaded" for each in load.fates),
        "files": [each.report() for each in load.fates],
    }


def _judge(wanted: Wanted, load: Load, report: dict[str, Any]) -> tuple[int, str]:
    """The exit code of a load that came to its end, and what was wrong."""
    refused = [each.why for each in load.fates if each.fate == "refused"]
    if refused:
        more = f" (and {len(refused) - 1} more files: see the report)" if len(refused) > 1 else ""
        return REFUSED, f"{refused[0]}{more}"
    if all(each.fate == "skipped" for each in load.fates):
        return REFUSED, no_trades({each.file: each.why or "" for each in load.fates})
    rows = report["trades"] + report["refused"]
    if report["refused"] > wanted.max_rejects * rows:
        return REFUSED, (
            f"{report['refused']} of {rows} rows are no trades, more than --max-rejects {wanted.max_rejects:g} allows; "
            "the others are loaded"
        )
    return LOADED, ""
