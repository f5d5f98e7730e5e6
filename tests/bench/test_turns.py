"""The measurement of the event loop's turns: that it measures what it says, on either store."""

import re

import pytest

from bench.turns import main


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_change_and_a_loss_are_applied_and_their_turns_are_timed(
    kind: str, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """How long they took is the machine's affair; that there were several turns is not."""
    url = request.getfixturevalue("redis_url") if kind == "redis" else ""
    assert main(["--redis-url", url, "--symbols", "3000", "--followed", "10"]) in (0, 1)
    changed, lost = capsys.readouterr().out.splitlines()
    assert changed.startswith(f"{kind}, 3,000 symbols published: applied after ")
    assert lost.startswith(f"{kind}, 3,000 symbols in memory, entries lost: applied after ")
    for line in (changed, lost):
        found = re.search(r"longest of (\d+) turns: (\d+\.\d) ms of CPU time", line)
        assert found is not None
        assert int(found[1]) > 3
        assert float(found[2]) > 0.0
