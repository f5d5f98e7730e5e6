"""Results of one scenario: as JSON and as Markdown in a folder, and as its section of ``RESULTS.md``."""

from pathlib import Path

import msgspec


def write(name: str, found: msgspec.Struct, text: str, folder: Path) -> list[Path]:
    """``NAME.json`` and ``NAME.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    data, page = folder / f"{name}.json", folder / f"{name}.md"
    data.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    page.write_text(f"{text}\n", encoding="utf-8")
    return [data, page]


def put(name: str, text: str, page: Path) -> None:
    """Write the section anew in a page that has a place for it, between ``<!-- NAME -->`` and ``<!-- end of NAME -->``."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, begun, rest = page.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    assert begun, f"{page} has no {begin}"
    assert ended, f"{page} has no {end}"
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
