"""House rules that no linter knows."""

import ast
import contextlib
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.version import VERSION
from tests.kit.servers import ROOT

_NAME_WORDS = 3
_MODULE_LINES = 400
_FUNCTION_LINES = 70
# What is longer and still one thing: a module by its path, a function as `path::name`, and in one line why.
_ONE_THING: dict[str, str] = {
    "app/options.py": "every setting is a field of one Struct",
    "app/settings.py": "the only reader of the environment",
}
_TOP_LEVEL = {
    *("app", "warm", "bench", "ops", "data", "tests", "pyproject.toml", "justfile", ".env.example"),
    *("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE"),
    *(
        f"requirements{group}.lock"
        for group in (
            "",
            "-warm",
            "-traces",
            "-postgres",
            "-kafka",
            "-coinbase",
            "-bench",
            "-build",
            "-ops",
            "-dev",
            "-peers",
            "-feast",
        )
    ),
    *(".ci", ".dockerignore", ".github", ".gitattributes", ".gitignore", ".pre-commit-config.yaml"),
}
_PAGE_LINES = {
    "README.md": 150,
    "ARCHITECTURE.md": 300,
    **{f"{room}/README.md": 150 for room in ("app", "warm", "bench", "ops", "data")},
}
_WORDS = 11_500
# Written so that this file does not hold what it looks for.
_REGISTRY_HOSTS = re.compile(r"pyp[i]\.org|files\.pytho[n]|deb\.debia[n]|registry\.np[m]|ghcr\.i[o]|docker\.i[o]")


def tracked_files() -> list[Path]:
    """Files that git tracks or would track; skips the test outside a git checkout."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("NO GIT: tidy rules over all files need a checkout and git")
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


def documents() -> list[Path]:
    """The pages for people, but for the history, the measurements and the pages of single formats."""
    others = {ROOT / "CHANGELOG.md", ROOT / "bench" / "RESULTS.md"}
    formats = ROOT / "data" / "formats"
    return [path for path in tracked_files() if path.suffix == ".md" and path not in others and path.parent != formats]


def anchors(page: Path) -> set[str]:
    """What a link may name behind ``#``: its headings, spelled as GitHub spells them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def python_files() -> list[Path]:
    """All of the project's modules."""
    rooms = ("app", "warm", "bench", "ops", "data", "tests")
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def long_modules_and_functions() -> Iterator[tuple[str, int]]:
    """Every module and function beyond its bound, as the table names it, with its lines."""
    for path in python_files():
        name = str(path.relative_to(ROOT))
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > _MODULE_LINES:
            yield name, count
        for node in functions(path):
            if (count := (node.end_lineno or node.lineno) - node.lineno + 1) > _FUNCTION_LINES:
                yield f"{name}::{node.name}", count


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported, and every name out of one; also by a program that stands in a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{each.name}" for each in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "import " in node.value:
            with contextlib.suppress(SyntaxError):
                yield from imported(ast.parse(node.value))


def defined(path: Path) -> Iterator[str]:
    """Functions of a module, and its classes but for those that extend another."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (isinstance(node, ast.ClassDef) and not node.bases):
            yield node.name


def test_top_level_holds_only_what_the_design_names() -> None:
    """A new thing at the top level is a decision, not an accident."""
    assert {path.relative_to(ROOT).parts[0] for path in tracked_files()} <= _TOP_LEVEL


def test_no_tracked_file_names_a_registry() -> None:
    """Where packages and images come from is the business of whoever installs them."""
    found = [
        str(path.relative_to(ROOT))
        for path in tracked_files()
        if _REGISTRY_HOSTS.search(path.read_bytes().decode("utf-8", "replace"))
    ]
    assert found == []


def test_whatever_is_long_is_said_to_be_one_thing() -> None:
    """Length is a question and no fault; an answer goes when nobody asks any more."""
    long = dict(long_modules_and_functions())
    asked = [
        f"{name} has {count} lines: is it one thing? If so, say why in _ONE_THING; if not, split it."
        for name, count in long.items()
        if not _ONE_THING.get(name)
    ]
    assert asked == []
    assert set(_ONE_THING) <= set(long)


def test_package_files_are_empty_and_nothing_is_called_utils() -> None:
    """Importing a package runs nothing, and every module's name says what is in it."""
    assert [path for path in python_files() if path.name == "__init__.py" and path.read_text(encoding="utf-8")] == []
    assert [path for path in python_files() if re.search(r"utils?|helpers?|misc|common", path.stem)] == []


def test_names_of_tests_say_what_holds() -> None:
    """A failure reads as a sentence. A docstring, in sentences too, is for what the name does not say."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in python_files()
        for node in functions(path)
        if path.is_relative_to(ROOT / "tests")
        and node.name.startswith("test_")
        and (len(node.name.split("_")) <= _NAME_WORDS or not (ast.get_docstring(node) or ".").endswith("."))
    ]
    assert found == []


def test_tests_import_no_test_module() -> None:
    """What several of them need stands in the kit, or in a module of their folder that says what it is."""
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "tests").rglob("*.py")
        for name in imported(ast.parse(path.read_text(encoding="utf-8")))
        if re.match(r"tests\.(\w+\.)*test_", name)
    ]
    assert found == []


def test_there_is_one_store_one_clock_one_house_and_one_way_to_settle() -> None:
    """They are the kit's. A store with a trait that a single test needs extends it."""
    theirs = re.compile(r"\w*(Store|Clock|House|Meters)|_?settle|until|make_tiers|make_breaker")
    modules = [path for path in (ROOT / "tests").rglob("*.py") if path.parent != ROOT / "tests" / "kit"]
    assert [f"{path.relative_to(ROOT)}: {name}" for path in modules for name in defined(path) if theirs.fullmatch(name)] == []


def test_nothing_is_left_to_do_in_the_code() -> None:
    """What is left to do stands in the issue tracker."""
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b|type: ignor[e](?!\[)")
    found = [str(path.relative_to(ROOT)) for path in python_files() if marks.search(path.read_text(encoding="utf-8"))]
    assert found == []


def test_version_stands_in_one_place() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"] == VERSION


def test_documents_stay_short() -> None:
    """A page is read in one sitting, and all of them in an hour: who adds says something else shorter."""
    texts = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in documents()}
    assert set(_PAGE_LINES) <= set(texts)
    lines = {name: len(texts[name].splitlines()) for name in _PAGE_LINES}
    assert {name: count for name, count in lines.items() if count > _PAGE_LINES[name]} == {}
    assert sum(len(text.split()) for text in texts.values()) < _WORDS


def test_links_of_the_documents_lead_somewhere() -> None:
    """To a file, and to a heading in it where one is named; what is elsewhere is not looked at."""
    missing = []
    for page in documents():
        for link in re.findall(r"\]\((?!https?:)([^)\s{]+)\)", page.read_text(encoding="utf-8")):
            file, _, heading = link.partition("#")
            target = page.parent / file if file else page
            if not target.exists() or (heading and heading not in anchors(target)):
                missing.append(f"{page.relative_to(ROOT)}: {link}")
    assert missing == []


def test_paths_that_the_documents_name_exist() -> None:
    """A module or folder that is renamed is found in the pages, too; some are made by the programs, and one file by the user."""
    made = {"ops/secrets/", "ops/secrets/api_key", "bench/results/", "ops/.env"}
    for page in documents():
        named = re.findall(r"`((?:app|warm|bench|ops|data|tests)/[\w./-]+)`", page.read_text(encoding="utf-8"))
        assert {name for name in named if not (ROOT / name).exists()} <= made, page


def test_recipes_that_the_documents_name_exist() -> None:
    recipes = set(re.findall(r"^([a-z-]+)[^:\n]*:(?!=)", (ROOT / "justfile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in documents():
        named = re.findall(r"(?:`|&& |^|replay )just ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(named) <= recipes, page


def test_every_setting_that_the_documents_name_exists() -> None:
    """Capitalised settings in the documents are settings of the server, or variables of the images, the stack and the tests."""
    from app.options import Settings  # noqa: PLC0415 - only this test needs it
    from app.settings import SECRETS  # noqa: PLC0415 - only this test needs it

    known = {name.upper() for name in Settings.__struct_fields__} | {f"{name.upper()}_FILE" for name in SECRETS}
    for path in (ROOT / "ops" / "Dockerfile", *(ROOT / "ops").glob("compose*.yaml")):
        known |= set(re.findall(r"[A-Z][A-Z0-9]*_[A-Z0-9_]+", path.read_text(encoding="utf-8")))
    readers = (("tests", "**/*.py"), ("app/commands", "*.py"), ("data/examples", "*.py"))
    for path in (path for folder, pattern in readers for path in (ROOT / folder).glob(pattern)):
        known |= set(re.findall(r'os\.environ(?:\.get\(|\[)"([A-Z_]+)"', path.read_text(encoding="utf-8")))
    for page in documents():
        named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=[^`]*)?`", page.read_text(encoding="utf-8")))
        # OpenTelemetry's own variables stand in its specification, OpenSSL's in its manual.
        assert {each for each in named if not each.startswith(("OTEL_", "SSL_CERT_", "COMPOSE_"))} <= known, page


def test_whatever_runs_alone_is_where_the_recipe_looks_for_it() -> None:
    """It would run nowhere else: neither side by side with others nor by itself."""
    looked_at = re.search(r"^alone := '([^-]*) -m alone'$", (ROOT / "justfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert looked_at
    rooms = tuple(ROOT / each for each in looked_at[1].split())
    marked = [path for path in (ROOT / "tests").rglob("*.py") if "pytest.mark." + "alone" in path.read_text(encoding="utf-8")]
    assert len(marked) > 1
    assert [path for path in marked if not any(map(path.is_relative_to, rooms))] == []
