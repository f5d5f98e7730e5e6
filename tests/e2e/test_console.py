"""The console in a real browser, on a real server with warmed data."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import msgspec
import numpy as np
import pytest
from matplotlib.image import imread
from playwright.sync_api import Browser, Route, expect

from app.domain.vector import AgentView
from app.payloads import DecideResponse, HistoryResponse
from app.store.codec import encode
from tests.e2e.browsing import Console, Scheme
from tests.e2e.publishing import publish
from tests.kit.records import AS_OF_MS, agent_record, replaced, row, run_info
from tests.kit.servers import DecideServer, decide_server

_HOSTILE = (
    "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'><svg/onload=window.pwned=3>"
    " \u202eLLUB\u202c \u2066iso\u2069 \u200bzero \x1b[31mred\x1b[0m \x07 {{7*7}} javascript:alert(1) \U000e0041"
)
_HOSTILE_VIEW = AgentView("agent<b>\u202eevil", "view", 0.4, 0.5, AS_OF_MS, "<i>model\x1b]0;title\x07", _HOSTILE, None, "x", None)
_MUTE = AgentView("broken", "failed", None, None, AS_OF_MS - 7_200_000, None, None, "time<u>out\u2028")


class _Place(NamedTuple):
    server: DecideServer


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Place]:
    """A warmed server with a plain symbol, one of hostile agents, one without agents and one without a history."""
    folder = tmp_path_factory.mktemp("console")
    hostile = encode(agent_record("EVIL", views=(_HOSTILE_VIEW, _MUTE)))
    rows = [
        *(row("AAPL"), row("IBM"), replaced(row("EVIL"), agents=hostile)),
        *(replaced(row("BARE"), agents=None), replaced(row("OLD"), history=None)),
    ]
    publish(folder / "store.sqlite3", rows, run_info(symbols=len(rows)))
    with decide_server(folder, STORE_PATH=str(folder / "store.sqlite3"), CLOCK="replay") as server:
        server.wait_ready()
        yield _Place(server)


def _decision(server: DecideServer, symbol: str, **options: object) -> DecideResponse:
    answer = httpx.post(server.url + "/decide", json={"symbol": symbol, "explain": True, **options})
    return msgspec.json.decode(answer.content, type=DecideResponse)


def _minus(value: float, digits: int = 3) -> str:
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def test_the_keyboard_is_enough_to_decide(console: Console) -> None:
    """The symbol has the focus; Enter decides, Tab reaches everything with a visible focus, and / leads back."""
    page = console.page
    assert page.evaluate("document.activeElement.id") == "symbol"
    page.keyboard.type("aapl")
    page.keyboard.press("Enter")
    expect(page.locator("#headline")).to_have_text("AAPL ▲ buy")
    assert console.text("#headline").split() == ["AAPL", "▲", "Buy"]
    expect(page.locator("#spoken")).to_have_text(re.compile(r"^AAPL: buy, confidence \d+ %, score \+0\.\d{3}\.$"))
    expect(page.locator("#chart svg")).to_be_visible()
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.getAttribute('role')"))
        style = page.evaluate(
            "(({outlineStyle, outlineWidth}) => [outlineStyle, outlineWidth])(getComputedStyle(document.activeElement))"
        )
        assert style == ["solid", "2px"], reached
    assert reached[:4] == ["price", "decide", "interval", "slider"]
    page.locator("#chart svg").focus()
    page.keyboard.press("Home")
    expect(page.locator("#reading")).to_have_text("21 Jan 2013: 80.50")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#chart svg")).to_have_attribute("aria-valuetext", re.compile("^22 Jan 2013: "))
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "symbol"
    page.keyboard.type("ibm")
    page.keyboard.press("Enter")
    expect(page.locator("#of")).to_have_text("IBM")
    # The last decisions are buttons: asking again takes Enter, too.
    page.locator("#recent button").last.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#of")).to_have_text("AAPL")
    assert page.locator("#recent li").count() == 3
    console.check()


@pytest.mark.parametrize("price", ["", "101.5", "82", "60"])
def test_all_numbers_are_those_of_the_answer(price: str, console: Console, place: _Place) -> None:
    """Bars have the lengths and sides of their contributions, the line runs through the closes, the decision stands on it."""
    console.decide("AAPL", price)
    page = console.page
    options = {"price": float(price)} if price else {}
    decision = _decision(place.server, "AAPL", **options)
    assert console.text("#score") == _minus(decision.score)
    assert console.text("#target-weight") == _minus(decision.target_weight * 100, 1) + " %"
    assert console.text("#action").split()[1].lower() == decision.action
    assert isinstance(decision.contributions, dict)
    rows = page.locator("#contributions tr")
    assert rows.count() == len(decision.contributions) == 6
    scale = max(0.25, *map(abs, decision.contributions.values()))
    for number, (name, value) in enumerate(decision.contributions.items()):
        line = rows.nth(number)
        assert line.get_attribute("data-name") == name
        assert line.locator(".number").inner_text() == _minus(value)
        bar = line.locator("rect")
        width = float((bar.get_attribute("width") or "").rstrip("%"))
        start = float((bar.get_attribute("x") or "").rstrip("%"))
        assert width == pytest.approx(50 * abs(value) / scale, abs=1e-6)
        assert start == pytest.approx(50 - width if value < 0 else 50, abs=1e-6)
    history = msgspec.json.decode(httpx.get(place.server.url + "/history/AAPL").content, type=HistoryResponse)
    points = (page.locator("#chart .closes").get_attribute("points") or "").split()
    drawn = np.array([[float(each) for each in point.split(",")] for point in points])
    assert len(drawn) == len(history.closes) == 40
    slope, base = np.polyfit(history.closes, drawn[:, 1], 1)
    assert slope < 0
    assert np.abs(slope * np.array(history.closes) + base - drawn[:, 1]).max() < 0.11
    assert np.abs(np.diff(drawn[:, 0], 2)).max() < 0.25
    where = f"live at {float(price):.2f}" if price else "as of 1 Mar 2013 at 100.00"
    expect(page.locator("#chart .mark-text")).to_have_text(f"{decision.action} {where}")
    mark = re.findall(r"[\d.]+", page.locator("#chart .mark").get_attribute("transform") or "")
    assert float(mark[1]) == pytest.approx(slope * (float(price) if price else 100.0) + base, abs=0.2)
    assert (float(mark[0]) > drawn[-1, 0] + 1) == bool(price)
    console.check()


def test_what_it_rests_on_is_told(console: Console, place: _Place) -> None:
    """Tier, ages, both latencies, policy, run, and each agent's word."""
    console.decide("IBM")
    console.decide("IBM")
    chips = console.text("#inputs")
    assert "memory (L1), read" in chips
    assert "Price present" in chips
    assert "2 used, 1 abstained, 0 failed" in chips
    assert re.search(r"^[\d.]+ ms\n[\d.]+ m?s round trip$", console.text("#latency"))
    details = console.text("#details")
    assert {"2013-03-01 21:00:00 UTC", "hybrid 1.0.0", "run-1"} <= set(details.splitlines())
    views = console.page.locator("#views tbody tr")
    cells = [views.nth(number).locator("th, td").all_inner_texts() for number in range(views.count())]
    assert [each[0] for each in cells] == ["agent_a", "agent_b", "agent_c"]
    assert [each[1].strip() for each in cells] == ["+0.60", "+0.20", "abstained"]
    assert [each[2] for each in cells] == ["80 %", "80 %", "–"]
    assert {each[5] for each in cells} == {"because"}
    assert console.page.locator("#fallback").is_hidden()
    assert _decision(place.server, "IBM").cache.hit
    console.check()


def test_a_fallback_is_told_with_its_reason(console: Console) -> None:
    console.decide("BARE")
    assert console.text("#fallback") == "Fallback: price only. Decided on prices alone. Reason: agents_absent"
    assert console.text("#views") == "No agent has said anything (missing)."
    console.check()


def test_hostile_text_stays_text(console: Console) -> None:
    """What would not be seen, or turn the order of others, is shown by its code."""
    console.decide("EVIL")
    page = console.page
    views = page.locator("#views tbody tr")
    reasoning = views.first.locator("td").last
    shown = reasoning.inner_text()
    for text in ("<script>window.pwned = 1</script>", "<img src=x onerror='window.pwned = 2'>", "{{7*7}}", "javascript:alert(1)"):
        assert text in shown
    for code in ("U+202E", "U+202C", "U+2066", "U+2069", "U+200B", "U+001B", "U+0007", "U+E0041"):
        assert code in shown
    whole = page.locator("body").inner_text()
    assert re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\U000e0000-\U000e007f]", whole) == []
    assert views.first.locator("th").inner_text() == "agent<b>U+202Eevil"
    assert "<i>modelU+001B]0;titleU+0007" in views.first.inner_text()
    assert "time<u>outU+2028" in views.last.inner_text()
    assert page.locator("#views script, #views img, #views b, #views i, #views u").count() == 0
    assert page.evaluate("window.pwned") is None
    assert page.evaluate("getComputedStyle(document.querySelector('#views td bdi')).unicodeBidi") == "isolate"
    assert reasoning.locator(".odd").count() == 9
    console.check()


def test_the_policy_stops_what_text_would_have_to_do(console: Console) -> None:
    """Even a script of the page itself gets no markup out of text, no handler and nothing from elsewhere."""
    page = console.page
    for attempt in ("document.body.innerHTML = '<b>x</b>'", "document.body.setAttribute('onclick', 'window.pwned = 1')"):
        assert page.evaluate(f"(() => {{ try {{ {attempt} }} catch (error) {{ return error.name }} }})()") == "TypeError"
    page.evaluate("document.body.append(Object.assign(document.createElement('img'), {src: 'https://elsewhere.test/x.png'}))")
    script = "Object.assign(document.createElement('script'), {src: 'data:text/javascript,window.pwned=1'})"
    assert (
        page.evaluate(f"(() => {{ try {{ document.body.append({script}) }} catch (error) {{ return error.name }} }})()")
        == "TypeError"
    )
    page.evaluate("document.body.append(Object.assign(document.createElement('style'), {textContent: 'body {color: red}'}))")
    page.evaluate("fetch('https://elsewhere.test/').catch(() => null)")
    assert page.evaluate("window.pwned") is None
    found = set(console.violations())
    assert {"require-trusted-types-for", "img-src", "connect-src", "style-src-elem"} <= found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 820, 360])
def test_it_fits_and_can_be_read_in_light_and_dark(
    width: int, scheme: Scheme, browser: Browser, place: _Place, tmp_path: Path
) -> None:
    """No scrolling sideways at any width, not even with hostile text; and something is drawn, on the ground of the scheme."""
    console = Console(browser, place.server.url, width=width, scheme=scheme)
    console.open()
    for symbol in ("EVIL", "AAPL"):
        console.decide(symbol, "101")
        assert console.page.evaluate("document.scrollingElement.scrollWidth") <= width
    path = tmp_path / f"{width}-{scheme}.png"
    console.page.screenshot(path=path, full_page=True)
    image = (imread(path)[..., :3] * 255).astype(np.uint32)
    assert image.shape[1] == width
    colours = image[..., 0] * 65_536 + image[..., 1] * 256 + image[..., 2]
    found, counts = np.unique(colours, return_counts=True)
    assert len(found) > 50
    # Panels are the largest ground.
    assert hex(found[counts.argmax()]) == {"light": "0xffffff", "dark": "0x171e26"}[scheme]
    console.check()
    console.close()


def test_live_numbers_move(console: Console, place: _Place) -> None:
    page = console.page
    rate = '#live [data-name="requests"] dd'
    seen = {console.text(rate)}
    deadline = time.monotonic() + 30
    # Tests before this one may have made the rate high already; it has to change while this one asks. How high it gets is the
    # machine's matter.
    with httpx.Client() as client:
        while len(seen) == 1 or float(console.text(rate)) < 2:
            assert time.monotonic() < deadline, seen
            for _ in range(50):
                client.post(place.server.url + "/decide", json={"symbol": "AAPL"})
            page.wait_for_timeout(200)
            seen.add(console.text(rate))
    assert re.fullmatch(r"[\d.]+ ms", console.text('#live [data-name="p50"] dd'))
    assert float(console.text('#live [data-name="hit-rate"] dd').split()[0]) > 90
    assert console.text("#live-window").startswith("last ")
    console.check()


def test_live_numbers_come_back_after_an_interruption(console: Console) -> None:
    page = console.page
    page.route("**/live", lambda route: route.abort())
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#connection")).to_have_text("Reconnecting")
    assert page.locator("#live.old dd").count() > 5
    page.unroute("**/live")
    expect(page.locator("#connection")).to_have_text(re.compile("^Live · worker "))
    console.check(refused=True)


@pytest.mark.parametrize(
    ("symbol", "price", "words", "field"),
    [
        ("NOPE", "", "Unknown symbol: symbol NOPE is not in the loaded universe", "symbol"),
        ("a\u202eb", "", "Invalid request: symbol is", "symbol"),
        ("AAPL", "-5", "That is no price", "price"),
        ("AAPL", "0", "Invalid request: price is 0", "price"),
        ("", "", "Which symbol?", "symbol"),
    ],
)
def test_a_problem_is_told_in_words_at_the_field(symbol: str, price: str, words: str, field: str, console: Console) -> None:
    page = console.page
    console.decide(symbol, price)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(words)
    assert page.locator(f"#{field}").get_attribute("aria-invalid") == "true"
    expect(page.locator(f"#{field}")).to_be_focused()
    assert page.locator("#result").is_hidden()
    if symbol not in ("", "AAPL"):
        assert re.search(r"status 4\d\d · field symbol · request \S+", alert.inner_text())
    console.decide("AAPL")
    expect(alert).to_be_hidden()
    assert page.locator("[aria-invalid]").count() == 0
    console.check(refused=True)


def test_a_decision_stands_without_its_history(console: Console) -> None:
    console.decide("OLD")
    expect(console.page.locator("#of")).to_have_text("OLD")
    expect(console.page.locator("#reading")).to_have_text("No chart: history missing.")
    assert console.page.locator("#chart svg").count() == 0
    console.check(refused=True)


def test_a_server_that_cannot_be_reached_is_told(console: Console) -> None:
    """And what was decided before is not left standing as if it were the answer."""
    page = console.page
    console.decide("AAPL")
    page.route("**/decide", lambda route: route.abort())
    page.locator("#symbol").fill("IBM")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")
    assert page.locator("#result").is_hidden()
    console.check(refused=True)


def test_a_server_that_wants_a_key_is_given_one(browser: Browser, place: _Place) -> None:
    """What is typed goes with every request as X-API-Key, and is kept nowhere."""
    console = Console(browser, place.server.url)
    page = console.page
    sent: list[str] = []

    def guard(route: Route) -> None:
        if route.request.headers.get("x-api-key") == "dk_test.secret":
            sent.append(route.request.url.removeprefix(place.server.url))
            route.continue_()
            return
        problem = '{"type": "urn:x", "title": "Unauthorized", "status": 401, "detail": "an API key is needed"}'
        route.fulfill(status=401, content_type="application/problem+json", body=problem)

    page.route(re.compile(r":\d+/(decide|live|symbols|history|features|candles|stream)"), guard)
    page.goto(place.server.url + "/")
    expect(page.get_by_role("alert")).to_contain_text("an API key is needed")
    expect(page.locator("#key")).to_be_focused()
    expect(page.locator("#connection")).to_have_text("Live numbers want a key")
    page.keyboard.type("dk_test.secret")
    page.keyboard.press("Enter")
    expect(page.locator("#connection")).to_have_text(re.compile("^Live"))
    expect(page.locator("#symbol")).to_be_focused()
    console.decide("AAPL")
    expect(page.locator("#of")).to_have_text("AAPL")
    assert {"/symbols?limit=1000", "/live", "/decide", "/history/AAPL", "/features/AAPL", "/stream?symbols=AAPL"} <= set(sent)
    assert "/candles?symbol=AAPL&interval=1d&order=desc&limit=300" in sent
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    console.check(refused=True)
    console.close()


def test_symbols_are_offered_while_one_types(console: Console) -> None:
    offered = console.page.locator("#symbols option")
    expect(offered).to_have_count(5)
    assert [offered.nth(number).get_attribute("value") for number in range(5)] == ["AAPL", "BARE", "EVIL", "IBM", "OLD"]
