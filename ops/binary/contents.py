"""What is in the one file, and what of it waits until it is wanted (`unpacking`): names and places, for `decide.spec`."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from ops.binary.unpacking import LAZY, PREFIX

Entry = tuple[str, str, str]
"""Of PyInstaller's lists: where it goes, where it comes from, what kind it is."""

OURS = ("app", "warm", "bench")
PEERS = "bench.peers"
"""Starts others' servers, which are not inside."""

EXCLUDED = (
    PEERS,
    *("tkinter", "curses", "readline", "idlelib", "turtle", "doctest", "pydoc", "test", "ensurepip", "venv"),
    *("setuptools", "pip", "_distutils_hack", "pytest", "IPython", "hypothesis", "jinja2"),
    *("numpy.f2py", "numpy.testing", "numpy.distutils", "matplotlib.tests", "matplotlib.testing", "pylab"),
    *("PIL.ImageQt", "PIL.ImageTk", "PIL._avif", "PIL._webp", "PIL._imagingcms", "PIL._imagingft"),
)
"""What nothing in Decide comes to, though some module of a library would import it."""

COMPRESSED = {
    # PyInstaller's own choice, and what waits besides.
    **dict.fromkeys(("EXTENSION", "DATA", "BINARY", "EXECUTABLE", "PYSOURCE", "PYMODULE", "SPLASH", "PKG"), True),
    **dict.fromkeys(("PYZ", "SYMLINK"), False),
}

_UNUSED_DATA = (
    "matplotlib/mpl-data/sample_data",
    "matplotlib/mpl-data/plot_directive",
    "matplotlib/mpl-data/images",
    "matplotlib/mpl-data/stylelib",
    "matplotlib/mpl-data/fonts/afm",
    "matplotlib/mpl-data/fonts/pdfcorefonts",
)
UNUSED_HOOKS = ("pyi_rth_mplconfig",)
"""Of what PyInstaller runs before all else: this one would make a folder for matplotlib at every start of a server."""
_LEXERS = ("pygments.lexers._mapping", "pygments.lexers.python")
_RENAMED = {
    "pillow.libs": "PIL",
    "psycopg_binary.libs": "psycopg_binary",
    "confluent_kafka.libs": "confluent_kafka",
    "_polars_runtime_32": "polars",
    "pyhdrh": "hdrh",
}
"""Whose a top-level name is, where it is not the package's own."""


def our_files(root: Path) -> Iterator[tuple[str, str]]:
    """Files of ours that are no modules, each with the folder that it goes to; sample and tables go into the warm job."""
    for folder in ("app/console", "app/docs", "app/market/migrations", "warm/stream/migrations", "bench/scenarios"):
        yield str(root / folder), folder
    for folder in ("prices", "agents"):
        yield str(root / "data" / folder), f"warm/sample/{folder}"
    yield str(root / "data" / "sessions"), "warm/tables"


def split(files: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
    """What is unpacked at every start, and what waits; without what nothing reads."""
    at_once, waiting = [], []
    for place, source, kind in sorted(files):
        package = owner(place)
        if not is_used(place):
            continue
        if package not in LAZY:
            at_once.append((place, source, kind))
        elif kind != "SYMLINK":
            waiting.append((f"{PREFIX}/{package}/{place}", source, "PKG"))
    # A name beside the folder of shared libraries that a link stands for: what waits is found by its path alone.
    here = {place for place, _, _ in at_once}
    return [each for each in at_once if each[2] != "SYMLINK" or each[1] in here], waiting


def owner(place: str) -> str:
    """The top-level package that a file belongs to."""
    top = place.partition("/")[0]
    stem = top.partition(".")[0]
    return _RENAMED.get(top) or _RENAMED.get(stem) or stem


def is_used(place: str) -> bool:
    """Whether anything of ours reads the file."""
    return not place.startswith(_UNUSED_DATA)


def is_used_module(name: str) -> bool:
    """Whether anything of ours may import it: nothing shows code in 500 languages."""
    return not name.startswith("pygments.lexers.") or name in _LEXERS
