"""How a text file is encoded where it is not UTF-8: as Excel's "Unicode text" and tables, or as programs in East Asia write."""

import codecs
import re

SAMPLE_BYTES = 4096
"""First bytes of a file that its encoding is told by."""

_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
ALLOWED = "UTF-8, UTF-16, GBK, Big5, Shift-JIS or EUC-KR"
"""What texts may be in, for messages."""

_WORDS = {
    "gb18030": (
        "日期", "时间", "代码", "名称", "开盘", "收盘", "最高", "最低", "成交", "股票", "评级", "决策", "建议", "买入", "卖出",
        "持有", "分析", "市场",
    ),
    "big5hkscs": (
        "日期", "時間", "代號", "代碼", "名稱", "開盤", "收盤", "最高", "最低", "成交", "股票", "評級", "決策", "建議", "買入",
        "買進", "賣出", "持有", "分析", "市場",
    ),
    "cp932": (
        "日付", "日時", "銘柄", "コード", "始値", "高値", "安値", "終値", "出来高", "株価", "買い", "売り", "判断", "分析",
    ),
    "cp949": ("날짜", "일자", "일시", "종목", "시가", "고가", "저가", "종가", "거래량", "주가", "매수", "매도", "보유", "분석"),
}  # fmt: skip
"""Words by which an encoding is told: bytes can be read in several, but make sense in one."""

_unwestern = re.compile(r"[^\t\r\n -~\xa0€£§°²³À-ÖØ-öø-ÿ]|[À-ÖØ-öø-ÿ]{3}").search
"""What a table in western Europe has no use for, a word of marked letters alone among it."""


def encoding_of(head: bytes, *, table: bool = False) -> str | None:
    """The encoding of a text that begins with ``head``; None for UTF-8, and for what cannot be told: of several the one in which
    it has the most words that are known. Windows' for western Europe is only that of a ``table``.
    """
    if found := _MARKS.get(head[:2]):
        return found
    zeros = head[::2].count(0), head[1::2].count(0)
    if min(zeros) == 0 and 4 * max(zeros) > len(head):
        # Latin text, whose every second byte is zero.
        return "utf-16-le" if zeros[1] else "utf-16-be"
    if _decoded(head, "utf-8") is not None:
        return None
    counts = sorted((_known(head, encoding), encoding) for encoding in _WORDS)
    if counts[-1][0] > counts[-2][0]:
        return counts[-1][1]
    text = _decoded(head, "cp1252") if table else None
    return "cp1252" if text is not None and not _unwestern(text) else None


def to_utf8(content: bytes, encoding: str, *, whole: bool) -> bytes:
    """``content`` in UTF-8, without a byte order mark; unless it is the ``whole`` text, a character may be cut at its end.

    Raises:
        UnicodeDecodeError: it is not in ``encoding``.
    """
    text = codecs.getincrementaldecoder(encoding)().decode(content, final=whole)
    return text.removeprefix("\ufeff").encode()


def _known(head: bytes, encoding: str) -> int:
    text = _decoded(head, encoding)
    return 0 if text is None else sum(map(text.count, _WORDS[encoding]))


def _decoded(head: bytes, encoding: str) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return None
