"""The pure validator: what can be said against an object by looking at it; for the webhook, the CLI and the reconciler alike."""

from collections.abc import Mapping
from types import MappingProxyType

from mfu.api.accelerator import accelerator
from mfu.api.fitness import fitness_problems, fitness_warnings
from mfu.api.layout import layout_problems
from mfu.api.modelworkload import ModelSource, ModelWorkloadSpec
from mfu.api.parse import SPECS, envelope_problems, spec_problems
from mfu.api.problem import Problem
from mfu.api.source import architecture_of
from mfu.errors import IntentError, UnknownName
from mfu.hardware import catalog
from mfu.hardware.accelerator import Accelerator
from mfu.model.architecture import Architecture

__all__ = ["problems", "warnings"]

_NO_CLASSES: Mapping[str, Accelerator] = MappingProxyType({})


def problems(body: Mapping[str, object], *, classes: Mapping[str, Accelerator] = _NO_CLASSES) -> list[Problem]:
    """Why the object cannot be used, empty where it can; for all kinds of the group.

    A model that is in a ConfigMap is not looked at here. A class or catalogued model that is not known is a problem of a policy
    (`onUnknown`), not of the object: a provider may add it later, so it is among the `warnings`.
    """
    found = envelope_problems(body)
    model, spec = SPECS.get(str(body.get("kind"))), body.get("spec", {})
    if model is None or not isinstance(spec, Mapping):
        return found
    found += spec_problems(model, spec)
    if found:
        return found
    match body["kind"]:
        case "ModelWorkload":
            return _workload_problems(ModelWorkloadSpec.model_validate(spec))
        case "AcceleratorClass":
            return _class_problems(body, classes)
        case _:
            return []


def warnings(body: Mapping[str, object], *, classes: Mapping[str, Accelerator] = _NO_CLASSES) -> list[Problem]:
    """What is odd, slow or not known about an object that has no `problems`."""
    if body.get("kind") != "ModelWorkload" or problems(body, classes=classes):
        return []
    spec = ModelWorkloadSpec.model_validate(body["spec"])
    found = []
    if spec.accelerators.class_name is not None:
        try:
            catalog.accelerator(spec.accelerators.class_name, classes)
        except UnknownName as error:
            found.append(Problem(path=error.path, message=error.message))
    try:
        architecture = _architecture(spec.model, "spec.model")
    except UnknownName as error:
        return [*found, Problem(path=error.path, message=error.message)]
    return found + (fitness_warnings(spec, architecture) if architecture is not None else [])


def _workload_problems(spec: ModelWorkloadSpec) -> list[Problem]:
    found = list(layout_problems(spec))
    draft = spec.inference.speculative.draft_model if spec.inference and spec.inference.speculative else None
    for source, path in ((spec.model, "spec.model"), (draft, "spec.inference.speculative.draftModel")):
        if source is None:
            continue
        try:
            architecture = _architecture(source, path)
        except UnknownName:
            continue
        except IntentError as error:
            found.append(Problem(path=error.path, message=error.message))
            continue
        if architecture is not None and source is spec.model and not found:
            found += fitness_problems(spec, architecture)
    return found


def _architecture(source: ModelSource, path: str) -> Architecture | None:
    return None if source.config_map_ref is not None else architecture_of(source, path, "", None)


def _class_problems(body: Mapping[str, object], classes: Mapping[str, Accelerator]) -> list[Problem]:
    try:
        accelerator(body, classes)
    except IntentError as error:
        return [Problem(path=error.path, message=error.message)]
    return []
