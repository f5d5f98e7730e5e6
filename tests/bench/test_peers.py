"""The page about others: what is made of figures, whatever they are. That every server runs is its own smoke run's to see."""

from pathlib import Path

import msgspec
import pytest

from bench.peers import goals, page
from bench.peers.experiments import in_order
from bench.peers.findings import Cost, Findings, Row, Size, Step, Table
from bench.peers.sampling import Spread

_SERVERS = ("decide", "granian_raw", "granian_body", "fastapi_redis")
_PICTURES = ("a.svg", "b.svg", "c.svg")


def _spread(value: float) -> Spread:
    return Spread(low=value * 0.9, median=value, high=value * 1.1)


def _row(name: str, *, ratio: float | None = None, per_s: float = 1000.0, faults: int = 0) -> Row:
    return Row(
        name=name,
        title=name.title(),
        answers_per_s=_spread(per_s),
        decisions_per_s=_spread(per_s),
        cpu_us=_spread(40.0),
        p50_ms=_spread(1.0),
        p95_ms=_spread(2.0),
        p99_ms=_spread(4.0),
        ratio=None if ratio is None else _spread(ratio),
        cpu_ratio=None if ratio is None else _spread(ratio),
        p50_ratio=None if ratio is None else _spread(ratio),
        p95_ratio=None if ratio is None else _spread(ratio),
        p99_ratio=None if ratio is None else _spread(ratio),
        faults=faults,
    )


def _table(name: str, *rows: Row) -> Table:
    return Table(name=name, title=f"Table {name}", connections=32, rounds=5, seconds=2.0, rows=list(rows))


def _findings(*, ratio: float = 6.0, faults: int = 0) -> Findings:
    plain = [_row("decide", faults=faults), *(_row(name, ratio=ratio) for name in _SERVERS[1:])]
    named = ("hits", "connections_1", "connections_1000", "open_50", "open_80", "workers", "granian")
    tables = [_table(name, *plain) for name in named]
    ways = _row("decide_miss", ratio=2.0, per_s=900.0), _row("granian_get", ratio=1.5), _row("fastapi_redis", per_s=200.0)
    tables += [_table("paths", _row("decide"), *ways)]
    tables += [_table(name, _row("tcp"), _row("socket", ratio=2.0, faults=1)) for name in ("sockets_1", "sockets_32")]
    tables += [_table("batches", _row("batch_1000", per_s=200_000.0), _row("batch_1", ratio=50.0))]
    sizes = [
        Size(
            symbols=count,
            start_s=_spread(0.7),
            resident_at_start_mb=60.0,
            resident_full_mb=60.0 + count / 200,
            answers_per_s=_spread(20_000.0),
            cpu_us=_spread(45.0),
            redis_bytes_a_symbol=1000.0,
        )
        for count in (10, 10_000)
    ]
    walls = {"indicators_decide_1000": 0.1, "indicators_pandas_1000": 2.5, "indicators_decide_10000": 1.5, "warm": 8.0}
    steps = [
        Step(name=name, title=name, part="part", symbols=1000, bars=1000, wall_s=_spread(wall_s), peak_mb=900.0, rows_per_s=1e6)
        for name, wall_s in walls.items()
    ]
    return Findings(
        started_at="2026-01-01T00:00:00+00:00",
        took_s=600.0,
        quick=False,
        commit="abc",
        machine={"processor": "A processor", "cpus": 2, "memory_gb": 24, "system": "Linux"},
        versions={"python": "3.11"},
        redis_version="7.0",
        missing=[],
        tables=tables,
        sizes=sizes,
        steps=steps,
        cost=Cost(
            bytes_an_answer=600,
            bytes_a_record_pair=600.0,
            redis_us_a_miss=5.0,
            decide_us_a_miss=120.0,
            decide_us_a_hit=40.0,
            decide_us_a_batched=3.0,
        ),
        goals=goals.judge({table.name: table for table in tables}, sizes, steps),
    )


def test_the_page_follows_from_the_json_alone() -> None:
    findings = _findings()
    again = msgspec.json.decode(msgspec.json.encode(findings), type=Findings)
    text = page.markdown(again, _PICTURES)
    assert text == page.markdown(findings, _PICTURES)
    assert "{{" not in text
    for table in findings.tables:
        assert table.title in text


@pytest.mark.parametrize(
    ("ratio", "faults", "cheap", "ahead", "calm"),
    [(6.0, 0, True, True, True), (0.5, 0, False, False, True), (6.0, 3, True, True, False)],
)
def test_a_goal_is_met_by_its_figure_alone(ratio: float, faults: int, *, cheap: bool, ahead: bool, calm: bool) -> None:
    findings = _findings(ratio=ratio, faults=faults)
    assert [goal.met for goal in findings.goals][:3] == [cheap, ahead, calm]
    assert len(findings.goals) == 9
    assert page.goals(findings.goals).count("**missed**") == sum(not goal.met for goal in findings.goals)


def test_ratios_stand_with_their_spread() -> None:
    assert page.spread(Spread(low=1.0, median=2.0, high=3000.0), 1, " ms") == "2.0 ms [1.0, 3,000.0]"
    assert not page.spread(None)
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(low=1.0, median=2.0, high=3.0)


def test_ways_to_one_server_are_first_as_often_as_each_other() -> None:
    assert [in_order("ab", number, alternate=True) for number in range(3)] == [["a", "b"], ["b", "a"], ["a", "b"]]
    assert [in_order("abc", number, alternate=False) for number in range(2)] == [["a", "b", "c"]] * 2


def test_two_ways_to_one_server_stand_with_their_ratios() -> None:
    """How many times the first's each figure is, rates among them, which other tables have the other way round."""
    lines = page.shown(_findings().table("sockets_1")).splitlines()
    head, _, first, second, ratios = (line.split(" | ") for line in lines[2:7])
    assert head[-3:] == ["p50 ms", "p95 ms", "p99 ms |"]
    assert (first[0], second[0]) == ("| Tcp", "| Socket")
    assert ratios[0] == "| ... × Tcp"
    assert [each.split(" [")[0] for each in ratios[1:]] == ["0.50", "2.00", "2.00", "2.00", "2.00"]
    assert lines[-1].endswith("0 answers were wrong, 1 lost.")


def test_everything_is_written_into_one_folder(tmp_path: Path) -> None:
    paths = page.write(_findings(), tmp_path / "out")
    assert sorted(paths) == sorted((tmp_path / "out").iterdir())
    assert [path.suffix for path in paths] == [".json", ".md", ".svg", ".svg", ".svg"]


def test_a_page_that_is_written_anew_keeps_what_other_commands_measured(tmp_path: Path) -> None:
    _, path, *_ = page.write(_findings(), tmp_path)
    path.write_text(f"old tables\n{page.KEPT}\n\n## Traces\n", encoding="utf-8")
    for _ in range(2):
        page.write(_findings(), tmp_path)
    text = path.read_text(encoding="utf-8")
    assert text.endswith(f"\n{page.KEPT}\n\n## Traces\n")
    assert text.count("## Traces") == 1
    assert "old tables" not in text
