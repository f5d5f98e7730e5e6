"""Words for a decision, and what one says where it stands: behind a label, or as the first word of a text."""

import re
from typing import Literal, NamedTuple

RATINGS: dict[str, float] = {
    "strong buy": 1.0, "buy": 1.0, "outperform": 0.5, "overweight": 0.5, "accumulate": 0.5, "hold": 0.0, "neutral": 0.0,
    "equal weight": 0.0, "equal-weight": 0.0, "market perform": 0.0,
    "underweight": -0.5, "underperform": -0.5, "reduce": -0.5, "sell": -1.0, "strong sell": -1.0,
    "强烈买入": 1.0, "买入": 1.0, "买进": 1.0, "增持": 0.5, "超配": 0.5, "跑赢大市": 0.5, "持有": 0.0, "观望": 0.0, "中性": 0.0,
    "减持": -0.5, "低配": -0.5, "跑输大市": -0.5, "卖出": -1.0, "强烈卖出": -1.0, "清仓": -1.0,
}  # fmt: skip
"""Words for a decision: the five-tier scale of TradingAgents, and what models write for it."""

_LONGEST = sorted(RATINGS, key=len, reverse=True)
WORD = f"(?:{'|'.join(filter(str.isascii, _LONGEST))})(?![a-z])|{'|'.join(each for each in _LONGEST if not each.isascii())}"
"""Any of them, in lower case or with ``re.IGNORECASE``."""

OPTION = (
    r"(?:[a-z]+-)?(?:protective|covered|cash-secured|put|puts|call|calls|option|options|straddles?|strangles?|collars?|spreads?"
    r"|warrants?|futures|hedges?|protection|insurance|volatility|vix|看跌|看涨|认沽|认购|期权|对冲)"
)
"""What a trade that is no view on the shares themselves begins with."""

FOREIGN = re.compile(
    r"\b(?:bulls?|bears?|analysts?|brokers?|brokerages?|street|consensus|traders?|pundits?|commentators?|houses?|banks?|media"
    r"|reddit|twitter|newsletters?|cramer|goldman|morgan|jpmorgan|ubs|citi|citigroup|barclays|jefferies|bernstein"
    r"|morningstar|zacks"
    r"|wells fargo|hsbc|nomura|deutsche|bofa|merrill|piper|stifel|needham|wedbush|oppenheimer|evercore|cowen|research firms?"
    r"|prior|previous|previously|last|earlier|former|formerly|old|initial|initially|original|originally|preliminary"
    r"|past|yesterday"
    r"|historical|was|were|had been|aggressive|conservative|debate|debater|opponents?|colleagues?|competitors?|peers?|others?"
    r"|researchers?|counterpart|for example|examples?(?=[:,]| output| answer| format)|template|hypothetical|scenario|quoted?)\b"
    r"|券商|机构|分析师|多头|空头|多方|空方|市场一致|一致预期|高盛|摩根|瑞银|花旗|中金|中信|交易员|激进|保守|此前"
    r"|之前|上次|上一|上期"
    r"|上月|去年|历史|曾|股东|基金|大户|北向|媒体|散户|专家|他们|她|大家|市场认为|网友|别人|有人|投资者|研究员|同行"
    r"|原评级|示例|模板|格式",
    re.IGNORECASE,
)
"""Somebody else's word, or one of another time."""

OWN_NAME = re.compile(
    r"\b(?:final|conclusions?|decisions?|recommendations?|verdict|portfolio|my|our|rating|answer|output|based|therefore|summary"
    r"|following|judgement|action|result)\b|最终|结论|决策|决定|建议|评级|综上|如下|我的|我们|执行|操作",
    re.IGNORECASE,
)
"""What names the writer's own decision."""

CONDITION = (
    r"(?:if|unless|until|once|when|whenever|provided|assuming|only|should (?:it|the|prices?|we|margins|they)|in case"
    r"|except|above|below|pending|subject to|depending"
    r"|如果|若|一旦|除非|只有|仅|待|假如|要是|倘若|前提)"
)

MOVED = (
    r"(?:(?:up|down)grad(?:ed?|ing)|raised?|raising|cut|cutting|lower(?:ed|ing)?|moved?|moving|changed?) "
    rf"(?:from (?:an? )?[*_`]{{0,3}}(?:{WORD})[*_`]{{0,3}} )?to (?:an? )?[*_`\"']{{0,3}}"
)
MOVED_CHINESE = rf"(?:[由从](?:{WORD})(?:评级)?)?(?:上调|下调|调高|调低|调整)(?:评级)?(?:至|为|到)"
"""What says before a word that a rating goes to it, and maybe from which."""

_OPEN = r"(?:_|[^\w?\u2610\u2611\u2612\u2713\u2192\u274c\u2717\u2718\U0001F6AB\u26D4<>{}=/]){0,16}"
_PREFIX = (
    r"(?:(?:(?:maintain|reiterate|reaffirm|keep|remain|stay)(?:ed|d|s|ing)?(?: at| our| an?| the)?|(?:to|an?)|(?:i"
    r"|we) (?:recommend|advise|choose|decide)"
    r"(?: to| that you| an?)?) "
    rf"|{MOVED}|(?:it['’]?s |this is )?(?:an? )?(?:(?:clear|firm|moderate|cautious|speculative|tactical|reluctant) )?"
    rf"|(?:维持|重申|继续|保持|建议|给予|为|是){{0,2}}(?:(?:逢低|逢高|分批|逐步|立即|坚决|果断|全部)|{MOVED_CHINESE})?|\[)?"
)
_VALUE = re.compile(rf"{_OPEN}{_PREFIX}(?P<word>{WORD})", re.IGNORECASE)
_MARKS = r"(?:[ \t]?(?:_|[^\w\s.,;:!?()/|\u2192\u2610-\u2612<>=+&%、。—–\u274c\u2717\u2718\U0001F6AB\u26D4-])){0,8}"
_WITH = (
    r"(?:with|at|near|around|for|as|given|due to|because|based on|despite|following|now|today|immediately|all|existing|current"
    r"|the (?:stock|shares|position)|position|shares|stock|\d[\d,.]* (?:shares|units)"
    rf"|from (?:an? )?[*_`]{{0,3}}(?:{WORD}))"
)
_FOLLOW = re.compile(
    rf"{_MARKS}(?:(?P<shut>[ \t]{{0,4}}(?:$|\n|[.!。;,、:(|【—–]|--? )|[ \t]+{_WITH}\b|评级|该股|股票|全部|为主)"
    rf"|(?P<name>[ \t]*(?=[$A-Z])))",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"(?:\$?[A-Z][\w.&’'/:=^-]*[ \t]{0,2}){1,6}(?=[.,;:!(—–\n|*_。、]|$|(?:with|at|near|around|for|as|given|due"
    r"|because|based|despite"
    r"|following|now|today|immediately|stock|shares)\b)"
)
_NO_NAME = re.compile(
    r"\b(?:half|third|quarter|some|part|partial|nothing|none|neither|no|not|never|or|and|to|off|back|time|into|stop|limit|cover"
    r"|covered|orders?|signals?|pressure|side|zone|cash|short|dips?|gold|bonds?|treasuries|index|etfs?|competitors?|peers?"
    rf"|zero|inverse|bears?|bulls?|weakness|strength|on|in|out|low|high|later|more|less|after|before|review|case"
    rf"|thesis|interest|{CONDITION}|{OPTION})\b",
    re.IGNORECASE,
)
CAPITALS = frozenset(("INC", "CORP", "LTD", "PLC", "CO", "AG", "SA", "SE", "NV", "ADR", "THE", "STOCK", "SHARES", "NOW", "ALL"))
"""Words in capitals behind a word for a decision that name no other symbol."""
_TEMPLATE = re.compile(
    rf"{_OPEN}(?P<word>{WORD})\W{{0,6}}(?:[/|,、或]|or\b)\W{{0,6}}(?P<other>{WORD})(?P<more>\W{{0,6}}[/|]\W{{0,6}}(?:{WORD}))?",
    re.IGNORECASE,
)
_REFUSED = re.compile(
    rf"{_OPEN}(?:(?:do not|don['’]t|not(?: an?)?|no longer an?|rather than|instead of) (?:{WORD}|buying|selling|holding)"
    rf"|(?:不(?:建议|要|再|应)?|放弃|与其)(?:{WORD}))[*_]{{0,3}}(?:[,;] ?(?:but |instead,? )?| but )"
    rf"(?:建议|选择|应当?|不如|而是?|继续|维持)?"
    rf"(?=[*_]{{0,3}}(?:{WORD}))",
    re.IGNORECASE,
)
"""What a writer says not to do, before what to do."""
_SENTENCE_END = re.compile(r"[.!;](?=\s|$)|[。;]|\n")
_UNDONE = re.compile(
    r"[\W_]{0,6}(?:no\b|never\b|n/a|(?:is |was |has been )?(?:rejected|denied|declined|withdrawn|revoked|suspended"
    r"|overruled|vetoed"
    r"|expired|superseded|cancell?ed|void|pending|wrong"
    r"|off the table)|not\s*(?:$|an?\b|the\b|our\b|my\b|yet\b|now\b|here\b|warranted|justified|recommended|advis"
    r"|appropriate)|is\b"
    r"|was\b|would\b|yes\b|(?!(?:[5-9]\d|100) ?% (?:confiden|convic|certain))\d{1,3} ?%)|\s{0,3}[*_]{0,3}[:(]\s?\d"
    r"|[\s*_(:—-]{0,6}(?:否|不|非|未|无效|已撤)",
    re.IGNORECASE,
)
_CONDITIONAL = re.compile(
    rf"^[^,(;:—–]{{0,200}}?(?<![a-z]){CONDITION}(?![a-z])|^[^\n]{{0,120}}?[,(;:—–-]\s*(?:but |and |though |just "
    rf"|then |仅|但){{0,2}}{CONDITION}(?![a-z])",
    re.IGNORECASE,
)
_FROM = re.compile(rf" from (?:(?:an?|the|our|previous|prior|earlier) ){{0,2}}[*_]{{0,3}}(?:{WORD})", re.IGNORECASE)
_HEAD = re.compile(r"[\W_]{0,6}(?:[\w.&’']+[ \t]+){0,3}[\w.&’']*")
_ATTRIBUTED = re.compile(
    r"\b(?:according to|says?|said|claims?|consensus|argues?|securities|research|capital markets|advis[eo]rs|partners)\b|认为",
    re.IGNORECASE,
)
_VETOED = re.compile(
    r"[^\n]{0,80}(?:否决|作废|失效|撤销|取消|不同意|不认同)|[\W_]{0,8}(?:status:? ?)?(?:was |is |has been |has since been "
    r"|since )?(?:vetoed|overruled"
    r"|rejected|superseded|rescinded|cancell?ed|withdrawn|expired|void)\b"
    r"|[^\w\n]{0,8}\n(?:[\W_]{0,8}(?:by|source|per|according to)\b|[ >*]{0,4}[—–-](?P<by>[^\n]{0,60}))",
    re.IGNORECASE,
)
_ASIDE = re.compile(r"(?:评级)?[\s*_]{0,4}\(([^()\n]{0,80})")
_is_aside = re.compile(
    r"buy|sell|hold|strong|overweight|underweight|outperform|underperform|neutral|accumulate|reduce|equal|weight|"
    r"exposure|trim|add|exit|full|partial|position|positions|conviction|confidence|high|medium|low|moderate|risk|long|"
    r"short|term|month|months|week|weeks|year|years|horizon|tactical|core|downgraded|upgraded|downgrade|upgrade|from|"
    r"previously|was|to|puts?|calls?|as|a|an|hedge|hedged|do|not|with|strict|management|stop|loss|target|and|at|near|all|shares|"
    r"score|level|tier|five|final|unchanged|initiated|maintain|maintained|reiterated|the",
    re.IGNORECASE,
).fullmatch
_OPTIONED = re.compile(rf"[\s*_`(:—–-]{{0,6}}(?:(?!buy|sell|hold)[\w-]+ ){{0,2}}{OPTION}(?![a-z])", re.IGNORECASE)
_ELSE = re.compile(rf"(?P<before>.{{0,24}}?)(?<![a-z])(?P<word>{WORD})", re.IGNORECASE)
_DENYING = re.compile(
    r"\b(?:from|previous|previously|prior|formerly|was|instead of|rather than|no|not|never|than|nor|without|don['’]t)\b"
    r"|[由从原不非勿别]|此前|上次|上期|之前|先前|而不",
    re.IGNORECASE,
)
_NEXT = re.compile(rf"[\W_]{{1,8}}(?:and |then |or |to |now ){{0,2}}(?P<word>{WORD})", re.IGNORECASE)
_CHANGED = re.compile(
    rf"(?:(?:up|down)graded?|changed|revised|cut|raised|lowered) (?:from \w+ )?to (?:an? )?(?P<word>{WORD})"
    rf"|(?:上调|下调|调整|改)(?:至|为|到)(?P<other>{WORD})"
    rf"|[,;] ?(?:而?是|but) ?(?:an? )?(?P<third>{WORD})",
    re.IGNORECASE,
)
_NOUN = re.compile(rf"[\s*_`]{{0,4}}(?:signals?|pressure|orders?|zone|volume|side|-?off|back|{OPTION})(?![a-z])", re.IGNORECASE)

_LINE_MAX = 300
"""Characters of a line behind a word that can take it back."""


class Value(NamedTuple):
    """What a label says. ``word`` is None unless it is ``read``: then the lower-case word. ``template``: it lists the choices.
    ``clouded``: it has such words, but none that stands by itself. ``mute``: it has none.
    """

    kind: Literal["read", "template", "clouded", "mute"]
    word: str | None = None


def sign(word: str) -> int:
    """1, 0 or -1."""
    return (RATINGS[word] > 0) - (RATINGS[word] < 0)


def is_of(name: str, symbol: str | None) -> bool:
    """Whether ``name`` is the symbol, or what stands in it before a quote currency or an exchange."""
    return symbol is not None and name in (symbol, re.split(r"[-.:/=]", symbol)[0])


def read_value(text: str, at: int, symbol: str | None = None) -> Value:
    """What stands at ``at`` of ``text``, behind a label or at the beginning; ``symbol`` may follow the word."""
    denied = _REFUSED.match(text, at)
    at = denied.end() if denied else at
    found = _TEMPLATE.match(text, at)
    # A word and its translation are one.
    if found and (found["more"] or RATINGS[found["word"].lower()] != RATINGS[found["other"].lower()]):
        return Value("template")
    found = found or _VALUE.match(text, at)
    if found is None:
        line = text[at : at + _LINE_MAX].lstrip(" \t*_`:|").partition("\n")[0]
        return Value("clouded" if re.search(rf"(?<![a-z])(?:{WORD})", line, re.IGNORECASE) else "mute")
    word, end = found["word"].lower(), found.end()
    follow = _FOLLOW.match(text, end)
    if follow is None or (follow["name"] and not _names(text, follow.end(), symbol)):
        return Value("clouded")
    line = text[end : end + _LINE_MAX].partition("\n")[0]
    stop = _SENTENCE_END.search(line)
    rest = line[: stop.start()] if stop else line
    vetoed = _VETOED.match(text, end)
    if vetoed and (vetoed["by"] is None or FOREIGN.search(vetoed["by"])):
        return Value("clouded")
    return Value("clouded") if _taken_back(word, rest, line) else Value("read", word)


def _names(text: str, at: int, symbol: str | None) -> bool:
    """Whether what follows a word is the name of what is bought or sold, and not of a part, an option or something else."""
    found = _NAME.match(text, at)
    if found is None or _NO_NAME.search(found[0]):
        return False
    if symbol is None:
        return True
    capitals = [each for each in re.findall(r"\$?([A-Z][A-Z0-9]+)\b", found[0]) if each not in CAPITALS]
    return all(is_of(each, symbol) for each in capitals)


def _plain_aside(said: str) -> bool:
    """Whether what stands in brackets behind a word is its translation, a name in capitals, or how sure and how long."""
    latin = re.findall(r"[A-Za-z’']+", said)
    denied = re.match(r"[\s*_]{0,4}(?:not|no|never)\b", said, re.IGNORECASE)
    if denied and not re.search(rf"(?<![a-z])(?:{WORD})", said, re.IGNORECASE):
        return False
    if any(not _is_aside(each) and not (each.isupper() and not FOREIGN.search(each)) for each in latin):
        return False
    chinese = re.search(r"[\u4e00-\u9fff]", said)
    return not chinese or bool(
        re.search(rf"{WORD}|维持|首次|分批|逐步|减仓|加仓|长期|短期|中期|信心|置信|止损|目标", said, re.IGNORECASE)
    )


def _taken_back(word: str, rest: str, line: str) -> bool:
    """Whether the sentence goes on in a way that unsays its word, says another, or gives it to somebody else."""
    # What stands in brackets with another word is judged with that.
    aside = _ASIDE.match(rest)
    beside = rest[: aside.start()] if aside and re.search(WORD, aside[1], re.IGNORECASE) else rest
    head = _HEAD.match(_FROM.sub("", beside))
    if "?" in rest or _UNDONE.match(beside) or _CONDITIONAL.match(rest) or _ATTRIBUTED.search(rest[:120]):
        return True
    if head and FOREIGN.search(head[0]):
        return True
    if aside and not _plain_aside(aside[1]):
        return True
    if sign(word) and _OPTIONED.match(beside):
        return True
    following = _NEXT.match(rest)
    if following and sign(following["word"].lower()) != sign(word) and not _NOUN.match(rest, following.end()):
        return True
    changed = _CHANGED.search(line)
    if changed and sign((changed["word"] or changed["other"] or changed["third"]).lower()) != sign(word):
        return True
    return any(
        sign(each["word"].lower()) * sign(word) < 0 and not _DENYING.search(each["before"]) and not _NOUN.match(rest, each.end())
        for each in _ELSE.finditer(rest)
    )
