"""Numbers as people write them: ``$1,234.50``, ``1.234,50``, ``4.16K``, ``72.4p``. What a library reads never comes here."""

import re
from collections.abc import Sequence

import polars as pl

from warm.files.read import Source

spelled = re.compile(
    r"\d[\s\xa0\u202f'’_]?[,KMBTP万亿.]|[$€£¥₹]|\d [\d$€£¥₹]|(?:USD|EUR|GBP|CHF|GBX|ZAC|ILA|USX)", re.IGNORECASE
).search
"""Whether a text that is no number for a library may be one for people."""

_SIGNS = r"[\s\x{a0}\x{202f}'’_$€£¥₹₩%+]|USD|EUR|GBP|CHF"
_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12, "万": 1e4, "亿": 1e8}

IN_HUNDREDTHS = "prices in hundredths of a currency (pence, GBX, ZAc, ILA) are kept in whole units"
_HUNDREDTHS = r"(?:GBp|ZA[cC]|(?i:GBX|ILA|USX)|p(?:ence)?)"
_hundredths_at = rf"^\s*{_HUNDREDTHS}\s*[\d.,]|\d\s*{_HUNDREDTHS}\s*$"
_hundredths_only = rf"^\s*{_HUNDREDTHS}\b|{_HUNDREDTHS}\s*$"

# A group behind a comma or point that is not of three digits is no group, and two groups behind each other are no decimals.
_DECIMAL = r"(^|\.\d{{3}})[0-9]*{0}(\d{{1,2}}|\d{{4,}})$|^0{0}\d|\d{1}\d{{3}}{0}\d|{1}\d{{3}}{1}\d{{3}}"
_COMMA = _DECIMAL.format(",", r"\.")
_POINT = _DECIMAL.format(r"\.", ",").replace(r"(^|\.\d", "(^|,\\d")


def in_units(frame: pl.DataFrame, names: Sequence[str]) -> tuple[pl.DataFrame, bool]:
    """``frame`` with the prices ``names`` in whole units of what its column ``currency`` names, which goes; and whether any was
    in hundredths. GBp is pence where GBP is pounds.
    """
    small = (
        frame.get_column("currency").cast(pl.String).str.strip_chars().str.contains(rf"^{_HUNDREDTHS}$").fill_null(value=False)
    )
    frame = frame.drop("currency")
    if not small.any():
        return frame, False
    return frame.with_columns(pl.when(small).then(pl.col(name) / 100).otherwise(pl.col(name)) for name in _prices(names)), True


def _prices(names: Sequence[str]) -> list[str]:
    return [name for name in names if name != "volume"]


def as_numbers(source: Source, frame: pl.DataFrame, names: Sequence[str], separator: str) -> tuple[pl.DataFrame, bool]:
    """The text columns ``names`` of ``frame`` as numbers, null where there is none, and whether any was in hundredths of its
    currency. Which of comma and point is the decimal sign, all of a file's prices tell together.

    Raises:
        InputRefused: every comma could be either.
    """
    prices = _prices(names) or list(names)
    small = frame.select(pl.col(name).str.contains(_hundredths_at).fill_null(value=False) for name in _prices(names))
    bare = frame.with_columns(pl.col(name).str.replace_all(_hundredths_only, "") for name in small.columns)
    plain = bare.with_columns(pl.col(name).str.replace_all(_SIGNS, "").str.to_uppercase() for name in names)

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

    found = plain.with_columns(number(name) for name in names)
    in_hundredths = [name for name in small.columns if small.get_column(name).any()]
    return found.with_columns(
        pl.when(small.get_column(name)).then(pl.col(name) / 100).otherwise(pl.col(name)) for name in in_hundredths
    ), bool(in_hundredths)
