"""A decision in prose: what a language model's report asks for, or that it asks for nothing that can be told.

Three ways, the first that says something wins:

1. A label: ``**Rating**: Overweight`` (also Recommendation, Decision, Verdict, Action, and 评级, 投资建议); the last one counts.
2. ``FINAL TRANSACTION PROPOSAL: **BUY**``, bold or not, in any case (also 最终交易建议); the last one counts.
3. Free text: the words buy, sell, hold and so on that are not negated, the last sentence that has any. Words in capitals are said
   with more weight than others and are looked for first. Different words in that sentence are no decision.

A placeholder (``BUY/HOLD/SELL``) is none. A text without a decision is a failure for the caller to tell; it is never a hold.
"""

import re
import unicodedata

RATINGS: dict[str, float] = {
    "strong buy": 1.0, "buy": 1.0, "overweight": 0.5, "accumulate": 0.5, "hold": 0.0, "neutral": 0.0, "underweight": -0.5,
    "reduce": -0.5, "sell": -1.0, "strong sell": -1.0,
    "买入": 1.0, "增持": 0.5, "超配": 0.5, "持有": 0.0, "观望": 0.0, "中性": 0.0,
    "减持": -0.5, "低配": -0.5, "卖出": -1.0, "清仓": -1.0,
}  # fmt: skip
"""Words for a decision: the five-tier scale of TradingAgents, and what models write for it."""

_WORD = "|".join(sorted(RATINGS, key=len, reverse=True))
_VALUE = rf"[\s*_`\"'“「【\[(]*(?P<word>{_WORD})(?![A-Za-z-])(?P<rest>[\s*_`\"'”\])]*(?:[/|、,]|\bor\b)[\s*_`]*(?:{_WORD})\b)?"
_LABELS = (
    "final rating|rating|final recommendation|recommendation|final decision|decision|verdict|action|investment recommendation"
    "|最终评级|评级|投资建议|交易建议|最终决策|操作建议|决策"
)
_LABEL = re.compile(rf"(?<![A-Za-z])(?:{_LABELS})[\s*_`]*[:：][\s*_`]*{_VALUE}", re.IGNORECASE)
_PROPOSAL = re.compile(rf"(?:final\s+transaction\s+proposal|最终交易建议)[\s*_`]*[:：]?{_VALUE}", re.IGNORECASE)
_FREE = re.compile(
    r"(?<![\w-])(?P<word>buy|sell|hold|overweight|underweight)(?![\w]|-(?:off|back|side|in|up|and|out|through))",
    re.IGNORECASE,
)
_CHINESE = re.compile("(?P<word>买入|增持|超配|持有|观望|减持|低配|卖出|清仓)")
_SENTENCE = re.compile(r"(?<=[.!?。！？…])\s+|(?<=[。！？…])|\n+")
_NEGATED = re.compile(
    r"(?:\b(?:not|never|no|nor|neither|avoid|against|without|cannot|rather than|instead of|stop|refrain from|reject|unlikely to)"
    r"|n['’]t|不要|不应|不宜|不建议|避免|不)"
    r"(?:[\s*_`\"']+(?:a|an|the|to|any|yet|now|be|we|it|reason|case|for|recommend|recommended|advise|think|see|time)){0,4}[\s*_`\"']*$",
    re.IGNORECASE,
)
_NOUNS = re.compile(
    r"^[\s*_`]*(?:signals?|pressure|orders?|side|zone|volume|limits?|ratings?|rated|case|thesis|recommendations?|on\b|above\b|below\b)",
    re.IGNORECASE,
)
_REACH = 60
"""Characters before a word in which a negation of it is looked for."""

TEXT_MAX = 1_000_000
"""Characters of a report that are read: the decision stands at its end, and work is bounded."""


def decision(text: str) -> tuple[str, float] | None:
    """The word that ``text`` decides for and its view, or None."""
    plain = unicodedata.normalize("NFKC", text[-TEXT_MAX:])
    return _last(_LABEL, plain) or proposal(plain) or _free(plain)


def proposal(text: str) -> tuple[str, float] | None:
    """The word of the last ``FINAL TRANSACTION PROPOSAL`` and its view, or None."""
    return _last(_PROPOSAL, unicodedata.normalize("NFKC", text[-TEXT_MAX:]))


def _last(pattern: re.Pattern[str], text: str) -> tuple[str, float] | None:
    found = [each["word"].lower() for each in pattern.finditer(text) if not each["rest"]]
    return (found[-1], RATINGS[found[-1]]) if found else None


def _free(text: str) -> tuple[str, float] | None:
    sentences = [each for each in _SENTENCE.split(text) if each]
    for capitals in (True, False):
        for sentence in reversed(sentences):
            words = {word.lower() for word in _meant(sentence) if not capitals or word.isupper() or not word.isascii()}
            if len(words) == 1:
                word = words.pop()
                return word, RATINGS[word]
            if words:
                return None
    return None


def _meant(sentence: str) -> list[str]:
    """The words for a decision in a sentence that are neither negated nor part of a noun."""
    found = [*_FREE.finditer(sentence), *_CHINESE.finditer(sentence)]
    return [
        each["word"]
        for each in found
        if not _NEGATED.search(sentence[max(0, each.start() - _REACH) : each.start()])
        and not _NOUNS.match(sentence[each.end() : each.end() + 20])
    ]
