"""A text as it is meant to be seen: compatibility forms, traditional characters, markup, and what its writer struck out."""

import ast
import html
import json
import re
import unicodedata

from warm.agents.ratings import WORD

TEXT_MAX = 200_000
"""Characters of a report that are read, from its end on, after compatibility forms are resolved: work is bounded."""

_PART = 20_000

_SIMPLE = str.maketrans(
    "買賣減觀評級決議終強與會來為們對單將據應無僅則當擇結論斷執動資綜總機構師別暫緩絕後從調標這點還請錯實現並倉長場輸贏價漲條險儘護認轉維沒嗎繼續報開戶損頭數際購選時個過訊號區間壓盤進",
    "买卖减观评级决议终强与会来为们对单将据应无仅则当择结论断执动资综总机构师别暂缓绝后从调标这点还请错实现并仓长场输赢价涨条险尽护认转维没吗继续报开户损头数际购选时个过讯号区间压盘进",
)

_PRINTED_MAX = 20_000

_THOUGHT = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_COMMENT = re.compile(r"<!--(?:[^-]|-(?!->)){0,2000}-->")
_STRUCK = re.compile(r"<(s|del|strike)>[^<\n]{0,80}</\1>", re.IGNORECASE)
_CELL = re.compile(r"</t[dh]>\s{0,8}<t[dh]\b[^<>\n]{0,200}>", re.IGNORECASE)
_BLOCK = re.compile(
    r"</?(?:p|div|br|h[1-6]|[uo]l|li|table|t[rdh]|thead|tbody|section|article|blockquote)\b[^<>\n]{0,200}>", re.IGNORECASE
)
_INLINE = re.compile(r"</?(?:b|i|strong|em|u|span|font|mark|code|a)\b[^<>\n]{0,200}>", re.IGNORECASE)
_NAMED = re.compile(r"<([a-z_]{4,24})>\s{0,8}([^<>\n]{1,40}?)\s{0,8}</\1>", re.IGNORECASE)
_TICKED = re.compile(r"^[ \t]*[-*+]?[ \t]*(?:\[[xX✓]\]|[☑✅✔])[ \t]*", re.MULTILINE)
_UNTICKED = re.compile(
    rf"^[ \t]*[-*+]?[ \t]*(?:\[ ?\]|[☐❌✗])[ \t]*[*_]{{0,3}}(?:{WORD})(?![^\n]*(?:\[[xX✓]\]|[☑✅✔]))[^\n]*$",
    re.MULTILINE | re.IGNORECASE,
)
_CITED = re.compile(rf"[“「『]((?:{WORD}))[”」』](?=评级|$|[,。上下])")


def plain(text: str) -> str:
    """The end of ``text`` in compatibility forms, traditional characters as simplified ones, and nothing that is struck out."""
    found = text[-TEXT_MAX:].replace("\r", "")
    if not found.isascii():
        # In parts, since one character may become eighteen.
        parts: list[str] = []
        for end in range(len(found), 0, -_PART):
            parts.append(unicodedata.normalize("NFKC", found[max(0, end - _PART) : end]))
            if sum(map(len, parts)) > TEXT_MAX:
                break
        found = "".join(reversed(parts))[-TEXT_MAX:].translate(_SIMPLE).replace("İ", "I")
    if "~~" in found:
        found = re.sub(r"~~[^~\n]{1,80}~~", "", found)
    if found.lstrip().startswith("{'"):
        found = _as_json(found)
    if "&" in found:
        found = html.unescape(found)
    if "<" in found:
        found = _untagged(found)
    if any(each in found for each in ("[ ]", "[]", "☐", "❌", "✗")):
        # A list of choices of which one is ticked.
        unticked = _UNTICKED.sub("", found)
        one = unticked != found and len(_TICKED.findall(found)) == 1
        found = _TICKED.sub("", unticked).strip("\n") if one else unticked
    return found if found.isascii() else _CITED.sub(r"\1", found)


def _as_json(text: str) -> str:
    """What Python prints of a dictionary as JSON, with what stands behind it; nothing if it cannot be read."""
    printed, end, rest = text.strip()[:_PRINTED_MAX].rpartition("}")
    try:
        return json.dumps(ast.literal_eval(printed + end), ensure_ascii=False, default=str) + rest
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ""


def _untagged(text: str) -> str:
    """``text`` without tags of HTML, and without what a model thought before its answer; ``<rating>Sell</rating>`` is a label."""
    if "</think" in text.lower():
        text = _THOUGHT.sub("", text)
    if "<!--" in text:
        text = _COMMENT.sub("", text)
    if "</" not in text and "<br" not in text:
        return text
    text = _BLOCK.sub("\n", _CELL.sub(": ", _STRUCK.sub("", text)))
    return _NAMED.sub(r"\n\1: \2\n", _INLINE.sub("", text)).lstrip()
