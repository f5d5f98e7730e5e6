"""The binary beside the package: what is read of processes, what is made of figures, and the whole with a stand-in."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench import memory
from bench.binary.__main__ import command_of, main
from bench.binary.comparison import Comparison, Line, Side, Unpacked, judge, markdown, notes, size
from bench.binary.measuring import folder_bytes, in_turn, unpacked_folders
from bench.memory import Memory
from bench.peers.processes import descendants
from bench.peers.sampling import Spread
from bench.scenario import ScenarioError
from tests.servers import ROOT, clean_environment

_ROLLUP = """55d0c0a6b000-7ffd5a5d9000 ---p 00000000 00:00 0                          [rollup]
Rss:               80000 kB
Pss:               60000 kB
Pss_Dirty:         50000 kB
Pss_Anon:          40000 kB
Pss_File:          20000 kB
Private_Dirty:     41234 kB
"""
_MAPS = """7f0-7f1 r-xp 00000000 fe:00 11 /tmp/a/_MEIx1/libpython3.13.so.1.0
7f1-7f2 r--p 00000000 fe:00 12 /tmp/a/_MEIx1/app/_speed.so
7f2-7f3 rw-p 00000000 00:00 0
7f3-7f4 r-xp 00000000 fe:00 13 /usr/lib/libc.so.6
7f4-7f5 r-xp 00000000 fe:00 14 /var/tmp/_MEIy2/libz.so
7f5-7f6 r-xp 00000000 fe:00 15                        /var/two words/_MEIz3/app/a b.so
7f6-7f7 r-xp 00000000 fe:00 16                        /var/two words/_MEIz3/libz.so (deleted)
"""
_linux = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from /proc, of Linux alone")


def _side(python: str = "3.13.5", executable: str = "/usr/bin/python3.13") -> Side:
    return Side(command=["decide"], version={"version": "0.1.0", "python": python}, executable=executable)


def _line(title: str, package: float, binary: float, **limits: float) -> Line:
    return Line.of("name", title, "MB", package=[package, package], binary=[binary, binary * 1.1], digits=1, **limits)


def _unpacked(left: int = 0) -> Unpacked:
    return Unpacked(file_bytes=45_600_000, folders=1, unpacked_bytes=123_400_000, left_folders=left)


def _comparison(*lines: Line, left: int = 0) -> Comparison:
    return Comparison(
        started_at="2026-01-01T00:00:00+00:00",
        took_s=90.0,
        quick=True,
        commit="abc",
        machine={"processor": "A processor", "cpus": 2, "memory_gb": 24, "system": "Linux"},
        symbols=1000,
        package=_side(),
        binary=_side("3.13.6"),
        lines=list(lines),
        unpacked=_unpacked(left),
        wrong=0,
        notes=notes(_side(), _side("3.13.6"), "/usr/bin/python3.11"),
        checks=judge(lines, _unpacked(left), 0),
    )


def test_memory_is_read_in_bytes() -> None:
    """What the text leaves out is nothing, and so is a process that has ended."""
    found = memory.parsed(_ROLLUP)
    assert found == Memory(resident=80_000 * 1024, proportional=60_000 * 1024, anonymous=40_000 * 1024)
    assert memory.parsed("") == Memory()
    assert (found + found).proportional == 120_000 * 1024
    assert memory.of([2**22 + 1]) == Memory()


def test_memory_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    """As that of another user's process may not be: it is said, with the process."""
    (tmp_path / "7" / "smaps_rollup").mkdir(parents=True)
    assert memory.of([8], tmp_path) == Memory()
    with pytest.raises(ScenarioError, match=r"^the memory of process 7 cannot be read: "):
        memory.of([8, 7], tmp_path)


@_linux
def test_memory_of_a_tree_is_that_of_its_processes() -> None:
    """Of this process, and of this one twice."""
    once = memory.of([os.getpid()])
    assert once.resident >= once.proportional >= once.anonymous > 1_000_000
    assert memory.of([os.getpid()] * 2).resident > once.resident


def test_a_tree_is_a_process_and_all_that_descend_from_it() -> None:
    """Children of children too, and nobody else's."""
    assert descendants({1: 0, 10: 1, 11: 10, 12: 11, 13: 10, 20: 1, 21: 20}, 10) == [10, 11, 13, 12]
    assert descendants({}, 7) == [7]


def test_the_folders_that_a_process_runs_out_of_are_told_by_its_maps(tmp_path: Path) -> None:
    """Each once, with the spaces in its name; and what lies in one is counted in bytes, links not at all."""
    assert unpacked_folders(_MAPS) == {"/tmp/a/_MEIx1", "/var/tmp/_MEIy2", "/var/two words/_MEIz3"}  # noqa: S108 - text, no file
    assert unpacked_folders("") == set()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(b"123")
    (tmp_path / "b").write_bytes(b"4567")
    (tmp_path / "c").symlink_to("b")
    assert folder_bytes(tmp_path) == 7


def test_both_are_first_as_often() -> None:
    """So that whatever is better for the first is better for both."""
    firsts = [in_turn(number)[0] for number in range(4)]
    assert firsts == ["package", "binary", "package", "binary"]


def test_ratios_are_of_the_binary_to_the_package_in_one_round() -> None:
    """And not of the medians."""
    line = Line.of("x", "x", "ms", package=[1.0, 10.0, 4.0], binary=[2.0, 10.0, 2.0])
    assert line.ratio == Spread(low=0.5, median=1.0, high=2.0)
    assert (line.package.median, line.binary.median) == (4.0, 2.0)


@pytest.mark.parametrize(
    ("line", "passes"),
    [
        (_line("start", 500.0, 900.0, most_itself=1000.0), True),
        (_line("start", 500.0, 990.0, most_itself=1000.0), False),
        (_line("memory", 100.0, 104.0, most=1.1), True),
        (_line("memory", 100.0, 106.0, most=1.1), False),
        (_line("hits", 100.0, 91.0, least=0.95), True),
        (_line("hits", 100.0, 90.0, least=0.95), False),
    ],
)
def test_a_limit_is_held_against_the_median(line: Line, *, passes: bool) -> None:
    """Of the binary's own figures, or of the ratios; what fails says what it was and what it had to be."""
    (check, *others) = judge([line], _unpacked(), 0)
    assert check.passed is passes
    assert check.line.startswith(f"{line.title}: the binary's")
    assert all(each.passed for each in others)


def test_wrong_answers_and_what_is_left_behind_fail_too() -> None:
    """Whatever the figures."""
    assert [check.passed for check in judge([], _unpacked(left=1), 2)] == [False, True, True, False]
    assert [check.passed for check in judge([], _unpacked(), 0)] == [True] * 4


def test_nothing_left_of_folders_that_were_never_seen_is_no_success() -> None:
    """That none is left is not even said, and that none was found fails."""
    unseen = Unpacked(file_bytes=1, folders=0, unpacked_bytes=0, left_folders=0)
    assert [check.line for check in judge([], unseen, 0) if not check.passed] == [
        "two workers: the number of folders that the file unpacks to is nothing to measure, must be at least 1",
        "two workers: the number of bytes in them is nothing to measure, must be at least 1",
    ]
    assert not any("left behind" in check.line for check in judge([], unseen, 0))
    assert size(unseen).endswith("no folder was found that it unpacks to.")


@pytest.mark.parametrize(("package", "binary"), [(100.0, 0.0), (0.0, 100.0), (0.0, 0.0)])
@pytest.mark.parametrize("limit", ["most", "least", "most_itself"])
def test_a_figure_that_was_not_measured_passes_no_limit(limit: str, package: float, binary: float) -> None:
    """Nothing is below whatever may be reached, and nothing by nothing is no ratio."""
    check = judge([_line("memory", package, binary, **{limit: 1.1})], _unpacked(), 0)[0]
    assert not check.passed
    assert check.line == "memory: the least figure in MB is nothing to measure, must be at least 1"


def test_what_makes_a_comparison_unfair_is_said() -> None:
    """Another interpreter, or one whose pages the harness shares; and nothing where it is as it should be."""
    assert notes(_side(), _side(), "/usr/bin/python3.11") == []
    (other,) = notes(_side(), _side("3.11.7"), "/usr/bin/python3.11")
    assert "Python 3.13.5, the binary on 3.11.7" in other
    (shared,) = notes(_side(), _side(), "/usr/bin/python3.13")
    assert "harness's own interpreter" in shared


def test_the_report_follows_from_the_json_alone() -> None:
    """Read back from what is written it is the same, with every figure, check and note."""
    found = _comparison(_line("memory", 100.0, 104.0, most=1.1), _line("hits", 100.0, 10.0, least=0.95), left=1)
    text = markdown(msgspec.json.decode(msgspec.json.encode(found), type=Comparison))
    assert text == markdown(found)
    assert text.startswith("# The binary beside the package: failed\n")
    assert "| memory, MB | 100.0 [100.0, 100.0] | 109.2 [104.0, 114.4] | 1.092 [1.040, 1.144] |" in text
    assert "- passed: memory: the binary's, as a multiple of the package's, is 1.092, must be at most 1.1" in text
    assert "- **FAILED**: hits: the binary's, as a multiple of the package's, is 0.105, must be at least 0.95" in text
    assert "This was a quick run" in text
    assert "the binary on 3.13.6" in text
    assert "45.6 MB and unpacks 123.4 MB into one folder" in text
    assert "1 of that is left behind" in size(_unpacked(left=1))


def test_programs_are_found_from_any_folder(tmp_path: Path) -> None:
    """By an absolute path; a link stays one, since an environment's Python knows by it which it is."""
    (tmp_path / "python").symlink_to(sys.executable)
    given = os.path.relpath(tmp_path / "python")
    assert command_of("--package", f"{given} -m app") == [str(tmp_path / "python"), "-m", "app"]


@pytest.mark.parametrize("text", ["/nowhere/decide", "", "'unfinished", "README.md"])
def test_what_is_no_program_ends_with_2_and_the_option_by_name(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is started."""
    with pytest.raises(ScenarioError, match=r"^--package is "):
        command_of("--package", text)
    assert main(["--binary", text]) == 2
    assert f"bench: --binary is {text!r}" in capsys.readouterr().err


@_linux
def test_a_stand_in_is_measured_from_start_to_stop(tmp_path: Path) -> None:
    """A script that runs the package: everything is found of both, and the exit code follows from the checks."""
    stand_in = tmp_path / "decide"
    stand_in.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m app "$@"\n', encoding="utf-8")
    stand_in.chmod(0o755)
    command = [sys.executable, "-m", "bench.binary", "--binary", str(stand_in), "--smoke", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=clean_environment({}), capture_output=True, text=True, timeout=110, check=False)
    assert (tmp_path / "binary.json").exists(), done.stdout + done.stderr
    found = msgspec.json.decode((tmp_path / "binary.json").read_bytes(), type=Comparison)
    # A script unpacks nothing, and that is a failure.
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith(f"FAILED {found.failures[-1].line}")
    assert "the number of folders that the file unpacks to is nothing to measure" in done.stdout
    names = {line.name.rpartition("_")[0] if line.name.startswith("memory") else line.name for line in found.lines}
    assert {"start_empty", "start_sqlite", "memory_1", "memory_2", "single_answers_per_s", "batch_cpu_us"} <= names
    assert all(spread.low > 0 for line in found.lines for spread in (line.package, line.binary))
    ones, twos = ([line.package.median for line in found.lines if line.name.startswith(f"memory_{count}")] for count in (1, 2))
    assert all(two > one for one, two in zip(ones, twos, strict=True))
    assert found.wrong == 0
    assert found.unpacked.folders == 0
    assert (tmp_path / "binary.md").read_text(encoding="utf-8") == markdown(found)
