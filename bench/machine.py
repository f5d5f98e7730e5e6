"""On what a run was made: processor, memory, limits, versions, commit. Part of every result: no figure means anything alone."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

PACKAGES = ("hdrhistogram", "httptools", "matplotlib", "msgspec", "uvloop")
_LIMITS = (
    ("cpu_limit", ("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us")),
    ("memory_limit_bytes", ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")),
)


def machine() -> dict[str, object]:
    """What the harness runs on; a server elsewhere runs on something else."""
    found: dict[str, object] = {
        "system": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory_gb": _memory_gb(),
    }
    for name, paths in _LIMITS:
        for path in paths:
            if (text := _read(path)) is not None:
                found[f"harness_{name}"] = text.strip()
                break
    return found


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Python's, and those of the packages: by default what the harness itself runs on."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "none"
    return found


def commit() -> str:
    """Of the checkout the harness runs from, or what its image was built of."""
    if given := os.environ.get("DECIDE_COMMIT"):
        return given
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, cwd=Path(__file__).parent, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return None


def _processor() -> str:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    for line in (_read("/proc/meminfo") or "").splitlines():
        if line.startswith("MemTotal"):
            return round(int(line.split()[1]) / 1024**2, 1)
    return None
