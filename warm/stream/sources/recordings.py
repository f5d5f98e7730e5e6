"""Recorded trades, out of several files at once by their times, and how far they are in the log.

How far is kept in the market store, as of files that are loaded: it is there whatever log there is, a log's own newest messages
may be another source's, and beside a Kafka log there is no place for a file. It is written once the log has the messages, so
after SIGKILL some are there twice and none is missing. It belongs to the topic's id: of a log that was made anew all is told
again. Once all was told it is forgotten, so the same command tells all again.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from app.domain.trades import Trade
from app.market.protocol import Batch as Written
from app.market.protocol import Writer
from warm.errors import InputRefused
from warm.files.names import SymbolChoice
from warm.files.read import Source
from warm.files.rejects import Rejects
from warm.files.trades.batches import START
from warm.files.trades.names import Options
from warm.files.trades.recognise import Found
from warm.market.listing import Listing
from warm.market.places import LOG, Place, Places, Reached, reading_of
from warm.market.recordings import find_recordings, no_trades, read_trades, recognised
from warm.market.telling import Teller


class Wanted(NamedTuple):
    """What to replay, and what is said of it where it does not tell that itself. ``moved``: its times are."""

    paths: tuple[Path, ...]
    options: Options = Options()
    symbols: tuple[SymbolChoice, ...] = ()
    moved: bool = False


class _File:
    """One, of which the log has what ``reached`` says. ``share``: how far a trade is, as positions count."""

    def __init__(self, source: Source, found: Found, first: Trade, place: Place) -> None:
        self.source, self.found, self.first, self.place, self.reached = source, found, first, place, place.reached
        self.share = 0.0

    @property
    def size(self) -> int | None:
        """In bytes of text; None if it is no text."""
        return self.place.size if self.source.kind not in ("parquet", "arrow") else None


class Recordings:
    """Of one run, at ``now_us``. ``topic_id`` is that of the topic that its trades go to."""

    def __init__(self, wanted: Wanted, writer: Writer, topic_id: str, teller: Teller, now_us: int) -> None:
        self._writer, self._teller, self._listing = writer, teller, Listing(writer)
        self.refused: dict[str, str] = {}
        self.rejects, self.trades, self.resumed = Rejects(), 0, False
        self._files = self._opened(wanted, topic_id)
        self._on_way: deque[tuple[_File, Reached]] = deque()
        if wanted.moved:
            # Of what is moved it makes the ids, and so it is kept before the first one.
            for each in self._files:
                each.reached = each.reached._replace(began_us=each.reached.began_us or now_us)
            self.keep()
        sizes = [each.size for each in self._files]
        label = self._files[0].source.label if len(self._files) == 1 else f"{len(self._files)} files"
        teller.file(label, None if None in sizes else sum(filter(None, sizes)))

    def _opened(self, wanted: Wanted, topic_id: str) -> list[_File]:
        """Raises:
        InputRefused: no file has trades.
        """
        sources, others = find_recordings(wanted.paths, wanted.symbols)
        places, files, without = (
            Places(self._writer.offsets(LOG)),
            list[_File](),
            dict.fromkeys(others, "its name is no data file's"),
        )
        for source in sources:
            try:
                found = recognised(source, wanted.symbols, wanted.options)
                if isinstance(found, str):
                    without[source.label] = found
                    continue
                first = next((trade for batch in read_trades(source, found, START, {}) for trade in batch.trades), None)
                if first is None:
                    without[source.label] = "it has no trades"
                    continue
                reading = reading_of(found.name, source, wanted.options, first)
                place = places.find(source, f"replay {topic_id} {wanted.moved} {reading}")
            except InputRefused as refused:
                self.refused[source.label] = str(refused)
                continue
            if any(each.place is place for each in files):
                # It is there twice.
                continue
            self.resumed |= place.reached != Reached()
            files.append(_File(source, found, first, place))
        if not files:
            raise InputRefused(next(iter(self.refused.values()), None) or no_trades(without))
        return sorted(files, key=lambda each: each.first.time_us)

    @property
    def files(self) -> int:
        """So many have trades."""
        return len(self._files)

    def __iter__(self) -> Iterator[tuple[Trade, _File, Reached]]:
        """Trades that the log does not have, by time as far as each file is, with what was reached once it has them."""
        waiting = deque(self._files)
        heads: list[tuple[int, int, Trade, _File, Reached, Iterator[tuple[Trade, Reached]]]] = []
        number = 0
        while waiting or heads:
            # A file is read once its time has come.
            if waiting and (not heads or waiting[0].first.time_us <= heads[0][0]):
                file = waiting.popleft()
                trades = self._read(file)
            else:
                _, _, trade, file, reached, trades = heapq.heappop(heads)
                yield trade, file, reached
            if (following := next(trades, None)) is not None:
                number += 1
                heapq.heappush(heads, (following[0].time_us, number, following[0], file, following[1], trades))

    def _read(self, file: _File) -> Iterator[tuple[Trade, Reached]]:
        reached = file.reached
        passed = reached.taken
        try:
            for batch in read_trades(file.source, file.found, reached.position, {}):
                batch.add_to(self.rejects)
                self._listing.tell_trades(batch.trades, file.found.name)
                file.share = (batch.position.offset - reached.position.offset) / max(1, len(batch.trades))
                for taken, trade in enumerate(islice(batch.trades, passed, None), passed + 1):
                    yield trade, reached._replace(taken=taken)
                passed = max(0, passed - len(batch.trades))
                reached = reached._replace(position=batch.position)
        except InputRefused as refused:
            self.refused[file.source.label] = str(refused)

    def on_way(self, file: _File, reached: Reached) -> None:
        """A trade that goes to the log; whoever sent it says when that has it."""
        self._on_way.append((file, reached))

    def taken(self, count: int) -> None:
        """The log has so many more."""
        for _ in range(count):
            file, reached = self._on_way.popleft()
            file.reached = reached
        self.trades += count
        offsets = (each.reached.position.offset + each.share * each.reached.taken for each in self._files)
        self._teller.read(int(sum(offsets)), self.trades)

    def keep(self) -> None:
        """Write how far the log has them.

        Raises:
            MarketError: the market store failed; the next call does it.
            OffsetMoved: another one replays the same.
        """
        self._write({each.place: each.reached for each in self._files})

    def forget(self) -> None:
        """All was told: whoever begins anew tells all again. It raises as `keep` does."""
        self._write({each.place: Reached() for each in self._files})

    def _write(self, reached: dict[Place, Reached]) -> None:
        moves = [move for place, each in reached.items() for move in place.moves(each)]
        if moves:
            self._writer.apply(Written(moves=moves))
        for place, each in reached.items():
            place.moved(each)
