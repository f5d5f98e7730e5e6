"""Where the one file begins, with a stand-in for the bootloader that unpacks it and starts it. The real one runs in
tests/acceptance.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.binary import unpacking
from tests.kit.servers import ROOT, clean_environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="NO LINUX: the one file is for Linux alone")

_BOOTLOADER = """
import os, subprocess, sys, tempfile
os.environ["FOLDER"] = tempfile.mkdtemp(prefix=f"_MEI{os.getpid():08x}", dir=".")
sys.exit(subprocess.run([sys.executable, "-c", *sys.argv[1:]]).returncode)
"""
_MAIN = """
import os, sys
sys._MEIPASS = os.path.abspath(os.environ["FOLDER"])
print("unpacked", flush=True)
sys.stdin.readline()
from ops.binary.entry import main
sys.exit(main())
"""
_STARTS_ITSELF = """
import os, subprocess, sys
sys.exit(subprocess.run([sys.executable, "-c", os.environ["MAIN"], *sys.argv[1:]]).returncode)
"""


def _bootloader(folder: Path, program: str) -> "subprocess.Popen[str]":
    """It has started ``program`` with the arguments of ``decide version``; a line lets that begin."""
    process = subprocess.Popen(
        [sys.executable, "-c", _BOOTLOADER, program, "version"],
        cwd=folder,
        env=clean_environment({"PYTHONPATH": str(ROOT), "MAIN": _MAIN}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "unpacked\n"
    return process


@pytest.mark.parametrize("options", [os.WEXITED, os.WEXITED | os.WNOWAIT], ids=["reaped", "zombie"])
def test_a_bootloader_killed_before_the_command_begins_leaves_nothing(options: int, tmp_path: Path) -> None:
    """The command is not run, and the folder is removed, whether or not somebody has asked yet how the bootloader ended."""
    process = _bootloader(tmp_path, _MAIN)
    (unpacked,) = tmp_path.iterdir()
    assert unpacked.name.startswith(f"_MEI{process.pid:08x}")
    process.kill()
    os.waitid(os.P_PID, process.pid, options)
    said, _ = process.communicate("\n", timeout=60)
    assert said == ""
    assert not unpacked.exists()


@pytest.mark.parametrize("program", [_MAIN, _STARTS_ITSELF], ids=["main", "started by it"])
def test_with_its_bootloader_there_a_command_runs(program: str, tmp_path: Path) -> None:
    """Also in a process that the main process starts, whose parent is not the bootloader; the folder is left to that."""
    process = _bootloader(tmp_path, program)
    said, _ = process.communicate("\n", timeout=60)
    assert process.returncode == 0
    assert said.startswith("decide ")
    assert len(list(tmp_path.iterdir())) == 1


def test_whose_folder_it_is_stands_in_its_name() -> None:
    """One that is called otherwise says nothing: nobody is kept from starting by what cannot be told."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait(30)
    assert unpacking.is_abandoned(Path(f"_MEI{ended.pid:08x}Ab12Cd"))
    assert not unpacking.is_abandoned(Path(f"_MEI{os.getppid():08x}Ab12Cd"))
    assert not unpacking.is_abandoned(Path(f"_MEI{os.getpid():08x}Ab12Cd"))
    assert not unpacking.is_abandoned(Path("_MEIAb12Cd"))
