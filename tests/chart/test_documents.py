"""What the documents point at exists: files, headings, values, metrics, alerts."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "charts" / "mfu-operator"
DOCUMENTS = [*sorted((ROOT / "docs").glob("*.md")), CHART / "README.md"]
every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_document
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if re.match(r"[a-z]+://", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@every_document
def test_values_named_in_a_document_exist(path):
    values: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    for named in re.findall(r"`([a-z]\w*(?:\.\w+)+)(?:=[^`]*)?`", path.read_text()):
        head, *rest = named.split(".")
        if head not in values:
            continue
        node: Any = values[head]
        for key in rest:
            assert isinstance(node, dict) and key in node, named
            node = node[key]


@every_document
def test_metrics_named_in_a_document_are_those_of_rules_or_dashboards_or_exporter(path):
    operator = ROOT / "operator" / "mfu"
    exporter = "".join((operator / "control" / f"{name}.py").read_text() for name in ("exporter", "fleet_exporter"))
    # And those that training programs report and the operator reads.
    read = "".join(path.read_text() for folder in ("observe", "report") for path in sorted((operator / folder).rglob("*.py")))
    known = (CHART / "files" / "rules.yaml").read_text() + exporter + read
    for named in re.findall(r"`(mfu_[a-z_]+)", path.read_text()):
        assert named in known or named.removesuffix("_total") in known or re.sub(r"^mfu_[a-z]+_", "", named) in exporter, named


def test_every_alert_has_its_runbook_and_every_runbook_its_alert():
    rules = yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    runbooks = (ROOT / "docs" / "operations.md").read_text().partition("## Runbooks")[2]
    assert set(re.findall(r"^### (\w+)$", runbooks, flags=re.MULTILINE)) == alerts
