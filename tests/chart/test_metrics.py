"""Rules and dashboards: they parse, they do what they say, and they speak of metrics that exist."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from mfu.control.exporter import ControllerMetrics, WebhookMetrics
from sandbox.toolchain import Program

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = ROOT / "charts" / "mfu-operator" / "files"
RULES = FILES / "rules.yaml"
DASHBOARDS = sorted((FILES / "dashboards").glob("*.json"))
every_dashboard = pytest.mark.parametrize("path", DASHBOARDS, ids=[path.stem for path in DASHBOARDS])
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def exported() -> set[str]:
    families = [family for metrics in (ControllerMetrics(), WebhookMetrics()) for family in metrics.registry.collect()]
    return {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"\bmfu[_:][a-zA-Z0-9_:]+", re.sub(r'"[^"]*"', "", expression)))


def panels(path: Path) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]


def promtool(tools, *arguments: str) -> str:
    done = subprocess.run([str(tools.path(Program.PROMTOOL)), *arguments], check=False, capture_output=True, text=True, timeout=60)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_prometheus_accepts_the_rules(tools):
    assert promtool(tools, "check", "rules", str(RULES)) == ""


def test_the_rules_do_what_they_say(tools):
    assert promtool(tools, "test", "rules", str(Path(__file__).parent / "rules_test.yaml")) == ""


def test_every_alert_is_tested_in_both_directions():
    cases = [
        case
        for group in yaml.safe_load((Path(__file__).parent / "rules_test.yaml").read_text())["tests"]
        for case in group["alert_rule_test"]
    ]
    for alert in (rule["alert"] for rule in rules() if "alert" in rule):
        fires = {bool(case.get("exp_alerts")) for case in cases if case["alertname"] == alert}
        assert fires == {True, False}, alert


def test_rules_use_metrics_that_the_operator_exports_or_that_they_record():
    known = exported() | {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        assert metrics_in(rule["expr"]) <= known, rule.get("alert") or rule["record"]


def test_every_alert_has_a_severity_and_a_runbook_that_exists():
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / "operations.md").read_text(), flags=re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for rule in rules():
        if "alert" not in rule:
            continue
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert path == "docs/operations.md"
        assert anchor in anchors, rule["alert"]


def test_runbook_addresses_follow_the_value(chart):
    values = {"metrics": {"prometheusRule": {"enabled": True, "runbookBaseUrl": "https://example.com/mfu/"}}}
    (body,) = [body for body in chart.render(values) if body["kind"] == "PrometheusRule"]
    urls = [rule["annotations"]["runbook_url"] for group in body["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    assert urls
    assert all(url.startswith("https://example.com/mfu/docs/operations.md#") for url in urls)


def test_the_limits_of_the_alerts_follow_the_values(chart):
    limits = {"gapDollarsPerHour": 25000, "weekOverWeekFall": 0.05, "unknownShare": 0.5, "strandedSlices": 70}
    (body,) = [
        body
        for body in chart.render({"metrics": {"prometheusRule": {"enabled": True, "thresholds": limits}}})
        if body["kind"] == "PrometheusRule"
    ]
    recorded = {rule["record"]: rule["expr"] for group in body["spec"]["groups"] for rule in group["rules"] if "record" in rule}
    assert {name: expr for name, expr in recorded.items() if name.startswith("mfu:threshold_")} == {
        "mfu:threshold_gap:dollars_per_hour": "vector(25000)",
        "mfu:threshold_fall:ratio": "vector(0.05)",
        "mfu:threshold_unknown:ratio": "vector(0.5)",
        "mfu:threshold_stranded:slices": "vector(70)",
    }


@every_dashboard
def test_prometheus_can_parse_every_panel(tools, tmp_path, path):
    expressions = [target["expr"] for panel in panels(path) for target in panel["targets"]]
    records = [{"record": f"panel:{number}", "expr": expression.replace("$", "")} for number, expression in enumerate(expressions)]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": records}]}))
    assert promtool(tools, "check", "rules", str(file)) == ""


@every_dashboard
def test_panels_and_variables_ask_for_exported_metrics_only(path):
    dashboard = json.loads(path.read_text())
    asked = [target["expr"] for panel in panels(path) for target in panel["targets"]]
    asked += [variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    # Not the recorded series, but for history: a dashboard works without the PrometheusRule.
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    used = set().union(*map(metrics_in, asked))
    assert used <= exported() | recorded
    of_history = [panel for panel in panels(path) if any(metrics_in(target["expr"]) & recorded for target in panel["targets"])]
    assert all("chart's rules" in panel["description"] for panel in of_history)


@every_dashboard
def test_ratios_are_shown_as_percentages_and_money_as_money(path):
    for panel in panels(path):
        asked = set().union(*(metrics_in(target["expr"]) for target in panel["targets"]))
        unit = panel["fieldConfig"]["defaults"]["unit"]
        if panel["type"] == "table":
            continue
        if any(name.endswith("_ratio") for name in asked):
            assert unit == "percentunit", panel["title"]
        if any(name.endswith("_dollars_per_hour") for name in asked):
            assert unit == "currencyUSD", panel["title"]


@every_dashboard
def test_panels_lie_inside_the_grid_without_overlap_and_explain_themselves(path):
    taken: set[tuple[int, int]] = set()
    dashboard = json.loads(path.read_text())
    assert dashboard["uid"] == f"mfu-{path.stem}"
    identifiers = [panel["id"] for panel in dashboard["panels"]]
    assert len(identifiers) == len(set(identifiers))
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["description"], panel["title"]


def links(dashboard: dict[str, Any]) -> set[str]:
    found = [link["url"] for link in dashboard["links"]]
    for panel in dashboard["panels"]:
        for override in panel.get("fieldConfig", {}).get("overrides", ()):
            for setting in override["properties"]:
                found += [link["url"] for link in setting["value"]] if setting["id"] == "links" else []
    return set(found)


def test_dashboards_lead_from_fleet_to_tenant_to_workload_and_back_with_variables_that_exist():
    known = {path.stem: json.loads(path.read_text()) for path in DASHBOARDS}
    reached = {name: {re.search(r"/d/mfu-(\w+)", url)[1] for url in links(dashboard)} for name, dashboard in known.items()}
    assert reached == {"fleet": {"tenant", "workload"}, "tenant": {"fleet", "workload"}, "workload": {"fleet", "tenant"}}
    for dashboard in known.values():
        for url in links(dashboard):
            target = known[re.search(r"/d/mfu-(\w+)", url)[1]]
            assert set(re.findall(r"var-(\w+)=", url)) <= {variable["name"] for variable in target["templating"]["list"]}
            for column in re.findall(r"__data\.fields\.(\w+)", url):
                assert any(column in panel["targets"][0]["expr"] for panel in dashboard["panels"] if panel["type"] == "table")


def test_attainment_is_judged_by_the_same_limits_everywhere():
    found = [panel for path in DASHBOARDS for panel in panels(path) if panel["title"] == "Attainment"]
    assert len(found) == 2
    for panel in found:
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert [(step["color"], step["value"]) for step in steps] == [("red", None), ("orange", 0.7), ("green", 0.9)]


def test_every_dashboard_becomes_a_config_map_for_the_sidecar(chart):
    maps = [body for body in chart.render() if body["kind"] == "ConfigMap" and "-dashboard-" in body["metadata"]["name"]]
    assert {body["metadata"]["name"] for body in maps} == {f"mfu-operator-dashboard-{name}" for name in ("fleet", "tenant", "workload")}
    for body in maps:
        assert body["metadata"]["labels"]["grafana_dashboard"] == "1"
        ((name, text),) = body["data"].items()
        assert json.loads(text) == json.loads((FILES / "dashboards" / name.removeprefix("mfu-")).read_text())
