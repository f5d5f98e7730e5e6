"""Numbers as people write them: ``$1,234.50``, ``1.234,50``, ``4.16K``. What a library reads as it is never comes here."""

import re
from collections.abc import Sequence

import polars as pl

from warm.files import Source

spelled = re.compile(r"\d[\s\xa0\u202f'’_]?[,KMBT万亿.]|[$€£¥₹]|\d [\d$€£¥₹]|(?:USD|EUR|GBP|CHF)", re.IGNORECASE).search
"""Whether a text that is no number for a library may be one for people."""

_SIGNS = r"[\s\x{a0}\x{202f}'’_$€£¥₹₩%+]|USD|EUR|GBP|CHF"
_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12, "万": 1e4, "亿": 1e8}

# A group behind a comma or point that is not of three digits is no group, and two groups behind each other are no decimals.
_DECIMAL = r"(^|\.\d{{3}})[0-9]*{0}(\d{{1,2}}|\d{{4,}})$|^0{0}\d|\d{1}\d{{3}}{0}\d|{1}\d{{3}}{1}\d{{3}}"
_COMMA = _DECIMAL.format(",", r"\.")
_POINT = _DECIMAL.format(r"\.", ",").replace(r"(^|\.\d", "(^|,\\d")


def as_numbers(source: Source, frame: pl.DataFrame, names: Sequence[str], separator: str) -> pl.DataFrame:
    """The text columns ``names`` of ``frame`` as numbers, null where there is none. Which of comma and point is the decimal sign,
    all of a file's prices tell together.

    Raises:
        InputRefused: every comma could be either.
    """
    plain = frame.with_columns(pl.col(name).str.replace_all(_SIGNS, "").str.to_uppercase() for name in names)
    prices = [name for name in names if name != "volume"] or list(names)

    def any_of(pattern: str, among: Sequence[str]) -> bool:
        return bool(plain.select(pl.any_horizontal(pl.col(name).str.contains(pattern).any() for name in among)).item())

    comma, point = any_of(_COMMA, prices), any_of(_POINT, prices)
    if not (comma or point) and any_of(",", prices):
        if separator == ",":
            raise source.refuse("every comma in its prices can be a thousands or a decimal sign; allowed: prices without commas")
        comma = True
    # What contradicts the others is no number: its row is set aside.
    sign, grouping = (",", ".") if comma and not point else (".", ",")
    grouped = rf"^-?\d{{1,3}}(\{grouping}\d{{3}})+(\{sign}\d*)?$"

    def number(name: str) -> pl.Expr:
        text = pl.col(name)
        unit = pl.lit(1.0)
        if name == "volume":
            unit = (
                text.str.extract("([KMBT万亿])$", 1).replace_strict(_UNITS, default=1.0, return_dtype=pl.Float64).fill_null(1.0)
            )
            text = text.str.strip_chars_end("KMBT万亿")
        bare = pl.when(text.str.contains(grouped)).then(text.str.replace_all(grouping, "", literal=True)).otherwise(text)
        return bare.str.replace(sign, ".", literal=True).cast(pl.Float64, strict=False) * unit

    return plain.with_columns(number(name) for name in names)
