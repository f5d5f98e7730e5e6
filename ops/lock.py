"""Write the lock files from pyproject.toml, or check (``--check``) that they still follow from it.

``requirements.lock`` is what the server needs, ``-warm`` that and the warm job's, ``-bench`` the harness's alone, ``-ops`` what
builds the images, ``-build`` what builds the package and the one file, ``-traces`` what the server needs with traces,
``-postgres`` with its market store on PostgreSQL, ``-kafka`` what the jobs need with the stream's log in Kafka, ``-coinbase``
what that source needs, ``-dev`` all that tests and checks need, ``-peers`` and ``-feast`` what others' servers need that ours is
measured against. All are universal (any platform, any supported Python) and hashed; none may name a host, because where packages
come from is the business of whoever installs them. Each later one is held to the versions of those before it, but for Feast's.
``--upgrade`` takes the newest versions; without it, pins that still fit stay.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = *("--extra", "warm", "--extra", "traces", "--extra", "postgres"), *("--extra", "kafka", "--extra", "coinbase")
LOCKS: dict[str, tuple[str, ...]] = {
    "requirements.lock": ("pyproject.toml",),
    "requirements-warm.lock": ("pyproject.toml", "--extra", "warm"),
    "requirements-bench.lock": ("--group", "bench"),
    "requirements-ops.lock": ("--group", "ops"),
    "requirements-build.lock": ("--group", "build"),
    "requirements-traces.lock": ("pyproject.toml", "--extra", "traces"),
    "requirements-postgres.lock": ("pyproject.toml", "--extra", "postgres"),
    "requirements-kafka.lock": ("pyproject.toml", "--extra", "warm", "--extra", "kafka"),
    "requirements-coinbase.lock": ("pyproject.toml", "--extra", "coinbase"),
    "requirements-dev.lock": ("pyproject.toml", *EXTRAS, "--group", "dev"),
    "requirements-peers.lock": ("pyproject.toml", "--extra", "warm", "--extra", "postgres", "--group", "peers"),
    "requirements-feast.lock": ("--group", "feast"),
}
APART = {"requirements-feast.lock"}
"""What is not held to the versions of the others, nor they to its."""
_HOST = re.compile(r"[a-z]+://|--(extra-)?index-url|--find-links", re.IGNORECASE)


def compile_lock(name: str, folder: Path, *, upgrade: bool) -> str:
    """The text of one lock file, resolved in ``folder`` (which holds pyproject.toml and the locks as they are)."""
    names = list(LOCKS)
    earlier = [] if name in APART else [part for other in names[: names.index(name)] for part in ("--constraints", other)]
    command = ["uv", "pip", "compile", *LOCKS[name], *earlier, "--universal", "--generate-hashes", "--quiet"]
    command += ["--no-emit-index-url", "--no-emit-find-links", "--custom-compile-command", "just lock", "-o", name]
    subprocess.run([*command, *(["--upgrade"] if upgrade else [])], cwd=folder, check=True)
    return (folder / name).read_text(encoding="utf-8")


def main() -> int:
    """Exit codes: 0 written or fresh, 1 stale or with a host in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a lock is not what pyproject.toml gives")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that pyproject.toml allows")
    arguments = parser.parse_args()
    faults = []
    with tempfile.TemporaryDirectory(prefix="decide-lock-") as temporary:
        folder = Path(temporary)
        for name in ("pyproject.toml", "README.md", "LICENSE", *LOCKS):
            if (ROOT / name).exists():
                shutil.copy(ROOT / name, folder / name)
        for name in LOCKS:
            text = compile_lock(name, folder, upgrade=arguments.upgrade)
            if _HOST.search(text):
                faults.append(f"{name} names a place to install from; it must not")
            elif not arguments.check:
                (ROOT / name).write_text(text, encoding="utf-8")
            elif text != (ROOT / name).read_text(encoding="utf-8"):
                faults.append(f"{name} is not what pyproject.toml gives: run `just lock`")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
