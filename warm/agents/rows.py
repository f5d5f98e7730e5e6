"""What every importer gives, whatever the format it read: one row for one agent's output on one symbol.

A row's ``status`` keeps three things apart that look alike in many formats: a *view* (which may be neutral, 0), an
*abstention* (the agent ran and had nothing to say) and a *failure* (it did not run, or its answer was a stand-in).
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import polars as pl

from app.domain.aliases import NO_ALIASES, Aliases
from app.domain.symbols import never_closes
from app.domain.vector import REASONING_MAX
from warm.agents.tally import Tally
from warm.bars.labels import is_coin
from warm.intervals import Market
from warm.rejects import Rejects
from warm.sessions import NEVER_CLOSES, Session, milliseconds

AGENT_SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "agent": pl.String(),
    "as_of_ms": pl.Int64(),
    "status": pl.String(),
    "view": pl.Float64(),
    "confidence": pl.Float64(),
    "model": pl.String(),
    "reasoning": pl.String(),
    "reason": pl.String(),
    "source": pl.String(),
    "input_hash": pl.String(),
}
"""``view`` in [-1, 1], null unless status is ``view`` or ``summary`` (a view that sums up others of its file); ``confidence`` in
[0, 1] or null; ``reason``: why it abstained or failed; ``source``: the file, by its path inside the folder that was given;
``input_hash``: its tool's hash of the prompt or of the data it was asked about."""

AGENT_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_ .:/@-]{0,63}$"
AGENT_RULE = "1 to 64 of A-Z a-z 0-9 _ . : / @ - and space, beginning with a letter, a digit or _"
LABEL_MAX = 64
"""Characters of a model's name and of a reason that a record keeps."""

SIGNALS: dict[str, float] = {
    "bullish": 1.0,
    "bearish": -1.0,
    "neutral": 0.0,
    "buy": 1.0,
    "cover": 1.0,
    "sell": -1.0,
    "short": -1.0,
    "hold": 0.0,
}
"""Words for a view. ``cover`` and ``sell`` close a position: they lean the way of the trade they ask for."""


_EARLIEST = timedelta(hours=14)
"""By how much a day begins earlier in Kiribati than in UTC."""


class Context(NamedTuple):
    """What an importer needs to know beside the file. Outputs after ``as_of_ms`` are cut off before they are judged. Without it
    the run is live, and only what lies further ahead of ``now_ms`` than ``skew_ms`` is refused.

    ``calendar`` says whose dates are days that end at midnight, UTC: of pairs of currencies (``auto``), of all or of none.
    """

    session: Session
    now_ms: int
    as_of_ms: int | None
    calendar: Literal["auto", "equities", "always"] = "auto"
    skew_ms: int = 0
    aliases: Aliases = NO_ALIASES
    markets: Mapping[str, Market] = MappingProxyType({})
    """Of the symbols that have prices, by the names that are kept."""

    @property
    def latest_ms(self) -> int:
        """The latest moment that an output may be of."""
        return self.now_ms + self.skew_ms

    def moment_ms(self, text: str, symbol: str, written_ms: int) -> int | None:
        """When an output on ``symbol`` (canonical) was, which says ``text``: milliseconds, None if it is neither date nor moment.

        A date is that session's close. In a live run one that is today's, anywhere on Earth, is no later than now: it was said.
        It is then of when its file was written, if that was on the day, so that the file read again says the same.
        """
        session = self.session_of(symbol)
        moment_ms = session.moment_ms(text)
        if moment_ms is None or moment_ms <= self.now_ms or self.as_of_ms is not None:
            return moment_ms
        day = session.date_in(text)
        begin_ms = None if day is None else milliseconds(datetime.combine(day, time(), UTC) - _EARLIEST)
        if begin_ms is None or begin_ms > self.now_ms:
            return moment_ms
        return written_ms if begin_ms <= written_ms <= self.now_ms else self.now_ms

    def session_of(self, symbol: str) -> Session:
        """The session that a date on ``symbol`` (canonical) means the close of."""
        kept = self.aliases(symbol)
        always = self.calendar == "always"
        if self.calendar == "auto":
            # A coin's bare name is a fund's too: its prices tell which, by their weekends.
            market = self.markets.get(kept)
            always = never_closes(kept) or is_coin(kept) if market is None else market.never_closes
        return NEVER_CLOSES if always else self.session.of(kept)


class Imported(NamedTuple):
    """One file's rows (`AGENT_SCHEMA`), how many there were before any was rejected or cut off, what became of those that are not
    in the frame, what dated them, why some were rejected, and what else is to be told.

    ``dated_by`` is ``column`` (the file itself), ``file_name``, ``as_of`` or ``file_time``.
    """

    frame: pl.DataFrame
    rows: int
    lost: Tally
    dated_by: str
    rejects: Rejects
    told: dict[str, Any]


# ECMA-48 control sequences (colours, cursor movement), operating system commands and two-character escapes.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]?|\x9b[0-?]*[ -/]*[@-~]")
# Controls, and what turns the direction of text or hides in it: a record's text is shown in terminals and web pages.
_HIDDEN = re.compile("[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")
# What a web page or a Markdown reader would act on: brackets of tags become ones that only look like them, and a link's text
# parts from its address.
_MARKUP = str.maketrans({"<": "‹", ">": "›"})
_LINK = re.compile(r"\]\s*([(\[])")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\s]+")


def clean_text(text: str | None, limit: int = REASONING_MAX) -> str | None:
    """``text`` as one line of at most ``limit`` visible characters, with no escapes, control or bidi characters and no markup
    that acts on a reader; None if nothing is left. Lone surrogates, which no UTF-8 can carry, are dropped.
    """
    if text is None:
        return None
    # Four characters read for one kept bound the work on an agent's endless answer.
    text = text[: 4 * limit].encode("utf-8", "ignore").decode("utf-8")
    text = _HIDDEN.sub("", _ESCAPES.sub("", text))
    text = _LINK.sub(r"] \1", _CONTROLS.sub(" ", text).translate(_MARKUP)).strip()
    if len(text) > limit:
        text = text[: limit - 1].rstrip() + "…"
    return text or None
