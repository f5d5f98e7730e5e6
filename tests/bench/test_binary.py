"""The one file beside the package: what is read of processes, what is made of figures, and the whole with a stand-in."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from bench import memory
from bench.memory import Memory
from bench.peers.__main__ import main
from bench.peers.binary import Comparison, Measuring, Unpacked, command_of, folder_bytes, notes, unpacked_folders
from bench.peers.experiments import Pace
from bench.peers.findings import Line, Row, Table
from bench.peers.processes import descendants
from bench.peers.sampling import Spread
from bench.peers.world import World
from bench.scenario import ScenarioError

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


_ONE = Spread(low=1.0, median=1.0, high=1.0)


def _row(name: str, ratio: float | None = None, errors: int = 0) -> Row:
    found = None if ratio is None else Spread(low=ratio, median=ratio, high=ratio)
    return Row(
        name=name, title=name, answers_per_s=_ONE, cpu_us=_ONE, p50_ms=_ONE, p95_ms=_ONE, p99_ms=_ONE, ratio=found, errors=errors
    )


def _missed(
    *,
    start_ms: float = 500.0,
    memory: float = 1.0,
    throughput: float = 1.0,
    errors: int = 0,
    folders: int = 1,
    left_folders: int = 0,
) -> list[str]:
    """Which goals are missed."""
    rows = [_row("package"), _row("binary", 1 / throughput, errors)]
    found = Comparison(
        lines=[
            Line.of("start", "start", package=[500.0], binary=[start_ms]),
            Line.of("memory_1", "memory", package=[100.0], binary=[memory * 100.0]),
            Line.of("resident_1", "resident", package=[1.0], binary=[9000.0]),
        ],
        tables=[Table(name="hits", title="hits", connections=32, rounds=1, seconds=1.0, rows=rows)],
        unpacked=Unpacked(file_bytes=1, folders=folders, unpacked_bytes=1, left_folders=left_folders),
        notes=[],
    )
    return [goal.what for goal in found.goals() if not goal.met]


def test_memory_is_read_in_bytes() -> None:
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
    once = memory.of([os.getpid()])
    assert once.resident >= once.proportional >= once.anonymous > 1_000_000
    assert memory.of([os.getpid()] * 2).resident > once.resident


def test_a_tree_is_a_process_and_all_that_descend_from_it() -> None:
    assert descendants({1: 0, 10: 1, 11: 10, 12: 11, 13: 10, 20: 1, 21: 20}, 10) == [10, 11, 13, 12]
    assert descendants({}, 7) == [7]


def test_the_folders_that_a_process_runs_out_of_are_told_by_its_maps(tmp_path: Path) -> None:
    """What lies in one is counted in bytes, links not at all."""
    assert unpacked_folders(_MAPS) == {"/tmp/a/_MEIx1", "/var/tmp/_MEIy2", "/var/two words/_MEIz3"}  # noqa: S108 - text, no file
    assert unpacked_folders("") == set()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(b"123")
    (tmp_path / "b").write_bytes(b"4567")
    (tmp_path / "c").symlink_to("b")
    assert folder_bytes(tmp_path) == 7


def test_ratios_are_of_the_file_to_the_package_in_one_round() -> None:
    line = Line.of("x", "x", package=[1.0, 10.0, 4.0], binary=[2.0, 10.0, 2.0])
    assert line.ratio == Spread(low=0.5, median=1.0, high=2.0)
    assert (line.package.median, line.binary.median) == (4.0, 2.0)


@pytest.mark.parametrize(("package", "binary"), [(100.0, 0.0), (0.0, 100.0), (0.0, 0.0)])
def test_a_figure_that_was_not_measured_is_refused(package: float, binary: float) -> None:
    """Nothing is below whatever may be reached, and nothing by nothing is no ratio."""
    with pytest.raises(ScenarioError, match=r"^memory: a figure of 0 was not measured; allowed: above 0"):
        Line.of("memory", "memory", package=[package, 1.0], binary=[binary, 1.0])


def test_each_goal_is_missed_by_what_is_beyond_it() -> None:
    """Starts by the file's own figure, memory and throughput by the ratio, all else by number; other figures have no goal."""
    assert _missed(start_ms=2000.0, memory=1.1, throughput=0.951) == []
    assert _missed(start_ms=2001.0) == ["start"]
    assert _missed(memory=1.11) == ["memory, × the package's"]
    assert _missed(throughput=0.94) == ["hits, answers/s × the package's"]
    assert _missed(errors=1) == ["answers that were wrong or lost"]
    assert _missed(folders=0) == _missed(folders=2) == ["folders that two workers unpack to"]
    assert _missed(left_folders=1) == ["folders left behind"]


def test_what_makes_a_comparison_unfair_is_said() -> None:
    """Another interpreter, or one whose pages the harness shares; and nothing where it is as it should be."""
    package, binary = ("3.13.5", "/usr/bin/python3.13"), ("3.13.5", "/tmp/decide")  # noqa: S108 - text, no file
    assert notes(package, binary, "/usr/bin/python3.11") == []
    (other,) = notes(package, ("3.11.7", ""), "/usr/bin/python3.11")
    assert "Python 3.13.5, the file on 3.11.7" in other
    (shared,) = notes(package, binary, "/usr/bin/python3.13")
    assert "harness's own interpreter" in shared


def test_programs_are_found_from_any_folder(tmp_path: Path) -> None:
    """By an absolute path; a link stays one, since an environment's Python knows by it which it is."""
    (tmp_path / "python").symlink_to(sys.executable)
    given = os.path.relpath(tmp_path / "python")
    assert command_of("--package", f"{given} -m app") == [str(tmp_path / "python"), "-m", "app"]


@pytest.mark.parametrize("text", ["/nowhere/decide", "", "'unfinished", "README.md"])
def test_what_is_no_program_ends_with_2_and_the_option_by_name(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ScenarioError, match=r"^--package is "):
        command_of("--package", text)
    assert main(["--only", "binary", "--binary", text]) == 2
    assert f"bench: --binary is {text!r}" in capsys.readouterr().err


@_linux
@pytest.mark.skipif(shutil.which("redis-server") is None, reason="NO REDIS: the one file was not measured")
def test_a_stand_in_is_measured_from_start_to_stop(tmp_path: Path) -> None:
    """A script that runs the package: everything is found of both, and that it unpacks nothing misses a goal."""
    stand_in = tmp_path / "decide"
    stand_in.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m app "$@"\n', encoding="utf-8")
    stand_in.chmod(0o755)
    commands = {"package": [sys.executable, "-m", "app"], "binary": [str(stand_in)]}
    pace = Pace(rounds=1, seconds=0.1, sizes=(20, 100_000), warm_symbols=1, warm_bars=1, loop_symbols=1)
    world = World(tmp_path)
    try:
        found = Measuring(world, commands, pace, print).compare()
    finally:
        world.close()
    assert [each.name for each in found.lines] == [
        "start", "memory_1", "anonymous_1", "resident_1", "memory_2", "anonymous_2", "resident_2",
    ]  # fmt: skip
    by_name = {each.name: each.package.median for each in found.lines}
    assert all(by_name[f"{part}_2"] > by_name[f"{part}_1"] for part in ("memory", "anonymous", "resident"))
    assert [(each.name, [row.name for row in each.rows]) for each in found.tables] == [
        (name, ["package", "binary"]) for name in ("hits", "batches")
    ]
    assert found.wrong == 0
    assert "folders that two workers unpack to" in [goal.what for goal in found.goals() if not goal.met]
