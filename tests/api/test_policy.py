import pytest

from mfu.api.policy import policy
from mfu.errors import IntentError
from mfu.judge.policy import DriftRule, Floor, Mode, OnUnknown, Policy, Selector, WorkKind
from tests.api.objects import POLICY


def test_a_policy_keeps_everything_that_is_declared() -> None:
    assert policy(POLICY) == Policy(
        name="floor",
        mode=Mode.GATE,
        precedence=10,
        namespaces=Selector(labels={"team": "research"}),
        workloads=Selector(expressions=(("tier", "In", ("gold", "silver")),)),
        exempt=Selector(expressions=(("debug", "Exists", ()),)),
        floors=(
            Floor(
                kinds=(WorkKind.TRAINING,),
                accelerator_classes=("h100-sxm-80gb",),
                expected_mfu_ratio=0.35,
                roofline_ratio=0.605,
            ),
        ),
        max_cost_per_million_tokens=1.20,
        must_fit_memory=True,
        memory_margin_ratio=0.05,
        require_link_domain=True,
        require_supported_precision=True,
        on_unknown=OnUnknown.HOLD,
        max_hold_seconds=600.0,
        drift=DriftRule(tolerance_ratio=0.10, for_seconds=900.0, recover_seconds=5400.0),
    )


def test_an_empty_policy_only_observes_and_exempts_nobody() -> None:
    found = policy({**POLICY, "spec": {}})
    assert found == Policy(name="floor")
    assert found.mode is Mode.OBSERVE and found.exempt is None


def test_a_policy_that_cannot_be_used_names_the_field() -> None:
    with pytest.raises(IntentError, match=r"spec\.floors\[0\]\.expectedMfu: must be a percentage"):
        policy({**POLICY, "spec": {"floors": [{"expectedMfu": "140%"}]}})
