"""What was found of the package and of the binary, held against what must be, and shown. Pure: figures in, text out."""

from collections.abc import Sequence

import msgspec

from bench.peers.sampling import Spread
from bench.results import Check

READY_MS, MEMORY_RATIO, THROUGHPUT_RATIO = 2000.0, 1.10, 0.95


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of both; ``ratio`` is how many times the package's the binary's is, within one round. ``most`` and ``least`` are
    what the median of the ratios may be, ``most_itself`` what that of the binary's own figures may be.
    """

    name: str
    title: str
    unit: str
    package: Spread
    binary: Spread
    ratio: Spread
    digits: int = 0
    most: float | None = None
    least: float | None = None
    most_itself: float | None = None

    @classmethod
    def of(
        cls,
        name: str,
        title: str,
        unit: str,
        *,
        package: Sequence[float],
        binary: Sequence[float],
        digits: int = 0,
        most: float | None = None,
        least: float | None = None,
        most_itself: float | None = None,
    ) -> "Line":
        """From the figures of each round, in the order of the rounds."""
        ratios = [theirs / max(ours, 1e-9) for ours, theirs in zip(package, binary, strict=True)]
        return cls(
            name=name,
            title=title,
            unit=unit,
            package=Spread.of(package),
            binary=Spread.of(binary),
            ratio=Spread.of(ratios),
            digits=digits,
            most=most,
            least=least,
            most_itself=most_itself,
        )


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What a server was: its command, what it says of itself, and what it is run by."""

    command: list[str]
    version: dict[str, object]
    executable: str


class Unpacked(msgspec.Struct, frozen=True, kw_only=True):
    """What one file unpacks to while it runs with two workers: ``folders`` is 1 where they share it, ``left_folders`` are there
    after the server was stopped.
    """

    file_bytes: int
    folders: int
    unpacked_bytes: int
    left_folders: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    started_at: str
    took_s: float
    quick: bool
    commit: str
    machine: dict[str, object]
    symbols: int
    package: Side
    binary: Side
    lines: list[Line]
    unpacked: Unpacked
    wrong: int
    notes: list[str]
    checks: list[Check]

    @property
    def failures(self) -> list[Check]:
        """The checks that failed."""
        return [check for check in self.checks if not check.passed]


def judge(lines: Sequence[Line], unpacked: Unpacked, wrong: int) -> list[Check]:
    """Every line that has a limit, that something was unpacked, and that nothing was answered wrongly or left behind.

    What was not measured passes nothing: a figure of 0 would be below any limit.
    """
    checks = []
    for line in lines:
        limits = (line.most, line.least, line.most_itself)
        if any(limit is not None for limit in limits) and min(line.package.low, line.binary.low) <= 0:
            checks.append(_some(line.title, f"the least figure in {line.unit}", 0))
            continue
        if line.most_itself is not None:
            found = line.binary.median
            checks.append(_at_most(line.title, f"the binary's median in {line.unit}", line.most_itself, found))
        if line.most is not None:
            checks.append(_at_most(line.title, "the binary's, as a multiple of the package's,", line.most, line.ratio.median))
        if line.least is not None:
            found = line.ratio.median
            checks.append(
                Check(
                    phase=line.title,
                    name="the binary's, as a multiple of the package's,",
                    rule="at least",
                    limit=line.least,
                    found=round(found, 4),
                    passed=found >= line.least,
                )
            )
    checks.append(_at_most("all loads", "the number of answers that were wrong or lost", 0, wrong))
    checks.append(_some("two workers", "the number of folders that the file unpacks to", unpacked.folders))
    checks.append(_some("two workers", "the number of bytes in them", unpacked.unpacked_bytes))
    # Of folders that were never seen nobody knows whether they are left.
    if unpacked.folders:
        checks.append(_at_most("after the stop", "the number of folders left behind", 0, unpacked.left_folders))
    return checks


def _some(phase: str, name: str, found: int) -> Check:
    """That there was something to measure."""
    return Check(phase=phase, name=name, rule="at least", limit=1, found=found or None, passed=found > 0)


def _at_most(phase: str, name: str, limit: float, found: float) -> Check:
    return Check(phase=phase, name=name, rule="at most", limit=limit, found=round(found, 4), passed=found <= limit)


def notes(package: Side, binary: Side, own_executable: str) -> list[str]:
    """What a reader must know to compare the two, where it is not as it should be."""
    found = []
    if package.version.get("python") != binary.version.get("python"):
        ours, theirs = package.version.get("python"), binary.version.get("python")
        found.append(f"The package runs on Python {ours}, the binary on {theirs}: the ratios are of the two interpreters, too.")
    if package.executable == own_executable:
        found.append(
            "The package runs on the harness's own interpreter and shares its files' pages with it, which makes its proportional "
            "memory smaller than it would be alone; the binary shares none."
        )
    return found


def _spread(value: Spread, digits: int) -> str:
    return f"{value.median:,.{digits}f} [{value.low:,.{digits}f}, {value.high:,.{digits}f}]"


def table(lines: Sequence[Line]) -> list[list[str]]:
    """Rows for people, the first of them the head."""
    rows = [["median [least, most] of the rounds", "package", "binary", "binary, × package in the same round"]]
    for line in lines:
        both = [_spread(value, line.digits) for value in (line.package, line.binary)]
        rows.append([f"{line.title}, {line.unit}", *both, _spread(line.ratio, 3)])
    return rows


def size(unpacked: Unpacked) -> str:
    """What the file takes, in a sentence."""
    folders = "one folder" if unpacked.folders == 1 else f"{unpacked.folders} folders"
    if not unpacked.folders:
        return f"The file has {unpacked.file_bytes / 1e6:.1f} MB; no folder was found that it unpacks to."
    return (
        f"The file has {unpacked.file_bytes / 1e6:.1f} MB and unpacks {unpacked.unpacked_bytes / 1e6:.1f} MB into {folders} "
        f"while it runs with two workers; {unpacked.left_folders or 'nothing'} of that is left behind after the stop."
    )


def markdown(found: Comparison) -> str:
    """The report."""
    machine = found.machine
    head, *rows = table(found.lines)
    lines = [head, ["---", "---:", "---:", "---:"], *rows]
    parts = [
        f"# The binary beside the package: {'failed' if found.failures else 'passed'}",
        f"{found.started_at}, commit {found.commit}, in {found.took_s / 60:.1f} minutes, {found.symbols:,} symbols. "
        f"{machine['processor']}, {machine['cpus']} CPUs, {machine['memory_gb']} GB, {machine['system']}. "
        f"Package: `{' '.join(found.package.command)}`, Python {found.package.version.get('python')}. "
        f"Binary: Python {found.binary.version.get('python')}."
        + (" This was a quick run: the rounds are short and the spreads wide." if found.quick else ""),
        "\n".join(f"| {' | '.join(row)} |" for row in lines),
        size(found.unpacked),
        *found.notes,
        "\n".join(f"- {'passed' if check.passed else '**FAILED**'}: {check.line}" for check in found.checks),
    ]
    return "\n\n".join(parts) + "\n"
