"""Where the one file begins: in the process that PyInstaller's bootloader starts when it has unpacked the rest of it."""

import ctypes
import multiprocessing
import os
import runpy
import shutil
import signal
import sys
from typing import NoReturn

from ops.binary import unpacking

_PR_SET_PDEATHSIG = 1
_OURS = ("app", "warm", "bench")


def main() -> int:
    """The exit code of the command."""
    folder = unpacking.install()
    # A worker that is started anew, instead of being forked, is this program again with arguments of multiprocessing's.
    multiprocessing.freeze_support()
    # The bootloader hands signals on and removes the folder in the end. Killed, it can do neither: then the kernel tells us to
    # stop, and the folder is ours to remove.
    parent = os.getppid()
    # As an exception, so that whatever runs comes to its end, and this to its; a server has its own way.
    signal.signal(signal.SIGTERM, _end)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # If it was killed before we asked, the kernel tells us nothing.
    is_late = os.getppid() != parent or (folder is not None and unpacking.is_abandoned(folder))
    try:
        return 128 + signal.SIGTERM if is_late else run(sys.argv[1:])
    finally:
        if folder is not None and (is_late or os.getppid() != parent):
            shutil.rmtree(folder, ignore_errors=True)


def _end(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


def run(arguments: list[str]) -> int:
    """A command, or, after ``-m``, a module of ours: programs of ours start parts of themselves as `sys.executable` runs them
    where it is Python.
    """
    if len(arguments) > 1 and arguments[0] == "-m" and arguments[1].partition(".")[0] in _OURS:
        sys.argv[:] = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return 0
    from app.__main__ import main as command  # noqa: PLC0415 - a worker or a module needs none of it

    return command()


if __name__ == "__main__":
    sys.exit(main())
