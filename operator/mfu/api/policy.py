"""MFUPolicy, wire → domain."""

from collections.abc import Mapping

from mfu.api.mfupolicy import DriftSpec, FloorSpec, HoldSpec, LabelSelector, MemorySpec, MFUPolicySpec
from mfu.api.parse import envelope_problems, parse_spec
from mfu.api.problem import raise_first
from mfu.api.quantity import dollars_of, ratio_of, seconds_of
from mfu.judge.policy import DriftRule, Floor, Mode, OnUnknown, Policy, Selector

__all__ = ["policy"]

_DRIFT = DriftRule()


def policy(body: Mapping[str, object]) -> Policy:
    """The policy that the object `body` states. Raises IntentError with the field path."""
    raise_first(envelope_problems(body))
    spec = parse_spec(MFUPolicySpec, body.get("spec"))
    memory, hold = spec.memory or MemorySpec(), spec.hold or HoldSpec()
    metadata = body["metadata"]
    assert isinstance(metadata, Mapping)  # envelope_problems
    return Policy(
        name=str(metadata["name"]),
        mode=spec.mode or Mode.OBSERVE,
        precedence=spec.precedence or 0,
        namespaces=_selector(spec.namespace_selector),
        workloads=_selector(spec.workload_selector),
        exempt=None if spec.exemptions is None else _selector(spec.exemptions),
        floors=tuple(_floor(floor) for floor in spec.floors or ()),
        max_cost_per_million_tokens=None if spec.max_cost_per_million_tokens is None else dollars_of(spec.max_cost_per_million_tokens),
        must_fit_memory=memory.must_fit is not False,
        memory_margin_ratio=0.0 if memory.margin is None else ratio_of(memory.margin),
        require_link_domain=bool(spec.require_nvlink_domain),
        require_supported_precision=spec.require_supported_precision is not False,
        on_unknown=spec.on_unknown or OnUnknown.ALLOW,
        max_hold_seconds=3600.0 if hold.max_seconds is None else float(hold.max_seconds),
        drift=_drift(spec.drift or DriftSpec()),
    )


def _selector(declared: LabelSelector | None) -> Selector:
    if declared is None:
        return Selector()
    expressions = declared.match_expressions or ()
    return Selector(
        labels=dict(declared.match_labels or {}),
        expressions=tuple((item.key, item.operator, tuple(item.values or ())) for item in expressions),
    )


def _floor(declared: FloorSpec) -> Floor:
    return Floor(
        kinds=tuple(declared.modes or ()),
        accelerator_classes=tuple(declared.accelerator_classes or ()),
        expected_mfu_ratio=None if declared.expected_mfu is None else ratio_of(declared.expected_mfu),
        roofline_ratio=None if declared.roofline_fraction is None else ratio_of(declared.roofline_fraction),
    )


def _drift(declared: DriftSpec) -> DriftRule:
    return DriftRule(
        tolerance_ratio=_DRIFT.tolerance_ratio if declared.tolerance is None else ratio_of(declared.tolerance),
        for_seconds=_DRIFT.for_seconds if declared.for_ is None else seconds_of(declared.for_),
        recover_seconds=_DRIFT.recover_seconds if declared.recover_for is None else seconds_of(declared.recover_for),
    )
