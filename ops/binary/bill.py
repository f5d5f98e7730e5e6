"""What stands beside the one file: its checksum, the list of its parts, and their licences.

Runs where it was built, since only there it can be seen what each part of it is from: PyInstaller's lists say which file went in,
installed distributions and Debian's packages whose file that is.

    python -m ops.binary.bill INSIDE INSTALLED BINARY

INSIDE is what `decide.spec` wrote, INSTALLED is pip's report of what it installed. The time in the list is SOURCE_DATE_EPOCH, its
number comes of the binary's checksum: who builds the same gets the same.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageMetadata, distributions
from pathlib import Path
from typing import Any, NamedTuple

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.utils import canonicalize_name

from app.version import VERSION

ROOT = Path(__file__).resolve().parent.parent.parent
_GLIBC = re.compile(r"\bGLIBC_(\d+(?:\.\d+)+)")
_LONGEST_LICENCE_NAME = 80
_ELF = b"\x7fELF"
_is_licence = re.compile(r"licen[cs]e|copying|notice", re.IGNORECASE).match


class Part(NamedTuple):
    """Something that others made, and where its licence stands."""

    purl: PackageURL
    licence: str
    sha256: str
    texts: tuple[Path, ...]


Look = Callable[[set[Path]], Iterable[tuple[Part, set[Path]]]]
"""Of some files those that it knows, with whose they are."""


class Unknown(Exception):
    """A file went in and nobody knows whose it is."""


def sources(inside: Mapping[str, Iterable[tuple[str, str, str]]]) -> set[Path]:
    """The files that went in, ours and what PyInstaller made among them; links and packages without a file are none."""
    named = {(source, kind) for entries in inside.values() for _, source, kind in entries}
    return {Path(source) for source, kind in named if kind != "SYMLINK" and source and source != "-"}


def hashes(report: Mapping[str, Any]) -> dict[str, str]:
    """The sha256 of what was installed, by name, from pip's report."""
    return {
        canonicalize_name(each["metadata"]["name"]): each["download_info"]["archive_info"]["hashes"]["sha256"]
        for each in report["install"]
    }


def licence_of(metadata: PackageMetadata) -> str:
    """What a distribution says of its licence, in a few words; empty if it says nothing."""
    for name in ("License-Expression", "License"):
        for said in metadata.get_all(name) or ():
            if "\n" not in said and len(said) <= _LONGEST_LICENCE_NAME:
                return str(said)
    names = [each.rpartition(" :: ")[2] for each in metadata.get_all("Classifier") or () if each.startswith("License :: ")]
    return " and ".join(names)


def from_distributions(wanted: set[Path], sha256s: Mapping[str, str]) -> Iterator[tuple[Part, set[Path]]]:
    """Installed distributions that have some of ``wanted``, and which."""
    for distribution in distributions():
        files = {Path(str(file.locate())).resolve() for file in distribution.files or ()}
        if files & wanted:
            name = canonicalize_name(distribution.metadata["Name"])
            texts = {path for path in files if _is_licence(path.name) and ".dist-info" in str(path)}
            purl = PackageURL("pypi", None, name, distribution.version)
            yield Part(purl, licence_of(distribution.metadata), sha256s.get(name, ""), tuple(sorted(texts))), files & wanted


def kept(name: str, licence: str, folder: Path) -> Part:
    """Of others, and kept among our files in ``folder``. ``name``: as it is distributed, since advisories have that one.

    Raises:
        Unknown: it does not say which version it is.
    """
    said = folder / "VERSION"
    version = said.read_text(encoding="utf-8").strip().removeprefix("v") if said.exists() else ""
    if not version:
        raise Unknown(f"nobody knows which {name} is in {folder}: {said.name} is missing or empty")
    texts = tuple(sorted(path for path in folder.iterdir() if _is_licence(path.name)))
    return Part(PackageURL("npm", None, name, version), licence, "", texts)


def all_kept(root: Path = ROOT) -> list[Part]:
    """What the pages are drawn with. With Lightweight Charts comes fancy-canvas, whose licence is MIT."""
    return [
        kept("lightweight-charts", "Apache-2.0 AND MIT", root / "app" / "console" / "lightweight-charts"),
        kept("swagger-ui-dist", "Apache-2.0", root / "app" / "docs" / "swagger-ui"),
    ]


def from_debian(wanted: set[Path]) -> Iterator[tuple[Part, set[Path]]]:
    """Debian's packages that have some of ``wanted``, and which."""
    found: dict[str, set[Path]] = {}
    said = subprocess.run(["dpkg", "--search", *map(str, sorted(wanted))], capture_output=True, text=True, check=False)
    for line in said.stdout.splitlines():
        package, _, path = line.partition(": ")
        found.setdefault(package, set()).add(Path(path))
    for package, paths in sorted(found.items()):
        shown = subprocess.run(
            ["dpkg-query", "--show", "--showformat", "${Package} ${Version} ${Architecture}", package],
            capture_output=True,
            text=True,
            check=True,
        )
        name, version, architecture = shown.stdout.split()
        purl = PackageURL("deb", "debian", name, version, {"arch": architecture})
        text = Path("/usr/share/doc") / name / "copyright"
        yield Part(purl, "", "", (text,) if text.exists() else ()), paths


def from_python(wanted: set[Path]) -> Iterator[tuple[Part, set[Path]]]:
    """Python itself, where it is not Debian's."""
    base = Path(sys.base_prefix).resolve()
    ours = {path for path in wanted if path.is_relative_to(base) and "python3" in str(path)}
    if ours:
        version = ".".join(map(str, sys.version_info[:3]))
        texts = sorted(base.glob("lib/python3*/LICENSE.txt"))
        yield Part(PackageURL("generic", None, "cpython", version), "PSF-2.0", "", tuple(texts)), ours


def parts(files: set[Path], made: Path, looks: Iterable[Look]) -> list[Part]:
    """Whose the files are, by who knows first; ours, and what was ``made`` on the way, are nobody else's.

    Raises:
        Unknown: of one it cannot be told.
    """
    left = {path.resolve() for path in files if not path.is_relative_to(ROOT) and not path.is_relative_to(made)}
    found = []
    for look in looks:
        for part, paths in list(look(left)) if left else ():
            found.append(part)
            left -= paths
    if left:
        raise Unknown(f"nobody knows whose these are: {', '.join(map(str, sorted(left)))}")
    return sorted(found, key=lambda part: part.purl.to_string())


def glibc(files: Iterable[Path]) -> str:
    """The oldest glibc that has all that ``files`` ask of it."""
    needed: tuple[int, ...] = (0,)
    for path in files:
        with path.open("rb") as file:
            if file.read(len(_ELF)) != _ELF:
                continue
        said = subprocess.run(["readelf", "--version-info", "--wide", path], capture_output=True, text=True, check=True).stdout
        needed = max([needed, *(tuple(map(int, each.split("."))) for each in _GLIBC.findall(said))])
    return ".".join(map(str, needed))


def make_bill(found: Iterable[Part], sha256: str, facts: Mapping[str, str], at: datetime) -> Bom:
    """The list."""
    licences = LicenseFactory()

    def component(part: Part) -> Component:
        return Component(
            type=ComponentType.LIBRARY,
            name=part.purl.name,
            version=part.purl.version,
            purl=part.purl,
            bom_ref=part.purl.to_string(),
            licenses=[licences.make_from_string(part.licence)] if part.licence else [],
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=part.sha256)] if part.sha256 else [],
        )

    root = Component(
        type=ComponentType.APPLICATION,
        name="decide",
        version=VERSION,
        bom_ref=f"decide@{VERSION}",
        licenses=[licences.make_from_string("MIT")],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
        properties=[Property(name=f"decide:{name}", value=value) for name, value in facts.items()],
    )
    bill = Bom(
        components=[component(part) for part in found],
        serial_number=uuid.uuid5(uuid.NAMESPACE_OID, f"decide {sha256}"),
        metadata=BomMetaData(component=root, timestamp=at),
    )
    bill.register_dependency(root, bill.components)
    return bill


def licences(found: Iterable[Part]) -> str:
    """All licences' texts, ours first."""
    texts = [("decide", (ROOT / "LICENSE",)), *((f"{part.purl.name} {part.purl.version}", part.texts) for part in found)]
    return "\n\n".join(
        f"{'=' * 100}\n{name}\n{'=' * 100}\n\n{path.read_text(encoding='utf-8', errors='replace').strip()}"
        for name, paths in texts
        for path in paths
    )


def main(arguments: list[str]) -> int:
    """Write what stands beside the binary; 1 if a part is unknown."""
    inside_path, installed_path, binary = map(Path, arguments)
    inside = json.loads(inside_path.read_text(encoding="utf-8"))
    report = json.loads(installed_path.read_text(encoding="utf-8"))
    files = sources(inside)
    # Of PyInstaller itself there are the bootloader, which is the binary's beginning, and modules that it always puts in.
    bootloader = next(path for path in map(Path, sys.path) if (path / "PyInstaller").is_dir()) / "PyInstaller" / "__init__.py"
    try:
        looks = (partial(from_distributions, sha256s=hashes(report)), from_debian, from_python)
        found = [*parts(files | {bootloader}, inside_path.parent, looks), *all_kept()]
    except Unknown as error:
        print(f"bill: {error}", file=sys.stderr)
        return 1
    sha256 = hashlib.sha256(binary.read_bytes()).hexdigest()
    libraries = {Path(source) for name in ("at_once", "waiting") for _, source, kind in inside[name] if kind != "SYMLINK"}
    facts = {
        "needs_glibc": glibc(sorted(libraries | {binary})),
        "unpacked_at_start_bytes": str(_bytes(inside["at_once"])),
        "unpacked_when_wanted_bytes": str(_bytes(inside["waiting"])),
    }
    at = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    text = make_outputter(make_bill(found, sha256, facts, at), OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)
    binary.with_suffix(".cdx.json").write_text(text + "\n", encoding="utf-8")
    binary.with_suffix(".licenses.txt").write_text(licences(found) + "\n", encoding="utf-8")
    binary.with_suffix(".sha256").write_text(f"{sha256}  {binary.name}\n", encoding="ascii")
    return 0


def _bytes(entries: Iterable[tuple[str, str, str]]) -> int:
    return sum(Path(source).stat().st_size for _, source, kind in entries if kind != "SYMLINK")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
