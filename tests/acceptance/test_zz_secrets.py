"""Without its secret, or with a wrong one, production does not start, and says which; and what is left in the end is nothing.

The last of these tests: they stop the stack.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.stack import PROJECT, Stack, run
from tests.kit.servers import ROOT

SECRET = ROOT / "ops" / "secrets" / "redis_password"


@pytest.fixture
def secret(stack: Stack, tmp_path: Path) -> Iterator[Path]:
    """The stack's secret, put back afterwards."""
    stack.down()
    kept = tmp_path / "kept"
    shutil.copy(SECRET, kept)
    yield SECRET
    shutil.copy(kept, SECRET)
    SECRET.chmod(0o644)


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "is missing"), ("", "is empty"), ("short\n", "no usable password"), ("a b" * 9, "no usable password")],
)
def test_production_refuses_to_start_without_a_usable_secret(stack: Stack, secret: Path, content: str | None, says: str) -> None:
    secret.unlink()
    if content is not None:
        secret.write_text(content, encoding="utf-8")
    done = stack.command("up", "prod", check=False)
    assert done.returncode == 2
    assert "secret redis_password" in done.stderr
    assert "ops/secrets/redis_password" in done.stderr
    assert says in done.stderr
    assert run("docker", "ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}") == ""


def test_plain_compose_refuses_too_and_redis_says_why(stack: Stack, secret: Path) -> None:
    """Started without `just`, an unusable secret keeps Redis from starting, in whose log it stands, and so everything else."""
    secret.write_text("short\n", encoding="utf-8")
    files = ("--file", "ops/compose.yaml", "--file", "ops/compose.prod.yaml")
    run("docker", "compose", *files, "up", "--detach", "--wait", "--wait-timeout", "30", check=False)
    said = run("docker", "compose", *files, "logs", "redis")
    assert "secret redis_password (ops/secrets/redis_password): shorter than 16 characters; refusing to start" in said
    assert stack.inspect("app")["State"]["Status"] == "created"


def test_server_and_warm_job_refuse_a_wrong_password_and_say_which(stack: Stack, secret: Path, tmp_path: Path) -> None:
    stack.up()
    wrong = tmp_path / "wrong"
    wrong.write_text("not-the-right-password\n", encoding="utf-8")
    wrong.chmod(0o644)
    for service, arguments, code in (("app", (), 2), ("warm", ("--prices", "/srv/prices", "--agents", "/srv/agents"), 3)):
        command = [
            "docker",
            "run",
            "--env",
            "ACCESS=off",
            "--network",
            f"{PROJECT}_default",
            "--volume",
            f"{wrong}:/run/secrets/wrong:ro",
        ]
        command += ["--env", "REDIS_URL=redis://redis:6379/0", "--env", "REDIS_PASSWORD_FILE=/run/secrets/wrong"]
        name = f"{PROJECT}-wrong-{service}"
        try:
            run(*command, "--name", name, f"decide-{service}", *arguments, check=False)
            # docker logs keeps the two streams apart; both are wanted.
            said = run("sh", "-c", f"docker logs {name} 2>&1")
            assert run("docker", "inspect", "--format", "{{.State.ExitCode}}", name).strip() == str(code)
            assert "Redis does not accept the credentials in REDIS_URL, REDIS_PASSWORD or their files" in said
            assert "not-the-right-password" not in said
        finally:
            run("docker", "rm", "--force", name)
    assert secret.is_file()


def test_down_leaves_nothing(stack: Stack) -> None:
    stack.down()
    label = f"label=com.docker.compose.project={PROJECT}"
    assert run("docker", "ps", "--all", "--quiet", "--filter", label) == ""
    assert run("docker", "volume", "ls", "--quiet", "--filter", label) == ""
    assert run("docker", "network", "ls", "--quiet", "--filter", label) == ""
    assert run("docker", "ps", "--all", "--quiet", "--filter", "name=decide-bench-") == ""
