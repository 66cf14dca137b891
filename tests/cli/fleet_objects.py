"""The objects of a small fleet, as `kubectl get mw,mfufleet -A -o json` gives them."""

import copy
from typing import Any

__all__ = ["FLEET", "REPORT", "WORKLOADS"]

REPORT: dict[str, Any] = {
    "summary": "24 of 64 accelerators allocated, 20 declared; 21.7% observed vs 40.3% expected; $33.10/h lost",
    "at": "2026-03-01T12:30:00Z",
    "accelerators": {"total": 64, "allocated": 24, "declared": 20, "productive": 11},
    "mfu": {"expected": "40.3%", "observed": "21.7%", "hardware": "26.9%"},
    "utilisation": "88.4%",
    "costPerHour": "$61.80",
    "gapPerHour": "$33.10",
    "byTenant": [
        {"name": "research", "accelerators": 16, "expected": "41.2%", "observed": "20.6%", "costPerHour": "$48.00", "gapPerHour": "$24.00"},
        {"name": "serving", "accelerators": 8, "expected": "30.1%", "observed": "10.2%", "costPerHour": "$13.80", "gapPerHour": "$9.10"},
    ],
    "byClass": [{"name": "h100-sxm-80gb", "accelerators": 64, "expected": "40.3%", "observed": "21.7%", "gapPerHour": "$33.10"}],
    "byModel": [{"name": "llama", "accelerators": 20, "expected": "40.3%", "observed": "21.7%"}],
    "byNode": [{"name": "node-7", "accelerators": 8, "observed": "12.3%"}],
    "worst": [
        {
            "namespace": "research",
            "name": "slow",
            "expected": "41.2%",
            "observed": "20.6%",
            "gapPerHour": "$24.00",
            "cause": "Communication",
        }
    ],
    "unknown": [{"reason": "WarmingUp", "accelerators": 3}],
}


def _workload(namespace: str, name: str, **status: Any) -> dict[str, Any]:
    return {"apiVersion": "mfu.dev/v1alpha1", "kind": "ModelWorkload", "metadata": {"namespace": namespace, "name": name}, "status": status}


WORKLOADS: list[dict[str, Any]] = [
    _workload(
        "research",
        "slow",
        summary="20.6% observed vs 41.2% expected [37.0–45.9]; communication; $24.00/h lost",
        mode="training",
        model="llama-3.1-70b",
        accelerators={"class": "h100-sxm-80gb", "count": 16},
        verdict={"decision": "Admitted"},
        expected={"mfu": "41.2%", "low": "37.0%", "high": "45.9%", "roofline": "43.0%", "boundBy": "Compute"},
        observed={"mfu": "20.6%", "hardware": "22.3%"},
        drift={"ratio": "-50.0%", "since": "2026-03-01T11:00:00Z"},
        diagnosis=[
            {"cause": "Communication", "share": "70.0%", "evidence": "tensor parallelism <16> crosses nodes & leaves"},
            {"cause": "SmallBatch", "share": "20.0%", "evidence": "3 requests"},
        ],
        recommendations=[{"change": "training.parallelism.tensor: 16 → 8", "expected": "44.4%", "saves": "$12.34/h", "note": "restart"}],
        cost={"perHour": "$48.00", "perMillionTokens": "$0.42", "gapPerHour": "$24.00"},
        conditions=[{"type": "Drifting", "status": "True"}],
    ),
    _workload(
        "serving",
        "chat",
        summary="10.2% observed vs 30.1% expected",
        mode="inference",
        model="llama-3.1-8b",
        accelerators={"class": "h100-sxm-80gb", "count": 4},
        expected={"mfu": "30.1%", "low": "25.0%", "high": "35.2%", "roofline": "80.3%", "boundBy": "Memory"},
        observed={"mfu": "10.2%"},
        cost={"perHour": "$13.80", "gapPerHour": "$9.10"},
    ),
    _workload(
        "serving",
        "strange",
        summary="expected MFU unknown",
        mode="inference",
        expected={"mfu": "unknown", "message": "unknown: <b>no such model</b>"},
        observed={"mfu": "unknown", "message": "unknown: not running"},
        cost={"message": "unknown: no price"},
    ),
]

FLEET: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [
        *copy.deepcopy(WORKLOADS),
        {"apiVersion": "mfu.dev/v1alpha1", "kind": "FleetReport", "metadata": {"name": "fleet"}, "spec": {}, "status": REPORT},
    ],
}
