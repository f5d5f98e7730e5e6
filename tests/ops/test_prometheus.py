"""Configuration, rules and alerts of Prometheus, and the dashboard: promtool's word on them, and that they fit the server."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from app.observe.meters import Meters
from tests.kit.programs import promtool
from tests.kit.servers import ROOT
from warm.stream.metrics import ConsumerMeters, IngestMeters

_PROMETHEUS = ROOT / "ops" / "prometheus"
_RULES = _PROMETHEUS / "rules"
_TESTS = Path(__file__).resolve().parent / "rules"
_RUNBOOK = ROOT / "ops" / "RUNBOOK.md"
_GRAFANA = ROOT / "ops" / "grafana"
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}
# What Prometheus itself and prometheus-client's collectors of the process add; the latter need a Linux /proc.
_NOT_OURS = re.compile(r"up|ALERTS|(?:scrape|process)_\w+")
_WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}


def read(path: Path) -> str:
    """The text of a file."""
    return path.read_text(encoding="utf-8")


def expressions(rules: str) -> list[str]:
    """Every ``expr`` of a file of rules, on one line each."""
    found, lines = [], rules.splitlines()
    for number, line in enumerate(lines):
        head = re.match(r"( *)(?:- )?expr: (.*)", line)
        if head is None:
            continue
        parts = [head[2]]
        if head[2] in ("|", ">-"):
            parts = []
            for more in lines[number + 1 :]:
                if len(more) - len(more.lstrip()) <= len(head[1]):
                    break
                parts.append(more.strip())
        found.append(" ".join(parts))
    return found


def metric_names(expression: str) -> set[str]:
    """The metrics that a PromQL expression asks for."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    return set(re.findall(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()", bare)) - _WORDS


def exposed_names() -> set[str]:
    """Every name under which the server, the stream or a source exposes a sample."""
    text = Meters(version="1.2.3", policy="1.0.0", schema="abc").exposition().decode()
    text += "".join(generate_latest(each.registry).decode() for each in (ConsumerMeters(), IngestMeters("synthetic")))
    types = re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE)
    return {name + suffix for name, kind in types for suffix in _SUFFIXES[kind]}


def alert_blocks() -> list[tuple[str, str]]:
    """Name and text of every alert."""
    parts = re.split(r"^      - alert: (\w+)\n", read(_RULES / "alerts.yml"), flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def panels() -> list[dict[str, Any]]:
    """The dashboard's panels, without its rows."""
    board = json.loads(read(_GRAFANA / "dashboards" / "decide.json"))
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def test_promtool_accepts_the_configuration(tmp_path: Path) -> None:
    """With the rules in the repository in place of those in the container."""
    text = read(_PROMETHEUS / "prometheus.yml")
    assert "- /etc/prometheus/rules/*.yml" in text
    config = tmp_path / "prometheus.yml"
    config.write_text(text.replace("/etc/prometheus/rules/", f"{_RULES}/"), encoding="utf-8")
    promtool("check", "config", config)


def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", "--lint-fatal", *sorted(_RULES.glob("*.yml")))


@pytest.mark.parametrize("name", [path.name for path in sorted(_TESTS.glob("*.test.yml"))])
def test_rules_do_what_their_tests_say(name: str) -> None:
    promtool("test", "rules", _TESTS / name)


def test_time_without_a_server_counts_against_availability(tmp_path: Path) -> None:
    """Of eight scrapes four were good, two found it down, and at two there was no server to scrape."""
    (query,) = re.findall(r"^avg_over_time\(.*up\{.*\[30d:1m\]\)$", read(ROOT / "ops" / "SLO.md"), re.MULTILINE)
    series = {"series": 'up{job="decide", instance="a"}', "values": "1 1 1 1 1 0 0 stale _"}
    check = {"expr": query.replace("30d", "8m"), "eval_time": "8m30s", "exp_samples": [{"labels": "{}", "value": 0.5}]}
    asked = {"interval": "1m", "input_series": [series], "promql_expr_test": [check]}
    tests = tmp_path / "tests.yml"
    tests.write_text(json.dumps({"evaluation_interval": "1m", "tests": [asked]}), encoding="utf-8")
    promtool("test", "rules", tests)


def test_every_alert_has_a_test_that_it_fires_and_one_that_it_does_not() -> None:
    text = "".join(read(path) for path in sorted(_TESTS.glob("*.test.yml")))
    checks = re.findall(r"alertname: (\w+)\n +exp_alerts:( \[\]|\n +- exp_labels: .*)", text)
    names = {name for name, _ in alert_blocks()}
    assert names
    assert {name for name, expected in checks if expected == " []"} == names
    assert {name for name, expected in checks if expected != " []"} == names


def test_every_rule_of_an_alert_is_seen_to_fire_with_its_own_labels() -> None:
    """Two rules of one name differ in a label, and each of them is expected by a check."""
    text = "".join(read(path) for path in sorted(_TESTS.glob("*.test.yml")))
    for name, block in alert_blocks():
        labels = re.findall(r"^          (severity|burn|cause): (\w+)$", block, re.MULTILINE)
        # One check may expect several alerts, so only the order of the labels ties them together.
        wanted = ", ".join(f"{label}: {value}" for label, value in labels)
        assert re.search(rf"alertname: {name}\n +exp_alerts:\n(?: {{10,}}.*\n)*? +- exp_labels: {{ {wanted}, job: ", text), name


def test_every_record_has_a_test() -> None:
    records = set(re.findall(r"- record: (\S+)", read(_RULES / "recording.yml")))
    checked = set().union(*(metric_names(expression) for expression in expressions(read(_TESTS / "recording.test.yml"))))
    # What the ratio over the same window is made of.
    parts = {name for name in records if name.startswith("status:")}
    assert records - parts <= checked
    assert checked & parts


def test_every_alert_says_what_it_is_and_where_to_read_on() -> None:
    headings = re.findall(r"^## (\w+)$", read(_RUNBOOK), re.MULTILINE)
    assert sorted(headings) == sorted({name for name, _ in alert_blocks()})
    for name, block in alert_blocks():
        assert re.search(r"^          severity: (?:critical|warning)$", block, re.MULTILINE), name
        assert re.search(r"^          summary: \S", block, re.MULTILINE), name
        assert re.search(r"^          description: .*(?:\n {12,}.*)*\$value", block, re.MULTILINE), name
        assert f"          runbook: ops/RUNBOOK.md#{name.lower()}\n" in block, name


def test_every_section_of_the_runbook_answers_the_same_questions() -> None:
    for section in re.split(r"^## ", read(_RUNBOOK), flags=re.MULTILINE)[1:]:
        questions = re.findall(r"^\*\*([\w ]+)\.\*\*", section, re.MULTILINE)
        assert questions == ["Means", "Callers see", "Look at", "Do", "Try it"], section.splitlines()[0]


def test_every_metric_that_is_asked_for_exists() -> None:
    rules = {path.name: expressions(read(path)) for path in sorted(_RULES.glob("*.yml"))}
    rules["decide.json"] = [target["expr"] for panel in panels() for target in panel["targets"]]
    for document in ("SLO.md", "RUNBOOK.md"):
        rules[document] = re.findall(r"^```promql\n(.*?)^```$", read(ROOT / "ops" / document), re.MULTILINE | re.DOTALL)
    known = exposed_names() | set(re.findall(r"- record: (\S+)", read(_RULES / "recording.yml")))
    for source, found in rules.items():
        assert found, source
        names = set().union(*(metric_names(expression) for expression in found))
        assert {name for name in names if not _NOT_OURS.fullmatch(name)} - known == set(), source


def test_every_metric_that_the_pages_name_in_passing_exists() -> None:
    known = exposed_names() | set(re.findall(r"- record: (\S+)", read(_RULES / "recording.yml")))
    for page in sorted((ROOT / "ops").glob("*.md")):
        named = set(re.findall(r"`((?:decide|status|process)[:_][a-z0-9_:]+)", read(page)))
        assert {name for name in named if not _NOT_OURS.fullmatch(name)} - known == set(), page.name


def test_every_alert_that_the_objectives_name_exists() -> None:
    named = set(re.findall(r"\bDecide[A-Z]\w+", read(ROOT / "ops" / "SLO.md")))
    assert named
    assert named <= {name for name, _ in alert_blocks()}


def test_every_panel_can_be_read_and_asked() -> None:
    found = panels()
    assert len({panel["id"] for panel in found}) == len(found)
    for panel in found:
        assert panel["title"], panel["id"]
        assert panel["description"].endswith("."), panel["title"]
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"], panel["title"]
        assert defaults["thresholds"]["steps"][0]["value"] is None, panel["title"]
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert "$" not in target["expr"], panel["title"]
            assert target["datasource"] == panel["datasource"], panel["title"]


def test_panels_do_not_overlap() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        own = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not own & cells, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        cells |= own


def test_the_dashboard_asks_the_data_source_that_is_provisioned() -> None:
    given = re.findall(r"^    uid: (\S+)$", read(_GRAFANA / "provisioning" / "datasources" / "prometheus.yml"), re.MULTILINE)
    assert {panel["datasource"]["uid"] for panel in panels()} == set(given)
    assert "path: /etc/grafana/dashboards\n" in read(_GRAFANA / "provisioning" / "dashboards" / "decide.yml")
