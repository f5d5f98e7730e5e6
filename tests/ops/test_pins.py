"""What is fetched by a tag can be pinned, and nothing is pinned to what nobody answered."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from ops.binary.build import command
from tests.kit.servers import ROOT
from tests.ops.scripts import load_script, load_stack

_OPS = ROOT / "ops"
_TAGS = {
    "GRAFANA_IMAGE": "grafana/grafana:11.3.1",
    "POSTGRES_IMAGE": "postgres:17",
    "PROMETHEUS_IMAGE": "prom/prometheus:v2.53.3",
    "PYTHON_IMAGE": "python:3.13-slim-trixie",
    "REDIS_IMAGE": "redis:8",
}


@pytest.fixture
def pins() -> ModuleType:
    """The script as a module."""
    return load_script("pins")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the script reads and writes."""
    (tmp_path / "ops").mkdir()
    for name in ("compose.yaml", "Dockerfile", "open.env"):
        shutil.copy(_OPS / name, tmp_path / "ops" / name)
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    return tmp_path


def _digest(image: str) -> str:
    """Made up for tests: it stands in no file of the project."""
    return f"sha256:{len(image):064x}"


def _registry(command: Sequence[str]) -> str:
    assert command[:4] == ["docker", "buildx", "imagetools", "inspect"]
    return _digest(command[-1]) + "\n"


def _github(command: Sequence[str]) -> str:
    """Annotated tags: their own object first, then the commit."""
    assert command[:2] == ["git", "ls-remote"]
    return f"{1:040x}\t{command[3]}\n{len(command[2]):040x}\t{command[4]}\n"


def test_every_image_has_a_variable_and_the_official_tag_for_its_default(pins: ModuleType) -> None:
    """So a digest can take its place without a change of a file, and nothing needs one where no registry is reached."""
    assert pins.images(ROOT) == _TAGS
    compose = (_OPS / "compose.yaml").read_text(encoding="utf-8")
    for image in re.findall(r"(?m)^    image: (\S+)", compose):
        assert re.fullmatch(r"decide-\w+|\$\{[A-Z]+_IMAGE:-[a-z/]+:[\w.-]+\}", image), image
    assert len(re.findall(r"(?m)^    - PYTHON_IMAGE$|^ +args: .*PYTHON_IMAGE", compose)) == 2
    foreign = re.findall(r"(?m)^FROM (\S+) AS", (_OPS / "Dockerfile").read_text(encoding="utf-8"))
    stages = set(re.findall(r"(?m)^FROM \S+ AS (\S+)", (_OPS / "Dockerfile").read_text(encoding="utf-8")))
    assert {each for each in foreign if each not in stages} == {"${PYTHON_IMAGE}", "scratch"}


def test_the_images_are_written_as_the_registries_answer(pins: ModuleType, checkout: Path) -> None:
    text = pins.pin_images(checkout, _registry)
    assert (checkout / "ops" / "images.env").read_text(encoding="utf-8") == text
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == [f"{name}={image}@{_digest(image)}" for name, image in _TAGS.items()]


@pytest.mark.parametrize("answer", ["", "not found", "sha256:", "sha256:" + "0" * 63, "sha256:" + "g" * 64, "sha512:" + "0" * 64])
def test_nothing_is_written_unless_every_registry_answers_with_a_digest(pins: ModuleType, checkout: Path, answer: str) -> None:
    (checkout / "ops" / "images.env").write_text("before", encoding="utf-8")
    with pytest.raises(pins.Refused, match="redis:8"):
        pins.pin_images(checkout, lambda command: answer if command[-1] == "redis:8" else _registry(command))
    assert (checkout / "ops" / "images.env").read_text(encoding="utf-8") == "before"


def test_actions_are_pinned_to_the_commit_behind_their_tag(pins: ModuleType, checkout: Path) -> None:
    """With the tag behind it, by which it is pinned anew when the tag has moved."""
    path = checkout / ".github" / "workflows" / "ci.yml"
    before = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"@[0-9a-f]{40} # ", "@", before), encoding="utf-8")
    by_tag = path.read_text(encoding="utf-8")
    used = re.findall(r"uses: (\S+)@(\S+)", by_tag)
    assert used
    pins.pin_actions(checkout, _github)
    pinned = path.read_text(encoding="utf-8")
    for action, tag in used:
        assert f"uses: {action}@{len(f'https://github.com/{action}'):040x} # {tag}\n" in pinned
    assert re.sub(r"@[0-9a-f]{40} # ", "@", pinned) == by_tag
    pins.pin_actions(checkout, lambda command: f"{7:040x}\t{command[3]}\n")
    assert set(re.findall(r"uses: \S+@(\S+) # ", path.read_text(encoding="utf-8"))) == {f"{7:040x}"}


@pytest.mark.parametrize("answer", ["", "junk", f"{1:040x}\trefs/tags/other\n"])
def test_no_workflow_is_written_unless_every_tag_is_known(pins: ModuleType, checkout: Path, answer: str) -> None:
    """A half pinned one would look as if it were."""
    path = checkout / ".github" / "workflows" / "ci.yml"
    before = path.read_text(encoding="utf-8")
    with pytest.raises(pins.Refused, match="actions/setup-python"):
        pins.pin_actions(checkout, lambda command: answer if command[2].endswith("setup-python") else _github(command))
    assert path.read_text(encoding="utf-8") == before


def test_a_command_that_is_not_there_or_fails_is_said(pins: ModuleType) -> None:
    with pytest.raises(pins.Refused, match="/no/such/program cannot be started"):
        pins.run(["/no/such/program"])
    with pytest.raises(pins.Refused, match="failed: no registry"):
        pins.run(["sh", "-c", "echo no registry >&2; exit 1"])
    assert pins.run(["echo", "it"]) == "it\n"


def test_the_stack_takes_the_images_by_digest_where_they_are(tmp_path: Path) -> None:
    """The user's own variables, which Compose no longer looks for then, are named after them and win."""
    stack = load_stack(tmp_path)
    assert stack.pins() == []
    (stack.OPS / "images.env").touch()
    assert stack.pins() == ["--env-file", str(stack.OPS / "images.env")]
    (stack.OPS / ".env").touch()
    assert stack.pins() == ["--env-file", str(stack.OPS / "images.env"), "--env-file", str(stack.OPS / ".env")]


def test_the_one_file_is_built_on_the_image_that_is_named() -> None:
    assert "PYTHON_IMAGE" in command(Path("dist"), "0", {"PYTHON_IMAGE": "python:3@sha256:0"}, anew=False)
    assert "PYTHON_IMAGE" not in command(Path("dist"), "0", {}, anew=False)


@pytest.mark.skipif(shutil.which("docker") is None, reason="NO DOCKER: Compose renders its files")
def test_a_digest_reaches_what_compose_runs_and_builds(pins: ModuleType, checkout: Path) -> None:
    if subprocess.run(["docker", "compose", "version"], check=False, capture_output=True).returncode:
        pytest.skip("NO COMPOSE: it renders its files")
    pins.pin_images(checkout, _registry)
    for given, suffix in ([], ""), (["--env-file", str(checkout / "ops" / "images.env")], "@"):
        shown = subprocess.run(
            [
                "docker",
                "compose",
                "--file",
                str(checkout / "ops" / "compose.yaml"),
                *given,
                "--profile",
                "*",
                "config",
                "--format",
                "json",
            ],
            check=True,
            capture_output=True,
            text=True,
            env={name: value for name, value in os.environ.items() if name not in _TAGS},
        ).stdout
        services = json.loads(shown)["services"]
        for name in ("redis", "prometheus", "grafana"):
            tag = _TAGS[f"{name.upper()}_IMAGE"]
            assert services[name]["image"] == (f"{tag}@{_digest(tag)}" if suffix else tag)
        for name in ("warm", "app", "bench"):
            python = _TAGS["PYTHON_IMAGE"]
            expected = f"{python}@{_digest(python)}" if suffix else None
            assert services[name]["build"].get("args", {}).get("PYTHON_IMAGE") == expected, name


def test_what_may_write_to_the_repository_runs_no_action_and_pins_before_it_builds() -> None:
    """An action whose tag was moved would write in our name."""
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        (permissions,) = re.findall(r"(?m)^permissions:\n((?: .*\n)+)", text)
        assert text.count("permissions:") == 1, path.name
        if "write" in permissions:
            assert "uses:" not in text, path.name
    release = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    runs = re.findall(r"(?m)^ {8}run: (?:\|\n((?: {10}.*\n)+)|(.+)$)", release)
    assert len(runs) == release.count(" name: ")
    steps = "\n".join(block or line for block, line in runs)
    assert subprocess.run(["bash", "-n"], input=steps, text=True, check=False).returncode == 0
    assert -1 < steps.index("pins.py images") < steps.index(". ops/images.env") < steps.index("build.py")
    assert "ops/images.env" in steps[steps.index("gh release create") :]


def test_no_digest_stands_where_no_answer_writes_it() -> None:
    """Compose files, Dockerfile and jobs name images by tags; digests are in images.env, which `just pin images` writes."""
    paths = [
        *_OPS.glob("compose*.yaml"),
        _OPS / "Dockerfile",
        ROOT / ".ci" / "empty-container",
        *(ROOT / ".github").rglob("*.yml"),
    ]
    assert [path.name for path in paths if "sha256:" in path.read_text(encoding="utf-8")] == []
