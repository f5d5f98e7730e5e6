"""A container that systemd runs, with Decide installed as ops/README.md says; a test uses it by the commands an operator has."""

import os
import shlex
from pathlib import Path
from typing import NamedTuple

from tests.acceptance.stack import ended, run
from tests.kit.servers import ROOT, until

SOCKET = "unix:/run/decide/decide.sock"
_NAME = "decide-systemd-test"
_UNITS = ROOT / "ops" / "systemd"
_ARGS = ("PIP_INDEX_URL", "PIP_TRUSTED_HOST", "UV_DEFAULT_INDEX", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# What the machine's /tmp does not allow: the one file is unpacked into a folder of programs.
_ELSEWHERE = "export TMPDIR=/var/tmp; "
# Where the machine itself has the old groups of processes, systemd must be told to put up with them.
_OLD_GROUPS = "systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"


class Said(NamedTuple):
    """What a command came to."""

    code: int
    output: str
    errors: str


class Machine:
    """The container."""

    def __init__(self, dist: Path) -> None:
        self._dist = dist
        self._remove()
        arguments = [argument for name in _ARGS if os.environ.get(name) for argument in ("--build-arg", name)]
        build = ["--file", "tests/acceptance/machine.Dockerfile", "--tag", _NAME]
        run("docker", "build", "--quiet", *arguments, *build, "tests/acceptance")
        old = [] if Path("/sys/fs/cgroup/cgroup.controllers").exists() else ["--env", f"SYSTEMD_PROC_CMDLINE={_OLD_GROUPS}"]
        # /tmp is as strict as machines have it: the service's own must be executable nonetheless.
        mounts = ["--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:noexec"]  # noqa: S108 - the machine's
        start = ["--detach", "--name", _NAME, "--privileged", "--cgroupns", "private", "--env", "container=docker", *old, *mounts]
        run("docker", "run", *start, _NAME)
        until(lambda: self.shell("systemctl is-system-running").output.strip() in ("running", "degraded"), 60, "systemd runs")
        # As systemd has it on a machine that it booted itself; credentials are mounts that must reach the units.
        self.must("mount --make-rshared /")
        self._install()

    def _install(self) -> None:
        run("docker", "cp", str(self._dist / "decide"), f"{_NAME}:/usr/local/bin/decide")
        self.must("chmod 755 /usr/local/bin/decide && mkdir -p /etc/decide /srv/decide")
        for unit in _UNITS.iterdir():
            where = "/etc/decide/" if unit.suffix == ".env" else "/etc/systemd/system/"
            run("docker", "cp", str(unit), f"{_NAME}:{where}")
        for kind in ("prices", "agents"):
            run("docker", "cp", str(ROOT / "data" / kind), f"{_NAME}:/srv/decide/{kind}")
        self.must("chmod -R a+rX /srv/decide")

    def close(self) -> None:
        """Nothing is left but the images, which the next run uses again."""
        self._remove()

    def _remove(self) -> None:
        run("docker", "rm", "--force", "--volumes", _NAME, check=False)

    def shell(self, script: str, user: str = "root") -> Said:
        """What a shell on the machine makes of ``script``."""
        command = ["docker", "exec", "--user", user, _NAME, "sh", "-c", _ELSEWHERE + script]
        done = ended(command, 120)
        return Said(done.returncode, done.stdout, done.stderr)

    def must(self, script: str) -> str:
        """The output of a script that must not fail."""
        said = self.shell(script)
        assert said.code == 0, f"{script}\n{said.output}\n{said.errors}\n{self.journal()}"
        return said.output

    def settings(self, **values: str) -> None:
        """What stands in /etc/decide/decide.env."""
        lines = "".join(f"{name}={value}\n" for name, value in values.items())
        self.must(f"printf %s {shlex.quote(lines)} > /etc/decide/decide.env")

    def change(self, unit: str, lines: str) -> None:
        """As `systemctl edit` does; nothing left of what it was changed by before."""
        folder = f"/etc/systemd/system/{unit}.service.d"
        self.must(f"mkdir -p {folder} && printf '[Service]\\n%s\\n' {shlex.quote(lines)} > {folder}/test.conf")
        self.must("systemctl daemon-reload")

    def show(self, name: str, unit: str = "decide") -> str:
        """One property of a unit."""
        return self.must(f"systemctl show --value --property {name} {unit}").strip()

    def journal(self) -> str:
        """What the units said."""
        return self.shell("journalctl --no-pager --output cat --unit 'decide*'").output[-6000:]

    def readme(self, first: str) -> str:
        """The command in ops/README.md that begins so, as root runs it."""
        text = (ROOT / "ops" / "README.md").read_text(encoding="utf-8")
        lines = text[text.index(first) :].splitlines()
        last = next(number for number, line in enumerate(lines) if not line.endswith("\\"))
        return "\n".join(lines[: last + 1]).replace("sudo ", "")

    def ask(self, *arguments: str, user: str = "root") -> Said:
        """Over the socket."""
        return self.shell(f"decide ask --url {SOCKET} " + shlex.join(arguments), user)
