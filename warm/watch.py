"""``decide warm --watch``: load whenever a file of the inputs has changed, until it is told to stop.

Each load is a process of its own, the same command without ``--watch``. So nothing that a file does to it, taking all of its
memory included, ends the watching, and each publication is atomic as ever.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from app.program import DECIDE, environment
from warm.files.find import SUFFIXES
from warm.saying import sayer

STOPPED = 0
QUIET_MS = 400
"""Files are loaded when nothing has changed for so long: whoever writes them may not be done."""
LONGEST_MS = 10_000
"""But no later than so long after the first change."""
_LOOK_MS = 500
"""How often it is looked whether what is watched is still there: a folder that was replaced is another one."""
_WAIT_S = 0.5


class Watching(Protocol):
    """Sets of what has changed in ``folders``, an empty one now and then, until ``stop`` is set."""

    def __call__(self, folders: Sequence[Path], stop: threading.Event) -> Iterable[set[str]]:
        """Begins at the first step."""
        ...


def watched(folders: Sequence[Path], stop: threading.Event) -> Iterator[set[str]]:
    """`Watching` by the operating system."""
    from watchfiles import watch  # noqa: PLC0415 - nobody else needs it

    for changes in watch(
        *folders,
        watch_filter=None,
        debounce=LONGEST_MS,
        step=QUIET_MS,
        stop_event=stop,
        rust_timeout=_LOOK_MS,
        yield_on_timeout=True,
        raise_interrupt=False,
        ignore_permission_denied=True,
    ):
        yield {path for _, path in changes}


def concerns(path: Path, inputs: Sequence[Path]) -> bool:
    """Whether what happened at ``path`` may change what ``inputs``, files and folders, bring: not to hidden files, which are
    never read, nor to what is neither a folder nor of a kind that is. A link may lead to any of these.
    """
    for each in inputs:
        if path == each or (path.is_relative_to(each) and path.is_symlink()):
            return True
        if path.is_relative_to(each) and not any(part.startswith(".") for part in path.relative_to(each).parts):
            return path.name.lower().endswith(SUFFIXES) or path.is_dir() or not (path.exists() or path.suffix)
    return False


def watch_inputs(
    inputs: Sequence[Path],
    load: Callable[[], object],
    stop: threading.Event,
    say: Callable[..., object],
    watching: Watching = watched,
    ours: Path | None = None,
) -> int:
    """``load`` at once and after each change of ``inputs`` until ``stop`` is set; the exit code. Whatever becomes of a load, the
    next change has the next one. ``say`` is told of what happens: an event and its facts. ``ours`` is a file that loads write.
    """
    say("watching", inputs=[str(each.resolve()) for each in inputs])
    are_folders, away = [each.is_dir() for each in inputs], False
    while not stop.is_set():
        there = _identities(inputs, are_folders)
        if None in there:
            if not away:
                say("away", inputs=[str(each) for each, found in zip(inputs, there, strict=True) if found is None])
            away = True
            stop.wait(_WAIT_S)
            continue
        first, away = True, False
        real = [each.real for each in there if each is not None]
        try:
            for changes in watching(sorted({each.folder for each in there if each is not None}), stop):
                files = sorted(each for each in changes if concerns(Path(each), real) and Path(each) != ours)
                if stop.is_set() or _identities(inputs, are_folders) != there:
                    # A folder is away, or another one stands in its place, which nobody watches yet.
                    break
                if files:
                    say("changed", files=len(files), first=files[0])
                if (files or first) and not stop.is_set():
                    load()
                first = False
        except OSError as error:
            say("not_watched", error=str(error))
            stop.wait(_WAIT_S)
    say("stopped")
    return STOPPED


class _There(NamedTuple):
    """Where an input leads to, the folder that it is watched by, and which one that is."""

    real: Path
    folder: Path
    device: int
    number: int


def _identities(inputs: Sequence[Path], are_folders: Sequence[bool]) -> list[_There | None]:
    """Of each input; None while its folder is away."""
    found: list[_There | None] = []
    for each, is_folder in zip(inputs, are_folders, strict=True):
        try:
            real = each.resolve()
            folder = real if is_folder else real.parent
            status = folder.stat()
            found.append(_There(real, folder, status.st_dev, status.st_ino))
        except (OSError, RuntimeError):
            # Python 3.11 calls a loop of links a RuntimeError.
            found.append(None)
    return found


class Loads:
    """Loads in processes of their own; ``arguments`` are those of ``decide warm``, without ``--watch``."""

    def __init__(self, arguments: Sequence[str], stop: threading.Event) -> None:
        self._command = [*DECIDE, "warm", *arguments]
        self._environment = environment(os.environ)
        self._stop = stop

    def __call__(self) -> int:
        """One load; its exit code. One that is under way when it is to stop is ended: the store has all of it, or nothing."""
        process = subprocess.Popen(self._command, env=self._environment)  # noqa: S603 - this very command
        while True:
            try:
                return process.wait(0.1)
            except subprocess.TimeoutExpired:
                if self._stop.is_set():
                    process.terminate()
                    return process.wait()


def main(inputs: Sequence[Path], arguments: Sequence[str], report: Path | None) -> int:
    """Watch ``inputs`` until SIGTERM or Ctrl-C; the exit code. ``arguments`` are those of each load, which writes ``report``."""
    stop = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: stop.set())
    ours = None if report is None else report.resolve()
    return watch_inputs(inputs, Loads(arguments, stop), stop, sayer(sys.stderr), ours=ours)
