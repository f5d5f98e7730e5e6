"""Decisions in prose: what is asked for is found, what is refused is not taken for it, and no text is a hold by default."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warm.agents.prose import decision, proposal

DECIDED = {
    "**Rating**: Overweight\n\n**Executive Summary**: add on weakness": 0.5,
    "**Rating:** Buy": 1.0,
    "## Final Rating: **Underweight**\nTrim.": -0.5,
    "Rating: Hold (downgraded from Buy)": 0.0,
    "Recommendation: **SELL**": -1.0,
    "My view changed. Rating: Buy. After the debate: Rating: Sell": -1.0,
    "FINAL TRANSACTION PROPOSAL: **BUY**": 1.0,
    "final transaction proposal: sell": -1.0,
    "Final Transaction Proposal: **Hold**": 0.0,
    "FINAL TRANSACTION PROPOSAL: **BUY**\n…\nFINAL TRANSACTION PROPOSAL: **SELL**": -1.0,
    "FINAL TRANSACTION PROPOSAL: **BUY/HOLD/SELL**\nSo: FINAL TRANSACTION PROPOSAL: **BUY**": 1.0,
    "**Rating**: Sell\n\nFINAL TRANSACTION PROPOSAL: **HOLD**": -1.0,
    "I would not hold here … SELL": -1.0,
    "I would not hold this stock any longer; the right thing is to sell.": -1.0,
    "Do not sell into weakness. We should BUY.": 1.0,
    "The bull says BUY. The bear says SELL. On balance I side with the bear: SELL.": -1.0,
    "Never mind the sell-off: buy.": 1.0,
    "There is strong buy-side interest and no reason to sell. We hold.": 0.0,
    "Rather than hold, sell.": -1.0,
    "最终交易建议: **卖出**": -1.0,
    "评级：买入。理由充分。": 1.0,
    "综合来看，不建议卖出，建议持有。": 0.0,
    "ＦＩＮＡＬ ＴＲＡＮＳＡＣＴＩＯＮ ＰＲＯＰＯＳＡＬ: **ＢＵＹ**": 1.0,
}

UNDECIDED = [
    "",
    "   \n",
    "The outlook is mixed and further analysis is needed.",
    "FINAL TRANSACTION PROPOSAL: **BUY/HOLD/SELL**",
    "FINAL TRANSACTION PROPOSAL:",
    "Rating: pending",
    "Analysts are split: one says BUY, one says SELL, one says HOLD.",
    "Do not buy.",
    "Sell-side analysts saw a buying opportunity; buyers held on.",
    "The stock is a household name with shareholders' backing.",
    "I am sorry, I cannot help with that request.",
]


@pytest.mark.parametrize("text", DECIDED)
def test_the_decision_of_a_text_is_found(text: str) -> None:
    """By label, by proposal or in free text; the last counts, and what is negated does not."""
    found = decision(text)
    assert found is not None
    assert found[1] == DECIDED[text]


@pytest.mark.parametrize("text", UNDECIDED)
def test_a_text_without_a_decision_has_none(text: str) -> None:
    """It is never taken for a hold."""
    assert decision(text) is None


def test_a_report_proposes_only_by_the_formula() -> None:
    """An analyst's words for it in running text are no proposal."""
    assert proposal("The technicals say SELL. Rating: Sell.") is None
    assert proposal("… FINAL TRANSACTION PROPOSAL: **SELL**") == ("sell", -1.0)


@given(st.text(max_size=2000))
def test_any_text_is_read_without_an_error(text: str) -> None:
    """Whatever a model writes, there is a decision or none."""
    found = decision(text)
    assert found is None or -1.0 <= found[1] <= 1.0


@given(st.sampled_from(["buy", "sell", "hold"]), st.sampled_from(["not", "never", "do not", "don't", "would not"]))
def test_one_negated_word_is_no_decision(word: str, negation: str) -> None:
    """What a text says not to do says nothing of what to do."""
    assert decision(f"I {negation} {word}.") is None
