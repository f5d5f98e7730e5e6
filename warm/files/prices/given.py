"""Bars as files have them, with the digits that stand there: for whoever keeps prices exactly."""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from warm.files.prices.reading import Reading
from warm.files.prices.rules import PRICES


class GivenBars(NamedTuple):
    """A file's bars before any adjustment. ``frame`` has ``symbol``, ``as_of_ms`` (its end), prices and ``volume``, and what the
    file has for each number as ``text_*``, where it can tell. ``written_ms`` is when the file was written.
    """

    frame: pl.DataFrame
    interval: str
    form: str
    written_ms: int


def with_texts(reading: Reading, frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """The ``columns`` of ``frame``, rows of ``reading``, each with its texts. Of bars of one moment the first one stays."""
    texts = reading.texts(frame.get_column("row"))
    on = [name for name in ("row", "group") if name in texts.columns]
    texts = texts.select(*on, *(name for name in (f"text_{each}" for each in (*PRICES, "volume")) if name in texts.columns))
    joined = frame.select(*columns, *on).join(texts, on=on, how="left", maintain_order="left").drop(on)
    return joined.unique(("symbol", "as_of_ms"), keep="first", maintain_order=True).sort("symbol", "as_of_ms")
