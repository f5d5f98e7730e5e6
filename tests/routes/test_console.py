"""The console's files: how they are served, that nothing in them is inline or foreign, and that its colours can be read."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.routes.console import HEADERS
from tests.kit.servers import ROOT
from tests.kit.serving import Served, problem_of

_FOLDER = ROOT / "app" / "console"
_LIBRARY = _FOLDER / "lightweight-charts" / "lightweight-charts.standalone.production.mjs"
_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "console.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    **{path.name: "text/javascript; charset=utf-8" for path in (*_FOLDER.glob("*.js"), _LIBRARY)},
}
_LIGHT_AND_DARK = re.compile(r":root \{(.*?)\}", re.DOTALL)
_ON_PAGE = ("text", "quiet", "accent", "buy", "sell", "hold", "warn")
_PAIRS = [
    *((ink, ground) for ink in _ON_PAGE for ground in ("page", "panel")),
    *(("on-accent", "accent"), ("warn", "warn-ground"), ("failure", "failure-ground")),
    *(("quiet", "area"), ("text", "area"), ("buy", "area"), ("sell", "area"), ("hold", "area")),
]
_SHAPES = [(ink, "panel") for ink in ("up", "down", "accent", "edge", "buy", "sell", "hold", "sma-20", "sma-50")] + [
    ("edge", "page"),
    ("up", "page"),
]


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _colours() -> list[dict[str, str]]:
    return [
        dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", block)) for block in _LIGHT_AND_DARK.findall(_read("console.css"))
    ]


def _luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_page_and_its_files_have_their_types_and_every_header(served: Served) -> None:
    assert {path.name for path in _FOLDER.iterdir()} == _TYPES.keys() - {_LIBRARY.name} | {_LIBRARY.parent.name}
    for path, name in [("/", "index.html"), *((f"/console/{name}", name) for name in _TYPES)]:
        answer = served.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, _TYPES[name])
        assert answer.content == next(_FOLDER.rglob(name)).read_bytes()
        for header, value in HEADERS.items():
            assert answer.headers[header] == value
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert policy.startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    )
    assert {"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} <= set(policy.split("; "))


def test_a_file_that_has_not_changed_is_not_sent_again(served: Served) -> None:
    tag = served.get("/").headers["etag"]
    for sent in (tag, f"W/{tag}", f'"other", {tag}'):
        answer = served.get("/", if_none_match=sent)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert served.get("/", if_none_match='"other"').status_code == 200
    assert served.get("/console/console.js").headers["etag"] != tag


@pytest.mark.parametrize(
    "path", ["/console", "/console/", "/console/nope.js", "/console/..%2fmain.py", "/console/../main.py", "/console/LICENSE"]
)
def test_nothing_but_its_own_files_is_served(path: str, served: Served) -> None:
    """Names are looked up in memory, never on disk."""
    problem_of(served.get(path), 404, "not-found")


def test_without_pages_there_is_no_console() -> None:
    with Served(pages="off") as served:
        problem_of(served.get("/"), 404, "not-found")
        problem_of(served.get("/console/console.js"), 404, "not-found")
        assert served.get("/history/AAPL").status_code == 200


class _Page(HTMLParser):
    """Which attributes of which tags there are, and which tags hold text."""

    def __init__(self) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.inline: list[str] = []
        self._open = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        del tag
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style") and data.strip():
            self.inline.append(data)


def test_the_page_has_nothing_inline_and_refers_to_files_that_are_there(served: Served) -> None:
    page = _Page()
    page.feed(_read("index.html"))
    assert page.inline == []
    names = {name for _, name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on") or name == "style"}
    files = {value for tag, name, value in page.attributes if name in ("src", "href") and tag in ("script", "link", "img")}
    assert files == {"/console/icon.svg", "/console/console.css", "/console/console.js"}
    assert all(served.get(path).status_code == 200 for path in files)
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    used = {each for path in _FOLDER.glob("*.js") for each in re.findall(r'byId\("([^"]+)"\)', path.read_text(encoding="utf-8"))}
    assert used <= set(ids)


@pytest.mark.parametrize("path", sorted(_FOLDER.glob("*.js")), ids=lambda path: path.name)
def test_scripts_import_each_other_alone_and_never_make_markup_of_text(path: Path) -> None:
    """What would be refused by the policy, or would have to be checked by eye, is not there."""
    script = path.read_text(encoding="utf-8")
    assert {f"./{name}" for name in _TYPES} >= set(re.findall(r'from "([^"]+)"', script))
    # What is drawn with is fetched once it is wanted.
    script = script.replace(f'import("./{_LIBRARY.name}")', "")
    banned = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser|import\(|localStorage|https?://(?!www\.w3\.org)"
    assert re.findall(banned, script) == []
    assert len(script.splitlines()) <= 400


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_on_its_ground(scheme: int) -> None:
    """WCAG AA: 4.5 to 1 for text, 3 to 1 for shapes that tell something and for borders of fields."""
    light, dark = _colours()
    colours = (light, dark)[scheme]
    assert light.keys() == dark.keys()
    ratios = {(ink, ground): _contrast(colours[ink], colours[ground]) for ink, ground in _PAIRS}
    assert {pair: round(ratio, 2) for pair, ratio in ratios.items() if ratio < 4.5} == {}
    ratios = {(ink, ground): _contrast(colours[ink], colours[ground]) for ink, ground in _SHAPES}
    assert {pair: round(ratio, 2) for pair, ratio in ratios.items() if ratio < 3.0} == {}
    assert _contrast("#ffffff", "#000000") == pytest.approx(21.0)
    assert _contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_a_caller_of_two_colours_alone_is_told_the_action_by_word_and_shape() -> None:
    shapes = re.findall(r'(buy|sell|hold): "(.)"', _read("result.js"))
    assert len({shape for _, shape in shapes}) == len(shapes) == 3


def test_the_page_shows_the_notice_that_the_library_asks_for() -> None:
    """Under Apache 2.0, 4 (d): in a form that the user sees, with a link; the library's own logo would need inline styles."""
    notice = _LIBRARY.with_name("NOTICE").read_text(encoding="utf-8").split()
    shown = re.sub(r"<[^>]+>", "", _read("index.html")).split()
    assert " ".join(notice).removeprefix("TradingView Lightweight Charts™ ") in " ".join(shown)
    assert 'href="https://www.tradingview.com/"' in _read("index.html")
    said = _LIBRARY.read_text(encoding="utf-8")[:400]
    assert f"v{_LIBRARY.with_name('VERSION').read_text(encoding='utf-8').strip()}\n" in said
    assert notice[notice.index("Copyright") :][:3] == re.findall(r"Copyright \(c\) \d{4}", said)[0].split()
    assert "attributionLogo: false" in _read("drawing.js")
