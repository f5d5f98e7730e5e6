"""What goes into the one file and how it is taken out again, without building it. The real one runs in tests/acceptance."""

import email.message
import os
import struct
import subprocess
import sys
import uuid
import zlib
from datetime import UTC, datetime
from importlib.metadata import PackageMetadata
from pathlib import Path
from typing import cast

import pytest
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from ops.binary import bill, build, contents, unpacking
from tests.kit.servers import ROOT

_KINDS = {"a": True, "b": True, "x": False}


def archive(path: Path, files: list[tuple[str, str, bytes]]) -> Path:
    """An executable as PyInstaller makes one: a program, its archive, and what objcopy puts behind it."""
    data, table = b"", b""
    for kind, name, content in files:
        stored = zlib.compress(content) if _KINDS[kind] else content
        label = name.encode() + b"\0" * (16 - (18 + len(name)) % 16)
        table += (
            struct.pack("!IIIIBc", 18 + len(label), len(data), len(stored), len(content), _KINDS[kind], kind.encode()) + label
        )
        data += stored
    cookie = struct.pack(
        "!8sIIII64s", b"MEI\014\013\012\013\016", len(data) + len(table) + 88, len(data), len(table), 313, b"lib"
    )
    path.write_bytes(b"\x7fELF" + b"program" * 999 + data + table + cookie + b"section headers")
    return path


def test_a_package_is_unpacked_when_it_is_wanted_and_no_other(tmp_path: Path) -> None:
    library = os.urandom(3 << 20)
    executable = archive(
        tmp_path / "decide",
        [
            ("b", "granian/_granian.so", b"by the bootloader"),
            ("a", "lazy/numpy/numpy.libs/blas.so", library),
            ("a", "lazy/polars/polars.so", b"another's"),
            ("a", "lazy/numpy/numpy/core.so", b""),
            ("x", "app/page.html", b"as it is"),
        ],
    )
    folder = tmp_path / "unpacked"
    finder = unpacking.LazyFinder(executable, folder)
    for looked_for in ("numpy", "os.path", "granian._granian"):
        finder.find_spec(looked_for, None)
    assert not folder.exists()
    finder.find_spec("numpy.core", None)
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {"numpy.libs/blas.so": library, "numpy/core.so": b""}


def test_what_another_process_has_unpacked_stays(tmp_path: Path) -> None:
    """It may be loaded there already."""
    executable = archive(tmp_path / "decide", [("a", "lazy/numpy/numpy/core.so", b"new")])
    there = tmp_path / "unpacked" / "numpy" / "core.so"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"there")
    unpacking.unpack("numpy", executable, tmp_path / "unpacked")
    assert there.read_bytes() == b"there"
    assert list(there.parent.iterdir()) == [there]


def test_where_nothing_can_be_unpacked_it_says_what_helps(tmp_path: Path) -> None:
    executable = archive(tmp_path / "decide", [("a", "lazy/numpy/numpy/core.so", b"new")])
    (tmp_path / "unpacked").write_text("a file where a folder should be", encoding="utf-8")
    finder = unpacking.LazyFinder(executable, tmp_path / "unpacked")
    with pytest.raises(SystemExit, match=r"numpy cannot be unpacked into .*unpacked: .*; set TMPDIR"):
        finder.find_spec("numpy.core", None)


def test_a_file_that_is_cut_off_leaves_nothing_half(tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.write_bytes(b"\x7fELF" + b"program" * 999)
    with cut.open("rb") as file, pytest.raises(ValueError, match="holds no archive"):
        list(unpacking.entries(file))
    executable = archive(tmp_path / "decide", [("a", "lazy/numpy/numpy/core.so", b"new" * 99)])
    whole = executable.read_bytes()
    at = whole.rfind(b"MEI\014\013\012\013\016")
    executable.write_bytes(whole[: at + 8] + struct.pack("!I", 8) + whole[at + 12 :])
    with pytest.raises((EOFError, zlib.error, struct.error)):
        unpacking.unpack("numpy", executable, tmp_path / "unpacked")
    assert [path for path in (tmp_path / "unpacked").rglob("*") if path.is_file()] == []


def test_outside_the_one_file_nothing_is_installed() -> None:
    before = list(sys.meta_path)
    assert unpacking.install() is None
    assert sys.meta_path == before


@pytest.mark.parametrize(
    ("place", "owner"),
    [
        ("polars/_plr.so", "polars"),
        ("_polars_runtime_32/_polars_runtime.abi3.so", "polars"),
        ("numpy.libs/libscipy_openblas64_.so", "numpy"),
        ("pillow.libs/libtiff.so.6", "PIL"),
        ("pyhdrh.cpython-313-x86_64-linux-gnu.so", "hdrh"),
        ("warm/sample/prices/daily.csv.gz", "warm"),
        ("libssl.so.3", "libssl"),
    ],
)
def test_every_file_is_some_packages(place: str, owner: str) -> None:
    """Shared libraries in folders of their own go with the package that loads them."""
    assert contents.owner(place) == owner


def test_what_a_server_needs_is_unpacked_at_once_and_the_rest_waits() -> None:
    at_once, waiting = contents.split(
        [
            ("uvloop/loop.so", "/v/uvloop/loop.so", "EXTENSION"),
            ("libblas.so", "numpy.libs/libblas.so", "SYMLINK"),
            ("numpy.libs/libblas.so", "/v/numpy.libs/libblas.so", "BINARY"),
            ("libz.so", "libz.so.1", "SYMLINK"),
            ("libz.so.1", "/lib/libz.so.1", "BINARY"),
            ("matplotlib/mpl-data/sample_data/a.csv", "/v/a.csv", "DATA"),
        ]
    )
    assert [place for place, _, _ in at_once] == ["libz.so", "libz.so.1", "uvloop/loop.so"]
    assert waiting == [("lazy/numpy/numpy.libs/libblas.so", "/v/numpy.libs/libblas.so", "PKG")]


def test_files_of_ours_that_go_in_are_there() -> None:
    places = dict(contents.our_files(ROOT))
    assert all(Path(source).is_dir() for source in places)
    ours = {"app/console", "app/docs", "app/market/migrations", "bench/scenarios", "warm/stream/migrations"}
    assert ours | {"warm/sample/prices", "warm/sample/agents", "warm/tables"} == set(places.values())


def test_no_server_imports_what_waits() -> None:
    """Of all that waits only what traces need may be imported by a process that serves."""
    script = "import sys, app.commands.serve, app.main; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) & unpacking.LAZY == set()


def test_the_list_of_parts_depends_on_nothing_but_the_parts() -> None:
    parts = [bill.Part(PackageURL("pypi", None, "granian", "2.8.7"), "BSD-3-Clause", "ab" * 32, ())]
    at = datetime(2026, 1, 1, tzinfo=UTC)
    texts = {
        make_outputter(
            bill.make_bill(parts, "cd" * 32, {"needs_glibc": "2.38"}, at), OutputFormat.JSON, SchemaVersion.V1_6
        ).output_as_string()
        for _ in range(2)
    }
    (text,) = texts
    assert str(uuid.uuid5(uuid.NAMESPACE_OID, f"decide {'cd' * 32}")) in text
    assert "pkg:pypi/granian@2.8.7" in text


@pytest.mark.parametrize(
    ("headers", "licence"),
    [
        ({"License-Expression": "MIT", "License": "see file"}, "MIT"),
        ({"License": "Apache 2.0"}, "Apache 2.0"),
        ({"License": "A text\nof many lines", "Classifier": "License :: OSI Approved :: MIT License"}, "MIT License"),
        ({}, ""),
    ],
)
def test_a_licence_is_told_in_a_few_words(headers: dict[str, str], licence: str) -> None:
    metadata = email.message.Message()
    for name, value in headers.items():
        metadata[name] = value
    assert bill.licence_of(cast("PackageMetadata", metadata)) == licence


def test_python_itself_is_a_part_where_it_is_not_debians() -> None:
    """As in Python's own images, which install it beside the system's packages."""
    library = Path(os.__file__).resolve()
    ((part, paths),) = bill.from_python({library, Path("/elsewhere/libssl.so.3")})
    assert part.purl.to_string() == "pkg:generic/cpython@" + ".".join(map(str, sys.version_info[:3]))
    assert paths == {library}


def test_libraries_of_pages_are_parts_with_their_own_versions_and_licences() -> None:
    """They are kept among our files, and others made them."""
    charts, swagger = bill.all_kept()
    for part, name, folder in (
        (charts, "lightweight-charts", "app/console/lightweight-charts"),
        (swagger, "swagger-ui-dist", "app/docs/swagger-ui"),
    ):
        said = bill.ROOT.joinpath(folder, "VERSION").read_text(encoding="utf-8").strip()
        assert part.purl.to_string() == f"pkg:npm/{name}@{said.removeprefix('v')}"
        assert "Apache License" in bill.licences([part])
    assert (charts.licence, swagger.licence) == ("Apache-2.0 AND MIT", "Apache-2.0")
    for words in ("TradingView Lightweight Charts™", "Permission is hereby granted, free of charge"):
        assert words in bill.licences([charts])


def test_a_library_without_a_version_stops_the_build(tmp_path: Path) -> None:
    """A part of no version can be held against no advisory."""
    with pytest.raises(bill.Unknown, match=r"which swagger-ui-dist is in .*VERSION is missing or empty"):
        bill.kept("swagger-ui-dist", "Apache-2.0", tmp_path)


def test_links_and_packages_without_a_file_are_no_parts() -> None:
    """PyInstaller's lists have them, and they are nobody's."""
    inside = {"modules": [("google", "-", "PYMODULE"), ("app", "/d/app.py", "PYMODULE")], "at_once": [("a", "b", "SYMLINK")]}
    assert bill.sources(inside) == {Path("/d/app.py")}


def test_a_file_that_nobody_knows_stops_the_build(tmp_path: Path) -> None:
    """A list of parts that leaves something out would be worse than none."""
    stray = tmp_path / "stray.so"
    stray.touch()

    def nobody(_: set[Path]) -> list[tuple[bill.Part, set[Path]]]:
        return []

    with pytest.raises(bill.Unknown, match=r"stray\.so"):
        bill.parts({stray}, tmp_path / "made", [nobody, nobody])


def test_docker_is_told_where_packages_come_from_by_name_alone() -> None:
    """Values of the environment, which may hold a password, stand in no list of processes."""
    environment = {"PIP_INDEX_URL": "https://user:word@host/simple", "UV_DEFAULT_INDEX": ""}
    told = build.command(Path("dist"), "7", environment, anew=True)
    assert "user:word" not in " ".join(told)
    assert told[told.index("PIP_INDEX_URL") - 1] == "--build-arg"
    assert "UV_DEFAULT_INDEX" not in told
    assert told[told.index("--no-cache-filter") + 1] == build.STAGE
    assert f"AS {build.STAGE}\n" in (ROOT / "ops" / "Dockerfile").read_text(encoding="utf-8")


def test_two_builds_are_compared_byte_for_byte(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        for name in build.WRITTEN:
            (folder / name).write_text("the same", encoding="utf-8")
    assert build.differing(one, other) == []
    (other / "decide").write_text("the sane", encoding="utf-8")
    (other / "decide.cdx.json").unlink()
    assert build.differing(one, other) == ["decide", "decide.cdx.json"]
