"""How a text file is encoded where it is not UTF-8: as Excel's "Unicode text" and tables, or as programs in China write."""

import codecs
import re

SAMPLE_BYTES = 4096
"""First bytes of a file that its encoding is told by."""

_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_CHINESE = ("日期", "时间", "代码", "名称", "开盘", "收盘", "最高", "最低", "成交", "股票", "评级", "决策", "建议")
"""Words of which a text in GBK has one: bytes of another encoding can be read as Chinese too, but make no sense."""

_unwestern = re.compile(r"[^\t\r\n -~\xa0€£§°²³À-ÖØ-öø-ÿ]").search
"""What a table in western Europe has no use for."""


def encoding_of(head: bytes, *, table: bool = False) -> str | None:
    """The encoding of a text that begins with ``head``; None for UTF-8, and for what cannot be told. Windows' for western Europe
    is only that of a ``table``.
    """
    if found := _MARKS.get(head[:2]):
        return found
    if _decoded(head, "utf-8") is not None:
        return None
    text = _decoded(head, "gb18030")
    if text is not None and any(word in text for word in _CHINESE):
        return "gb18030"
    text = _decoded(head, "cp1252") if table else None
    return "cp1252" if text is not None and not _unwestern(text) else None


def to_utf8(content: bytes, encoding: str, *, whole: bool) -> bytes:
    """``content`` in UTF-8, without a byte order mark; unless it is the ``whole`` text, a character may be cut at its end.

    Raises:
        UnicodeDecodeError: it is not in ``encoding``.
    """
    text = codecs.getincrementaldecoder(encoding)().decode(content, final=whole)
    return text.removeprefix("\ufeff").encode()


def _decoded(head: bytes, encoding: str) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return None
