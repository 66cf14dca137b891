"""Whatever a tenant writes at whatever field, the answer is a message and never a crash."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mfu.api.accelerator import accelerator
from mfu.api.policy import policy
from mfu.api.resolve import resolve
from mfu.api.validate import problems, warnings
from mfu.errors import IntentError
from mfu.estimate.workload import Workload
from tests.api.objects import GOOD

TOLD = {"ModelWorkload": resolve, "MFUPolicy": policy, "AcceleratorClass": accelerator}

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, 1, -1, 2**31, 2**63, 10**30]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", "bf16", "100%", "$0", "0s", "h100-sxm-80gb/1g.10gb", "a" * 2000, "\x00", "…"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=6
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _places(child, (*path, key))


PLACES = [(kind, path) for kind, body in GOOD.items() for path in _places(body)]


@settings(max_examples=600, deadline=None)
@given(place=st.sampled_from(PLACES), value=VALUES)
def test_any_value_at_any_field_is_taken_or_refused_with_a_message(place: tuple[str, tuple[Any, ...]], value: Any) -> None:
    kind, (*way, last) = place
    body = copy.deepcopy(GOOD[kind])
    target: Any = body
    for key in way:
        target = target[key]
    target[last] = value
    found = problems(body)
    assert all(problem.message and "\n" not in problem.message for problem in found)
    warnings(body)
    told = TOLD.get(str(body.get("kind")))
    if told is None:
        assert found
        return
    try:
        result = told(body)
    except IntentError as error:
        assert "\n" not in str(error) and len(str(error)) < 4000
    else:
        # What the validator turns away is not used either.
        assert not found
        if isinstance(result, Workload):
            json.dumps([result.name, result.fabric.count, result.assumptions])
