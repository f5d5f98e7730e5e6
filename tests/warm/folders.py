"""The job on a folder of files, each of which has a fate."""

from pathlib import Path

from tests.warm.running import Outcome, warm

NOW_MS = 1_800_000_000_000


def run(folder: Path, *more: object) -> Outcome:
    """Warm from the prices in a folder."""
    return warm("--prices", folder, *more, now_ms=NOW_MS)


def fates(outcome: Outcome) -> dict[str, tuple[str | None, str]]:
    """Each file's format and fate."""
    return {each["file"]: (each["format"], each["fate"]) for each in outcome.report["files"]}
