"""A decision in prose: what a language model's report asks for, or that it asks for nothing that can be told.

Three ways, the first that speaks wins:

1. A rating at the beginning of a line: ``**Rating**: Overweight`` (also 评级), or as a heading with the value below it.
2. ``FINAL TRANSACTION PROPOSAL: **BUY**`` (最终交易建议), bold or not, in any case, anywhere. If there is a rating too, they must
   not point in different directions. Without either: Recommendation, Decision, Verdict, Action at the beginning of a line.
3. Free text: the last sentence that says what to do. It must speak for the writer ("I recommend", "we should", a word in
   capitals, a sentence that begins with the word); what is denied, asked, conditional or another's opinion is passed over.

Of several labels of one kind the last counts. A label whose value cannot be read (``BUY/HOLD/SELL``, ``Buy → Sell``, ``REVIEW``)
is no decision, whatever stands elsewhere, and neither is a sentence that says two things. A text without a decision is a failure
for the caller to tell; it is never a hold. Where in doubt there is none: a missing view does less harm than a wrong one.
"""

import re
import unicodedata
from typing import NamedTuple

RATINGS: dict[str, float] = {
    "strong buy": 1.0, "buy": 1.0, "outperform": 0.5, "overweight": 0.5, "accumulate": 0.5, "hold": 0.0, "neutral": 0.0,
    "underweight": -0.5, "underperform": -0.5, "reduce": -0.5, "sell": -1.0, "strong sell": -1.0,
    "买入": 1.0, "增持": 0.5, "超配": 0.5, "持有": 0.0, "观望": 0.0, "中性": 0.0,
    "减持": -0.5, "低配": -0.5, "卖出": -1.0, "清仓": -1.0,
}  # fmt: skip
"""Words for a decision: the five-tier scale of TradingAgents, and what models write for it."""

_WORD = "|".join(sorted(RATINGS, key=len, reverse=True))
# Runs of marks are bounded: an endless one must not make the search quadratic.
_OPEN = r"[\s*_`\"'“「【\[(]{0,12}"
# Behind a word: what closes its marks, or the end of what it says. Then anything may follow but another word for a decision.
_CLOSED = r"(?:[ \t]{0,4}(?:\*{1,3}|_{1,2}|`|[\"'”」】\]])|(?=[ \t]{0,4}(?:$|[\n.;!。；！(（])|[ \t]{1,4}[-–—] |[,，:：]))"
_OTHER = (
    r"(?![ \t]{0,4}[*_`\"'”」】\])]{0,4}[ \t]{0,4}(?:[/|,，、→☐☑]|->|\bor\b|\bto\b|\(\d)[ \t]{0,4}[*_`]{0,4}"
    rf"(?:{_WORD}|half|[☐☑]))"
)
_VALUE = re.compile(rf"{_OPEN}(?P<word>{_WORD}){_CLOSED}{_OTHER}(?!\s{{0,4}}[→☐☑?？]|\s{{0,4}}->|\s{{0,4}}\(\d)", re.IGNORECASE)
_LINE = r"(?m:^)[ \t#>*\-|_`\d.)]{0,20}"
_RATING = re.compile(
    rf"{_LINE}(?:final |overall |my )?(?:rating(?: after [^:\n]{{0,40}})?|最终评级|评级)[*_` \t]{{0,8}}(?:[:：|—–-]|\n\s{{0,8}})",
    re.IGNORECASE,
)
_LABEL = re.compile(
    rf"{_LINE}(?:(?:final|my|our|investment|trading|trade) ){{0,2}}(?:recommendation|decision|verdict|action)[*_` \t]{{0,8}}"
    r"[:：|—–]"
    rf"|{_LINE}(?:投资建议|交易建议|最终决策|操作建议|决策)[*_` \t]{{0,8}}[:：|]",
    re.IGNORECASE,
)
_PROPOSAL = re.compile(r"(?:final\s{1,8}transaction\s{1,8}proposal|最终交易建议)[*_` \t]{0,8}[:：]?", re.IGNORECASE)

TEXT_MAX = 200_000
"""Characters of a report that are read, from its end on, after compatibility forms are resolved: work is bounded."""

FREE_MAX = 10_000
"""Characters of free text that are read: a decision without a label stands at the end."""


class _Found(NamedTuple):
    """Whether there is a label at all, and the word behind the last of them if it can be read."""

    labelled: bool
    word: str | None


def decision(text: str) -> tuple[str, float] | None:
    """The word that ``text`` decides for and its view, or None."""
    plain = _plain(text)
    rating, proposed = _behind(_RATING, plain), _behind(_PROPOSAL, plain)
    if rating.labelled and proposed.labelled:
        words = {rating.word, proposed.word}
        if None in words or len({_sign(word) for word in words if word}) > 1:
            return None
    for found in (rating, proposed):
        if found.labelled:
            return _view(found.word)
    other = _behind(_LABEL, plain)
    return _view(other.word) if other.labelled else _free(plain[-FREE_MAX:])


def proposal(text: str) -> tuple[str, float] | None:
    """The word of the last ``FINAL TRANSACTION PROPOSAL`` and its view, or None."""
    return _view(_behind(_PROPOSAL, _plain(text)).word)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text[-TEXT_MAX:])[-TEXT_MAX:]


def _view(word: str | None) -> tuple[str, float] | None:
    return None if word is None else (word, RATINGS[word])


def _sign(word: str) -> int:
    return (RATINGS[word] > 0) - (RATINGS[word] < 0)


def _behind(label: re.Pattern[str], text: str) -> _Found:
    """What stands behind the last ``label``; of proposals behind the last that can be read, as the question is often repeated."""
    labels = [each.end() for each in label.finditer(text)]
    words = [found["word"].lower() if (found := _VALUE.match(text, at)) else None for at in labels]
    if label is _PROPOSAL:
        read = [word for word in words if word is not None]
        return _Found(bool(labels), read[-1] if read else None)
    return _Found(bool(labels), words[-1] if words else None)


_SAID = re.compile(
    r"(?<![\w-])(?P<word>strong buy|strong sell|buy|sell|hold|overweight|underweight)"
    r"(?![\w]|['’]s|[- ](?:off|back|side|in|out|through|time)\b)"
    r"|(?P<chinese>买入|增持|持有|观望|减持|卖出|清仓)",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?。！？…;；])\s{1,8}|(?<=[。！？…；])|\n+")
_DENIED = re.compile(
    r"\b(?:not|never|no|nor|neither|none|nobody|cannot|avoid|against|without|rather than|instead of|stop|refrain|reject"
    r"|refuse|decline|resist|unlikely|isnt|dont|doesnt|wouldnt|shouldnt|mistake|premature|reckless|too early|too late"
    r"|little reason|far from)\b|n['’]t\b"
    r"|不|别|勿|禁止|暂缓|拒绝|停止|未|非|没有|无",
    re.IGNORECASE,
)
_CONTRAST = re.compile(r"\bbut\b|\binstead[,:]|[;:—–；：]|\btherefore\b|而是|但", re.IGNORECASE)
_CONDITIONAL = re.compile(
    r"\b(?:if|unless|until|once|when|whenever|should it|would need|consider|may|might|could)\b|如果|若|一旦|[?？]", re.IGNORECASE
)
_OTHERS = re.compile(
    r"\b(?:bulls?|bears?|analysts?|brokers?|street|consensus|trader|management|company|insiders?|others|some|they|he|she|one|funds?"
    r"|shareholders?|investors|it|support|resistance|levels?)\b[^.]{0,40}\b(?:says?|said|argue[sd]?|recommend(?:s|ed)?|rate[sd]?|wants?"
    r"|thinks?|believes?|is|are|calls?|should|will|plans?|going|holds?|going)\b|股东|机构|资金|大户|基金",
    re.IGNORECASE,
)
_NOUN = re.compile(
    r"[\s*_`]{0,4}(?:signals?|pressure|orders?|zone|volume|limits?|ratings?|rated|case|thesis|on\b|above\b|below\b)",
    re.IGNORECASE,
)
_OWN = re.compile(
    r"\b(?:i|we)\b|\b(?:my|our|the) (?:final )?(?:decision|recommendation|verdict|conclusion|view|call|stance|advice)\b"
    r"|\brecommend"
    r"|\b(?:you|one|investors|traders) should\b|\bon balance\b|\bthe right thing\b|\bconclusion\b|建议|应|决定|结论|综合",
    re.IGNORECASE,
)
_SENTENCE_MAX = 600
"""Characters of a sentence that are read, from its end on."""

_CAPITALS_WORDS_MAX = 12
"""Words of a sentence in which a word in capitals is what it says; in longer ones it may be quoted."""


def _free(text: str) -> tuple[str, float] | None:
    for sentence in reversed(_SENTENCE.split(text)):
        words = _meant(sentence[-_SENTENCE_MAX:]) if sentence else set()
        if len({_sign(word) for word in words}) > 1:
            return None
        if words:
            return _view(min(words, key=lambda word: (-abs(RATINGS[word]), word)))
    return None


def _meant(sentence: str) -> set[str]:
    """The words for a decision that a sentence says for its writer, lower case."""
    if _CONDITIONAL.search(sentence):
        return set()
    words = set()
    for found in _SAID.finditer(sentence):
        word, before = found["word"] or found["chinese"], sentence[: found.start()]
        clause = _CONTRAST.split(before)[-1]
        if found["chinese"]:
            clause = clause.rpartition(",")[2]
        # Behind a contrast a sentence begins anew; a denial behind the word ("to sell would be a mistake") denies it too.
        denied = _DENIED.search(clause) or (found["word"] and _DENIED.search(sentence, found.end()))
        if denied or _OTHERS.search(clause) or before.lower().endswith("on "):
            continue
        if _NOUN.match(sentence, found.end()):
            continue
        capitals = word.isascii() and word.isupper() and len(sentence.split()) <= _CAPITALS_WORDS_MAX
        first = not re.search(r"\w", clause)
        bold = before.endswith(("**", "__"))
        if capitals or first or bold or _OWN.search(sentence):
            words.add(word.lower())
    return words
