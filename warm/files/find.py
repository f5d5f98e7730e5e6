"""Which files there are: folders are walked, and archives are opened."""

import os
import re
from collections import Counter
from pathlib import Path

from app.domain.text import harmless
from warm.errors import InputRefused
from warm.files.archives import open_archive
from warm.files.read import KINDS, MEMBERS_MAX, UNPACKING, Source, one_line

SUFFIXES = (*KINDS, *(f"{each}{packed}" for each in KINDS for packed in (".gz", ".zst")), ".zip")

_is_report = re.compile(
    r"(?:.*/)?(?:complete_report[^/]*|[^/]*trading_memory[^/]*|reports/final_trade_decision|5_portfolio/decision)\.md(?:\.gz|\.zst)?"
).fullmatch
"""Markdown that is data, by the names that its makers give it; other text is somebody's notes."""


def _is_data(path: Path) -> bool:
    """Whether a file is data by its name, for Markdown with the folders above it."""
    name = path.name.lower()
    return name.endswith(SUFFIXES) and (
        not name.endswith((".md", ".md.gz", ".md.zst")) or _is_report(path.resolve().as_posix().lower()) is not None
    )


def find_sources(path: Path) -> tuple[list[Source], list[str]]:
    """The files at ``path`` that may be data, sorted by name, and the labels of those whose names say that they are not.

    A folder is walked to the bottom; hidden files and folders are left out. Archives stand for the files in them.

    Raises:
        InputRefused: nothing there.
    """
    if not path.exists():
        raise InputRefused(f"{path}: no such file or folder")
    if not path.is_dir():
        if not _is_data(path):
            raise InputRefused(harmless(f"{path}: not a known kind of file; allowed: {', '.join(SUFFIXES)}"))
        sources, others = _opened(path, path.name)
    else:
        sources, others = [], []
        for file in sorted(path.rglob("*")):
            inside = file.relative_to(path)
            if any(part.startswith(".") for part in inside.parts):
                continue
            if (fault := _fault(file, path)) is not None:
                sources.append(Source(file, inside.as_posix(), fault=fault))
                continue
            if not file.is_file():
                continue
            found, besides = _opened(file, inside.as_posix())
            sources += found
            others += besides
    if not sources:
        where = "folder" if path.is_dir() else "archive"
        raise InputRefused(harmless(f"{path}: no file in this {where} ends in {', '.join(SUFFIXES)}"))
    seen: Counter[str] = Counter()
    for each in sources:
        # What is not shown of names may be all that they differ in, and an archive may have two of one name.
        seen[each.label] += 1
        each.label += f" ({seen[each.label]})" if seen[each.label] > 1 else ""
    return sources, others


def _fault(file: Path, folder: Path) -> str | None:
    """What is to be refused of what stands in ``folder``, though nobody can or may read it: else it would vanish in silence."""
    if file.is_symlink():
        try:
            real = file.resolve()
        except (OSError, RuntimeError):
            # Python 3.11 calls a loop of links a RuntimeError.
            real = file
        if not real.exists():
            return "it is a link that leads nowhere" if _is_data(file) else None
        # What lies elsewhere was not given; whoever may write here could have any file shown in a report.
        if not real.is_relative_to(folder.resolve()):
            return f"it is a link that leaves the folder; allowed: the {'folder' if real.is_dir() else 'file'} itself"
    elif file.is_dir() and not os.access(file, os.R_OK | os.X_OK):
        return "the folder cannot be read: permission is missing"
    return None


def _opened(path: Path, label: str) -> tuple[list[Source], list[str]]:
    """The sources that one file holds, and the labels of what in it is no data: itself, or other members of an archive."""
    if not _is_data(path):
        return [], [harmless(label)]
    if not path.name.lower().endswith(".zip"):
        return [Source(path, label)], []
    try:
        members = _members(path, None)
    except UNPACKING as error:
        return [Source(path, label, fault=f"no readable zip archive ({one_line(error)})")], []
    if len(members) > MEMBERS_MAX:
        return [Source(path, label, fault=f"{len(members)} files in one archive; allowed: {MEMBERS_MAX}")], []
    sources, others = [], [] if members else [label]
    for member in members:
        inside = f"{label}/{member}"
        if member.lower().endswith(".zip"):
            found, besides = _nested(path, member, inside)
            sources += found
            others += besides
        elif _is_data(Path(member)):
            sources.append(Source(path, inside, member))
        else:
            others.append(inside)
    return sources, [harmless(each) for each in others]


def _members(path: Path, member: str | None) -> list[str]:
    return sorted(info.filename for info in open_archive(path, member).infolist() if not info.is_dir())


def _nested(path: Path, member: str, label: str) -> tuple[list[Source], list[str]]:
    """The same of an archive in an archive; what is in one in that is told and skipped, as is one that cannot be read."""
    try:
        inner = _members(path, member)
    except UNPACKING:
        return [], [label]
    except InputRefused as refused:
        return [Source(path, label, fault=str(refused))], []
    if len(inner) > MEMBERS_MAX:
        return [Source(path, label, fault=f"{len(inner)} files in one archive; allowed: {MEMBERS_MAX}")], []
    data = [each for each in inner if _is_data(Path(each)) and not each.lower().endswith(".zip")]
    others = [f"{label}/{each}" for each in sorted(set(inner).difference(data))]
    return [Source(path, f"{label}/{each}", member, inner=each) for each in data], others
