"""What is written, told and published: patches, Events and observations."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.control.events import Happening
from mfu.control.tick import REPUBLISHED_SECONDS, moved
from mfu.control.transitions import transitions
from mfu.control.writing import replacement
from mfu.judge.verdict import Decision, Verdict, VerdictReason
from mfu.missing import Missing, Reason
from mfu.observe.observation import Evidence, Observation

JSON = st.recursive(
    st.integers() | st.text(max_size=5) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=3), inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(min_size=1, max_size=3), JSON, max_size=4)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_turns_what_is_stored_into_what_is_wanted(stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert merged(stored, replacement(stored, wanted)) == wanted


@given(OBJECTS)
def test_nothing_is_written_when_nothing_changed(stored: dict[str, Any]) -> None:
    assert replacement(stored, stored) == {}


def verdict(decision: Decision, reason: VerdictReason) -> Verdict:
    return Verdict(decision=decision, reason=reason, message="because")


def status(decision: str = "Admitted", reason: str = "Admitted", drifting: str = "False") -> dict[str, Any]:
    return {
        "verdict": {"decision": decision, "reason": reason},
        "conditions": [{"type": "Drifting", "status": drifting}],
        "summary": "31% observed vs 43% expected",
    }


def test_a_new_workload_is_told_its_verdict() -> None:
    found = list(transitions({}, status(), verdict(Decision.ADMITTED, VerdictReason.ADMITTED)))
    assert found == [Happening(reason="Admitted", message="because")]


def test_a_hold_is_a_warning_with_its_reason() -> None:
    held = verdict(Decision.HELD, VerdictReason.BELOW_EXPECTED_MFU_FLOOR)
    found = list(transitions(status(), status("Held", "BelowExpectedMFUFloor"), held))
    assert found == [Happening(reason="Held", message="BelowExpectedMFUFloor: because", warning=True)]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("False", "True", ["Drifting"]),
        ("Unknown", "True", ["Drifting"]),
        ("True", "True", []),
        ("True", "False", ["Recovered"]),
        ("True", "Unknown", []),
        ("Unknown", "False", []),
    ],
)
def test_drift_is_told_when_it_begins_and_when_it_ends(before: str, after: str, told: list[str]) -> None:
    found = transitions(status(drifting=before), status(drifting=after), verdict(Decision.ADMITTED, VerdictReason.ADMITTED))
    assert [happening.reason for happening in found] == told


def test_an_unchanged_status_is_worth_no_event() -> None:
    assert list(transitions(status(), status(), verdict(Decision.ADMITTED, VerdictReason.ADMITTED))) == []


def seen(mfu: float | Missing, *, at: float = 0.0, **rest: Any) -> Observation:
    return Observation(at_seconds=at, mfu_ratio=mfu, hardware_ratio=0.5, accelerators=8, **rest)


def silent(message: str) -> Missing:
    return Missing(reason=Reason.TELEMETRY_MISSING, message=message)


SILENT = silent("x")
DOWN = Missing(reason=Reason.PROMETHEUS_UNAVAILABLE, message="x")


@pytest.mark.parametrize(
    ("before", "after", "is_worth_it"),
    [
        pytest.param(None, SILENT, True, id="the first"),
        pytest.param(seen(0.400), seen(0.404), False, id="noise"),
        pytest.param(seen(0.400), seen(0.406), True, id="a step"),
        pytest.param(seen(0.400), DOWN, True, id="silence"),
        pytest.param(silent("silent for 3 s"), silent("silent for 94 s"), False, id="the same silence for longer"),
        pytest.param(silent("no exporter"), silent("a counter that stands still"), True, id="a silence that asks for something else"),
        pytest.param(SILENT, DOWN, True, id="another silence"),
        pytest.param(seen(SILENT), seen(0.4), True, id="application telemetry appears"),
        pytest.param(seen(0.4), seen(0.4, faults=("odd",)), True, id="a fault"),
        pytest.param(seen(0.4), seen(0.4, evidence=Evidence(slowest_node="n")), True, id="a straggler"),
        pytest.param(seen(0.4), seen(0.4, at=REPUBLISHED_SECONDS + 1), True, id="long unchanged"),
    ],
)
def test_an_observation_is_published_when_it_says_something_new(
    before: Observation | Missing | None, after: Observation | Missing, is_worth_it: bool
) -> None:
    assert moved(before, after) is is_worth_it


class Api:
    """Events by name, as the API server keeps them."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.failing = False

    async def create(self, kind: object, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        from mfu.errors import ClusterError

        if self.failing:
            raise ClusterError("no answer")
        name = body["metadata"]["name"]
        if name in self.events:
            raise ClusterError("exists", status=409)
        self.events[name] = body
        return body

    async def patch(self, kind: object, namespace: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        self.events[name].update(body)
        return self.events[name]


def test_the_same_event_is_counted_instead_of_repeated_also_after_a_restart() -> None:
    from mfu.control.events import Recorder
    from mfu.control.resources import Key, Kind

    api = Api()
    key = Key(kind=Kind.WORKLOAD, namespace="team", name="train")
    subject = {"metadata": {"name": "train", "uid": "u"}}

    async def tell() -> None:
        for message in ("first", "second\nline"):
            await Recorder(api, "me").record(key, subject, Happening(reason="Held", message=message, warning=True))  # type: ignore[arg-type]  # the two calls that it makes
        await Recorder(api, "me").record(key, subject, Happening(reason="Admitted", message="x"))  # type: ignore[arg-type]  # likewise
        api.failing = True
        await Recorder(api, "me").record(key, subject, Happening(reason="Warned", message="x"))  # type: ignore[arg-type]  # likewise

    asyncio.run(tell())
    assert sorted((event["reason"], event["count"], event["message"]) for event in api.events.values()) == [
        ("Admitted", 1, "x"),
        ("Held", 2, "second line"),
    ]
