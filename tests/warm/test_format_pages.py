"""data/formats: a page for each format, whose example is what the page says it is."""

import re
import zipfile
from pathlib import Path

import msgspec
import pytest

from tests.warm.running import RECKONING
from warm.files.agents.rows import Context, Imported
from warm.files.find import find_sources
from warm.files.prices.reader import read_file
from warm.files.recognise import FORMATS, Format, recognise
from warm.files.trades.recognise import FORMATS as TRADES

PAGES = Path(__file__).parents[2] / "data" / "formats"
_EXAMPLE = re.compile(r"^```(?:csv|json|markdown) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RULES = {"prose", "market"}
"""Pages that several formats lead to, and that of files of trades."""

LATER_MS = 1_800_000_000_000


def example(name: str, folder: Path) -> Path:
    """The page's example as a file in ``folder``."""
    found = _EXAMPLE.search((PAGES / f"{name}.md").read_text(encoding="utf-8"))
    assert found is not None, f"{name}.md has no example"
    file, text = found.groups()
    assert text.count("\n") <= 5
    archive, zipped, member = file.partition(".zip/")
    path = folder / (f"{archive}.zip" if zipped else file)
    path.parent.mkdir(parents=True, exist_ok=True)
    if zipped:
        with zipfile.ZipFile(path, "w") as written:
            written.writestr(member, text)
    else:
        path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS.keys())
def test_the_example_of_a_page_is_read_as_the_page_says(form: Format, tmp_path: Path) -> None:
    path = example(form.name, tmp_path)
    ((source,), _) = find_sources(tmp_path)
    assert recognise(source) is form
    if form.kind == "prices":
        part = read_file(source, form, 0, msgspec.structs.replace(RECKONING, now_ms=LATER_MS))
        assert (part.rejects.counts, part.unfinished) == ({}, 0)
        assert part.frame.height == part.rows >= 2
    else:
        imported: Imported = form.read(source, Context(RECKONING.session, LATER_MS, None))
        assert imported.rejects.counts == {}
        assert imported.frame.height == imported.rows >= 1
    assert path.name


def test_every_page_is_of_a_format_and_is_listed() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")}
    assert pages == set(FORMATS) | RULES
    listed = (PAGES.parent / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(pages) if f"(formats/{name}.md)" not in listed] == []


def test_the_page_of_trades_lists_every_format_of_theirs() -> None:
    page = (PAGES / "market.md").read_text(encoding="utf-8")
    assert [name for name in TRADES if f"`{name}`" not in page] == []
