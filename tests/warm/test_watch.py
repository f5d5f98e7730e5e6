"""Inputs that are watched: what changes is loaded, whatever became of the load before."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.kit.files import put
from tests.kit.servers import ROOT, clean_environment, until
from tests.warm.running import good_rows, write_csv
from warm.__main__ import main
from warm.saying import sayer
from warm.watch import Loads, concerns, watch_inputs


class _Watched:
    """What is said to have changed, set by set; then it is to stop. ``between`` happens before each set."""

    def __init__(self, *changes: set[str]) -> None:
        self.changes = list(changes)
        self.folders: list[Path] = []
        self.loads: list[int] = []
        self.events: list[str] = []
        self.stop = threading.Event()

    def watching(self, folders: Sequence[Path], stop: threading.Event) -> Iterator[set[str]]:
        """As the operating system would tell it."""
        self.folders = list(folders)
        yield set()
        while self.changes:
            yield self.changes.pop(0)
        stop.set()

    def load(self) -> int:
        """It fails each time."""
        self.loads.append(len(self.changes))
        return 1

    def run(self, *inputs: Path, ours: Path | None = None) -> int:
        """To the end."""

        def say(event: str, **_: object) -> None:
            self.events.append(event)

        return watch_inputs(inputs, self.load, self.stop, say, self.watching, ours)


def test_inputs_are_loaded_at_once_and_after_each_change_however_a_load_ended(tmp_path: Path) -> None:
    """Changes that came together are one; what concerns no input is none. Told to stop it ends with 0."""
    for name in ("a.csv", "b.csv", "notes.pdf", ".hidden.csv", "report.json"):
        put(tmp_path / name, "x")
    path = {name: str(tmp_path / name) for name in ("a.csv", "b.csv", "notes.pdf", ".hidden.csv", "report.json")}
    watched = _Watched(
        {path["a.csv"], path["b.csv"]}, set(), {path["notes.pdf"], path[".hidden.csv"]}, {path["report.json"]}, {path["b.csv"]}
    )
    assert watched.run(tmp_path, ours=tmp_path / "report.json") == 0
    assert watched.loads == [5, 4, 0]
    assert watched.events == ["watching", "changed", "changed", "stopped"]


def test_a_file_is_watched_by_its_folder_because_editors_put_another_in_its_place(tmp_path: Path) -> None:
    file, other = put(tmp_path / "a.csv", "x"), put(tmp_path / "b.csv", "x")
    watched = _Watched({str(other)}, {str(file)})
    watched.run(file)
    assert watched.folders == [tmp_path]
    assert watched.loads == [2, 0]


def test_a_folder_that_was_replaced_is_watched_and_loaded_anew(tmp_path: Path) -> None:
    folder = tmp_path / "prices"
    folder.mkdir()

    class Replacing(_Watched):
        begun = 0

        def watching(self, folders: Sequence[Path], stop: threading.Event) -> Iterator[set[str]]:
            self.begun, self.folders = self.begun + 1, list(folders)
            yield set()
            if self.begun == 1:
                folder.rename(tmp_path / "old")
                folder.mkdir()
                yield set()
            stop.set()

    watched = Replacing()
    assert watched.run(folder) == 0
    assert (watched.begun, len(watched.loads)) == (2, 2)


@pytest.mark.parametrize("inside", ["", "a.csv"])
def test_a_link_that_leads_elsewhere_is_watched_and_loaded_anew(inside: str, tmp_path: Path) -> None:
    """As releases are switched: the folder that it led to is still there. A file may be such a link too."""
    for name in ("1", "2"):
        put(tmp_path / name / "a.csv", "x")
    link = tmp_path / "current"
    link.symlink_to(tmp_path / "1" / inside)
    seen: list[list[Path]] = []

    class Switching(_Watched):
        def watching(self, folders: Sequence[Path], stop: threading.Event) -> Iterator[set[str]]:
            seen.append(list(folders))
            yield set()
            if len(seen) > 1:
                stop.set()
            link.unlink()
            link.symlink_to(tmp_path / "2" / inside)
            yield set()

    watched = Switching()
    assert watched.run(link) == 0
    assert (seen, len(watched.loads)) == ([[tmp_path / "1"], [tmp_path / "2"]], 2)


def test_a_folder_that_is_away_is_told_once(tmp_path: Path) -> None:
    folder = tmp_path / "prices"
    folder.mkdir()

    class Away(_Watched):
        def watching(self, folders: Sequence[Path], stop: threading.Event) -> Iterator[set[str]]:
            self.folders = list(folders)
            yield set()
            folder.rmdir()
            threading.Timer(1.2, stop.set).start()
            yield set()

    watched = Away()
    assert watched.run(folder) == 0
    assert watched.events == ["watching", "away", "stopped"]
    assert len(watched.loads) == 1


def test_a_link_among_hidden_files_concerns_the_inputs(tmp_path: Path) -> None:
    """Kubernetes switches one, ``..data``, where all files of a folder lead to."""
    put(tmp_path / "..2024" / "a.csv", "x")
    (tmp_path / "..data").symlink_to("..2024")
    assert concerns(tmp_path / "..data", [tmp_path])
    assert not concerns(tmp_path / "..2024" / "a.csv", [tmp_path])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", True),
        ("sub/b.json.gz", True),
        ("gone.parquet", True),
        ("sub", True),
        ("gone-folder", True),
        ("store.sqlite3-wal", False),
        (".git/c.csv", False),
        ("readme.pdf", False),
        ("../other/a.csv", False),
    ],
)
def test_what_concerns_the_inputs_is_of_a_kind_that_is_read_or_a_folder(name: str, expected: bool, tmp_path: Path) -> None:  # noqa: FBT001
    inputs = tmp_path / "inputs"
    for each in ("a.csv", "sub/b.json.gz", ".git/c.csv", "readme.pdf"):
        put(inputs / each, "x")
    assert concerns(Path(os.path.normpath(inputs / name)), [inputs]) is expected


def test_what_happens_is_told_as_json_lines() -> None:
    stream = io.StringIO()
    sayer(stream)("changed", files=2)
    assert json.loads(stream.getvalue()) == {"event": "changed", "files": 2}


def test_a_load_that_is_under_way_is_ended_when_it_is_to_stop() -> None:
    """It has an hour, and whoever stops has not."""
    stop = threading.Event()
    stop.set()
    loads = Loads([], stop)
    loads._command = [sys.executable, "-c", "import time; time.sleep(60)"]
    assert loads() != 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--watch"], "--watch is given without --prices"),
        (["--watch", "--prices", "no-such-folder"], "no-such-folder: no such file or folder"),
        (["--watch", "--prices", ".", "--dry-run"], "--watch is given with --dry-run"),
        (["--watch", "--prices", ".", "--as-of", "2013-03-01"], "--watch is given with --as-of"),
        (["--watch", "--prices", ".", "--explain", "."], "--watch is given with --explain"),
    ],
)
def test_what_cannot_be_watched_is_refused_at_once(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


class _Command:
    """The real command, watching a folder with one good file, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.prices, self.log = folder / "prices", folder / "log"
        self.prices.mkdir()
        write_csv(self.prices / "a.csv", good_rows(60, "AAA"))
        command = [sys.executable, "-m", "app", "warm", "--prices", "prices", "--store-path", "store.sqlite3", "--watch"]
        with self.log.open("wb") as stream:
            environment = clean_environment({"PYTHONPATH": str(ROOT)})
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stderr=stream)

    def ended(self, status: str, symbols: int | None) -> None:
        """Returns when the last load has ended so."""
        until(lambda: self._last() == (status, symbols), 100, f"a load ends with {status}, {symbols} symbols", 0.05)

    def _last(self) -> tuple[str, int | None] | None:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")]
        return next(((each["status"], each.get("symbols")) for each in reversed(lines) if each["event"] == "done"), None)

    def stop(self, number: signal.Signals) -> int:
        """Its exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def command(tmp_path: Path) -> Iterator[_Command]:
    """Ended in any case."""
    if sys.platform == "win32":
        pytest.skip("WINDOWS: no signal there lets a process end by itself")
    made = _Command(tmp_path)
    yield made
    made.process.kill()
    made.process.wait()


@pytest.mark.timeout(400)
def test_a_folder_is_loaded_as_it_changes_and_survives_what_is_bad(command: _Command) -> None:
    command.ended("published", 1)
    write_csv(command.prices / "b.csv", good_rows(60, "BBB"))
    command.ended("published", 2)
    put(command.prices / "c.csv", "symbol,date,close\nCCC")
    command.ended("refused", None)
    write_csv(command.prices / "c.csv", good_rows(60, "CCC"))
    command.ended("published", 3)
    assert command.stop(signal.SIGTERM) == 0


def test_ctrl_c_ends_the_watching_with_0(command: _Command) -> None:
    command.ended("published", 1)
    assert command.stop(signal.SIGINT) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="WINDOWS: no signal there lets a process end by itself")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", ["warm.__main__", "dotenv", "polars", "watchfiles"])
def test_a_signal_ends_the_watching_with_0_before_it_has_begun_too(moment: str, number: signal.Signals, tmp_path: Path) -> None:
    """While what it needs is imported; without a word of Python's, and with nothing written."""
    write_csv(tmp_path / "a.csv", good_rows(60, "AAA"))
    program = f"""
import os, sys
class Sends:
    def find_spec(self, name, *_):
        if name == {moment!r}:
            os.kill(os.getpid(), {int(number)})
sys.meta_path.insert(0, Sends())
sys.argv = ["decide", "warm", "--prices", "a.csv", "--store-path", "store.sqlite3", "--watch"]
from app.__main__ import main
sys.exit(main())
"""
    environment = clean_environment({"PYTHONPATH": str(ROOT)})
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, timeout=100, check=False
    )
    assert (ended.returncode, b"Traceback" in ended.stderr) == (0, False)
    assert [each.name for each in tmp_path.iterdir()] == ["a.csv"]
