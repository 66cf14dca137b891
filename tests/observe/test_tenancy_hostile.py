"""Whatever a tenant writes into names, labels and figures: it stays inside the tenant's own namespace."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.errors import IntentError
from mfu.missing import Missing, Reason
from mfu.observe.attribution import application_pod, claimed_pod
from mfu.observe.observation import Observation
from mfu.observe.prometheus import PrometheusMetrics
from mfu.observe.telemetry import PodKey, Snapshot, TrainingCounters
from mfu.observe.tick import read_snapshot
from mfu.observe.workload import observe
from sandbox.monitoring import start_prometheus
from sandbox.processes import Supervisor
from sandbox.toolchain import Tools
from tests.observe.cases import FakeMetrics, training, workload

VICTIM = PodKey(namespace="victim", pod="job-0")
PAST_SECONDS, STEP_SECONDS = 600, 15

HOSTILE = [
    pytest.param('victim",pod="job-0', id="ends the quoted value"),
    pytest.param('x"} or mfu_training_tokens_total{namespace="victim', id="adds a selector"),
    pytest.param("victim|.*", id="a regular expression"),
    pytest.param(".+", id="matches everything"),
    pytest.param("victim\\", id="escapes the quote"),
    pytest.param("victim\nvictim", id="two lines"),
    pytest.param("vıctim\u202e", id="looks alike"),
    pytest.param("viсtim", id="a Cyrillic letter"),
    pytest.param("VICTIM", id="upper case"),
    pytest.param(" victim ", id="with blanks"),
    pytest.param("victim/job-0", id="a path"),
    pytest.param("v" * 20_000, id="very long"),
    pytest.param("$1", id="a replacement group"),
]

label_values = st.text(max_size=80) | st.sampled_from(["victim", "job-0", "", "attacker"])


@given(namespace=label_values, pod=label_values, claimed=label_values, named=label_values)
def test_a_series_is_only_ever_of_the_namespace_of_its_target(namespace: str, pod: str, claimed: str, named: str) -> None:
    labels = {"namespace": namespace, "pod": pod, "exported_namespace": claimed, "exported_pod": named}
    found = application_pod(labels)
    assert found is None or found.namespace == namespace
    said = claimed_pod(labels)
    assert said is None or found is None, "what is believed is not reported as a false claim besides"


@pytest.mark.parametrize("name", HOSTILE)
def test_no_expression_can_be_declared_as_a_counter(name: str) -> None:
    with pytest.raises(IntentError, match="no metric name"):
        TrainingCounters(tokens_metric=name if name != "VICTIM" else name + "-")


def test_nothing_that_a_tenant_declares_but_a_metric_name_reaches_a_query() -> None:
    metrics = FakeMetrics()
    read_snapshot(metrics, now=0.0, training_counters=[TrainingCounters(tokens_metric="team_tokens_total")])
    named = [promql for promql in metrics.asked if "team_tokens_total" in promql]
    assert named and all('namespace="' not in promql and "=~" not in promql for promql in named)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@pytest.fixture(scope="module")
def read(supervisor: Supervisor, tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    """What a real Prometheus gives when every hostile value is stored as namespace, as pod and as a claim beside the victim's own."""
    now = int(time.time())
    values = [str(each.values[0]) for each in HOSTILE]
    series: list[tuple[dict[str, str], float]] = [({"namespace": "victim", "pod": "job-0", "instance": "victim"}, 1000.0)]
    for number, value in enumerate(values):
        at = {"instance": f"evil-{number}"}
        series.append(({"namespace": value, "pod": "job-0", **at}, 7.0))
        series.append(({"namespace": "attacker", "pod": value, **at}, 7.0))
        claims = {"exported_namespace": "victim", "exported_pod": "job-0"}
        series.append(({"namespace": "attacker", "pod": f"evil-{number}", **claims, **at}, 9e9))
        series.append(({"namespace": "attacker", "pod": f"evil-{number}", "exported_pod": value, **at}, 7.0))
    path: Path = tmp_path_factory.mktemp("hostile") / "history.txt"
    lines = ["# TYPE mfu_training_tokens counter"]
    for labels, per_second in series:
        text = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
        lines += [f"mfu_training_tokens_total{{{text}}} {per_second * (PAST_SECONDS - age)} {now - age}" for age in _ages()]
    path.write_text("\n".join([*lines, "# EOF", ""]))
    server = start_prometheus(supervisor, tools, [], history=path, name="prometheus-with-hostile-labels")
    with PrometheusMetrics(server.url) as metrics:
        yield read_snapshot(metrics, now=float(now))


def _ages() -> Iterator[int]:
    return itertools.takewhile(lambda age: age >= 0, itertools.count(PAST_SECONDS, -STEP_SECONDS))


def test_the_victim_has_its_own_figures_and_nobody_elses(read: Snapshot) -> None:
    assert read.problem is None
    assert read.training[VICTIM].tokens_per_second == pytest.approx(1000.0, rel=0.02)
    assert {key for key in read.training if key.namespace == "victim"} == {VICTIM}


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_namespace_is_a_namespace_of_that_very_name(read: Snapshot, value: str) -> None:
    assert read.training[PodKey(namespace=value, pod="job-0")].tokens_per_second == pytest.approx(7.0, rel=0.02)
    assert read.training[PodKey(namespace="attacker", pod=value)].tokens_per_second == pytest.approx(7.0, rel=0.02)


def test_false_claims_are_remembered_as_such_and_not_believed(read: Snapshot) -> None:
    assert VICTIM in read.claimed
    job = workload(training())
    honest = observe(job, [VICTIM], read)
    assert isinstance(honest, Observation) and honest.tokens_per_second == pytest.approx(1000.0, rel=0.02)
    other = observe(job, [PodKey(namespace="victim", pod="job-1")], read)
    assert isinstance(other, Missing) and other.reason is Reason.TELEMETRY_MISSING
