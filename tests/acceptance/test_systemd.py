"""Decide under a real systemd, as the units in ops/systemd install it: readiness, data, callers, bounds, faults, the end."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.machine import SOCKET, Machine
from tests.kit.servers import until

_EMPTY = "Waiting for data: the store is empty, and `systemctl start decide-warm` fills it."


@pytest.fixture(scope="module")
def booted(dist: Path) -> Iterator[Machine]:
    """A machine with Decide installed and not started."""
    machine = Machine(dist)
    try:
        yield machine
    finally:
        machine.close()


@pytest.fixture
def machine(booted: Machine) -> Machine:
    """Nothing runs, and everything is as it was installed, but for what was loaded."""
    booted.shell("systemctl stop 'decide*.service'; rm -rf /etc/systemd/system/*.service.d")
    booted.shell("systemctl daemon-reload; systemctl reset-failed")
    booted.settings(HOST=SOCKET, CLOCK="replay")
    return booted


def _serving(machine: Machine) -> None:
    machine.must("systemctl start decide-warm decide")
    until(lambda: machine.show("StatusText").startswith("Serving "), 20, "it serves")


def test_it_is_active_when_callers_are_served_and_says_what_it_waits_for(machine: Machine) -> None:
    """`systemctl start` returns when a caller is answered, and the status follows."""
    machine.must("rm -rf /var/lib/private/decide")
    machine.must("systemctl start decide")
    answer = machine.ask("AAPL")
    assert (answer.code, "neutral (price_l2_empty)" in answer.output) == (0, True), answer
    assert machine.show("ActiveState") == "active"
    until(lambda: machine.show("StatusText") == _EMPTY, 20, "it says that the store is empty")
    machine.must("systemctl start decide-warm")
    until(lambda: machine.show("StatusText").startswith("Serving 5 symbols of run "), 20, "it says what it serves")
    answer = machine.ask("AAPL")
    assert (answer.code, "AAPL" in answer.output) == (0, True), answer
    assert machine.show("Result", "decide-warm") == "success"


def test_the_units_start_in_either_order_and_share_one_store(machine: Machine) -> None:
    """Their user exists only while one of them runs, and is the same for both."""
    machine.must("systemctl start decide-warm")
    machine.must("systemctl start decide")
    until(lambda: machine.ask("AAPL").code == 0, 20, "it answers")
    machine.must("systemctl start decide-warm")
    assert machine.ask("AAPL").code == 0


def test_the_market_store_is_backed_up_by_its_unit_and_put_back_while_the_server_runs(machine: Machine) -> None:
    """As the same user, from the folder that they share."""
    _serving(machine)
    job = "systemd-run --quiet --wait --pipe --collect -p DynamicUser=yes -p User=decide -p StateDirectory=decide"
    job += " -p WorkingDirectory=/var/lib/decide decide"
    machine.must(f"{job} migrate")
    machine.must("systemctl start decide-market-backup")
    assert machine.show("Result", "decide-market-backup") == "success"
    (name,) = machine.must("ls /var/lib/private/decide/backups").split()
    assert machine.must(f"{job} market restore backups/{name}").startswith("restored ")
    machine.must("systemctl start decide-market-backup.timer && systemctl is-active decide-market-backup.timer")
    machine.must("systemctl stop decide-market-backup.timer")


def test_it_runs_as_nobody_and_may_nothing(machine: Machine) -> None:
    """By the kernel's own word on each of its processes."""
    machine.settings(CLOCK="replay")
    _serving(machine)
    pids = machine.must("cat $(find /sys/fs/cgroup -path '*decide.service/cgroup.procs') | sort -u").split()
    assert len(pids) >= 2
    for pid in pids:
        status = dict(line.split(":\t", 1) for line in machine.must(f"cat /proc/{pid}/status").splitlines() if ":\t" in line)
        assert 61184 <= int(status["Uid"].split()[0]) <= 65519
        assert (status["NoNewPrivs"], status["Seccomp"], int(status["CapBnd"], 16)) == ("1", "2", 0)
    # Without curl, which the machine does not have.
    request = "GET /metrics HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n"
    metrics = machine.must(f"bash -c \"exec 3<>/dev/tcp/127.0.0.1/8000; printf '{request}' >&3; cat <&3\"")
    assert "process_resident_memory_bytes" in metrics
    assert "process_start_time_seconds" in metrics


def test_who_may_write_to_the_socket_may_call_and_nobody_else(machine: Machine) -> None:
    """A group of bots, as ops/README.md has it; somebody who is not in it is told why not."""
    machine.must(
        "groupadd --system --force decide-bots; id bot || useradd --system --groups decide-bots bot; id guest || useradd guest"
    )
    machine.change("decide", "Group=decide-bots")
    _serving(machine)
    assert machine.must("stat -c '%a %G' /run/decide/decide.sock").strip() == "660 decide-bots"
    assert machine.ask("AAPL", user="bot").code == 0
    refused = machine.ask("AAPL", user="guest")
    assert (refused.code, refused.errors.strip()) == (3, f"decide: no answer from {SOCKET}: Permission denied")


def test_keys_are_switched_on_by_the_readmes_steps(machine: Machine) -> None:
    _serving(machine)
    assert machine.ask("AAPL").code == 0
    machine.must("cp /etc/systemd/system/decide.service /root/")
    try:
        # The machine has no OpenSSL.
        rand = "openssl() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \\n'; }; "
        for step in (
            "openssl rand -hex 32 |",
            "echo ACCESS=keys",
            "sudo sed -i '/api_key",
            "sudo systemctl daemon-reload && sudo systemctl restart",
        ):
            machine.must(rand + machine.readme(step))
        refused = machine.ask("AAPL")
        assert (refused.code, "Unauthorized" in refused.errors) == (1, True), refused
        (key,) = re.findall(r"decide_[A-Za-z0-9_-]{20,}", machine.must(machine.readme("sudo systemd-run")))
        until(lambda: machine.shell(f"DECIDE_API_KEY={key} decide ask --url {SOCKET} AAPL").code == 0, 10, "the key is good")
    finally:
        machine.must("mv /root/decide.service /etc/systemd/system/decide.service; systemctl daemon-reload")


def test_what_is_unpacked_into_tmp_can_be_executed(machine: Machine) -> None:
    """As the one-file binary needs it, even where the machine's own /tmp must not be executed from; and it is nobody else's."""
    assert machine.shell("cp /bin/true /tmp/true && /tmp/true").code == 126
    for unit in ("decide", "decide-warm"):
        machine.change(unit, "Type=oneshot\nExecStart=\nExecStart=/bin/sh -c 'cp /bin/true /tmp/unpacked && /tmp/unpacked'")
        machine.must(f"systemctl start {unit}")
    assert machine.shell("test -e /tmp/unpacked").code == 1


def test_a_killed_server_comes_back(machine: Machine) -> None:
    """Restarted with its data, at the same socket, and ready again before it counts as active."""
    _serving(machine)
    before = machine.show("MainPID")
    machine.must(f"kill -KILL {before}")
    until(lambda: machine.show("MainPID") not in (before, "0") and machine.show("ActiveState") == "active", 20, "it is back")
    assert machine.show("NRestarts") == "1"
    until(lambda: machine.ask("AAPL").code == 0, 20, "it answers")


def test_a_wrong_setting_is_told_and_not_tried_again(machine: Machine) -> None:
    """It does not mend itself."""
    machine.settings(HOST=SOCKET, WORKERS="many")
    assert machine.shell("systemctl start decide").code != 0
    assert (machine.show("ExecMainStatus"), machine.show("NRestarts"), machine.show("ActiveState")) == ("2", "0", "failed")
    assert "WORKERS is 'many'; allowed: a whole number" in machine.journal()


def test_where_it_cannot_listen_yet_it_is_tried_again(machine: Machine) -> None:
    """An address may come up after it."""
    machine.settings(HOST="192.0.2.1", ACCESS="off")
    machine.shell("systemctl start --no-block decide")
    until(lambda: int(machine.show("NRestarts")) >= 2, 20, "it is tried again")
    assert machine.show("ExecMainStatus") in ("4", "0")
    assert "HOST is '192.0.2.1' and PORT is 8000; cannot listen there" in machine.journal()


def test_nobody_else_can_lock_or_list_where_the_socket_is(machine: Machine) -> None:
    """Whoever can open a folder can hold its lock, for ever."""
    machine.must("id guest || useradd guest")
    _serving(machine)
    assert machine.shell("ls /run/decide/", user="guest").code == 2
    assert machine.shell("flock --nonblock /run/decide true", user="guest").code != 0
    assert machine.shell("cat /run/decide/.decide.sock.lock", user="guest").code == 1


def test_a_stop_is_clean_and_takes_the_socket_away(machine: Machine) -> None:
    """The workers drain: SIGTERM goes to the main process alone, and it is over before systemd would kill."""
    machine.settings(HOST=SOCKET, CLOCK="replay", WORKERS="2")
    _serving(machine)
    invocation = machine.show("InvocationID")
    started = time.monotonic()
    machine.must("systemctl stop decide")
    assert time.monotonic() - started < 15
    assert (machine.show("Result"), machine.show("ExecMainStatus"), machine.show("ActiveState")) == ("success", "0", "inactive")
    assert machine.shell("test -e /run/decide").code == 1
    said = machine.must(f"journalctl --no-pager --output cat _SYSTEMD_INVOCATION_ID={invocation}")
    assert said.count('"event":"stopped"') >= 2


def test_memory_is_bounded_by_the_kernel(machine: Machine) -> None:
    """The limit is the unit's; beyond one the server is ended and started again, and nothing else on the machine is."""
    _serving(machine)
    limits = "find /sys/fs/cgroup -path '*decide.service/memory.max' -o -path '*decide.service/memory.limit_in_bytes'"
    assert machine.must(f"cat $({limits})").split() == [str(512 * 1024 * 1024)]
    machine.change("decide", "MemoryMax=24M\nRestart=no")
    machine.shell("systemctl restart decide")
    until(lambda: machine.show("ActiveState") == "failed", 40, "it is ended")
    # Where the machine has the old groups of processes, systemd is not told who killed it.
    assert (machine.show("Result") in ("oom-kill", "signal"), machine.show("ExecMainStatus")) == (True, "9")
    assert machine.must("systemctl is-active systemd-journald").strip() == "active"


def test_simulated_prices_move_in_one_unit_and_in_three(machine: Machine) -> None:
    """In place of each other, with one state."""
    machine.must("rm -rf /var/lib/private/decide")
    machine.settings(HOST=SOCKET)

    def moves() -> bool:
        return '"tick":{"status":"present"' in machine.ask("AAPL", "--json").output.replace(" ", "")

    machine.must("systemctl start decide-live")
    until(moves, 60, "a decision rests on a last trade")
    machine.must("systemctl start decide decide-ingest decide-stream")
    assert (machine.show("ActiveState", "decide-live"), machine.show("Result", "decide-live")) == ("inactive", "success")
    until(moves, 60, "a decision rests on a last trade")
    machine.must("systemctl start decide-live")
    until(moves, 60, "a decision rests on a last trade")
    assert [machine.show("Result", f"decide{each}") for each in ("", "-ingest", "-stream")] == ["success"] * 3
