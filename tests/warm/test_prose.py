"""Decisions in prose: what is asked for is found, what is refused is not taken for it, and no text is a hold by default."""

import json
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warm.files.agents.prose import decision, proposal

TEXTS = (Path(__file__).parent / "decisions.jsonl").read_text(encoding="utf-8").splitlines()
"""A text a line, the view that is right (null: none), and whether it is clear; what is not may also be a failure."""

DECIDED = {
    "**Rating**: Overweight\n\n**Executive Summary**: add on weakness": 0.5,
    "**Rating:** Buy": 1.0,
    "## Final Rating: **Underweight**\nTrim.": -0.5,
    "Rating: Hold (downgraded from Buy)": 0.0,
    "Recommendation: **SELL**": -1.0,
    "FINAL TRANSACTION PROPOSAL: **BUY**": 1.0,
    "final transaction proposal: sell": -1.0,
    "Final Transaction Proposal: **Hold**": 0.0,
    "FINAL TRANSACTION PROPOSAL: **BUY/HOLD/SELL**\nSo: FINAL TRANSACTION PROPOSAL: **BUY**": 1.0,
    "**Rating**: Underweight\n\nFINAL TRANSACTION PROPOSAL: **SELL**": -0.5,
    "**Rating**: Sell\n\n**Investment Thesis**: The bull's recommendation: buy was rejected.": -1.0,
    "**Rating**: Sell\n\nWall Street consensus rating: Buy": -1.0,
    "**Rating**: Hold\n\n**Price Action**: Sell pressure dominates": 0.0,
    "**Rating**: Sell\n\n- Action: Buy puts as a hedge": -1.0,
    "Broker recommendation: Buy\n\nFINAL TRANSACTION PROPOSAL: **SELL**": -1.0,
    "Rating: BUY\nPrior rating: Sell": 1.0,
    "## Rating\n\n**Sell**\n\n## Thesis\n\nBulls say buy.": -1.0,
    "**Rating** — Sell\n\nBulls say buy the dip.": -1.0,
    "Rating: Outperform": 0.5,
    "The bull says BUY, but I disagree. We sell.": -1.0,
    "Hold for now. Sell if it falls below 90.": 0.0,
    "Sell. Consider to buy back at 80.": -1.0,
    "After weighing both sides, my recommendation is to **sell**.": -1.0,
    "I would not hold here … SELL": -1.0,
    "I would not hold this stock any longer; the right thing is to sell.": -1.0,
    "Do not sell into weakness. We should BUY.": 1.0,
    "The bull says BUY. The bear says SELL. On balance I side with the bear: SELL.": -1.0,
    "Never mind the sell-off: buy.": 1.0,
    "There is strong buy-side interest and no reason to sell. We hold.": 0.0,
    "最终交易建议: **卖出**": -1.0,
    "最終評級：賣出（前次：買進）": -1.0,
    "投資建議：減碼": -0.5,
    "投资评级：加码（前值：持有）": 0.5,
    "Rating: Sell (prior: Buy)": -1.0,
    "评级：买入。理由充分。": 1.0,
    "综合来看，不建议卖出，建议持有。": 0.0,
    "ＦＩＮＡＬ ＴＲＡＮＳＡＣＴＩＯＮ ＰＲＯＰＯＳＡＬ: **ＢＵＹ**": 1.0,
}

UNDECIDED = [
    "SELL. My decision is hold.",
    "FINAL TRANSACTION PROPOSAL: **BUY**\n…\nFINAL TRANSACTION PROPOSAL: **SELL**",
    "My view changed. Rating: Buy. After the debate: Rating: Sell",
    "",
    "   \n",
    "The outlook is mixed and further analysis is needed.",
    "FINAL TRANSACTION PROPOSAL: **BUY/HOLD/SELL**",
    "FINAL TRANSACTION PROPOSAL:",
    "Rating: pending",
    "**Rating**: Buy\n\n**Rating after claim check**: REVIEW",
    "**Rating**: BUY\n\nFINAL TRANSACTION PROPOSAL: **SELL**",
    "Rating: Buy→Sell",
    "Rating: Sell -> Hold",
    "Rating: Buy to Hold",
    "Rating: Buy? No.",
    "Rating: Buy ☐ Hold ☐ Sell ☑",
    "Rating: Buy (1) Hold (2) Sell (3)",
    "Rating: Buy-the-dip",
    "Rating: Buy if price falls below 100, otherwise Hold",
    "FINAL TRANSACTION PROPOSAL: **SELL HALF, HOLD REST**",
    "Decision: Hold off until earnings; no decision.",
    "Decision: Buy time",
    "Support at 100 should hold.",
    "The company will hold its investor day.",
    "Hedge funds hold 20% of the float.",
    "Trading halted, decision could not be made. Shareholders hold.",
    "The stock is on hold.",
    "We put the decision on HOLD.",
    "I can't give financial advice. You may hold the stock.",
    "股东持有公司股份30%。",
    "北向资金大幅买入。",
    "Management plans to buy back shares.",
    "The company is going to sell its cloud unit.",
    "Analysts' consensus is BUY.",
    "I don't think you should sell.",
    "We do not believe it is time to sell.",
    "It would be a mistake to sell here.",
    "It is too early to buy.",
    "Under no circumstances BUY.",
    "Do not, under any circumstances, BUY.",
    "Nobody should buy.",
    "This is not a strong buy.",
    "It isnt a buy.",
    "BUY? No way.",
    "Not, in my view, a BUY.",
    "Don't panic and sell.",
    "A decision to sell is premature.",
    "To buy here would be reckless.",
    "切勿买入",
    "没有理由卖出",
    "不是买入时机",
    "Analysts are split: one says BUY, one says SELL, one says HOLD.",
    "Do not buy.",
    "Sell-side analysts saw a buying opportunity; buyers held on.",
    "The stock is a household name with shareholders' backing.",
    "I am sorry, I cannot help with that request.",
]


@pytest.mark.parametrize("text", DECIDED)
def test_the_decision_of_a_text_is_found(text: str) -> None:
    """The last counts, and what is negated does not."""
    found = decision(text)
    assert found is not None
    assert found[1] == DECIDED[text]


@pytest.mark.parametrize("text", UNDECIDED)
def test_a_text_without_a_decision_has_none(text: str) -> None:
    assert decision(text) is None


@pytest.mark.parametrize("line", TEXTS)
def test_a_decision_never_has_the_opposite_sign(line: str) -> None:
    """What is clear is read; every other text is read right or is a failure."""
    case = json.loads(line)
    found = decision(case["text"], "XYZ" if "XYZ" in case["text"] else None)
    allowed = [case["view"]] if case["clear"] else [case["view"], None]
    assert (None if found is None else found[1]) in allowed


OWN = [
    ("**Rating**: Sell", -1),
    ("Final Decision: **SELL**", -1),
    ("FINAL TRANSACTION PROPOSAL: **SELL**", -1),
    ("最终决策：卖出", -1),
    ("**Recommendation: Sell**", -1),
    ("SELL.", -1),
    ("Rating: Buy", 1),
    ("最终评级：买入", 1),
    ('{"rating": "Sell"}', -1),
    ("My final decision is to sell.", -1),
    ("评级：减持", -0.5),
    ("Rating: Hold", 0),
]
"""A writer's own decision, and its view."""

BESIDE = [
    "Goldman says {W}.",
    "The bull argues we should {w}.",
    "Analysts rate it {W}.",
    "Consensus: {W}",
    "Prior rating: {W}",
    "Trader's recommendation: {W}",
    '"{W}" is what the crowd shouts.',
    "> Rating: {W}",
    "If it breaks 100, {w}.",
    "{w} only below 80.",
    "Should we {w}?",
    "We will not {w}.",
    "Do not {w}.",
    "- {W}: if margins recover",
    "Hedge: {w} puts.",
    "We {w} puts to hedge.",
    "A {w} signal appeared.",
    "{W} pressure fades.",
    "Last quarter we said {W}.",
    "It is no longer a {W}.",
    "Downgraded from {W} by UBS.",
    "Options: BUY / HOLD / SELL",
    "Peers: ABC {W}, DEF {W}.",
    "高盛给予{c}评级。",
    "多头建议{c}。",
    "不要{c}。",
    "若跌破80则{c}。",
    "此前评级：{c}",
    "{c}者应等待。",
    "{c}信号出现。",
    "是否{c}？",
    "对冲：{c}认沽期权。",
    "## Bull case\n\nRating: {W}",
    "### 看多方\n\n建议：{c}",
    "Broker view: {W}",
    "| Broker | Rating |\n|---|---|\n| UBS | {W} |",
    "```\nRating: {W}\n```",
    "Jim: {W}!",
    'Bloomberg headline: "UBS: {W} XYZ"',
    "The model of last year would {w}.",
    "Others {w}.",
    "Why not {w}? Because of margins.",
    "One may {w} later.",
    "Someone who wants to {w} should wait.",
    "They may {w} at 80.",
    "The {w} case rests on hope.",
    "{W}-rated by Moody's.",
    "Morningstar rating: {W}",
    "Street: {W}",
    "My colleague: {W}.",
    "Committee minority: {W}.",
]
"""What may stand beside it and says nothing for its writer: ``{W}``, ``{w}`` or ``{c}`` is a word for a decision."""


@pytest.mark.parametrize("beside", BESIDE)
def test_what_stands_beside_a_decision_does_not_turn_it(beside: str) -> None:
    """Before it or behind it, on its line or on another: it is read right, or not at all; on lines of their own nearly always."""
    read = 0
    for (own, view), (word, chinese) in product(OWN, (("BUY", "买入"), ("SELL", "卖出"))):
        text = beside.format(W=word, w=word.lower(), c=chinese)
        apart = decision(f"{own}\n\n{text}")
        for found in (apart, decision(f"{text}\n\n{own}"), decision(f"{own} {text}"), decision(f"{text} {own}")):
            assert found is None or found[1] == view
        read += apart is not None
    assert read >= 2 * len(OWN) - 4


def test_a_name_behind_a_word_is_that_of_the_symbol() -> None:
    assert decision("Decision: SELL SPY", "SPY") == ("sell", -1.0)
    assert decision("Decision: SELL SPY", "XYZ") is None
    assert decision("AAPL: Rating: Sell", "AAPL") == ("sell", -1.0)
    assert decision("Final decision (EXC): SELL", "EXC") == ("sell", -1.0)
    assert decision("Rating (UBS): Buy", "EXC") is None


SELLING = [
    "Portfolio Manager: SELL",
    "<p>Rating: <b>Sell</b></p>",
    "- [x] SELL\n- [ ] BUY",
    "Downgraded from Buy to Sell.",
    "Rating cut to Sell from Buy",
    "Final: SELL",
    "XYZ: SELL",
    "{'rating': 'Sell'}",
    "将评级由买入下调至卖出",
]
"""A writer's own decision to sell XYZ, as markup, lists and changes of a rating say it."""

BUYING = [
    "Goldman raised its rating to Buy.",
    "UBS: upgraded to Buy from Hold.",
    "Rating raised to Buy by UBS.",
    "- [ ] BUY",
    "<analyst>BUY</analyst>",
    "<!-- BUY -->",
    "Market Analyst: BUY",
    "Trader: BUY",
    "Risk manager: BUY",
    "SPY: BUY",
    "ABC - BUY",
    "| Ticker | Rating |\n|---|---|\n| SPY | Buy |",
    '{"symbol":"SPY","rating":"Buy"}',
    "<think>BUY</think>",
    "Buy puts as a hedge.",
    "We buy SPY calls.",
    "机构维持买入评级。",
    "高盛将评级由卖出上调至买入。",
    "中信首次覆盖，给予买入评级。",
    "若突破120则上调至买入。",
    "> upgraded to Buy",
    '"Upgrade to Buy", says Reuters',
    "Previously: Buy",
    "Was: Buy",
    "Old: BUY",
    "Upgrade to Buy if it closes above 120.",
    "Should we upgrade to Buy?",
    "We do not upgrade to Buy.",
    "Raised to Buy last year.",
    "Current position: Buy",
    "Target: upgrade to Buy in Q3",
    "Last week's rating: Buy",
    "Yesterday's decision: BUY",
    "Stop: buy to cover at 120",
    "Next step: raise to Buy when margins recover",
    "In short, bulls say BUY.",
    "Overall, the Street says buy.",
    "In summary, analysts buy.",
    "Overall rating of analysts: Buy",
    "Bull: upgrade from Hold to Buy",
    "- BUY: if margins recover",
    "not BUY",
    "instead of buying, hold cash",
    "&quot;BUY&quot;",
    "[ ] BUY [x] SELL",
    "☐ BUY",
    "✗ BUY",
    "~~BUY~~",
    "Rating scale: Buy/Hold/Sell",
    "Signal: RSI says buy",
    "Insiders: buy",
    "Final thought: buy low, sell high.",
    "Manager of the fund: BUY",
    "Portfolio manager of ARK: BUY",
    "The portfolio manager at ARK said: BUY",
    "Former portfolio manager: BUY",
]
"""What may stand beside it, and is none of the writer's, or of another symbol, time or case."""


@pytest.mark.parametrize("own", SELLING)
def test_what_others_buy_does_not_turn_a_decision_to_sell(own: str) -> None:
    """Before it or behind it, on its line or on another: it is read right, or not at all."""
    for text in BUYING:
        for whole in (f"{own}\n\n{text}", f"{text}\n\n{own}", f"{own} {text}", f"{text} {own}"):
            found = decision(whole, "XYZ")
            assert found is None or found[1] == -1.0


@pytest.mark.parametrize(
    "text",
    ["We sell SPY and keep XYZ.", "We are upgrading SPY from Hold to Buy.", "SPY: SELL",
     '{"symbol": "SPY", "decision": "SELL"}', "| Ticker | Rating |\n|---|---|\n| SPY | Sell |"],
)  # fmt: skip
def test_what_is_said_of_another_symbol_decides_nothing(text: str) -> None:
    assert decision(text, "XYZ") is None
    assert decision(text, "SPY") is not None


def test_a_report_proposes_only_by_the_formula() -> None:
    """An analyst's words for it in running text are no proposal."""
    assert proposal("The technicals say SELL. Rating: Sell.") is None
    assert proposal("… FINAL TRANSACTION PROPOSAL: **SELL**") == ("sell", -1.0)


@pytest.mark.parametrize(
    "text",
    ["buy " * 250_000, "Rating:" + " " * 1_000_000 + "x", "FINAL TRANSACTION PROPOSAL" + " " * 1_000_000 + "x",
     "\ufdfa" * 200_000,
     "rating: " + "buy/" * 250_000, "not " * 250_000 + "buy", "。" * 1_000_000, "*" * 1_000_000,
     "final " * 200_000, "\n" * 1_000_000, "建议" * 500_000, "{" * 1_000_000, '{"a":' * 200_000, '\n{"rating":"buy"' * 60_000,
     "```json\n{\n" * 100_000, "|a|b|\n|--|--|\n" * 70_000, "~~a" * 300_000, "<b" * 500_000 + "</", "I would buy " * 80_000,
     "Rating: Buy\n" * 80_000, "downgraded from " * 60_000, "Rating for " + "Aa " * 300_000, ": Rating" * 120_000,
     "Rating: " + "BUY A " * 150_000, "--|--\n" * 160_000],
    ids=lambda text: repr(text[:12]),
)  # fmt: skip
@pytest.mark.timeout(20)
def test_a_text_made_to_keep_the_reader_busy_does_not(text: str) -> None:
    """Work is bounded however long the text and whatever it repeats; the limit is ten times what the slowest takes."""
    decision(text)


@given(st.text(max_size=2000))
def test_any_text_is_read_without_an_error(text: str) -> None:
    found = decision(text)
    assert found is None or -1.0 <= found[1] <= 1.0


@given(st.sampled_from(["buy", "sell", "hold"]), st.sampled_from(["not", "never", "do not", "don't", "would not"]))
def test_one_negated_word_is_no_decision(word: str, negation: str) -> None:
    assert decision(f"I {negation} {word}.") is None
