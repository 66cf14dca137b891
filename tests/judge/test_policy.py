"""Label selectors as Kubernetes reads them."""

from __future__ import annotations

import pytest

from mfu.judge.policy import Selector


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        pytest.param(Selector(), True, id="empty selects everything"),
        pytest.param(Selector(labels={"team": "a"}), True, id="label"),
        pytest.param(Selector(labels={"team": "b"}), False, id="another value"),
        pytest.param(Selector(labels={"team": "a", "tier": "gold"}), False, id="one label missing"),
        pytest.param(Selector(expressions=(("team", "In", ("a", "b")),)), True, id="in"),
        pytest.param(Selector(expressions=(("team", "NotIn", ("a",)),)), False, id="not in"),
        pytest.param(Selector(expressions=(("tier", "NotIn", ("gold",)),)), True, id="not in, absent"),
        pytest.param(Selector(expressions=(("team", "Exists", ()),)), True, id="exists"),
        pytest.param(Selector(expressions=(("tier", "Exists", ()),)), False, id="does exist not"),
        pytest.param(Selector(expressions=(("tier", "DoesNotExist", ()),)), True, id="absent"),
        pytest.param(Selector(expressions=(("team", "Near", ("a",)),)), False, id="an operator that nobody knows selects nothing"),
        pytest.param(Selector(labels={"team": "a"}, expressions=(("team", "NotIn", ("a",)),)), False, id="all must hold"),
    ],
)
def test_a_selector_matches_as_in_kubernetes(selector: Selector, matches: bool) -> None:
    assert selector.matches({"team": "a"}) is matches
