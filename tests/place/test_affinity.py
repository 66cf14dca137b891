"""A hint as an affinity: what is there is only ever tightened."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.place.affinity import affinity
from mfu.place.hint import Hint, Requirement
from mfu.place.topology import Level

MakeHint = Callable[..., Hint]
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
LEAF = {"key": "leaf", "operator": "In", "values": ["l1"]}
MODEL = {"key": "model", "operator": "In", "values": ["h100"]}


@pytest.fixture(scope="session")
def make() -> MakeHint:
    def build(*, required: bool = True) -> Hint:
        return Hint(
            required=required,
            level=Level.LEAF,
            key="leaf",
            domain="l1",
            requirements=(Requirement(key="leaf", values=("l1",)), Requirement(key="model", values=("h100",))),
            reason="because",
            free=8,
            total=16,
            keeps_groups_whole=True,
            score=(0,),
        )

    return build


def test_a_pod_without_affinity_gets_one_term(make: MakeHint) -> None:
    assert affinity(make(), None) == {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [LEAF, MODEL]}]}}}


def test_every_existing_alternative_is_tightened(make: MakeHint) -> None:
    zone = {"key": "zone", "operator": "In", "values": ["a", "b"]}
    field = {"key": "metadata.name", "operator": "In", "values": ["n1"]}
    existing = {
        "podAntiAffinity": {"x": 1},
        "nodeAffinity": {
            REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [zone]}, {"matchFields": [field]}]},
            PREFERRED: [{"weight": 1, "preference": {"matchExpressions": [zone]}}],
        },
    }
    kept = deepcopy(existing)
    found = affinity(make(), existing)
    assert existing == kept
    assert found["podAntiAffinity"] == {"x": 1}
    assert found["nodeAffinity"][PREFERRED] == existing["nodeAffinity"][PREFERRED]
    assert found["nodeAffinity"][REQUIRED]["nodeSelectorTerms"] == [
        {"matchExpressions": [zone, LEAF, MODEL]},
        {"matchFields": [field], "matchExpressions": [LEAF, MODEL]},
    ]


@pytest.mark.parametrize("term", [{}, {"matchExpressions": []}, {"matchExpressions": None}])
def test_a_term_that_matches_no_node_goes_on_matching_none(make: MakeHint, term: dict[str, Any]) -> None:
    found = affinity(make(), {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [term]}}})
    assert found["nodeAffinity"][REQUIRED]["nodeSelectorTerms"] == [term]


@pytest.mark.parametrize("empty", [{}, {"nodeAffinity": None}, {"nodeAffinity": {REQUIRED: None}}, {"nodeAffinity": {PREFERRED: None}}])
def test_empty_parts_of_an_affinity_are_no_obstacle(make: MakeHint, empty: dict[str, Any]) -> None:
    found = affinity(make(), empty)
    assert found["nodeAffinity"][REQUIRED]["nodeSelectorTerms"] == [{"matchExpressions": [LEAF, MODEL]}]


def test_a_preference_is_added_beside_the_others(make: MakeHint) -> None:
    other = {"weight": 5, "preference": {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}}
    found = affinity(make(required=False), {"nodeAffinity": {PREFERRED: [other]}})
    assert found["nodeAffinity"] == {PREFERRED: [other, {"weight": 100, "preference": {"matchExpressions": [LEAF, MODEL]}}]}


@pytest.mark.parametrize("required", [True, False])
def test_applying_a_hint_twice_changes_nothing(make: MakeHint, required: bool) -> None:
    once = affinity(make(required=required), None)
    assert affinity(make(required=required), once) == once


labels = st.dictionaries(st.sampled_from(["leaf", "model", "zone"]), st.sampled_from(["l1", "l2", "h100", "a"]))
expressions = st.lists(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(["leaf", "model", "zone"]),
            "operator": st.just("In"),
            "values": st.lists(st.sampled_from(["l1", "a"]), min_size=1),
        }
    ),
    max_size=2,
)


def matches(found: dict[str, Any], node: dict[str, str]) -> bool:
    """What the scheduler decides: any term, all of its expressions; a term without expressions matches nothing."""
    selector = found.get("nodeAffinity", {}).get(REQUIRED)
    if not selector:
        return True
    return any(
        term["matchExpressions"] and all(node.get(item["key"]) in item["values"] for item in term["matchExpressions"])
        for term in selector["nodeSelectorTerms"]
    )


@given(terms=st.lists(expressions, min_size=1, max_size=3), node=labels)
def test_a_node_allowed_afterwards_was_allowed_before_and_meets_the_hint(
    make: MakeHint, terms: list[list[dict[str, Any]]], node: dict[str, str]
) -> None:
    existing = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": term} for term in terms]}}}
    allowed = matches(affinity(make(), existing), node)
    assert allowed == (matches(existing, node) and node.get("leaf") == "l1" and node.get("model") == "h100")
