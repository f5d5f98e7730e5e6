"""Files of trades, found and told apart, for whoever reads them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from warm.errors import InputRefused
from warm.files import recognise as formats
from warm.files.find import find_sources
from warm.files.names import SymbolChoice, said_symbol
from warm.files.read import Source
from warm.files.reports import SPOILT, not_understood
from warm.files.trades.batches import Batch, Position
from warm.files.trades.names import Options
from warm.files.trades.recognise import FORMATS, Found, recognise


def find_recordings(paths: Sequence[Path], symbols: Sequence[SymbolChoice]) -> tuple[list[Source], list[str]]:
    """The files at ``paths`` that may have trades, and the labels of those whose names say that they are no data.

    Raises:
        InputRefused: nothing is there, or a choice of ``symbols`` fits none.
    """
    sources, others = list[Source](), list[str]()
    for path in paths:
        found, besides = find_sources(path)
        sources += found
        others += besides
    for choice in symbols:
        if not any(choice.fits(each.label, str(each.path)) for each in sources):
            raise InputRefused(f"--symbol {choice.pattern}={choice.symbol} fits no file")
    return sources, others


def recognised(source: Source, symbols: Sequence[SymbolChoice], options: Options) -> Found | str:
    """How its trades are read, or what it has in their place.

    Raises:
        InputRefused: it cannot be read, or nothing tells the symbol of its trades.
    """
    source.symbol = said_symbol(source, symbols)
    if source.fault is not None:
        raise source.refuse(source.fault)
    try:
        return recognise(source, options) or _in_place_of_trades(source)
    except InputRefused:
        raise
    except SPOILT as error:
        raise not_understood(source, error) from error


def _in_place_of_trades(source: Source) -> str:
    """What a file without trades has, and what it is for."""
    try:
        holds = formats.recognise(source)
    except (InputRefused, *SPOILT):
        return "it has no trades"
    if isinstance(holds, formats.Unknown):
        return f"it has no trades ({holds.said})"
    if holds.kind == "prices":
        return f"it has no trades but bars ({holds.name}): decide warm --prices … --bars loads them"
    return f"it has no trades but agents' outputs ({holds.name}): decide warm --agents … loads them"


def read_trades(source: Source, found: Found, position: Position, size: Mapping[str, int]) -> Iterator[Batch]:
    """Batches of a file behind ``position``; what a library makes of a spoilt one is told as the file's fault.

    Raises:
        InputRefused: it cannot be read, or is cut short.
    """
    try:
        yield from found.read(position, **size)
    except InputRefused:
        raise
    except SPOILT as error:
        raise not_understood(source, error) from error


def no_trades(without: Mapping[str, str]) -> str:
    """That no file has any; ``without`` says of each what it has."""
    shown = "; ".join(f"{file}: {why}" for file, why in list(without.items())[:3])
    known = "; ".join(f"{name} ({what})" for name, what in FORMATS.items())
    return f"no file holds trades: {shown}; known: {known}"
