"""Dockerfile and Compose files, as far as they can be read without Docker."""

import re
from pathlib import Path

import pytest

from tests.kit.servers import ROOT

_DOCKERFILE = (ROOT / "ops" / "Dockerfile").read_text(encoding="utf-8")
_COMPOSE = sorted((ROOT / "ops").glob("compose*.yaml"))


def test_the_dockerfile_needs_no_frontend_from_a_registry() -> None:
    """A syntax line would fetch an image before anything else."""
    assert not re.search(r"(?mi)^#\s*syntax\s*=", _DOCKERFILE)


def test_everything_is_installed_with_its_hash_required() -> None:
    installs = re.findall(r"pip install[^\n&]*", re.sub(r"\\\n\s*", "", _DOCKERFILE))
    assert len(installs) == 5
    assert all("--require-hashes -r requirements" in each for each in installs)


def test_commands_are_in_exec_form() -> None:
    """So that signals reach the program and not a shell."""
    forms = re.findall(r"(?m)^(?:CMD|ENTRYPOINT)\s+(.)|HEALTHCHECK.* CMD (.)", _DOCKERFILE)
    assert forms
    assert {one or other for one, other in forms} == {"["}


def test_the_last_stage_is_the_server() -> None:
    """It is what a build without a target makes."""
    assert re.findall(r"(?m)^FROM \S+ AS (\S+)", _DOCKERFILE)[-1] == "app"


def test_every_final_image_runs_as_nobody_in_particular() -> None:
    stages = dict(re.findall(r"(?ms)^FROM base AS (\w+)\n(.*?)(?=^FROM |\Z)", _DOCKERFILE))
    for target in ("app", "warm", "bench", "dev"):
        assert "USER 10001:10001" in stages[target], target


def test_files_the_dockerfile_copies_are_let_through() -> None:
    let_through = re.findall(r"(?m)^!(\S+)", (ROOT / ".dockerignore").read_text(encoding="utf-8"))
    copied = {name for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", _DOCKERFILE) for name in line.split()[:-1]}
    for name in copied:
        assert any(name == each or name.startswith(f"{each}/") for each in let_through), name
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("path", _COMPOSE, ids=lambda path: path.name)
def test_images_have_a_version(path: Path) -> None:
    for image in re.findall(r"(?m)^\s+image: (\S+)", path.read_text(encoding="utf-8")):
        tag = image.partition(":-")[2] or image
        assert ":" in tag or image.startswith("decide-"), image
        assert ":latest" not in image
