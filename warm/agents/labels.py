"""Labels of a decision in a text: at the beginning of a line or sentence, in a table, in JSON."""

import json
import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from app.domain.symbols import canonical_symbol
from warm.agents.ratings import CONDITION, FOREIGN, MOVED, OWN_NAME, WORD, Value, is_of, read_value

RATING, PROPOSAL, DECISION, ACTION = range(4)
"""Kinds of labels, the weightiest first: its scale is the finest. An action may be one step of a plan."""

PAIR = 2
LABELS_MAX, NAMES_MAX = 64, 4_000
"""A text with more labels, or more words that may be some, is nobody's decision."""

_OWNER = (
    r"(?:(?:final|my|our|investment|trading|trade|overall|portfolio|updated|revised|recommended|new|current|today['’]s"
    r"|portfolio manager(?:['’]s)?) ){0,4}"
)
_KIND = (
    r"(?P<rating>rating)(?: after [^:\n]{0,40})?|(?P<action>action|signal)"
    r"|(?P<decision>recommendation|decision|verdict|stance|conclusion|bottom line|proposal|final (?:call|answer)"
    r"|(?:portfolio manager|final)(?=[*_]{0,3}:))"
)
_CHINESE = (
    r"(?:最终|综合|总体|我的|我们的|本次){0,2}(?:交易|投资|操作|股票){0,2}"
    r"(?:(?P<rating_>评[级等])|(?P<proposal_>(?<=最终交易)建议)|(?P<decision_>(?:投资)?组合经理(?=[*_]{0,3}:)|决策|决定|建议|结论|裁决)|(?P<action_>操作|动作|行动))"
)
_ALSO = (
    r"(?:(?:final|investment|trading|trade) ){0,2}(?:rating|recommendation|decision|verdict|action)"
    r"|[最终综合交易投资操作股票]{0,6}(?:评级|决策|决定|建议|结论)"
)
_ASIDE = (
    rf"(?:[ \t]{{0,2}}[(/|·\[]?[ \t]{{0,2}}(?:{_ALSO}|(?:{WORD})(?: ?[/|,] ?(?:{WORD})){{1,4}}|final|overall|12[- ]month|5-tier"
    rf"|(?P<about>(?-i:\$?[A-Z][A-Z0-9.:-]{{0,11}})))[ \t]{{0,2}}[)\]]?)?"
)
_FOR = r"(?: (?:for|on) (?:(?:the|this|stock|shares|[A-Z$(][\w.&'’():/-]*|\d[\d/-]*) ?){1,5})?"
_ENGLISH = (
    *("rating", "recommendation", "decision", "verdict", "stance", "conclusion", "bottom line", "proposal", "final call"),
    *("final answer", "action", "signal", "portfolio manager", "final:", "final*", "final_"),
)
_NAMES = (*_ENGLISH, "评级", "评等", "决策", "决定", "建议", "结论", "裁决", "组合经理", "操作", "动作", "行动")
_LABEL = re.compile(
    # A line begins behind marks, a number and the symbol.
    r"(?:(?<=\n)(?:_|[^\w\n\"'“”‘’「『><{?(\u2610-\u2612\u274c\u2717\u2718]|\d|[一二三四五六七八九十]|\((?=[\d一二三])){0,20}"
    r"(?:(?-i:\$?(?P<subject>[A-Z][A-Z0-9.:=-]{0,11}))[*_]{0,2} ?(?:—|–|-|:|\|) [*_]{0,2})?|[*_]{0,3})"
    rf"(?:{_OWNER}(?i:{_KIND})|{_CHINESE}){_ASIDE}{_FOR}"
    r"[*_` \t】\])]{0,8}(?P<end>:|\||—|–|->|-(?![\w>-])|=(?!=)|\n|(?<=】)|(?<=[策定级等议论决])[为是]"
    rf"|(?<=rating)(?= (?:{MOVED}|(?:remains|stays)(?: at)? )(?:{WORD})))",
    re.IGNORECASE,
)
_BEFORE_MAX, _SPACES_MAX = 100, 8
"""Characters and spaces of a line before a label's name in which it may begin."""

_PROPOSED = re.compile(r"(?:final\s{1,8}transaction\s{1,8}proposal|最终交易建议)[*_` \t]{0,8}[:]?", re.IGNORECASE)
_UNOWNED = re.compile(
    r"\b(?:if|would|should|could|not|never|no|must|respond|end|ends|ended|prefix|say|said|says|wrote|write|writes|proposed|reject"
    r"\w*|their|his|her|whose|format)\b|['’]s\b|[\"“「]$|如果|若|不|结尾|请|给出|输出|必须",
    re.IGNORECASE,
)
_naming = re.compile(r"symbol|ticker|股票代码|代码", re.IGNORECASE).fullmatch
"""What is called so tells which symbol is meant."""
_SEPARATOR = re.compile(r"^[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t]*:?-{2,}:?[ \t]*){0,30}\|?[ \t]*$", re.MULTILINE)
_SUBJECT = re.compile(r"(?:symbol|ticker|stock|asset|company|date|item|field|标的|股票|代码|日期|项目|公司)?", re.IGNORECASE)
_COUNTED = re.compile(
    r"count|number|#|analyst|broker|firm|house|source|prior|previous|who|agent|bull|bear|数量|机构|券商|人数|占比|来源|谁",
    re.IGNORECASE,
)
_own_row = re.compile(r"(?:(?:final|portfolio|fund) )?manager|final|最终|(?:投资)?组合经理", re.IGNORECASE).fullmatch
_FENCE = re.compile(r"```[ \t]{0,4}(\w{0,12})[ \t]{0,4}\n(.*?)```", re.DOTALL)
_OWN_HEADING = re.compile(r"final|decision|recommendation|portfolio|verdict|最终|决策|结论", re.IGNORECASE)
_INTRODUCES = re.compile(
    r"(?::|\b(?:follows?|below|quot\w+|excerpt|copy|wrote|writes|said|says|replied|answered|claims?)\b[.,]?|写道|如下。?)[ *_]*$",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(
    rf"\b(?:scenario|case|would|what if|hypothetical\w*|alternative\w*|appendix)\b|^[\W_]*{CONDITION}(?![a-z])|情景|假设",
    re.IGNORECASE,
)
_HEADING = re.compile(r"[ \t]*(?:#{1,6} |[*_]{2}[^*_\n]{1,80}[*_]{2}:?[ \t]*$)")


class Found(NamedTuple):
    """A label's kind, where it begins, and what it says."""

    kind: int
    at: int
    value: Value


def find_labels(text: str, symbol: str | None = None) -> tuple[list[Found], str]:
    """The writer's own labels in ``text`` (`markup.plain`), those of tables' columns first, and the text without tables' headers
    and without what others' labels say.

    Labels in quotations and under headings of others are none of the writer's. One in the middle of a line that may be another's
    is clouded, unless a line begins with one of the writer's.
    """
    found, text = _in_tables(f"\n{text}", symbol) if "|" in text else ([], f"\n{text}")
    unclear: list[Found] = []
    others: list[int] = []
    if len(text) > 2 * NAMES_MAX and sum(map(text.lower().count, _NAMES)) > NAMES_MAX:
        return [Found(RATING, 0, Value("clouded"))], text
    for each in _labels(text):
        if len(found) > LABELS_MAX:
            break
        kind = _kind(each)
        if kind is None:
            continue
        whose = _whose(text, each, symbol)
        if whose == "own":
            value = read_value(text, each.end(), symbol)
            # A heading of its own may have a whole text below it.
            if each["end"] != "\n" or value.kind in ("read", "template"):
                found.append(Found(kind, each.start(), value))
        elif whose in ("unclear", "perhaps"):
            (found if whose == "unclear" else unclear).append(Found(kind, each.start(), Value("clouded")))
        elif whose == "another's":
            others.append(each.start())
    found += find_proposals(text, symbol)
    clear = any(text[each.at - 1] == "\n" for each in found)
    return found if clear else found + unclear, _without_lines(text, others)


def _labels(text: str) -> Iterator[re.Match[str]]:
    """What looks like a label, in order: a name of one in a line or sentence that it begins."""
    lower, begins = text.lower(), set()
    for name in _ENGLISH if lower.isascii() else _NAMES:
        at = lower.find(name)
        while at >= 0:
            first = max(0, at - _BEFORE_MAX)
            line = text.rfind("\n", first, at) + 1
            # The last beginning of a sentence, or of the line: a label has few words before its name.
            for begin in (line, _sentence(lower[max(line, first) : at]) + max(line, first)):
                if begin > first and text.count(" ", begin, at) <= _SPACES_MAX:
                    begins.add(begin)
            at = lower.find(name, at + len(name))
    done = 0
    for begin in sorted(begins):
        found = _LABEL.match(text, begin) if begin >= done else None
        if found is not None:
            done = found.end()
            yield found


def _sentence(before: str) -> int:
    """Where the last sentence in ``before`` begins, 0 without any."""
    latin = max(before.rfind(". "), before.rfind("! "), before.rfind("? "), before.rfind(": ")) + 2
    return max(latin if latin > 1 else 0, before.rfind("。") + 1, before.rfind("!") + 1, before.rfind(",我") + 1)


def _without_lines(text: str, places: list[int]) -> str:
    """``text`` with nothing from each of ``places`` to the end of its line, or of the next where the line ends with its label."""
    for at in reversed(places):
        end = text.find("\n", at + len(text[at:]) - len(text[at:].lstrip()))
        text = text[:at] + ("" if end < 0 else text[end:])
    return text


def find_proposals(text: str, symbol: str | None = None, *, of_all: bool = False) -> list[Found]:
    """``FINAL TRANSACTION PROPOSAL: **BUY**``, wherever it stands for its writer; ``of_all``: under whatever heading."""
    found: list[Found] = []
    lower = text.lower()
    first = min((at for at in map(lower.find, ("最终交易建议", "proposal")) if at >= 0), default=None)
    if first is None:
        return found
    for each in _PROPOSED.finditer(text, max(0, first - _BEFORE_MAX)):
        line = text[max(text.rfind("\n", 0, each.start()) + 1, each.start() - 200) : each.start()]
        sentence = re.split(r"[.!?。](?:\s|$)", line)[-1]
        if len(found) > LABELS_MAX:
            break
        above, last_line = _above(text, each.start() + 1)
        elsewhere = not of_all and _introduced(above[:-1], last_line)
        if not (elsewhere or FOREIGN.search(sentence) or _UNOWNED.search(sentence) or line.lstrip().startswith(">")):
            found.append(Found(PROPOSAL, each.start(), read_value(text, each.end(), symbol)))
    return found


def _kind(found: re.Match[str]) -> int | None:
    groups = found.groupdict()
    if groups["proposal_"]:
        return None
    if groups["rating"] or groups["rating_"]:
        return RATING
    return DECISION if groups["decision"] or groups["decision_"] else ACTION


def _whose(text: str, found: re.Match[str], symbol: str | None) -> Literal["own", "another's", "unclear", "perhaps", "none"]:
    """Whose label it is: one under a heading or a line that names somebody else is theirs; a line without a colon is none."""
    if found["end"] == "\n" and not (found[0].lstrip()[:1] in ("#", "*", "_") or text[found.end() :][:1] == "\n"):
        return "none"
    above, last_line = _above(text, found.start() + 1)
    if text[found.start() - 1] != "\n":
        before = above[-1][:-1]
        named = not before.rstrip().endswith(":") or OWN_NAME.search(before)
        return "perhaps" if FOREIGN.search(before) else "own" if named else "unclear"
    if any(each is not None and not is_of(each, symbol) for each in (found["about"], found["subject"])):
        return "another's"
    return "another's" if _introduced(above[:-1], last_line) else "own"


def _above(text: str, at: int) -> tuple[list[str], str]:
    """The lines up to ``at``, as far as they are looked at, and the last before its own that is not blank."""
    above = text[max(0, at - 600) : at].rstrip("\n").split("\n")
    return above, next((each for each in reversed(above[:-1]) if each.strip()), "")


def _introduced(above: list[str], last_line: str) -> bool:
    """Whether the lines ``above`` a label, or the last that is not blank, give it to somebody else, or only suppose it."""
    if _INTRODUCES.search(last_line) and (not OWN_NAME.search(last_line) or _SUPPOSED.search(last_line)):
        return True
    heading = next((each for each in reversed(above) if _HEADING.match(each)), "")
    return bool(_SUPPOSED.search(heading) or (FOREIGN.search(heading) and not _OWN_HEADING.search(heading)))


def _in_tables(text: str, symbol: str | None) -> tuple[list[Found], str]:
    """The labels that head a column of a table with one row, and the text without tables' headers."""
    found: list[Found] = []
    for separator in list(_SEPARATOR.finditer(text))[:LABELS_MAX]:
        if "|" not in separator[0]:
            continue
        begin = text.rfind("\n", 0, max(separator.start() - 1, 0)) + 1
        header = text[begin : separator.start()]
        cells, rows = _cells(header), []
        for line in text[separator.end() + 1 : separator.end() + 4000].split("\n"):
            if "|" not in line:
                break
            rows.append(_cells(line))
        pair = len(cells) == PAIR and (each := _LABEL.match("\n" + header, 1)) and _kind(each) is not None
        if pair and read_value(cells[1], 0, symbol).kind == "read":
            continue
        own = [row for row in rows if _own_row(row[0])]
        rows = own or _of_symbol(cells, rows, symbol)
        if len(rows) == 1 and len(rows[0]) == len(cells) and (own or not any(map(_COUNTED.search, cells))):
            for at, cell in enumerate(cells):
                each = _LABEL.match(f"\n{cell}:", 1)
                if each and (own or all(map(_SUBJECT.fullmatch, cells[:at]))) and (kind := _kind(each)) is not None:
                    value = read_value(rows[0][at], 0, symbol)
                    found += [Found(kind, begin, value)] if value.kind != "mute" else []
                    break
            rows_end = separator.end() + 1 + len(text[separator.end() + 1 :].partition("\n")[0])
            text = text[:begin] + " " * (rows_end - begin) + text[rows_end:]
        text = text[:begin] + " " * len(header) + text[begin + len(header) :]
    return found, text


def _of_symbol(cells: list[str], rows: list[list[str]], symbol: str | None) -> list[list[str]]:
    """The rows of a table that are of ``symbol``; all where no column tells symbols."""
    at = next((at for at, cell in enumerate(cells) if _naming(cell)), None)
    if at is None or symbol is None:
        return rows
    return [row for row in rows if len(row) > at and is_of(row[at].lstrip("$").upper(), symbol)]


def _cells(line: str) -> list[str]:
    return [each.strip(" *_`") for each in line.strip().strip("|").split("|")]


class Spoilt(Exception):
    """What should be JSON is none."""


_KEYS = {
    **dict.fromkeys(("rating", "finalrating", "评级", "最终评级", "投资评级"), RATING),
    **dict.fromkeys(
        (
            *("decision", "finaldecision", "finaltradedecision", "tradedecision", "tradingdecision", "investmentdecision"),
            *("recommendation", "finalrecommendation", "verdict", "finaltransactionproposal"),
            *("决策", "最终决策", "最终交易决策", "交易决策", "投资建议", "交易建议", "最终建议", "建议", "结论", "决定"),
        ),
        DECISION,
    ),
    **dict.fromkeys(("action", "signal", "finalaction", "操作", "动作", "操作建议"), ACTION),
}
"""Members of an object that say a decision, without spaces and underscores."""

_INSIDE = frozenset(("final", "result", "output", "response", "data", "answer", "report", "portfoliomanager", "最终", "结果"))
_SOMEBODY = frozenset(("source", "analyst", "broker", "firm", "house", "author", "by", "previous", "来源", "机构", "券商"))
_refused = re.compile(r".*(?:reject|veto|withdr|draft|expired|supersed|cancel)", re.IGNORECASE).match
_DEPTH_MAX = 4


def without_json(text: str, symbol: str | None = None) -> tuple[list[Found], str]:
    """The labels in the JSON that a text is or has in it, and the text without it and without other fenced blocks.

    Raises:
        Spoilt: it begins with an object that cannot be read.
    """
    if "{" not in text and "```" not in text:
        return [], text
    body = text.strip()
    if body.startswith("```") and body.endswith("```") and body.count("```") == PAIR:
        language, _, inner = body[3:-3].partition("\n")
        body = inner.strip() if language.strip().isalnum() or not language.strip() else body
        text = body
    found: list[Found] = []
    if "```" in text:
        for each in _FENCE.finditer(text):
            if each[2].lstrip()[:1] == "{" and not _shown(text[: each.start()]):
                found += _of_object(_decoded(each[2].strip())[0], symbol)
        text = _FENCE.sub("\n", text)
    for _ in range(8):
        begin = _OBJECT.search(text)
        if begin is None:
            break
        if text[: begin.start()].strip() and not re.match(r"\{\s*[\"']", text[begin.start() :][:8]):
            break
        document, end = _decoded(text[begin.start() :])
        found += [] if _shown(text[: begin.start()]) else _of_object(document, symbol)
        text = text[: begin.start()] + "\n" + text[begin.start() + end :]
    return found, text


def _shown(before: str) -> bool:
    """Whether JSON behind ``before`` is somebody else's, or an example."""
    line = before.rstrip()[-200:].rpartition("\n")[2]
    return bool(FOREIGN.search(line) or _UNOWNED.search(line))


_OBJECT = re.compile(r"^[ \t\[]{0,8}\{(?=\s*\")|(?<=[:\s])\{(?=\s*\")", re.MULTILINE)


def _decoded(text: str) -> tuple[Any, int]:
    begin = len(text) - len(text.lstrip(" \t\n"))
    try:
        return json.JSONDecoder(strict=False).raw_decode(text, begin)
    except (ValueError, RecursionError) as error:
        raise Spoilt from error


def _of_other(document: object, symbol: str | None) -> bool:
    """Whether an object names another symbol than ``symbol``."""
    if not isinstance(document, dict) or symbol is None:
        return False
    return any(
        _naming(str(key)) and isinstance(value, str) and not is_of(canonical_symbol(value.strip()), symbol)
        for key, value in document.items()
    )


def _of_object(document: object, symbol: str | None, depth: int = 0) -> list[Found]:
    if isinstance(document, list) and depth == 0:
        meant = [each for each in document if not _of_other(each, symbol)]
        document = meant[0] if len(meant) == 1 else None
    if not isinstance(document, dict) or depth > _DEPTH_MAX or _of_other(document, symbol):
        return []
    named = {re.sub(r"[\s_-]", "", str(key)).lower(): value for key, value in document.items()}
    if named.keys() & _SOMEBODY or any("status" in key and _refused(str(value)) for key, value in named.items()):
        return []
    found = [
        Found(_KEYS[key], 0, read_value(value, 0, symbol))
        for key, value in named.items()
        if key in _KEYS and isinstance(value, str)
    ]
    inside = [value for key, value in named.items() if key in _INSIDE or key in _KEYS]
    return found + [each for value in inside for each in _of_object(value, symbol, depth + 1) if isinstance(value, dict)]
