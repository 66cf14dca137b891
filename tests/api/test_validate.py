import copy
from typing import Any

import pytest

from mfu.api.parse import SPECS
from mfu.api.validate import problems, warnings
from tests.api.objects import BROKEN, GOOD, INFERENCE, LLAMA, TRAINING, Broken


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_object_has_no_problems(kind: str) -> None:
    assert problems(GOOD[kind]) == []


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.id)
def test_a_broken_object_is_refused_at_the_field_with_a_message_for_a_person(case: Broken) -> None:
    found = problems(case.body())
    assert [problem for problem in found if problem.path.startswith(case.path) and case.said in str(problem)], found
    assert all("\n" not in problem.message for problem in found)


@pytest.mark.parametrize(
    ("path", "name", "nearest"),
    [
        ("spec.training", "microBatch", "microBatchSize"),
        ("spec.training", "micro_batch_size", "microBatchSize"),
        ("spec.accelerators", "pernode", "perNode"),
        ("spec.training.parallelism", "tensr", "tensor"),
        ("spec", "infrence", "inference"),
        ("", "metdata", "metadata"),
        ("", "training", "spec.training"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest_known_one(path: str, name: str, nearest: str) -> None:
    body = copy.deepcopy(TRAINING)
    place: Any = body
    for part in path.split(".") if path else ():
        place = place[part]
    place[name] = 1
    messages = [str(problem) for problem in problems(body) if problem.path == (f"{path}.{name}" if path else name)]
    assert messages and f"did you mean {nearest}?" in messages[0]


def test_fields_of_a_config_are_kept_whatever_they_are() -> None:
    body = copy.deepcopy(TRAINING)
    body["spec"]["model"]["config"] = {**LLAMA, "auto_map": {"a": [1, {"b": None}]}, "unheard_of": 1.5}
    assert problems(body) == []


@pytest.mark.parametrize("field", ["interleave", "data", "expertTensor"])
def test_null_is_the_same_as_omitted(field: str) -> None:
    body = copy.deepcopy(TRAINING)
    body["spec"]["training"]["parallelism"][field] = None
    assert problems(body) == []


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("spec", [None, [], "x", 7, {}, {"model": 3}, {"spec": {}}], ids=repr)
def test_no_shape_of_a_spec_is_a_crash(kind: str, spec: object) -> None:
    found = problems({"apiVersion": "mfu.dev/v1alpha1", "kind": kind, "metadata": {"name": "fleet"}, "spec": spec})
    assert all(problem.path.startswith("spec") for problem in found)


@pytest.mark.parametrize(
    "body", [{}, {"kind": 3}, {"kind": "ModelWorkload"}, {"metadata": []}, {"kind": "ModelWorkloads", "metadata": {"name": 4}}]
)
def test_no_shape_of_an_object_is_a_crash(body: dict[str, object]) -> None:
    assert problems(body)


def test_an_unknown_class_is_a_warning_with_the_nearest_names_because_a_policy_decides() -> None:
    body = copy.deepcopy(TRAINING)
    body["spec"]["accelerators"]["class"] = "h100-sxm-81gb"
    assert problems(body) == []
    assert any(warning.path == "spec.accelerators.class" and "h100-sxm-80gb" in warning.message for warning in warnings(body))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"parallelism": {"tensor": 1, "pipeline": 1, "data": 64, "expert": 4}}, "spec.training.parallelism.expert"),
        ({"parallelism": {"tensor": 16, "pipeline": 1, "data": 4}}, "spec.training.parallelism.tensor"),
        ({"globalBatchSize": 513}, "spec.training.globalBatchSize"),
    ],
    ids=["experts of a dense model", "tensor wider than a domain", "ragged batch"],
)
def test_what_is_merely_slow_or_odd_is_a_warning(change: dict[str, Any], path: str) -> None:
    body = copy.deepcopy(TRAINING)
    body["spec"]["training"] |= change
    assert problems(body) == []
    assert path in [warning.path for warning in warnings(body)]


def test_a_model_in_a_config_map_is_not_looked_at() -> None:
    body = copy.deepcopy(INFERENCE)
    body["spec"]["model"] = {"configMapRef": {"name": "llama"}}
    assert problems(body) == []
    assert warnings(body) == []
