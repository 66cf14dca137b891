from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from mfu.api.structural import structural_schema
from mfu.errors import DataError


class _Inner(BaseModel):
    """An inner object."""

    size: Annotated[int, Field(gt=0)] = Field(description="Its size.")


class _Outer(BaseModel):
    inner: _Inner | None = Field(default=None, description="The field's own words.")
    kind: Literal["only"] = "only"
    anything: dict[str, Any] = Field(default_factory=dict, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
    by_name: dict[str, _Inner] = Field(default_factory=dict)
    listed: list[_Inner] = Field(default_factory=list, max_length=3)


def test_everything_is_inlined_and_nullable_fields_are_just_not_required() -> None:
    inner = {"type": "object", "required": ["size"], "properties": {"size": {"type": "integer", "minimum": 0, "exclusiveMinimum": True}}}
    inner["properties"]["size"]["description"] = "Its size."  # type: ignore[index]  # a literal of mixed depth
    schema = structural_schema(_Outer)
    assert schema["properties"]["inner"] == {**inner, "description": "The field's own words."}
    assert schema["properties"]["kind"] == {"type": "string", "enum": ["only"]}
    assert schema["properties"]["anything"] == {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    assert schema["properties"]["by_name"]["additionalProperties"] == {**inner, "description": "An inner object."}
    assert schema["properties"]["listed"]["items"] == {**inner, "description": "An inner object."}
    assert "required" not in schema and "$defs" not in schema


class _Union(BaseModel):
    value: int | str


class _Tuple(BaseModel):
    value: tuple[int, str]


class _Untyped(BaseModel):
    value: Any


@pytest.mark.parametrize("model", [_Union, _Tuple, _Untyped])
def test_what_has_no_structural_form_is_refused_by_name(model: type[BaseModel]) -> None:
    with pytest.raises(DataError, match=rf"{model.__name__}\.value"):
        structural_schema(model)
