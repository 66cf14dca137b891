"""The four CustomResourceDefinitions, generated from the wire models."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import yaml
from pydantic import BaseModel

from mfu.api.acceleratorclass import AcceleratorClassSpec, AcceleratorClassStatus
from mfu.api.fleetreport import FleetReportSpec, FleetReportStatus
from mfu.api.mfupolicy import MFUPolicySpec, MFUPolicyStatus
from mfu.api.modelworkload import ModelWorkloadSpec
from mfu.api.rules import NAME_RULE
from mfu.api.structural import structural_schema
from mfu.api.wire import cel
from mfu.api.workloadstatus import ModelWorkloadStatus

__all__ = ["API_VERSION", "GROUP", "KINDS", "VERSION", "Column", "Kind", "crd_files", "custom_resource_definitions"]

GROUP = "mfu.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of `kubectl get`. `priority` 1 shows it only with `-o wide`."""

    name: str
    path: str
    type: str = "string"
    description: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of the group and how kubectl shows it."""

    name: str
    plural: str
    short_names: tuple[str, ...]
    namespaced: bool
    description: str
    spec: type[BaseModel]
    status: type[BaseModel]
    columns: tuple[Column, ...]
    rules: tuple[Mapping[str, Any], ...] = ()
    spec_required: bool = True


_AGE = Column(name="AGE", path=".metadata.creationTimestamp", type="date")
_FLEET_NAME = cel("self.metadata.name == 'fleet'", "there is one FleetReport, named fleet")

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind(
                name="ModelWorkload",
                plural="modelworkloads",
                short_names=("mw",),
                namespaced=True,
                description="A ModelWorkload declares what a tenant intends to run: model, precision, accelerators, parallelism, batch and "
                "sequence lengths. The operator answers in the status: the MFU to expect, the MFU observed, whether it may start, and what "
                "would be better.",
                spec=ModelWorkloadSpec,
                status=ModelWorkloadStatus,
                rules=(NAME_RULE,),
                columns=(
                    Column(name="MODE", path=".status.mode", description="training, inference, prefill or decode"),
                    Column(name="MODEL", path=".status.model", description="The model in short"),
                    Column(
                        name="GPUS",
                        path=".status.accelerators.count",
                        type="integer",
                        description="Accelerators that the parallelism spans",
                    ),
                    Column(name="EXPECTED", path=".status.expected.mfu", description="Expected MFU"),
                    Column(name="OBSERVED", path=".status.observed.mfu", description="Observed MFU"),
                    Column(name="DRIFT", path=".status.drift.ratio", description="Observed over expected, less one"),
                    Column(name="BOUND", path=".status.expected.boundBy", description="What limits the workload"),
                    Column(name="VERDICT", path=".status.verdict.decision", description="Admitted, Warned, Held or Refused"),
                    _AGE,
                    Column(name="CLASS", path=".status.accelerators.class", description="Accelerator class", priority=1),
                    Column(name="REASON", path=".status.verdict.reason", description="Why it was decided so", priority=1),
                    Column(name="SUMMARY", path=".status.summary", description="The answer in one line", priority=1),
                ),
            ),
            Kind(
                name="MFUPolicy",
                plural="mfupolicies",
                short_names=("mfup",),
                namespaced=False,
                description="An MFUPolicy says what the provider asks of workloads, and whether the operator counts, warns, or holds them.",
                spec=MFUPolicySpec,
                status=MFUPolicyStatus,
                columns=(
                    Column(name="MODE", path=".spec.mode", description="Observe, Warn or Gate"),
                    Column(name="PRECEDENCE", path=".spec.precedence", type="integer", description="Higher is asked first"),
                    Column(
                        name="MATCHED", path=".status.matchedWorkloads", type="integer", description="Workloads that the policy selects"
                    ),
                    Column(
                        name="WOULD-BLOCK",
                        path=".status.wouldHaveBlocked.count",
                        type="integer",
                        description="Workloads that would be blocked if the mode were Gate",
                    ),
                    _AGE,
                ),
            ),
            Kind(
                name="AcceleratorClass",
                plural="acceleratorclasses",
                short_names=("accel",),
                namespaced=False,
                description="An AcceleratorClass states a provider's facts about an accelerator: peaks, memory, links and price.",
                spec=AcceleratorClassSpec,
                status=AcceleratorClassStatus,
                columns=(
                    Column(name="EXTENDS", path=".spec.extends", description="Class whose facts hold where this one says nothing"),
                    Column(name="BF16", path=".spec.peak.bf16", description="Dense peak at bf16"),
                    Column(name="MEMORY", path=".spec.memory", description="Memory of one accelerator"),
                    Column(name="PRICE", path=".spec.pricePerHour", description="Price of one accelerator for an hour"),
                    Column(
                        name="ACCEPTED",
                        path=".status.conditions[?(@.type=='Accepted')].status",
                        description="Whether the class is used",
                    ),
                    _AGE,
                ),
            ),
            Kind(
                name="FleetReport",
                plural="fleetreports",
                short_names=("mfufleet",),
                namespaced=False,
                description="The FleetReport named fleet says how productive the accelerators of the cluster are. The operator writes it.",
                spec=FleetReportSpec,
                status=FleetReportStatus,
                rules=(_FLEET_NAME,),
                spec_required=False,
                columns=(
                    Column(name="GPUS", path=".status.accelerators.total", type="integer", description="Accelerators of all nodes"),
                    Column(name="ALLOCATED", path=".status.accelerators.allocated", type="integer", description="Held by pods"),
                    Column(
                        name="DECLARED", path=".status.accelerators.declared", type="integer", description="Held by pods of a ModelWorkload"
                    ),
                    Column(name="EXPECTED", path=".status.mfu.expected", description="Mean expected MFU"),
                    Column(name="OBSERVED", path=".status.mfu.observed", description="Mean observed MFU"),
                    Column(name="GAP", path=".status.gapPerHour", description="What the difference costs an hour"),
                    _AGE,
                ),
            ),
        )
    }
)


@cache
def custom_resource_definitions() -> Mapping[str, dict[str, Any]]:
    """Manifests by file name, like `mfu.dev_modelworkloads.yaml`."""
    return MappingProxyType({f"{GROUP}_{kind.plural}.yaml": _manifest(kind) for kind in KINDS.values()})


def crd_files() -> dict[str, str]:
    """The same manifests as YAML text."""
    return {
        name: yaml.dump(manifest, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=140)
        for name, manifest in custom_resource_definitions().items()
    }


class _PlainDumper(yaml.SafeDumper):
    """Writes repeated parts in full: anchors are hard to read and not every YAML tool of a cluster follows them."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _manifest(kind: Kind) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "labels": {"app.kubernetes.io/name": "mfu-operator"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": list(kind.short_names),
                "categories": ["mfu"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": _root(kind)},
                }
            ],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    rendered: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        rendered["description"] = column.description
    if column.priority:
        rendered["priority"] = column.priority
    return rendered


def _root(kind: Kind) -> dict[str, Any]:
    root: dict[str, Any] = {
        "type": "object",
        "description": kind.description,
        "properties": {
            "apiVersion": {"type": "string", "description": f"{API_VERSION}."},
            "kind": {"type": "string", "description": f"{kind.name}."},
            "metadata": {"type": "object"},
            "spec": structural_schema(kind.spec),
            "status": structural_schema(kind.status),
        },
    }
    if kind.spec_required:
        root["required"] = ["spec"]
    if kind.rules:
        root["x-kubernetes-validations"] = [dict(rule) for rule in kind.rules]
    return root
