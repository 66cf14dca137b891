"""What single objects say: the rank of a pod, the kind of work of an intent, the drift that a status remembers."""

from collections.abc import Mapping
from datetime import datetime

from mfu.control.resources import JsonObject
from mfu.judge.assessment import DriftState
from mfu.judge.drift import UNTRACKED, resume

__all__ = ["kind_of", "node_selector", "rank_of", "remembered_drift"]

INDEX_LABELS = ("batch.kubernetes.io/job-completion-index", "leaderworkerset.sigs.k8s.io/worker-index", "apps.kubernetes.io/pod-index")


def rank_of(pod: JsonObject) -> tuple[int, str]:
    """The completion index of a Job's pod or the index of a LeaderWorkerSet's or StatefulSet's; pods without one by name."""
    labels = pod["metadata"].get("labels") or {}
    for label in INDEX_LABELS:
        if str(labels.get(label, "")).isdecimal():
            return int(labels[label]), str(pod["metadata"]["name"])
    return 0, str(pod["metadata"]["name"])


def remembered_drift(body: JsonObject, now: float) -> DriftState:
    """Where the tracking of drift goes on after a restart: what the status says."""
    status = body.get("status") or {}
    drift = status.get("drift") or {}
    if drift.get("baseline") == "OwnLevel":
        return UNTRACKED  # that deviation is in the record
    since = drift.get("since")
    drifting = any(c.get("type") == "Drifting" and c.get("status") == "True" for c in status.get("conditions") or ())
    try:
        since_seconds = datetime.fromisoformat(since).timestamp() if since else None
    except ValueError:
        since_seconds = None
    return resume(since_seconds=since_seconds, drifting=drifting, now=now)


def kind_of(body: JsonObject) -> str:
    spec = body.get("spec") or {}
    if spec.get("training"):
        return "training"
    phase = str((spec.get("inference") or {}).get("phase") or "mixed")
    return "inference" if phase == "mixed" else phase


def node_selector(member: JsonObject) -> Mapping[str, str]:
    """The node labels that a pod, or the pods of a Job, insist on."""
    spec = member["spec"]
    template = (spec.get("template") or {}).get("spec") or spec
    return dict(template.get("nodeSelector") or {})
