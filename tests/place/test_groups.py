"""Communication groups of a parallelism."""

from collections.abc import Callable

import pytest

from mfu.estimate.workload import Workload
from mfu.place.groups import Group, GroupKind, communication_groups, tight_group


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        pytest.param({}, [], id="one gpu"),
        pytest.param({"data": 16}, [("data", 16, 16)], id="data only"),
        pytest.param(
            {"tensor": 8, "pipeline": 4, "data": 2},
            [("tensor", 8, 8), ("pipeline", 4, 64), ("data", 2, 16)],
            id="tensor inside, pipeline across",
        ),
        pytest.param(
            {"tensor": 4, "context": 2, "data": 8, "expert": 8},
            [("tensor", 4, 4), ("expert", 8, 32), ("context", 2, 8), ("data", 8, 64)],
            id="experts over tensor ranks",
        ),
        pytest.param(
            {"tensor": 4, "data": 8, "expert": 8, "expert_tensor": 1},
            [("tensor", 4, 4), ("expert", 8, 8), ("data", 8, 32)],
            id="unsharded experts",
        ),
    ],
)
def test_training_groups(training: Callable[..., Workload], degrees: dict[str, int], expected: list[tuple[str, int, int]]) -> None:
    assert [(group.kind.value, group.degree, group.span) for group in communication_groups(training(**degrees))] == expected


def test_the_tight_group_is_the_widest_that_talks_in_every_layer(
    training: Callable[..., Workload], serving: Callable[..., Workload]
) -> None:
    assert tight_group(training(data=8)) is None
    assert tight_group(training(tensor=8, pipeline=4)) == Group(kind=GroupKind.TENSOR, degree=8, span=8)
    assert tight_group(serving(tensor=1, data=32, expert=32)) == Group(kind=GroupKind.EXPERT, degree=32, span=32)
