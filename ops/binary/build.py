"""Build the one file: ``python3 ops/binary/build.py`` (what `just binary` calls) writes dist/decide and what stands beside it.

It needs Docker with BuildKit and nothing but Python's standard library. Packages come from where the environment says, as for the
other images: PIP_INDEX_URL, UV_DEFAULT_INDEX, HTTPS_PROXY and their kin.
"""

import argparse
import filecmp
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
STAGE = "build-binary"
WRITTEN = ("decide", "decide.sha256", "decide.cdx.json", "decide.licenses.txt")
_HANDED_ON = ("PIP_INDEX_URL", "PIP_TRUSTED_HOST", "UV_DEFAULT_INDEX", "PYTHON_IMAGE")
"""Docker hands proxies' variables on by itself."""
_MEBIBYTE = 1 << 20


def command(out: Path, epoch_s: str, environ: Mapping[str, str], *, anew: bool) -> list[str]:
    """Docker's command; ``anew`` takes nothing that was kept of an earlier build. Docker looks for values in its environment."""
    given = [part for name in _HANDED_ON if environ.get(name) for part in ("--build-arg", name)]
    given += ["--build-arg", f"SOURCE_DATE_EPOCH={epoch_s}", *(["--no-cache-filter", STAGE] if anew else [])]
    return ["docker", "build", "--file", "ops/Dockerfile", "--target", "binary", "--output", str(out), *given, "."]


def commit_time_s() -> str:
    """When the last commit was made: the time that the list of parts says it is of. 0 where git does not know."""
    try:
        found = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "0"
    return found.stdout.strip() or "0"


def build(out: Path, *, anew: bool = False) -> int:
    """Docker's exit code."""
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    out.mkdir(parents=True, exist_ok=True)
    try:
        return subprocess.run(
            command(out, commit_time_s(), environment, anew=anew), cwd=ROOT, env=environment, check=False
        ).returncode
    except OSError as error:
        print(f"binary: docker cannot be started: {error}", file=sys.stderr)
        return 1


def describe(out: Path) -> str:
    """What was built, in a few lines: read from what stands beside it."""
    bill = json.loads((out / "decide.cdx.json").read_text(encoding="utf-8"))
    root = bill["metadata"]["component"]
    facts = {each["name"].removeprefix("decide:"): each["value"] for each in root["properties"]}
    mebibytes = {name: round(int(value) / _MEBIBYTE) for name, value in facts.items() if name.endswith("_bytes")}
    size = round((out / "decide").stat().st_size / _MEBIBYTE)
    return (
        f"{out / 'decide'}: decide {root['version']}, {size} MiB, for glibc {facts['needs_glibc']} or newer; "
        f"unpacks {mebibytes['unpacked_at_start_bytes']} MiB at its start, "
        f"{mebibytes['unpacked_when_wanted_bytes']} more when wanted\n"
        f"sha256 {root['hashes'][0]['content']}; its {len(bill['components'])} parts are in decide.cdx.json"
    )


def differing(one: Path, other: Path) -> list[str]:
    """Which of the files that a build writes are not the same in two folders."""
    _, mismatched, missing = filecmp.cmpfiles(one, other, WRITTEN, shallow=False)
    return sorted([*mismatched, *missing])


def check(out: Path) -> int:
    """Build it all again and compare; 1 if a byte is another."""
    with tempfile.TemporaryDirectory(prefix="decide-binary-") as temporary:
        again = Path(temporary)
        if build(again, anew=True):
            return 1
        found = differing(out, again)
    if found:
        print(f"binary: built again it is not the same: {', '.join(found)}", file=sys.stderr)
        return 1
    print("built again from nothing it is the same, byte for byte")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 built (and the same when built again), 1 not."""
    parser = argparse.ArgumentParser(prog="just binary", description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder to write to (default dist)")
    parser.add_argument("--check", action="store_true", help="build it a second time from nothing, and see that it is the same")
    given = parser.parse_args(arguments)
    started = time.monotonic()
    if build(given.out):
        return 1
    print(f"{describe(given.out)}; took {time.monotonic() - started:.0f} s")
    return check(given.out) if given.check else 0


if __name__ == "__main__":
    sys.exit(main())
