"""Files of trades, written, and the trades that they hold."""

import gzip
import io
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.domain.prices import exact, plain
from app.domain.trades import Side, Trade, trade_key
from tests.kit.files import put
from tests.warm.trade_messages import Made
from tests.warm.trade_shapes import Shape
from warm.files.find import find_sources
from warm.files.read import Source
from warm.files.trades.batches import START, Batch, Position
from warm.files.trades.recognise import recognise


def of_shape(shape: Shape, made: Sequence[Made]) -> list[Trade]:
    """The trades that a file of ``shape`` holds, by what its maker says."""
    equal: Counter[tuple[Any, ...]] = Counter()
    found = []
    for each in made:
        time_us = each.time_us // shape.unit_us * shape.unit_us
        price, size = exact(each.price), exact(each.size)
        side: Side = each.side if shape.sides else "unknown"
        if shape.ids:
            written = f"{each.number}-ab" if shape.source == "bybit" else str(each.number)
            key = trade_key(written) + ("a" if shape.aggregate else "")
        else:
            what = (time_us, plain(price), plain(size), side)
            written = key = "/".join(map(str, (*what, equal[what])))
            equal[what] += 1
        found.append(Trade(shape.venue, shape.symbol, key, time_us, price, size, written, side, shape.source))
    return found


def source_of(path: Path) -> Source:
    """The only source in a file, an archive or a folder."""
    ((source,), _) = find_sources(path)
    return source


def written(folder: Path, shape: Shape, made: Sequence[Made]) -> Source:
    """A file of ``shape``."""
    path = folder / shape.file
    put(path, shape.write(made))
    return source_of(path) if "/" not in shape.file else source_of(folder)


def batches_of(source: Source, position: Position = START, **size: int) -> Iterator[Batch]:
    """The batches of a file behind ``position``."""
    found = recognise(source)
    assert found is not None, source.label
    return found.read(position, **size)


def batches(source: Source, position: Position = START, **size: int) -> list[Batch]:
    """All of them."""
    return list(batches_of(source, position, **size))


def trades(source: Source, position: Position = START, **size: int) -> list[Trade]:
    """All trades of a file behind ``position``."""
    return [trade for batch in batches(source, position, **size) for trade in batch.trades]


def packed(content: bytes, name: str, how: str) -> tuple[str, bytes]:
    """A file's name and content in gzip, in zstd (as blocks that are as they were), or in a zip archive."""
    if how == "gz":
        return f"{name}.gz", gzip.compress(content)
    if how == "zst":
        blocks = [content[at : at + 100_000] for at in range(0, len(content), 100_000)]
        heads = [(int(block is blocks[-1]) | len(block) << 3).to_bytes(3, "little") for block in blocks]
        return f"{name}.zst", b"\x28\xb5\x2f\xfd\x00\x58" + b"".join(map(b"".join, zip(heads, blocks, strict=True)))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(Path(name).name, content)
    return f"{name.rpartition('.')[0]}.zip", out.getvalue()
