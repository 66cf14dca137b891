"""Looks at the cluster as anybody could and says whether the demo's story came true."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.cluster import CommandFailed
from sandbox.controlplane import ControlPlane
from sandbox.installation import Installation
from sandbox.monitoring import Alertmanager, Prometheus

__all__ = ["EXPECTATIONS", "Expectation", "Scene", "Witness"]

DEADLINE_SECONDS = 240.0
LOOK_SECONDS = 2.0
LEAF = "topology.k8s.aws/network-node-layer-3"
WORKLOAD = "mfu.dev/workload"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The cluster at one moment: objects as the API server gives them, by (namespace, name)."""

    workloads: dict[tuple[str, str], Any]
    jobs: dict[tuple[str, str], Any]
    pods: dict[tuple[str, str], Any]
    nodes: dict[str, Any]
    events: list[Any]
    alerts: list[Any]

    def status(self, namespace: str, name: str) -> Any:
        return self.workloads.get((namespace, name), {}).get("status", {})

    def condition(self, namespace: str, name: str, kind: str) -> Any:
        conditions = self.status(namespace, name).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == kind), {})

    def running(self, namespace: str, name: str) -> list[Any]:
        return [
            pod
            for (space, _), pod in self.pods.items()
            if space == namespace and pod["metadata"]["labels"].get(WORKLOAD) == name and pod["status"].get("phase") == "Running"
        ]

    def domains(self, namespace: str, name: str, label: str) -> set[str]:
        """Values of a node label over the nodes that a workload's pods run on."""
        return {self.nodes[pod["spec"]["nodeName"]]["metadata"]["labels"].get(label, "") for pod in self.running(namespace, name)}

    def event_reasons(self, namespace: str, name: str) -> set[str]:
        return {
            event["reason"]
            for event in self.events
            if event["involvedObject"].get("namespace") == namespace and event["involvedObject"]["name"] == name
        }


@dataclass(slots=True)
class Witness:
    plane: ControlPlane
    alertmanager: Alertmanager
    prometheus: Prometheus
    operator: Installation
    scenario: Path
    applied: dict[str, str] = field(default_factory=dict)
    refusal: str = ""
    seen_healthy: set[tuple[str, str]] = field(default_factory=set)

    def apply_refused(self, file: str) -> None:
        """Applies what should be turned away, and keeps what kubectl said."""
        try:
            self.plane.kubectl("apply", "-f", str(self.scenario / file))
            self.refusal = ""
        except CommandFailed as error:
            self.refusal = error.stderr.strip()
            print(f"  {self.refusal}", flush=True)

    def look(self) -> Scene:
        def items(*what: str) -> list[Any]:
            found: list[Any] = json.loads(self.plane.kubectl("get", *what, "-o", "json"))["items"]
            return found

        def named(listed: list[Any]) -> dict[tuple[str, str], Any]:
            return {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in listed}

        return Scene(
            workloads=named(items("modelworkloads", "-A")),
            jobs=named(items("jobs", "-A")),
            pods=named(items("pods", "-A", "-l", WORKLOAD)),
            nodes={node["metadata"]["name"]: node for node in items("nodes")},
            events=items("events", "-A"),
            alerts=self.alertmanager.alerts(),
        )

    def wait_for(self, expectations: Sequence[Expectation]) -> list[tuple[Expectation, str]]:
        """Looks again and again until every expectation holds or the time is up; why those do not hold that do not."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            scene = self.look()
            self.seen_healthy |= {
                key
                for key in scene.workloads
                if percent(scene.status(*key).get("observed", {}).get("mfu")) is not None
                and scene.condition(*key, "Drifting").get("status") == "False"
            }
            results = [(expectation, expectation.check(self, scene)) for expectation in expectations]
            if not any(reason for _, reason in results) or time.monotonic() > deadline:
                return results
            time.sleep(LOOK_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """`check` answers "" when the story holds, else why it does not."""

    says: str
    check: Callable[[Witness, Scene], str]


def percent(text: str | None) -> float | None:
    """ "43.1%" as 43.1; None for anything else."""
    try:
        return float(text.removesuffix("%")) if text and text.endswith("%") else None
    except ValueError:
        return None


def _healthy_runs(witness: Witness, scene: Scene) -> str:
    key = ("research", "llama-70b-pretrain")
    status = scene.status(*key)
    low, high, observed = (
        percent(status.get(part, {}).get(name)) for part, name in (("expected", "low"), ("expected", "high"), ("observed", "mfu"))
    )
    if len(scene.running(*key)) != 8:
        return f"{len(scene.running(*key))} of its 8 pods run"
    if low is None or high is None or observed is None:
        return f"expected {status.get('expected', {}).get('mfu')}, observed {status.get('observed', {}).get('mfu')}"
    if not low <= observed <= high:
        return f"observed {observed}% is outside of the expected {low}–{high}%"
    return "" if scene.condition(*key, "Ready").get("status") == "True" else "condition Ready is not True"


def _observed_is_the_truth(witness: Witness, scene: Scene) -> str:
    observed = percent(scene.status("research", "llama-70b-pretrain").get("observed", {}).get("mfu"))
    return "" if observed is not None and abs(observed - 42.0) < 2.0 else f"observed {observed}%, while the story says 42 %"


def _held(witness: Witness, scene: Scene) -> str:
    key = ("research", "llama-8b-overscaled")
    verdict = scene.status(*key).get("verdict", {})
    if verdict.get("decision") != "Held" or verdict.get("reason") != "BelowExpectedMFUFloor":
        return f"the verdict is {verdict}"
    if not scene.jobs.get(key, {}).get("spec", {}).get("suspend"):
        return "its Job is not suspended"
    if scene.running(*key):
        return "its pods run"
    return "" if "would" in verdict.get("message", "") else f"the message does not say what would pass: {verdict.get('message')}"


def _refused(witness: Witness, scene: Scene) -> str:
    if ("research", "llama-405b-one-node") in scene.workloads:
        return "it was stored"
    if "memory" not in witness.refusal:
        return f"kubectl said: {witness.refusal!r}"
    return "" if len(witness.refusal.splitlines()) == 1 else f"the refusal has more than one line: {witness.refusal!r}"


def _hint(witness: Witness, scene: Scene) -> str:
    ignored, followed = scene.domains("platform", "command-r-unhinted", LEAF), scene.domains("platform", "command-r-hinted", LEAF)
    if len(ignored) != 2:
        return f"without the hint it runs behind {sorted(ignored)}"
    if len(followed) != 1:
        return f"with the hint it runs behind {sorted(followed)}"
    placement = json.dumps(scene.status("platform", "command-r-hinted").get("placement", {}))
    return "" if LEAF in placement else f"the status does not say which label was used: {placement}"


def _hint_pays(witness: Witness, scene: Scene) -> str:
    slow, fast = (
        percent(scene.status("platform", name).get("observed", {}).get("mfu")) for name in ("command-r-unhinted", "command-r-hinted")
    )
    return "" if slow is not None and fast is not None and fast > 1.3 * slow else f"observed {fast}% with and {slow}% without the hint"


def _crossing_is_named(witness: Witness, scene: Scene) -> str:
    causes = [cause["cause"] for cause in scene.status("platform", "command-r-unhinted").get("diagnosis", [])]
    return "" if "Topology" in causes else f"the diagnosis names {causes}"


def _under_batched(witness: Witness, scene: Scene) -> str:
    key = ("serving", "chat-8b")
    if len(scene.running(*key)) != 4:
        return f"{len(scene.running(*key))} of its 4 pods run"
    causes = {cause["cause"] for cause in scene.status(*key).get("diagnosis", [])}
    return "" if causes & {"SmallBatch", "LowDemand"} else f"the diagnosis names {sorted(causes)}"


def _experts_stay_inside(witness: Witness, scene: Scene) -> str:
    key = ("science", "qwen3-moe-pretrain")
    cliques = scene.domains(*key, "nvidia.com/gpu.clique")
    if len(scene.running(*key)) != 16 or len(cliques) != 1 or "" in cliques:
        return f"{len(scene.running(*key))} of its 16 pods run, in cliques {sorted(cliques)}"
    return "" if percent(scene.status(*key).get("expected", {}).get("mfu")) else "it has no expectation"


def _healthy_before(witness: Witness, scene: Scene) -> str:
    return "" if ("science", "llama-8b-finetune") in witness.seen_healthy else "it was never seen without drift"


def _drifts(witness: Witness, scene: Scene) -> str:
    key = ("science", "llama-8b-finetune")
    if scene.condition(*key, "Drifting").get("status") != "True":
        return f"condition Drifting is {scene.condition(*key, 'Drifting').get('status')}; observed {scene.status(*key).get('observed')}"
    causes = [cause["cause"] for cause in scene.status(*key).get("diagnosis", [])]
    if causes[:1] != ["DataStarvation"]:
        return f"the diagnosis names {causes}"
    return "" if "Drifting" in scene.event_reasons(*key) else f"events: {sorted(scene.event_reasons(*key))}"


def _alert(witness: Witness, scene: Scene) -> str:
    drifting = [alert["labels"] for alert in scene.alerts if alert["labels"]["alertname"] == "MFUWorkloadDrifting"]
    names = sorted((labels.get("namespace", ""), labels.get("workload", "")) for labels in drifting)
    return (
        ""
        if ("science", "llama-8b-finetune") in names
        else f"Alertmanager holds {[alert['labels']['alertname'] for alert in scene.alerts]}"
    )


def _only_the_guilty(witness: Witness, scene: Scene) -> str:
    accused = [key for key in scene.workloads if scene.condition(*key, "Drifting").get("status") == "True"]
    innocent = [key for key in accused if key in {("research", "llama-70b-pretrain"), ("science", "qwen3-moe-pretrain")}]
    return f"drift is also seen on {innocent}" if innocent else ""


def _least_privilege(witness: Witness, scene: Scene) -> str:
    accounts = (witness.operator.controller_account, witness.operator.webhook_account)
    refused = [request for account in accounts for request in witness.plane.forbidden_requests(user=account)]
    return f"RBAC refused {sorted(set(refused))}" if refused else ""


EXPECTATIONS = (
    Expectation(says="the healthy 70B job was admitted, runs, and is observed inside its expected interval", check=_healthy_runs),
    Expectation(says="what the operator observes of it is what the story plays (42 % MFU)", check=_observed_is_the_truth),
    Expectation(says="the over-scaled 8B job is held under its policy's floor, with a message that says what would pass", check=_held),
    Expectation(says="405B on one node was refused at apply, in one line", check=_refused),
    Expectation(says="tensor parallelism crosses leaf switches without the hint, and stays behind one with it", check=_hint),
    Expectation(says="the hint pays: more than 1.3 times the MFU of the same job without it", check=_hint_pays),
    Expectation(says="the diagnosis of the unhinted job names its topology", check=_crossing_is_named),
    Expectation(says="the under-batched vLLM deployment runs, and the diagnosis says so", check=_under_batched),
    Expectation(says="the mixture of experts runs inside one NVLink domain", check=_experts_stay_inside),
    Expectation(says="the fine-tuning job was healthy first", check=_healthy_before),
    Expectation(says="then it drifts: condition, event, and the starving data loader as the first cause", check=_drifts),
    Expectation(says="Alertmanager holds its drift alert", check=_alert),
    Expectation(says="no healthy workload is accused of drift", check=_only_the_guilty),
    Expectation(says="the chart's RBAC granted everything the two processes asked for", check=_least_privilege),
)
