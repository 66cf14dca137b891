"""A document → the wire model of its kind; every fault as a Problem: its field path, what is allowed, and the nearest name for a typo."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mfu.api.acceleratorclass import AcceleratorClassSpec
from mfu.api.fleetreport import FleetReportSpec
from mfu.api.mfupolicy import MFUPolicySpec
from mfu.api.modelworkload import ModelWorkloadSpec
from mfu.api.problem import Problem, raise_first

__all__ = ["SPECS", "envelope_problems", "parse_spec", "spec_problems"]

SPECS: Mapping[str, type[BaseModel]] = {
    "ModelWorkload": ModelWorkloadSpec,
    "MFUPolicy": MFUPolicySpec,
    "AcceleratorClass": AcceleratorClassSpec,
    "FleetReport": FleetReportSpec,
}
_API_VERSION = "mfu.dev/v1alpha1"
_TOP_LEVEL = ("apiVersion", "kind", "metadata", "spec", "status")
_PLAIN_KEY = re.compile(r"[\w./-]{1,64}")

Spec = TypeVar("Spec", bound=BaseModel)


def parse_spec(model: type[Spec], spec: object) -> Spec:
    """`spec` as the wire model. Raises IntentError that names the first fault and lists the others."""
    try:
        return model.model_validate(spec)
    except ValidationError as error:
        raise_first(_problems(error, model))
        raise


def spec_problems(model: type[BaseModel], spec: object) -> list[Problem]:
    """Every fault of `spec`; empty where the wire model takes it."""
    try:
        model.model_validate(spec)
    except ValidationError as error:
        return _problems(error, model)
    return []


def envelope_problems(body: Mapping[str, object]) -> list[Problem]:
    """Faults of what is around the spec: apiVersion, kind, metadata.name, and names that do not belong at the top."""
    problems = []
    kind, version = body.get("kind"), body.get("apiVersion")
    if version != _API_VERSION:
        problems.append(Problem(path="apiVersion", message=f"must be {_API_VERSION}, not {_shown(version)}"))
    if not isinstance(kind, str) or kind not in SPECS:
        near = get_close_matches(str(kind), SPECS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        problems.append(Problem(path="kind", message=f"must be one of {', '.join(SPECS)}, not {_shown(kind)}{hint}"))
    metadata = body.get("metadata")
    if not isinstance(metadata, Mapping):
        problems.append(Problem(path="metadata", message="is required, with the name of the object"))
    else:
        problems.extend(_name_problems(kind, metadata.get("name")))
        namespace = metadata.get("namespace", "default")
        if not isinstance(namespace, str):
            problems.append(Problem(path="metadata.namespace", message=f"must be a string, not {_shown(namespace)}"))
    for key in body:
        if key not in _TOP_LEVEL:
            near = get_close_matches(str(key), (*_TOP_LEVEL, *_field_names(SPECS.get(str(kind)))), n=1)
            hint = f"; did you mean {'spec.' if near[0] not in _TOP_LEVEL else ''}{near[0]}?" if near else ""
            problems.append(Problem(path=_key(key), message=f"is not a known field{hint}"))
    if kind != "FleetReport" and not isinstance(body.get("spec"), Mapping):
        problems.append(Problem(path="spec", message="is required" if body.get("spec") is None else "must be a mapping"))
    return problems


def _name_problems(kind: object, name: object) -> list[Problem]:
    if not isinstance(name, str) or not name:
        return [Problem(path="metadata.name", message="is required" if name in (None, "") else f"must be a string, not {_shown(name)}")]
    if kind == "ModelWorkload" and len(name) > 63:
        return [
            Problem(
                path="metadata.name",
                message="is also the value of the pod label mfu.dev/workload and may have at most 63 characters",
            )
        ]
    if kind == "FleetReport" and name != "fleet":
        return [Problem(path="metadata.name", message="there is one FleetReport, named fleet")]
    return []


def _problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    return [
        Problem(path=_path(detail["loc"]), message=_message(detail, model))
        for detail in error.errors(include_url=False, include_context=True)
    ]


def _path(location: Sequence[int | str]) -> str:
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in location)


def _key(name: object) -> str:
    """A key as it is written; one that would not stay on the line is shown as a string."""
    text = str(name)
    return text if _PLAIN_KEY.fullmatch(text) else _shown(text)


def _message(detail: ErrorDetails, model: type[BaseModel]) -> str:
    context: dict[str, Any] = detail.get("ctx", {})
    given = _shown(detail["input"])
    match detail["type"]:
        case "extra_forbidden":
            return f"is not a known field{_did_you_mean(detail['loc'], model)}"
        case "missing":
            return "is required"
        case "enum" | "literal_error":
            expected = str(context["expected"]).replace("'", "").replace(" or ", ", ")
            return f"must be one of {expected}, not {given}"
        case "int_type" | "int_parsing" | "int_from_float":
            return f"must be a whole number, not {given}"
        case "float_type" | "float_parsing":
            return f"must be a number, not {given}"
        case "bool_type" | "bool_parsing":
            return f"must be true or false, not {given}"
        case "string_type":
            return f"must be a string, not {given}" + (" (write it in quotes)" if isinstance(detail["input"], int | float) else "")
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"must be a mapping, not {given}"
        case "list_type":
            return f"must be a list, not {given}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}, not {given}"
        case "less_than_equal":
            return f"must be at most {context['le']}, not {given}"
        case "value_error":
            return f"{context['error']}" + (f", not {given}" if isinstance(detail["input"], str) else "")
        case "string_too_long" | "too_long":
            return f"is too long: at most {context['max_length']} {'characters' if 'string' in detail['type'] else 'entries'}"
        case "string_too_short" | "too_short":
            return "must not be empty"
        case _:
            return detail["msg"][:1].lower() + detail["msg"][1:]


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= 48 else text[:45] + "…"


def _did_you_mean(location: Sequence[int | str], model: type[BaseModel]) -> str:
    known = _field_names(_model_at(model, location[:-1]))
    wanted = str(location[-1])
    by_case = {name.casefold(): name for name in known}
    near = get_close_matches(wanted.casefold().replace("_", ""), by_case, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {by_case[near[0]]}?"
    return f"; known: {', '.join(known)}" if known else ""


def _model_at(model: type[BaseModel] | None, location: Sequence[int | str]) -> type[BaseModel] | None:
    """The wire model at a place inside another one."""
    for part in location:
        if model is None:
            return None
        if isinstance(part, int):
            continue
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if part not in fields:
            return None
        model = _nested_model(fields[part].annotation)
    return model


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _nested_model(argument)) is not None), None)


def _field_names(model: type[BaseModel] | None) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()] if model else []
