"""Texts that are not UTF-8: read as what they are, or refused; never as something else."""

import json
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest

from tests.kit.files import put
from tests.warm.agent_files import CONTEXT, MANAGER, told
from tests.warm.people import CLOSE, DAYS, HOURS, LAST_DAY, OHLCV, read, refusal, table
from tests.warm.reports import complete
from warm.errors import InputRefused
from warm.files.agents.registry import read_agents
from warm.files.encodings import encoding_of

HEADINGS = {
    "gbk": ("日期", "开盘", "最高", "最低", "收盘", "成交量"),
    "big5": ("日期", "開盤價", "最高價", "最低價", "收盤價", "成交量"),
    "shift-jis": ("日付", "始値", "高値", "安値", "終値", "出来高"),
    "euc-kr": ("날짜", "시가", "고가", "저가", "종가", "거래량"),
}
DECISIONS = {"gbk": "最终交易决策：卖出。市场风险很大。", "big5": "最終交易決策：賣出。市場風險很大。"}


@pytest.mark.parametrize("encoding", HEADINGS)
def test_tables_of_east_asia_are_read(encoding: str, tmp_path: Path) -> None:
    text = table(HEADINGS[encoding], ((bar.at, *bar.prices, bar.volume) for bar in DAYS))
    ((symbol, (close, _)),) = read(tmp_path, {"AAPL.csv": text.encode(encoding)}).items()
    assert (symbol, close) == ("AAPL", DAYS[-1].close)


@pytest.mark.parametrize(("encoding", "kind"), list(product(DECISIONS, ("json", "md"))))
def test_agents_prose_in_chinese_is_read(encoding: str, kind: str, tmp_path: Path) -> None:
    """As Python writes it where Windows is Chinese; with the same sign as in UTF-8."""
    if kind == "md":
        put(tmp_path / "complete_report.md", complete("AAPL", "2024-01-02", DECISIONS[encoding]).encode(encoding))
    else:
        states = {"2024-01-02": {"company_of_interest": "AAPL", "final_trade_decision": DECISIONS[encoding]}}
        file = tmp_path / "AAPL/TradingAgentsStrategy_logs/full_states_log_2024-01-02.json"
        put(file, json.dumps(states, ensure_ascii=False).encode(encoding))
    assert told(read_agents(tmp_path, CONTEXT)) == [("AAPL", MANAGER, "view", -1.0, None, None)]


@pytest.mark.parametrize(
    ("encoding", "found"), [("gbk", "gb18030"), ("big5", "big5hkscs"), ("shift-jis", "cp932"), ("euc-kr", "cp949")]
)
def test_an_encoding_is_told_by_the_words_that_make_sense_in_it(encoding: str, found: str) -> None:
    """Also where the beginning ends amid a character."""
    content = ("x," + ",".join(HEADINGS[encoding])).encode(encoding)
    assert {encoding_of(content), encoding_of(content[:-1])} == {found}


@pytest.mark.parametrize(
    "content", ["Привет, мир".encode("cp1251"), bytes(range(128, 256)), "你好".encode("gbk"), b"\xff\xfe"[:1] * 9]
)
def test_what_no_word_tells_is_of_no_encoding(content: bytes) -> None:
    """So it is refused, and not guessed; Russian is nothing that western Europe would write either."""
    assert encoding_of(content) is encoding_of(content, table=True) is None


def test_a_text_in_no_encoding_that_is_known_is_refused_with_those_that_are(tmp_path: Path) -> None:
    """Also where the first such byte is far behind."""
    allowed = "allowed: UTF-8, UTF-16, GBK, Big5, Shift-JIS or EUC-KR"
    russian = table(("дата", *OHLCV), ((bar.at, *bar[1:]) for bar in DAYS)).encode("cp1251")
    late = table(("date", *OHLCV, "note"), ((bar.at, *bar[1:], "внимание" if bar is HOURS[-1] else "x" * 400) for bar in HOURS))
    late = late.replace("внимание", "внимание" * 9)
    for name, content in {"AAPL.csv": russian, "BTC-USD.csv": late.encode("cp1251")}.items():
        said = refusal(tmp_path / name, {name: content})
        assert (name in said, allowed in said) == (True, True), said
    states = {"2024-01-02": {"company_of_interest": "AAPL", "final_trade_decision": "Продать. Sell."}}
    for name, text in {
        "AAPL/TradingAgentsStrategy_logs/full_states_log_2024-01-02.json": json.dumps(states, ensure_ascii=False),
        "reports/complete_report.md": complete("AAPL", "2024-01-02", "Rating: Sell. Продать"),
    }.items():
        put(tmp_path / "agents" / name, text.encode("cp1251"))
        with pytest.raises(InputRefused, match=rf"{name.rpartition('/')[2]}.*{allowed}"):
            read_agents(tmp_path / "agents", CONTEXT)
        (tmp_path / "agents" / name).unlink()


def test_an_encoding_is_told_by_all_of_a_text_whose_beginning_is_plain(tmp_path: Path) -> None:
    days = [LAST_DAY - timedelta(days=1000 - at) for at in range(1001)]
    for rows in (20, 1000):
        notes = ("日期收盤價" if at == rows else "x" * 300 for at in range(1001))
        text = table(("date", *OHLCV, "note"), ((day, 1, 2, 0.5, 1, 5, note) for day, note in zip(days, notes, strict=True)))
        assert read(tmp_path / str(rows), {"AAPL.csv": text.encode("big5")}) == {"AAPL": (1.0, CLOSE)}
    reports = {"market_report": "Up. " * 2000, "final_trade_decision": DECISIONS["big5"]}
    states = {"2024-01-02": {"company_of_interest": "AAPL", **reports}}
    file = tmp_path / "AAPL/TradingAgentsStrategy_logs/full_states_log_2024-01-02.json"
    put(file, json.dumps(states, ensure_ascii=False).encode("big5"))
    assert told(read_agents(file, CONTEXT)) == [("AAPL", MANAGER, "view", -1.0, None, None)]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_told_by_its_zeros(encoding: str, tmp_path: Path) -> None:
    """Zeros at all places are no text."""
    text = table(("date", *OHLCV), ((bar.at, *bar[1:]) for bar in DAYS))
    assert read(tmp_path, {"AAPL.csv": text.encode(encoding)}) == {"AAPL": (DAYS[-1].close, CLOSE)}
    assert encoding_of(bytes(40)) is encoding_of(b"date,open\0\0") is None
