"""Scenario files."""

from pathlib import Path

import pytest

from bench.__main__ import main
from bench.scenario import COUNTS, ScenarioError, allowing, load, names, shortened

_PHASE = '[[phases]]\nname = "a"\nloop = "closed"\nrequests = 1\n'


def _file(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_every_scenario_that_ships_is_valid() -> None:
    scenarios = {name: load(name) for name in names()}
    assert {"acceptance", "closed", "open"} <= scenarios.keys()
    by_name = {phase.name: phase for phase in scenarios["acceptance"].phases}
    assert (by_name["requirement"].requests, by_name["requirement"].mix.symbols) == (30, 5)
    for phase in scenarios["acceptance"].phases:
        if phase.measured:
            assert phase.checks.p95_ms is not None, phase.name
            assert phase.checks.p95_ms <= 500
            assert phase.checks.hit_rate is not None, phase.name
            assert phase.checks.hit_rate >= 0.8
            assert phase.checks.server_errors == phase.checks.invalid == phase.checks.faults == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "description"),
        ('description = "x"', "phases"),
        ('description = "x"\nphases = []', "phases"),
        ('description = "x"\n' + _PHASE + "speed = 3", "speed"),
        ('description = "x"\n' + _PHASE + "duration_s = 3", "either requests or duration_s"),
        ('description = "x"\n' + _PHASE + "rate_per_s = 3", "closed one neither"),
        ('description = "x"\n' + _PHASE.replace("closed", "open"), "either rate_per_s or share_of_peak"),
        ('description = "x"\n' + _PHASE.replace("closed", "open") + "share_of_peak = 0.5", "closed phase before it"),
        ('description = "x"\n' + _PHASE.replace("closed", "open") + "rate_per_s = 1\nchecks = {goodput = 1}", "goodput need"),
        (
            'description = "x"\n' + _PHASE + "measured = false\n" + _PHASE.replace("closed", "open") + "share_of_peak = 0.5",
            "closed phase before it",
        ),
        ('description = "x"\n' + _PHASE + "patience_s = 1", "patience_s has no meaning"),
        ('description = "x"\n' + _PHASE + "mix = { cold = 0.6, batch = 0.6 }", "more than all requests"),
        ('description = "x"\n' + _PHASE + "checks = {p99_ratio = 2}", "p99_ratio needs a measured phase"),
        (
            'description = "x"\n' + _PHASE + "measured = false\n" + _PHASE + "checks = {p99_ratio = 2}",
            "p99_ratio needs a measured",
        ),
        ('description = "x"\n' + _PHASE + "mix = { cold = 1.6 }", "cold"),
        ("this is no toml", "mine.toml"),
        ('description = "\xff"'.encode("latin-1").decode("latin-1") + "\n\x00", "mine.toml"),
    ],
)
def test_a_scenario_that_makes_no_sense_is_refused_with_the_reason(tmp_path: Path, text: str, says: str) -> None:
    path = _file(tmp_path, text)
    with pytest.raises(ScenarioError, match=says) as caught:
        load(path)
    assert path in str(caught.value)


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(ScenarioError, match=r"no scenario 'acceptence'.*acceptance, closed"):
        load("acceptence")


def test_quick_shortens_durations_but_no_counts() -> None:
    """A quarter of each, a second at least; the thirty requests stay thirty."""
    before, after = load("acceptance"), shortened(load("acceptance"), 0.25)
    for long, short in zip(before.phases, after.phases, strict=True):
        assert short.requests == long.requests
        if long.duration_s is not None:
            assert short.duration_s == max(1.0, long.duration_s / 4)


def test_a_margin_widens_bounds_of_time_and_no_count() -> None:
    """Lower bounds are divided by it; what is not asked for stays so."""
    before, after = load("overload"), allowing(load("overload"), 2)
    hard = {phase.name: phase.checks for phase in after.phases}["2 x the peak"]
    assert (hard.goodput, hard.refusal_p99_ms, hard.p95_ms) == (0.85 / 2, 100, None)
    for was, now in zip(before.phases, after.phases, strict=True):
        assert [getattr(now.checks, name) for name in COUNTS] == [getattr(was.checks, name) for name in COUNTS]


@pytest.mark.parametrize(
    ("options", "says"), [(["--margin", "0.5"], "at least 1"), (["--scenario", "peers", "--margin", "2"], "--margin is 2")]
)
def test_a_margin_that_makes_no_sense_is_refused(options: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(options)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err
