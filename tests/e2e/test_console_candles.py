"""The console's candles: bars of a real market store, through a real server, in a real browser."""

import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from matplotlib.image import imread
from playwright.sync_api import Browser, Locator, expect

from tests.e2e.browsing import Console, Scheme
from tests.e2e.candles import Place, ask, table


def _picture(locator: Locator, path: Path | None = None) -> bytes:
    """Its picture once it is drawn: a change is asked for in one frame and drawn in the next."""
    locator.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return locator.screenshot(path=path)


def _pixels(locator: Locator, path: Path) -> np.ndarray[Any, Any]:
    """Its picture: red, green and blue by row and column."""
    _picture(locator, path)
    found: np.ndarray[Any, Any] = np.rint(imread(path)[..., :3] * 255).astype(int)
    return found


def _is(pixels: np.ndarray[Any, Any], colour: str) -> np.ndarray[Any, Any]:
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    found: np.ndarray[Any, Any] = (pixels == wanted).all(axis=-1)
    return found


def test_bars_of_the_market_store_are_drawn_as_candles(console: Console, tmp_path: Path) -> None:
    """Each has its place and its height; up is hollow and down is filled, so that it can be told without colours."""
    ask(console, "MINUTES", "1m")
    page = console.page
    expect(page.locator("#candles")).to_be_visible()
    expect(page.locator("#chart")).to_be_hidden()
    rows = table(console)
    assert [row[:5] for row in rows[:2]] == [
        ["1 Mar 2013 12:00 – 12:01 UTC", "20", "20", "20", "20"],
        ["1 Mar 2013 12:01 – 12:02 UTC", "20", "22", "20", "22"],
    ]
    assert [float(row[4]) for row in rows] == [20, 22, 21, 25, 30, 28, 24, 26, 20, 40]
    page.mouse.move(0, 0)
    drawn = _pixels(page.locator("#candle-chart"), tmp_path / "chart.png")[:300]
    down = _is(drawn, "#d2564a")
    # Filled bodies of what went down and is complete: from 22 to 21 and from 26 to 20. The last price's line is one pixel high.
    wide = down.sum(axis=0)
    bodies = [group for group in np.split(np.arange(len(wide)), np.flatnonzero(wide < 6) + 1) if (wide[group] >= 6).sum() > 3]
    heights = [int(wide[group].max()) for group in bodies]
    assert len(bodies) >= 2
    assert heights[-1] / heights[0] == pytest.approx(6, rel=0.25)
    up = _is(drawn, "#2a9068")
    assert up.sum(axis=0).max() > down.sum(axis=0).max() * 1.5
    console.check()


def test_digits_come_out_as_they_were_written(console: Console) -> None:
    """Also those that no double holds; with zeros behind where others of the page have more of them."""
    ask(console, "DIGITS", "1m")
    assert "close 123,456,789.123456789" in console.text("#candle-legend").replace("\n", " ")
    ask(console, "SMALL")
    legend = console.text("#candle-legend").replace("\n", " ")
    assert "close 0.00000001" in legend
    assert "volume 0.000000000000000001" in legend
    assert table(console)[0][4] == "0.00000001"
    console.check()


def test_numbers_have_no_exponents_in_browsers_that_do_not_tell_digits(console: Console) -> None:
    told = console.page.evaluate(
        """import('/console/bars.js').then((bars) =>
            [1e-8, 1.25e-7, 1.5e21, 2e22, 12.5, 0].map((each) => bars.withDigits('open', each).digits))"""
    )
    assert told == ["0.00000001", "0.000000125", "15" + "0" * 20, "2" + "0" * 22, "12.5", "0"]


def test_older_candles_come_by_pages_as_one_goes_back(console: Console) -> None:
    """Each once, and no more than there are; what one looks at stays."""
    asked: list[str] = []
    console.page.on("request", lambda request: asked.append(request.url) if "/candles?" in request.url else None)
    ask(console, "AAPL")
    page = console.page
    summary = page.locator("#candle-summary")
    expect(summary).to_contain_text("300 candles of 1d")
    expect(summary).to_contain_text("Older ones come when you go to the left.")
    page.locator("#candle-chart").focus()
    page.keyboard.press("Home")
    expect(summary).to_contain_text("800 candles of 1d")
    told = page.locator("#candle-chart").get_attribute("aria-valuetext") or ""
    assert told.startswith("6 May 2012: "), told
    page.keyboard.press("Home")
    expect(summary).to_contain_text("900 candles of 1d, 14 Sept 2010 to 1 Mar 2013")
    expect(summary).not_to_contain_text("Older ones")
    page.keyboard.press("Home")
    expect(page.locator("#candle-chart")).to_have_attribute("aria-valuetext", re.compile("^14 Sept 2010: open 100.00, "))
    assert page.locator("#candle-chart").get_attribute("aria-valuenow") == "1"
    cursors = [url for url in asked if "cursor=" in url]
    assert len(cursors) == len(set(cursors)) == 2
    console.check()


def test_no_more_candles_are_loaded_than_a_page_can_draw(console: Console) -> None:
    ask(console, "LONG", "1m")
    page = console.page
    summary = page.locator("#candle-summary")
    page.locator("#candle-chart").focus()
    for many in range(300, 6300, 500):
        expect(summary).to_contain_text(f"{many:,} candles of 1m")
        page.keyboard.press("Home")
    expect(summary).to_contain_text("6,300 candles of 1m")
    expect(summary).to_contain_text("So many are loaded at most; a longer interval goes back farther.")
    page.keyboard.press("Home")
    page.keyboard.press("Home")
    expect(summary).to_contain_text("6,300 candles of 1m")
    console.check()


def test_a_day_stands_at_the_date_that_it_has_on_its_exchange(console: Console) -> None:
    """Sydney's Monday begins on Sunday in UTC; New York's day and one of UTC begin on their own date."""
    starts = ["2024-03-03T23:00:00Z", "2024-03-04T14:30:00Z", "2024-03-04T00:00:00Z"]
    told = console.page.evaluate(
        """(starts) => import('/console/bars.js').then((bars) =>
            starts.map((start) => bars.barOf({ start_time: start }, '1d').at))""",
        starts,
    )
    assert told == [1_709_510_400] * 3


def test_a_drag_to_the_right_brings_older_candles(console: Console) -> None:
    ask(console, "AAPL")
    page = console.page
    box = page.locator("#candle-chart").bounding_box()
    assert box is not None
    for _ in range(6):
        page.mouse.move(box["x"] + 20, box["y"] + 100)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 120, box["y"] + 100, steps=5)
        page.mouse.up()
    expect(page.locator("#candle-summary")).to_contain_text("800 candles of 1d")
    page.locator("#newest").click()
    console.check()


def test_what_is_lacking_is_hatched_and_told(console: Console, tmp_path: Path) -> None:
    ask(console, "MINUTES", "1m")
    page = console.page
    key = page.locator("#candle-key")
    expect(key).to_contain_text("2 with a gap, trades are lacking (hatched)")
    expect(key).to_contain_text("1 backfilled, a gap was filled (dimmed)")
    assert [row[6] for row in table(console)] == [
        *["complete"] * 3,
        "gap",
        "gap",
        *["complete"] * 2,
        "backfilled",
        *["complete"] * 2,
    ]
    page.locator("#candle-gaps summary").click()
    lines = page.locator("#candle-gaps li").all_inner_texts()
    assert lines == [
        "2013-03-01 12:07:00 UTC to 2013-03-01 12:08:00 UTC, 1 trades, filled 2013-03-02 12:00:00 UTC: V, found by ids",
        "2013-03-01 12:03:00 UTC to 2013-03-01 12:05:00 UTC, 3 trades: V, found by ids",
    ]
    page.locator("#candle-chart").focus()
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#candle-legend .warn")).to_have_text("gap, revision 1")
    expect(page.locator("#candle-legend strong")).to_have_text("1 Mar 2013 12:03 – 12:04 UTC")
    # The hatching is half as strong as its ink, over the panel.
    drawn = _pixels(page.locator("#candle-chart"), tmp_path / "hatched.png")[:200]
    brown = (drawn[..., 0] > drawn[..., 2] + 30) & (drawn[..., 0] > 170) & (drawn[..., 1] > 140) & (drawn[..., 2] < 215)
    columns = np.flatnonzero(brown.sum(axis=0) > 5)
    assert 10 < len(columns) < drawn.shape[1] / 4
    console.check()


def test_a_bar_that_is_not_over_is_told(console: Console) -> None:
    ask(console, "AHEAD")
    expect(console.page.locator("#candle-key")).to_have_text("1 open, not over (dimmed)")
    expect(console.page.locator("#candle-legend .warn")).to_have_text("open, revision 1")
    console.check()


def test_bars_outside_of_the_session_are_shown_where_they_are_wanted(console: Console) -> None:
    ask(console, "EXCHANGE", "1m")
    page = console.page
    assert [row[0] for row in table(console)] == ["1 Mar 2013 14:30 – 14:31 UTC", "1 Mar 2013 14:31 – 14:32 UTC"]
    page.locator("#extended").check()
    expect(page.locator("#candle-summary")).to_contain_text("3 candles of 1m")
    expect(page.locator("#candle-key")).to_contain_text("outside of the session (tinted)")
    page.locator("#candle-chart").focus()
    page.keyboard.press("Home")
    expect(page.locator("#candle-legend")).to_contain_text("before the session")
    page.locator("#interval").select_option("1d")
    expect(page.locator("#candle-summary")).to_contain_text("1 candle of 1d, 1 Mar 2013")
    expect(page.locator("#candle-legend strong")).to_have_text("1 Mar 2013 (14:30 – 21:00 UTC)")
    expect(page.locator("#extended-field")).to_be_hidden()
    console.check()


def test_a_symbol_without_bars_has_its_line_and_nothing_is_fetched_to_draw_candles(console: Console) -> None:
    asked: list[str] = []
    console.page.on("request", lambda request: asked.append(request.url))
    ask(console, "BARE")
    page = console.page
    expect(page.locator("#chart svg")).to_be_visible()
    expect(page.locator("#candles")).to_be_hidden()
    expect(page.locator("#candle-note")).to_have_text(
        "No 1d candles of BARE here. Load some with decide warm --bars or, from trades, decide market load FILE."
    )
    assert not [url for url in asked if "lightweight" in url]
    ask(console, "AAPL")
    expect(page.locator("#candles")).to_be_visible()
    expect(page.locator("#candle-note")).to_be_hidden()
    assert len([url for url in asked if "lightweight" in url]) == 1
    ask(console, "BARE")
    expect(page.locator("#chart svg")).to_be_visible()
    console.check()


def test_the_averages_of_a_decision_are_drawn_on_its_own_bars_alone(console: Console, place: Place, tmp_path: Path) -> None:
    """And it is said whether the candles are what it rests on."""
    page = console.page
    key, basis, chart = page.locator("#candle-key"), page.locator("#candle-basis"), page.locator("#candle-chart")
    ask(console, "AAPL", price="105.5")
    page.mouse.move(0, 0)
    expect(key).to_contain_text("SMA 20")
    expect(basis).to_have_text("The averages are those of these candles, on whose closes the decision rests, too.")
    drawn = _pixels(chart, tmp_path / "1d.png")
    assert _is(drawn, "#9a5b00").sum() > 200
    assert _is(drawn, "#7a3db8").sum() > 200
    page.locator("#interval").select_option("1w")
    expect(basis).to_have_text("The decision rests on bars of 1d, not of 1w: its averages are drawn there.")
    expect(key).not_to_contain_text("SMA")
    assert not _is(_pixels(chart, tmp_path / "1w.png"), "#9a5b00").any()
    assert page.url == place.server.url + "/?symbol=AAPL&price=105.5&interval=1w"
    page.reload()
    expect(page.locator("#candle-summary")).to_contain_text("candles of 1w")
    ask(console, "OTHER", "1d")
    expect(basis).to_contain_text("The decision rests on others: its last close is 100.00, here it is 94.01.")
    ask(console, "SPLIT")
    expect(basis).to_contain_text("The decision has the same last close and others before it")
    ask(console, "UNTOLD")
    expect(page.locator("#candle-note")).to_contain_text("No 1d candles of UNTOLD here.")
    console.check(refused=True)


def test_the_indicators_are_those_of_the_decision(console: Console, place: Place) -> None:
    ask(console, "OTHER", price="101")
    features = httpx.get(place.server.url + "/features/OTHER").json()
    values = dict(zip(features["names"], features["values"], strict=True))
    row = console.page.locator("#indicators tr")
    assert row.count() == 11
    assert console.text('[data-name="rsi_14"] td') == f"{values['rsi_14']:.1f}"
    macd = console.page.locator('[data-name="macd"] td span').all_inner_texts()
    assert macd == [f"{values[name]:.2f}" for name in ("macd", "macd_signal", "macd_histogram")]
    assert console.text("#indicators-note") == (
        "After the bar that ended 2013-03-02 00:00:00 UTC. The decision itself went one step further, to the live price."
    )
    console.check()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_candles_fit_and_are_of_the_scheme(width: int, scheme: Scheme, browser: Browser, place: Place, tmp_path: Path) -> None:
    console = Console(browser, place.server.url, width=width, scheme=scheme)
    console.open()
    for symbol in ("DIGITS", "MINUTES", "AAPL"):
        ask(console, symbol, "1d" if symbol == "AAPL" else "1m", "101")
        table(console)
        assert console.page.evaluate("document.scrollingElement.scrollWidth") <= width
    colours: dict[Scheme, tuple[str, str]] = {"light": ("#ffffff", "#2a9068"), "dark": ("#171e26", "#3fa67c")}
    for each, (ground, up) in colours.items() if width == 1280 else [(scheme, colours[scheme])]:
        console.page.emulate_media(color_scheme=each, reduced_motion="reduce")
        console.page.mouse.move(0, 0)
        drawn = _pixels(console.page.locator("#candle-chart"), tmp_path / f"{each}.png")
        assert _is(drawn, ground).mean() > 0.5
        assert _is(drawn, up).sum() > 100
    console.check()
    console.close()


def test_all_of_the_candles_can_be_reached_by_keys(console: Console) -> None:
    page = console.page
    ask(console, "AAPL")
    chart = page.locator("#candle-chart")
    page.locator("#interval").focus()
    page.keyboard.press("Tab")
    expect(chart).to_be_focused()
    assert chart.get_attribute("role") == "slider"
    page.keyboard.press("ArrowLeft")
    expect(chart).to_have_attribute("aria-valuenow", "299")
    expect(chart).to_have_attribute(
        "aria-valuetext", re.compile(r"^28 Feb 2013: open [\d.]+, high .+, volume 1,898; complete, revision 1$")
    )
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert reached == ["zoom-out", "zoom-in", "newest", "SUMMARY"]
    page.mouse.move(0, 0)
    before = _picture(chart)
    chart.press("+")
    page.locator("#zoom-out").press("Enter")
    chart.press("+")
    assert _picture(chart) != before
    page.locator("#candle-table summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#candle-rows tbody tr")).to_have_count(100)
    expect(page.locator("#candle-rows caption")).to_have_text("The newest 100 of 300")
    console.check()


def test_keys_that_come_within_one_frame_all_count(console: Console) -> None:
    """The chart tells its new range with the next frame only; a key before it goes on from what the last one asked for."""
    ask(console, "AAPL")
    chart = console.page.locator("#candle-chart")
    console.page.mouse.move(0, 0)
    chart.focus()
    before = _picture(chart)
    press = "(chart, keys) => keys.forEach((key) => chart.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })))"
    chart.evaluate(press, ["+", "-"])
    assert _picture(chart) == before
    chart.evaluate(press, ["+"])
    once = _picture(chart)
    chart.evaluate(press, ["+", "-", "-", "+"])
    assert _picture(chart) == once != before
    console.check()
