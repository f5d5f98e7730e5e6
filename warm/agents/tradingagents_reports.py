"""TradingAgents' Markdown (https://github.com/TauricResearch/TradingAgents): its reports, and its memory.

* ``complete_report.md``: ``# Trading Analysis Report: TICKER``, ``Generated: 2024-03-08 16:15:00``, and the run's reports under
  Roman numbers: the analysts' (views of their own where they carry a ``FINAL TRANSACTION PROPOSAL``) and the manager's.
* ``TICKER/DATE/reports/final_trade_decision.md`` and ``TICKER_STAMP/5_portfolio/decision.md``: the manager's decision alone.
  Ticker and day are the folders'.
* ``trading_memory.md``: ``[DATE | TICKER | RATING | pending]`` and below it ``DECISION:``, then ``REFLECTION:``, which came days
  later and is passed over. An entry whose rating contradicts its text is a failure.

Decisions are read as those of TradingAgents' logs, under the same names. The analysts' own files are no decisions.
"""

import re
from collections.abc import Iterator
from datetime import date
from functools import partial
from typing import NamedTuple

from app.domain.symbols import canonical_symbol
from warm.agents.collecting import Collector, Entry, Judged, day_of
from warm.agents.prose import proposal
from warm.agents.ratings import RATINGS, sign
from warm.agents.rows import Context, Imported
from warm.agents.tradingagents import MANAGER, judged
from warm.files import Source

_MEMORY = re.compile(
    r"^\[(\d{4}-\d{2}-\d{2}[^|\]\n]{0,30}) \| ([^|\]\n]{1,40}) \| ([^|\]\n]{1,40})(?: \|[^\]\n]{0,200})?\][ \t]*$", re.MULTILINE
)
_TITLE = re.compile(r"\A\s*# Trading Analysis Report:[ \t]*(\S{1,40})")
_WRITTEN = re.compile(r"^(?:Generated|Analysis Date|Date):[ \t]*(\S.*)$", re.MULTILINE)
_PART = re.compile(r"^## [IVX]{1,4}\.[ \t]*(.*)$", re.MULTILINE)
_DECIDING = re.compile(r"portfolio manager|final (?:trade |trading )?decision", re.IGNORECASE)
_ANALYST = re.compile(r"^### (Market|Sentiment|Social|Social Media|News|Fundamentals) Analyst[ \t]*$", re.MULTILINE)
_DEBATER = re.compile(r"\A\s*#{1,4} [^\n]{0,40}\b(?:analyst|researcher)\b", re.IGNORECASE)
_FOLDER = re.compile(r"(.+)_(?:19|20)\d{6}(?:_\d{4,6})?")


class _Run(NamedTuple):
    """What one run was about: ticker and day, as far as they are told."""

    symbol: str | None
    day: str | None


def detects(source: Source) -> bool:
    """Whether a Markdown file is one of these, and tells its ticker."""
    text = source.head().decode("utf-8-sig", "replace").replace("\r", "")
    return bool(_TITLE.match(text) or _MEMORY.search(text)) or _of_folders(source, None).symbol is not None


def read(source: Source, context: Context) -> Imported:
    """The file's decisions.

    Raises:
        InputRefused: no UTF-8, or none of the shapes above.
    """
    text = source.text()
    title = _TITLE.match(text)
    if title:
        return _complete(source, context, text, title[1])
    if _MEMORY.search(text):
        return _memory(source, context, text)
    symbol, day = _of_folders(source, context)
    if symbol is None or day is None:
        raise source.refuse("no report of TradingAgents whose folders tell ticker and day (TICKER/2024-03-08/reports)")
    collector = Collector(source, context, "file_name")
    collector.add(_decided(symbol, day, None if _DEBATER.match(text) else text))
    return collector.imported()


def _of_folders(source: Source, context: Context | None) -> _Run:
    """``TICKER/DATE/reports/x.md``, or ``TICKER_STAMP/5_portfolio/x.md``."""
    parts = ("", "", "", *source.parts)
    if parts[-2] == "reports":
        day = day_of(source, parts[-3], context)
        return _Run(parts[-4] if day else None, _text(day))
    if parts[-2] == "5_portfolio" and (found := _FOLDER.fullmatch(parts[-3])):
        return _Run(found[1], _text(day_of(source, parts[-3], context)))
    return _Run(None, None)


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _decided(symbol: str, day: str | None, text: str | None, tag: str | None = None) -> Entry:
    about = canonical_symbol(symbol.strip())
    return Entry(MANAGER, symbol, day, partial(_agreed, text, about, tag), reasoning=text, sums_up=True, run=day)


def _agreed(text: str | None, symbol: str, tag: str | None) -> Judged:
    found = judged(text, symbol)
    word = tag.strip().lower() if tag else None
    if found.view is not None and word in RATINGS and sign(word) != (found.view > 0) - (found.view < 0):
        return Judged("failed", reason="no_clear_decision")
    return found


def _complete(source: Source, context: Context, text: str, symbol: str) -> Imported:
    parts = {each[1]: body for each, body in _sections(_PART, text)}
    head = text[: first.start()] if (first := _PART.search(text)) else text
    written = _WRITTEN.search(head)
    day = day_of(source, written[1], context) if written else None
    collector = Collector(source, context)
    as_of, about = _text(day), canonical_symbol(symbol)
    deciding = [body for name, body in parts.items() if _DECIDING.search(name)]
    collector.add(_decided(symbol, as_of, re.sub(r"\A\s*### Portfolio Manager[ \t]*\n", "", deciding[-1]) if deciding else None))
    for name, body in parts.items():
        for each, report in _sections(_ANALYST, body) if "analyst" in name.lower() else ():
            agent = f"tradingagents:{'sentiment' if each[1].startswith('Social') else each[1].lower()}_analyst"
            if (found := proposal(report, about)) is not None:
                collector.add(Entry(agent, symbol, as_of, partial(Judged, "view", found[1]), reasoning=report, run=as_of))
    return collector.imported()


def _sections(heading: re.Pattern[str], text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Every heading with the text up to the next."""
    found = list(heading.finditer(text))
    for each, end in zip(found, [*(each.start() for each in found[1:]), len(text)], strict=True):
        yield each, text[each.end() : end]


def _memory(source: Source, context: Context, text: str) -> Imported:
    collector = Collector(source, context)
    for tag, body in _sections(_MEMORY, text):
        said = body.partition("<!-- ENTRY_END -->")[0].partition("\nREFLECTION:")[0].partition("DECISION:")[2]
        collector.add(_decided(tag[2], tag[1], said, tag[3]))
    return collector.imported()
