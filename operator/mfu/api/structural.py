"""pydantic model → the structural OpenAPI v3 schema that a CustomResourceDefinition takes.

pydantic writes JSON Schema 2020-12; the API server takes a subset without references, unions, null types and titles (Kubernetes
documentation, "Specifying a structural schema"). What has no structural form is refused here, at build time, instead of by a cluster.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from mfu.errors import DataError

__all__ = ["structural_schema"]

_DROPPED = frozenset({"title", "examples", "deprecated", "readOnly", "writeOnly", "additionalProperties", "default", "$defs"})
_KEPT = frozenset(
    {
        "type",
        "description",
        "format",
        "enum",
        "minimum",
        "maximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "pattern",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "required",
        "x-kubernetes-validations",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
    }
)


def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of `model` with everything inlined. Raises DataError for a construct that has no structural form."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _convert(schema, schema.get("$defs", {}), model.__name__)


def _convert(schema: Mapping[str, Any], definitions: Mapping[str, Any], where: str) -> dict[str, Any]:
    schema = _without_null(_inlined(schema, definitions, where), definitions, where)
    converted: dict[str, Any] = {}
    for key, value in schema.items():
        match key:
            case "properties":
                converted["properties"] = {name: _convert(part, definitions, f"{where}.{name}") for name, part in value.items()}
            case "items":
                converted["items"] = _convert(value, definitions, f"{where}[]")
            case "additionalProperties" if isinstance(value, dict) and value:
                converted["additionalProperties"] = _convert(value, definitions, f"{where}{{}}")
            case "const":
                converted["enum"] = [value]
            case "exclusiveMinimum" | "exclusiveMaximum":
                converted[{"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}[key]] = value
                converted[key] = True
            case "description":
                converted["description"] = " ".join(str(value).split())
            case _ if key in _KEPT:
                converted[key] = value
            case _ if key not in _DROPPED:
                raise DataError(f"{where}: {key!r} has no form in a structural schema")
    if "type" not in converted and "x-kubernetes-preserve-unknown-fields" not in converted:
        raise DataError(f"{where}: a structural schema needs a type")
    return converted


def _inlined(schema: Mapping[str, Any], definitions: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`$ref` replaced by what it names; keys beside the reference (a field's own description) go before those of the definition."""
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    reference = schema.get("$ref")
    if reference is None:
        return beside
    name = reference.rpartition("/")[2]
    if name not in definitions:
        raise DataError(f"{where}: unknown reference {reference!r}")
    return {**definitions[name], **beside}


def _without_null(schema: dict[str, Any], definitions: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`anyOf: [T, null]` becomes T: a field that may be omitted is simply not required. Any other union is refused."""
    choices = schema.pop("anyOf", None)
    if choices is None:
        return schema
    kept = [choice for choice in choices if choice.get("type") != "null"]
    if len(kept) != 1:
        raise DataError(f"{where}: a union of {len(kept)} types has no form in a structural schema")
    return {**_without_null(_inlined(kept[0], definitions, where), definitions, where), **schema}
