"""From what the cluster says of one workload to its assessment: gathers the inputs, calls the pure core, remembers what is dear."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mfu.api.resolve import missing_of, resolve
from mfu.api.status import model_label
from mfu.api.validate import problems
from mfu.control.allocation import Allocation, requested_devices
from mfu.control.configs import ConfigTexts
from mfu.control.gates import skip_reason
from mfu.control.reading import kind_of, node_selector, rank_of, remembered_drift
from mfu.control.released import as_released
from mfu.control.resources import JsonObject, Key, Kind
from mfu.control.setups import Intents, setup_of
from mfu.control.store import Store
from mfu.control.tracking import Tracking
from mfu.control.view import View, labels_of
from mfu.errors import IntentError
from mfu.estimate.estimator import estimate
from mfu.estimate.result import Estimate
from mfu.estimate.workload import Training, Workload
from mfu.hardware.accelerator import Accelerator
from mfu.judge.admission import drift_rule
from mfu.judge.assess import Inputs, assess
from mfu.judge.assessment import Assessment
from mfu.judge.verdict import Verdict
from mfu.missing import Missing, Reason
from mfu.observe.observation import Observation
from mfu.observe.telemetry import PodKey
from mfu.place.assess import Spread, spread
from mfu.place.topology import LevelKeys, Node

__all__ = ["Judged", "Judging", "RunningPods"]

NOT_RUNNING = Missing(
    reason=Reason.NOT_RUNNING, message="no pod of the workload is running; label its pods mfu.dev/workload and start them"
)
NOT_LOOKED = Missing(reason=Reason.WARMING_UP, message="the pods have just started; the first look at Prometheus follows")
NOT_PLACED = Missing(reason=Reason.NOT_RUNNING, message="no pod of the workload is bound to a node")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningPods:
    """The pods of a workload that run now. `since_seconds`: when the youngest of them started, as far as known."""

    keys: tuple[PodKey, ...]
    accelerators: int
    since_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resolved:
    """A workload with what it was resolved from; valid while that is the same."""

    source: tuple[object, ...]
    classes: Mapping[str, Accelerator]
    workload: Workload | Missing
    estimate: Estimate | Missing
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The assessment of one workload with what the status and the metrics say besides.

    `at_gate`: the verdict on what waits at the gate now; the assessment's own tells also that a gate was opened in spite of it.
    """

    assessment: Assessment
    at_gate: Verdict
    spread: Spread | Missing
    running: RunningPods
    detected_class: str | None
    declared_kind: str
    model: str


class Judging:
    """`observations` holds, for each workload, what the tick last published."""

    def __init__(self, store: Store, view: View, allocation: Allocation, configs: ConfigTexts, levels: LevelKeys) -> None:
        self._store = store
        self._view = view
        self._allocation = allocation
        self._configs = configs
        self._levels = levels
        self._resolved: dict[Key, _Resolved] = {}
        self._judged: dict[Key, Judged] = {}
        self._looked: set[Key] = set()
        self._intents = Intents()
        self.observations: dict[Key, Observation | Missing] = {}
        self.tracking = Tracking()

    def last(self, key: Key) -> Judged | None:
        return self._judged.get(key)

    def all(self) -> dict[Key, Judged]:
        return dict(self._judged)

    @property
    def is_complete(self) -> bool:
        """Every workload has been looked at in this term: sums over all of them mean something."""
        present = (key for key, body in self._store.all(Kind.WORKLOAD).items() if not body["metadata"].get("deletionTimestamp"))
        return self._looked.issuperset(present)

    def forget(self, key: Key) -> None:
        self._looked.discard(key)
        self._resolved.pop(key, None)
        self._judged.pop(key, None)
        self.observations.pop(key, None)
        self._intents.forget(str(key))
        self.tracking.forget(key)

    def again_seconds(self, body: JsonObject) -> float | None:
        """When to judge again although nothing told of a change: ConfigMaps are not watched."""
        return self._configs.reread_seconds(body)

    async def judge(self, key: Key, body: JsonObject, now: float) -> Judged:
        """ClusterError when a ConfigMap could not be read."""
        self._looked.add(key)
        texts = await self._configs.of(body)
        running = self.running(key)
        resolved = self._resolve(key, body, texts)
        placed = self._placed(key, now)
        previous = self._judged.get(key)
        where: Spread | Missing = NOT_PLACED
        if isinstance(resolved.workload, Missing):
            where = resolved.workload
        elif placed:
            where = spread(resolved.workload, placed, self._levels)
        observation = self.observations.get(key, NOT_LOOKED) if running.keys else NOT_RUNNING
        if running.keys and isinstance(resolved.workload, Missing):
            observation = resolved.workload  # tokens cannot be turned into FLOPs of a model that is not known
        inputs = Inputs(
            workload=resolved.workload,
            estimate=resolved.estimate,
            policies=self._view.policies(),
            namespace_labels=self._view.namespace_labels(key.namespace),
            workload_labels=labels_of(body),
            skip_gate_reason=skip_reason(body),
            problems=resolved.problems,
            observation=observation,
            spread=where,
            now=now,
            previous=None if previous is None else previous.assessment,
            drift_state=remembered_drift(body, now) if previous is None else None,
            record=self.tracking.record(key, body),
            calibrated=self.tracking.calibrated(resolved.workload, resolved.estimate),
            peers=self.tracking.peers(key),
        )
        assessment = assess(inputs)
        judged = Judged(
            assessment=as_released(assessment, self._store.members(key)),
            at_gate=assessment.verdict,
            spread=where,
            running=running,
            detected_class=self._detected_class(key),
            declared_kind=kind_of(body),
            model=model_label(body.get("spec") or {}, resolved.workload),
        )
        self._judged[key] = judged
        return judged

    def look(self, key: Key, observation: Observation | Missing) -> bool:
        """Takes what the tick saw into the workload's record; whether there is news."""
        judged, body = self._judged.get(key), self._store.get(key)
        if judged is None or body is None or isinstance(judged.assessment.workload, Missing):
            return False
        workload = judged.assessment.workload
        pods = self._running_pods(key)
        setup = setup_of(
            body,
            pods,
            lambda node: labels_of(self._store.get(Key(kind=Kind.NODE, name=node))),
            self._intents.of(str(key), body, workload.fabric.accelerator.name),
            is_whole=judged.running.accelerators >= workload.fabric.count,
            has_fixed_nodes=isinstance(workload.job, Training),
        )
        rule = drift_rule(
            self._view.policies(), namespace_labels=self._view.namespace_labels(key.namespace), workload_labels=labels_of(body)
        )
        return self.tracking.look(key, body, workload, judged.assessment.estimate, observation, setup, rule)

    def _running_pods(self, key: Key) -> list[JsonObject]:
        return [pod for pod in self._pods(key) if pod["status"].get("phase") == "Running"]

    def running(self, key: Key) -> RunningPods:
        pods = self._running_pods(key)
        starts = [datetime.fromisoformat(pod["status"]["startTime"]).timestamp() for pod in pods if pod["status"].get("startTime")]
        return RunningPods(
            keys=tuple(PodKey(namespace=key.namespace, pod=pod["metadata"]["name"]) for pod in pods),
            accelerators=sum(sum(requested_devices(pod["spec"]).values()) for pod in pods),
            since_seconds=max(starts, default=None),
        )

    def _pods(self, key: Key) -> list[JsonObject]:
        bodies = (self._store.get(member) for member in self._store.member_keys(key) if member.kind is Kind.POD)
        return [body for body in bodies if body is not None and not body["metadata"].get("deletionTimestamp")]

    def _bound(self, key: Key) -> list[tuple[str, int]]:
        """Node and accelerators of each pod that sits somewhere, in the order of their ranks."""
        found = []
        for pod in sorted(self._pods(key), key=rank_of):
            node, devices = pod["spec"].get("nodeName"), sum(requested_devices(pod["spec"]).values())
            if node and devices and pod["status"].get("phase") not in ("Succeeded", "Failed"):
                found.append((str(node), devices))
        return found

    def _placed(self, key: Key, now: float) -> list[tuple[Node, int]]:
        bound = self._bound(key)
        if not bound:
            return []
        nodes = {node.name: node for node in self._view.nodes_named({name for name, _ in bound}, self._allocation, now)}
        return [(nodes[name], devices) for name, devices in bound if name in nodes]

    def _detected_class(self, key: Key) -> str | None:
        """What most of the accelerators are that the workload's pods hold; before they hold any, the only class that they could get."""
        seen: Counter[str] = Counter()
        for pod in self._pods(key):
            if pod["status"].get("phase") in ("Succeeded", "Failed"):
                continue
            for resource, count in requested_devices(pod["spec"]).items():
                if (unit := self._view.unit(str(pod["spec"].get("nodeName") or ""), resource)) is not None:
                    seen[unit] += count
        if seen:
            return max(sorted(seen), key=lambda name: seen[name])
        return self._view.only_class([node_selector(member) for member in self._store.members(key)])

    def _resolve(self, key: Key, body: JsonObject, texts: Mapping[tuple[str, str, str], str]) -> _Resolved:
        classes = self._view.classes()
        detected = self._detected_class(key)
        metadata = body["metadata"]
        source = (metadata.get("uid"), metadata.get("generation"), detected, tuple(sorted(texts.items())))
        known = self._resolved.get(key)
        if known is not None and known.source == source and known.classes is classes:
            return known
        found = tuple(f"{problem.path}: {problem.message}" for problem in problems(body, classes=classes))
        workload: Workload | Missing
        if found:
            workload = Missing(reason=Reason.INTENT_INVALID, message=found[0])
        else:
            try:
                workload = resolve(body, classes=classes, config_maps=lambda *name: texts.get(name), detected_class=detected)
            except IntentError as error:
                workload = missing_of(error)
        expected = workload if isinstance(workload, Missing) else estimate(workload)
        resolved = _Resolved(source=source, classes=classes, workload=workload, estimate=expected, problems=found)
        self._resolved[key] = resolved
        return resolved
