"""Free text: the sentences that say for their writer what to do."""

import re
from bisect import bisect_right
from collections.abc import Iterator

from warm.agents.ratings import CAPITALS, CONDITION, FOREIGN, OPTION, is_of

_SAID = re.compile(
    r"(?<![\w-])(?P<word>strong buy|strong sell|buy|sell|hold|overweight|underweight)"
    r"(?![\w]|['’]s|[- ](?:off|back|side|in|out|through|time)\b)"
    r"|(?P<chinese>强烈买入|强烈卖出|买入|买进|增持|持有|观望|减持|卖出|清仓)(?=[ \t*_”」]{0,4}(?:$|[,。!;:)(、\n]|该股"
    r"|股票|全部|评级[,。]))",
    re.IGNORECASE,
)
_STOP = re.compile(r"[.!?;。\n](?:(?<=[。\n])|(?=[\s\u2e80-\uffff]))")
_ENGLISH = re.compile("buy|sell|hold|weight")
_WORDS = re.compile("buy|sell|hold|weight|买入|买进|卖出|持有|增持|减持|观望|清仓")
_DENIED = re.compile(
    r"\b(?:not|never|no|nor|neither|none|nobody|cannot|avoid|against|without|rather than|instead of|stop|refrain|reject|rejects"
    r"|rejected|refuse|decline|resist|unlikely|isnt|dont|doesnt|wouldnt|shouldnt|mistake|premature|reckless|too early|too late"
    r"|little reason|far from|hardly|scarcely|anything but|ruled? out|opposite|off the table|wrong|trap|foolish"
    r"|unwise|less of|cease[ds]?"
    r"|former|withdraw\w*|revoke\w*|fail\w*|disagree\w*|doubt\w*|tempt\w*|hesitate\w*|dangerous|unjustified"
    r"|impossible)\b|n['’]t\b"
    r"|不|别|勿|禁止|暂缓|拒绝|停止|未|非|没有|无|避免|切忌|反对|难以",
    re.IGNORECASE,
)
_CONTRAST = re.compile(r"\bbut\b|\binstead[,:]|(?<!\btl);|[—–]|\btherefore\b|而是|但", re.IGNORECASE)
_CONDITIONAL = re.compile(
    rf"(?<![a-z]){CONDITION}(?![a-z])|\b(?:should it|would need|consider(?:ed|ing)?|would have|been|may|might|could"
    rf"|had|suppos\w+|imagin\w+|assum\w+|let['’]?s say|pretend\w*|wanted|want|tried|try|used to|whether"
    r"|either|wait to|ready to|prefer to wait|plan|options? are|choose between)\b|[?]|是否|还是|可能|考虑",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    r"\b(?:management|company|insiders?|they|he|she|funds?|shareholders?|support|resistance|levels?|it|some"
    r"|everyone|everybody|people|firm|research|securities|model)\b[^.]{0,40}\b(?:says?|said|argue[sd]?|recommend(?:s"
    r"|ed)?|rate[sd]?"
    r"|wants?|thinks?|believes?|is|are|calls?|should|will|plans?|going|holds?)\b",
    re.IGNORECASE,
)
_NOUN = re.compile(
    rf"[\s*_`]{{0,4}}(?:signals?|pressure|orders?|zone|volume|limits?|ratings?|rated|case|thesis|calls?|side|on\b|above\b|below\b"
    rf"|the (?:dip|rumou?r|news|hype)\b|into\b|time\b|low\b|high\b|nothing\b|more\b|{OPTION}(?![a-z]))",
    re.IGNORECASE,
)
_OWN = re.compile(
    r"\b(?:i|we)\b(?!['’]?s)|\b(?:my|our|the) (?:final )?(?:decision|recommendation|verdict|conclusion|view|call|stance|advice)\b"
    r"|\brecommend(?! ?ed)|\b(?:you|one|investors|traders) should\b|\bon balance\b|\bthe right thing\b|\bconclusion\b"
    r"|建议|应|决定|结论|综合",
    re.IGNORECASE,
)
_STRONG = re.compile(
    r"\b(?:I|[Ww]e)(?:['’]d|['’]ll)? (?:(?:would|will|must|should|therefore|now|hereby|disagree and|rather|also|do"
    r"|have to) ){0,3}"
    r"(?:(?:recommend|advise|decide|conclude|choose|rate|say|stay|remain|downgrade|upgrade)\b[^.!?\n]{0,40}?)?"
    r"\b(?:buy|sell|hold|overweight|underweight)(?:ing)?\b"
    r"|\b(?:[Mm]y|[Oo]ur|[Tt]he) (?:final |own )?(?:decision|recommendation|verdict|rating|call|conclusion) (?:is"
    r"|remains|stands at)\b"
    r"|我们?(?:最终|的)?(?:建议|决定|选择)|最终(?:决定|决策|建议)(?:为|是)",
)
_ADVISED = re.compile(
    r"^[\W_]*(?:综上(?:所述)?|综合(?:来看|考虑|分析|评估)?|因此|所以|故|总之|最终|本(?:人|基金|报告)|目前|当前|现阶段"
    r"|整体|总体)?[,、]?"
    r"(?:我们?)?(?:最终|仍|依然|强烈|明确|的)?(?:建议|决定|选择|应当?|应该|推荐|宜|(?:决定|决策|建议|结论|评级)(?:是|为))"
    r"(?:投资者|您|你|立即|全部|分批|逐步|继续|对其|对该股|该股){0,2}[\s*_“\"「]{0,4}$"
)
_PARTIAL = re.compile(
    r"[\s*_]{0,4}(?:half|some|part|a (?:third|quarter|half|part|little)|one|two|the (?:rest|remainder|core|other)|\d"
    r"|more|back|on\b|at\b|above|below|before"
    r"|after|into|only|it\b|them\b)",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"^[\W_]*(?:(?:never mind|forget|despite|so|thus|hence|in short|in sum|in summary|overall|bottom line|on balance|net"
    r"|finally|result|answer|in conclusion|conclusion|to conclude|verdict|decision|therefore|tl;dr)\b[^.:]{0,60}:"
    r"|(?:in (?:short|sum|summary|conclusion)|overall|therefore),)",
    re.IGNORECASE,
)
_SIDED = re.compile(
    r"\b(?:I|we) (?:side|agree|concur|align) with [^.:]{0,40}(?::|\band (?:recommend|decide|conclude))"
    r"|\b(?:my|our) (?:final )?(?:decision|recommendation|verdict|conclusion|rating) (?:is|remains)(?: to| an?)?[\s*_]{0,6}$",
    re.IGNORECASE,
)
_ANSWER = re.compile(r"^\W*(?:no|yes)\b[,.:;]", re.IGNORECASE)
_NAMED = re.compile(r"[\s*_]{1,4}\$?([A-Z][A-Z0-9]{1,6})\b")
_GRADED = re.compile(r"\b(?i:up|down)grad(?:e|ed|ing) \$?([A-Z][A-Z0-9]{0,6})\b")
_QUOTED = re.compile(r"[\"“”「」『』‘]")
SENTENCE_MAX = 600
"""Characters of a sentence that are read, from its end on."""


def said(text: str, symbol: str | None = None, *, strong: bool = False) -> Iterator[set[str]]:
    """The words for a decision of every sentence of ``text`` that says one for its writer, lower case; ``strong``: only of those
    in which somebody speaks in the first person, or of the decision, and of the whole.
    """
    lower, done = text.lower(), 0
    hits = [each.start() for each in (_ENGLISH if lower.isascii() else _WORDS).finditer(lower)]
    ends = [each.end() for each in _STOP.finditer(text)] if hits else []
    for at in hits:
        if at < done:
            continue
        number = bisect_right(ends, at)
        done = ends[number] if number < len(ends) else len(text)
        begin = ends[number - 1] if number else 0
        if strong and not _personal(lower[begin:done]):
            continue
        sentence = text[max(begin, done - SENTENCE_MAX) : done].strip()
        if (not strong or _STRONG.search(sentence)) and (words := _meant(sentence, symbol, strong=strong)):
            yield words


def _personal(lower: str) -> bool:
    """Whether a sentence may have `_STRONG` in it: searching for that takes longer."""
    own = "we " in lower or "i " in lower or "my " in lower or "our " in lower or "'" in lower or "’" in lower
    return own or " is " in lower or " remains " in lower or " stands " in lower or "我" in lower or "最终" in lower


def _meant(sentence: str, symbol: str | None, *, strong: bool) -> set[str]:
    """The words for a decision that a sentence says for its writer, lower case."""
    words: set[str] = set()
    found = list(_SAID.finditer(sentence))
    own = _OWN.search(sentence) if found else None
    stated = [each for each in found if _states(each, sentence, own=own is not None)]
    if not stated or sentence.lstrip().startswith((">", "|")) or _CONDITIONAL.search(sentence):
        return words
    for each in stated:
        before, after = sentence[: each.start()], sentence[each.end() :]
        clause = _clause(each, before)
        # Behind a contrast a sentence begins anew; a denial behind the word ("to sell would be a mistake") denies it too.
        if _DENIED.search(clause) or (each["word"] and _DENIED.search(after)) or _NOUN.match(after):
            # "I reject the purchase: sell" speaks behind its colon, where it begins like that.
            lead = _LEAD.match(clause)
            if lead is None or _DENIED.search(clause, lead.end()) or _DENIED.search(after) or _NOUN.match(after):
                continue
        if (
            ((_OTHERS.search(clause) or FOREIGN.search(clause)) and not _SIDED.search(clause))
            or before.lower().endswith("on ")
            or len(_QUOTED.findall(before)) % 2
            or _attributed(after)
            or _of_another(before, after, symbol)
        ):
            continue
        if re.search(r"grad(?:e[ds]?|ing)\b.*\bfrom (?:an? )?[*_\"']{0,3}$", before, re.IGNORECASE) or (
            strong and _PARTIAL.match(after)
        ):
            continue
        words.add((each["word"] or each["chinese"]).lower())
    return words


def _clause(found: re.Match[str], before: str) -> str:
    """What of ``before`` belongs to a word: behind the last contrast, in Chinese behind the last comma."""
    clause = _ANSWER.sub("", _CONTRAST.split(before)[-1])
    return clause.rpartition(",")[2] if found["chinese"] else clause


def _states(found: re.Match[str], sentence: str, *, own: bool) -> bool:
    """Whether a sentence says a word for its writer, if nothing takes it back: in the first person, or as what it begins with."""
    if own and found["word"]:
        return True
    before, after = sentence[: found.start()], sentence[found.end() :]
    clause = _clause(found, before)
    if found["chinese"] and _ADVISED.match(clause):
        return True
    return _begins(clause, after, bold=before.endswith(("**", "__")), chinese=bool(found["chinese"]))


def _of_another(before: str, after: str, symbol: str | None) -> bool:
    """Whether a word is said of another symbol than ``symbol``: ``sell SPY``, ``upgrade SPY to buy``."""
    found = _NAMED.match(after) or _GRADED.search(before)
    return symbol is not None and found is not None and not (is_of(found[1], symbol) or found[1] in CAPITALS)


def _attributed(after: str) -> bool:
    return bool(
        re.match(r"[\s*_\"”,—–-]{0,6}(?:is|was|says?|said|according|by|per)\b|[\s*_\"”]{0,4}\(", after, re.IGNORECASE)
    ) or bool(FOREIGN.search(after[:60]))


def _begins(clause: str, after: str, *, bold: bool, chinese: bool) -> bool:
    """Whether a word is what its clause begins with, and more than a verb in it."""
    lead = _LEAD.match(clause)
    first = not re.search(r"\w", clause[lead.end() :] if lead else clause)
    if chinese or not first:
        return first and len(after) <= 1 and not re.search(r"\w", clause)
    return bold or bool(re.match(r"[\s*_`\"”]{0,6}(?:$|[.!,;:…—–-]|for now\b|here\b|now\b|[A-Z$])", after))
