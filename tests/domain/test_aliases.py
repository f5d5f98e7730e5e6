"""Other names for one symbol."""

import pytest

from app.domain.aliases import NO_ALIASES, Aliases, make_aliases, parse_aliases


def test_a_symbol_is_kept_under_its_other_name_in_whatever_spelling_the_two_are_given() -> None:
    """Symbols may have a = themselves."""
    found = parse_aliases(["btc/usd=BTCUSDT", "ES=F=ESZ4", " XYZ = XYZ.UK"])
    assert found == {"BTC-USD": "BTC-USDT", "ES=F": "ESZ4", "XYZ": "XYZ.UK"}
    aliases = Aliases(found)
    assert [aliases(each) for each in ("BTC-USD", "BTC-USDT", "ETH-USD")] == ["BTC-USDT", "BTC-USDT", "ETH-USD"]
    assert NO_ALIASES("BTC-USDT") == "BTC-USDT"


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["XYZ"], "'XYZ' is no alias; allowed: FROM=TO"),
        (["=XYZ"], "is no alias"),
        (["X Y=Z"], "is no alias"),
        (["A=B=C"], "is no alias"),
        (["XYZ=xyz"], "XYZ would be XYZ; allowed: one other symbol"),
        (["A=B", "A=C"], "A would be C and B; allowed: one other symbol"),
        (["A=B", "B=C"], "A would be B, and that C; allowed: one step"),
    ],
)
def test_what_is_no_alias_or_contradicts_another_is_refused(texts: list[str], said: str) -> None:
    with pytest.raises(ValueError, match="allowed") as refused:
        parse_aliases(texts)
    assert said in str(refused.value)


def test_coins_that_stand_for_a_dollar_are_dollars_where_that_is_wanted() -> None:
    """No contract that settles in one; an alias is worth more than the rule."""
    aliases = make_aliases("SOL-USD=SOL-USDT,", "usd", ["ADA-USDT=ADA-BTC"])
    for asked, kept in (
        ("BTC-USDT", "BTC-USD"),
        ("BTC-DAI", "BTC-USD"),
        ("BTC-USDT:USDT", "BTC-USDT:USDT"),
        ("BTC-EUR", "BTC-EUR"),
        ("USDT-USD", "USDT-USD"),
        ("USDT", "USDT"),
        ("SOL-USD", "SOL-USDT"),
        ("SOL-USDT", "SOL-USDT"),
        ("SOL-USDC", "SOL-USD"),
        ("ADA-USDT", "ADA-BTC"),
    ):
        assert aliases(asked) == kept
    assert make_aliases("", "apart")("BTC-USDT") == "BTC-USDT"
