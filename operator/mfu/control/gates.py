"""The gate on one Job or pod: whether it is ours and closed, until when, and the patch that opens it.

The chart's admission policies close it at creation: a Job by `suspend`, a pod of anything else by a scheduling gate. Only what they closed
is opened: another owner's `suspend` (Kueue's, or the tenant's own) and other gates are left alone.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mfu.control.allocation import requested_devices
from mfu.control.resources import JsonObject, Key, Kind, key_of

__all__ = ["ADMITTED_ANNOTATION", "GATE", "GATED_ANNOTATION", "Held", "ReleaseReason", "held", "is_held", "released_as", "skip_reason"]

GATE = "mfu.dev/admission"
GATED_ANNOTATION = "mfu.dev/gated"
ADMITTED_ANNOTATION = "mfu.dev/admitted"
SKIP_ANNOTATION = "mfu.dev/skip-gate"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"


class ReleaseReason(StrEnum):
    """Why a gate was opened; the value of the annotation `mfu.dev/admitted`, the Event's reason and a metric label."""

    ADMITTED = "Admitted"
    BREAK_GLASS = "BreakGlass"
    GATE_TIMED_OUT = "GateTimedOut"
    OPERATOR_ERROR = "OperatorError"
    UNLABELLED = "Unlabelled"
    UNINSTALLED = "Uninstalled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A Job or pod that waits at our gate. `pods` × `pod_devices` accelerators (of `resource`) is what it will take."""

    key: Key
    body: JsonObject
    created_seconds: float
    pods: int
    pod_devices: int
    resource: str

    def deadline_seconds(self, max_hold_seconds: float) -> float:
        """Unix time at which the gate opens whatever the verdict."""
        return self.created_seconds + max_hold_seconds

    @property
    def skip_reason(self) -> str | None:
        return skip_reason(self.body)

    @property
    def affinity(self) -> Mapping[str, Any] | None:
        """The affinity that the tenant gave the pods."""
        spec = self.body["spec"]
        found = (spec["template"]["spec"] if self.key.kind is Kind.JOB else spec).get("affinity")
        return dict(found) if found else None

    def patch(self, reason: ReleaseReason, affinity: Mapping[str, Any] | None = None) -> JsonObject | list[JsonObject]:
        """Opens the gate in one step, refused by the API server when somebody changed the object in between."""
        return self._job_patch(reason, affinity) if self.key.kind is Kind.JOB else self._pod_patch(reason, affinity)

    def parting_patch(self) -> JsonObject | list[JsonObject]:
        """Opens the gate of an object whose latest version is not known; refused unless it is the same object and still closed."""
        uid = self.body["metadata"]["uid"]
        if self.key.kind is Kind.JOB:
            return {
                "metadata": {"uid": uid, "annotations": {ADMITTED_ANNOTATION: ReleaseReason.UNLABELLED.value}},
                "spec": {"suspend": False},
            }
        return [{"op": "test", "path": "/metadata/uid", "value": uid}, *self._pod_patch(ReleaseReason.UNLABELLED, None)]

    def _job_patch(self, reason: ReleaseReason, affinity: Mapping[str, Any] | None) -> JsonObject:
        spec: JsonObject = {"suspend": False}
        if affinity is not None:
            spec["template"] = {"spec": {"affinity": dict(affinity)}}
        metadata = {"annotations": {ADMITTED_ANNOTATION: reason.value}, "resourceVersion": self.body["metadata"]["resourceVersion"]}
        return {"metadata": metadata, "spec": spec}

    def _pod_patch(self, reason: ReleaseReason, affinity: Mapping[str, Any] | None) -> list[JsonObject]:
        gates = [gate.get("name") for gate in self.body["spec"]["schedulingGates"]]
        place = f"/spec/schedulingGates/{gates.index(GATE)}"
        operations: list[JsonObject] = [{"op": "test", "path": f"{place}/name", "value": GATE}, {"op": "remove", "path": place}]
        if affinity is not None:
            operations.append({"op": "add", "path": "/spec/affinity", "value": dict(affinity)})
        if self.body["metadata"].get("annotations"):
            name = ADMITTED_ANNOTATION.replace("/", "~1")
            operations.append({"op": "add", "path": f"/metadata/annotations/{name}", "value": reason.value})
        else:
            operations.append({"op": "add", "path": "/metadata/annotations", "value": {ADMITTED_ANNOTATION: reason.value}})
        return operations


def held(kind: Kind, body: JsonObject) -> Held | None:
    """The object as one that waits at our gate; None when it does not, or is on its way out."""
    if body["metadata"].get("deletionTimestamp"):
        return None
    if kind is Kind.JOB:
        return _held_job(body) if _is_held_job(body) else None
    gates = [gate.get("name") for gate in body["spec"].get("schedulingGates") or ()]
    return _held_pod(body) if GATE in gates else None


def is_held(body: JsonObject) -> bool:
    """Whether this Job or pod waits at our gate."""
    return held(Kind.JOB if "template" in body["spec"] else Kind.POD, body) is not None


def released_as(body: JsonObject) -> str:
    """Why our gate on this object was opened, empty when it was not."""
    return str((body["metadata"].get("annotations") or {}).get(ADMITTED_ANNOTATION) or "")


def skip_reason(body: JsonObject) -> str | None:
    """The break-glass reason that somebody wrote on the object."""
    value = (body["metadata"].get("annotations") or {}).get(SKIP_ANNOTATION)
    return str(value) if value else None


def _is_held_job(body: JsonObject) -> bool:
    metadata = body["metadata"]
    annotations = metadata.get("annotations") or {}
    if annotations.get(GATED_ANNOTATION) != "suspend" or annotations.get(ADMITTED_ANNOTATION):
        return False
    if QUEUE_LABEL in (metadata.get("labels") or {}):
        return False
    return bool(body["spec"].get("suspend"))


def _held_job(body: JsonObject) -> Held:
    spec = body["spec"]
    resource, devices = _largest(requested_devices(spec["template"]["spec"]))
    wanted = [int(spec[name]) for name in ("parallelism", "completions") if spec.get(name) is not None]
    return Held(
        key=key_of(Kind.JOB, body),
        body=body,
        created_seconds=_unix(body["metadata"]["creationTimestamp"]),
        pods=min(wanted, default=1),
        pod_devices=devices,
        resource=resource,
    )


def _held_pod(body: JsonObject) -> Held:
    resource, devices = _largest(requested_devices(body["spec"]))
    return Held(
        key=key_of(Kind.POD, body),
        body=body,
        created_seconds=_unix(body["metadata"]["creationTimestamp"]),
        pods=1,
        pod_devices=devices,
        resource=resource,
    )


def _largest(devices: Mapping[str, int]) -> tuple[str, int]:
    return max(devices.items(), key=lambda item: item[1], default=("", 0))


def _unix(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()
