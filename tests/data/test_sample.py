"""The committed sample is what its scripts make, and says what it is."""

import csv
import gzip
import importlib.util
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "data"
AGENT_FILES = sorted((DATA / "agents").iterdir())

needs_source = pytest.mark.skipif(
    importlib.util.find_spec("bokeh_sampledata") is None,
    reason="bokeh_sampledata is not installed (it is in the dev group): the sample prices cannot be derived again",
)


def regenerate(script: str, folder: Path) -> None:
    """Run one of the scripts into another folder."""
    subprocess.run([sys.executable, str(DATA / script), str(folder)], check=True, timeout=120)


def native_rows() -> list[dict[str, str]]:
    """The native table."""
    with (DATA / "agents" / "native.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@needs_source
def test_the_prices_are_what_the_script_derives(tmp_path: Path) -> None:
    """The same text again from the package; packing leaves no time or name, so the bytes repeat too."""
    regenerate("make_prices.py", tmp_path / "a")
    regenerate("make_prices.py", tmp_path / "b")
    first, second = ((tmp_path / folder / "prices" / "daily.csv.gz").read_bytes() for folder in "ab")
    assert first == second
    # Compared unpacked: another zlib packs the same text differently.
    assert gzip.decompress(first) == gzip.decompress((DATA / "prices" / "daily.csv.gz").read_bytes())


def test_the_agents_are_what_the_script_makes(tmp_path: Path) -> None:
    regenerate("make_agents.py", tmp_path)
    made = sorted((tmp_path / "agents").iterdir())
    assert [each.name for each in made] == [each.name for each in AGENT_FILES]
    for again, committed in zip(made, AGENT_FILES, strict=True):
        assert again.read_bytes() == committed.read_bytes()


def test_every_agent_output_is_labelled_as_simulated() -> None:
    for row in native_rows():
        assert row["model"] == "simulated"
        assert row["reasoning"].startswith("Simulated:") == (row["status"] == "view")
    for file in DATA.glob("agents/*.json"):
        assert json.loads(file.read_text(encoding="utf-8"))["simulated"].startswith("No model was asked")
    assert "simulated" in (DATA / "README.md").read_text(encoding="utf-8")


def test_the_native_table_covers_sixty_sessions_of_five_agents() -> None:
    rows = native_rows()
    assert len({row["as_of"] for row in rows}) == 60
    assert max(row["as_of"] for row in rows) == "2013-03-01"
    assert set(Counter((row["symbol"], row["as_of"]) for row in rows).values()) == {5}
    statuses = Counter(row["status"] for row in rows)
    assert statuses["abstained"] > 30
    assert statuses["failed"] > 30
    assert {row["view"] == "" for row in rows if row["status"] != "view"} == {True}


def test_the_last_session_has_failures_and_abstentions_to_show() -> None:
    """The demo asks for a symbol whose agents failed."""
    last = [row for row in native_rows() if row["as_of"] == "2013-03-01"]
    assert {row["symbol"] for row in last if row["status"] == "failed"} == {"IBM"}
    assert {row["symbol"] for row in last if row["status"] == "abstained"} == {"FB"}


def test_views_use_no_price_from_after_their_session(tmp_path: Path) -> None:
    """With the last month of prices changed, no earlier view changes."""
    with gzip.open(DATA / "prices" / "daily.csv.gz", "rt", encoding="utf-8") as file:
        lines = file.read().splitlines()
    changed = [
        line if line.split(",")[1] <= "2013-01-31" or number == 0 else line.rsplit(",", 1)[0] + ",1.5"
        for number, line in enumerate(lines)
    ]
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "daily.csv.gz").write_bytes(gzip.compress(("\n".join(changed) + "\n").encode()))
    script = tmp_path / "make_agents.py"
    script.write_bytes((DATA / "make_agents.py").read_bytes())
    subprocess.run([sys.executable, str(script)], check=True, timeout=120)
    made, committed = ((folder / "agents" / "native.csv").read_text(encoding="utf-8") for folder in (tmp_path, DATA))
    before = [line for line in committed.splitlines() if line.split(",")[1] <= "2013-01-31"]
    assert [line for line in made.splitlines() if line.split(",")[1] <= "2013-01-31"] == before
    assert made != committed


def test_the_licence_stands_beside_the_data() -> None:
    """BSD-3 asks for its notice to go with the material."""
    assert "Redistribution and use" in (DATA / "LICENSE-bokeh_sampledata.txt").read_text(encoding="utf-8")
