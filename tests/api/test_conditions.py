from datetime import UTC, datetime

import pytest

from mfu.api.conditions import Claim, conditions

EARLY, LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def _claim(status: bool | None, message: str = "m") -> Claim:
    return Claim(type="Ready", status=status, reason="Because", message=message)


def test_a_condition_has_all_that_kubernetes_asks_for() -> None:
    assert conditions([_claim(True)], None, 3, EARLY) == [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Because",
            "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "observedGeneration": 3,
        }
    ]


def test_the_time_stays_while_the_status_stays_whatever_the_message() -> None:
    before = conditions([_claim(True)], None, 1, EARLY)
    assert conditions([_claim(True, "other")], before, 2, LATE)[0]["lastTransitionTime"] == "2026-01-01T00:00:00Z"
    assert conditions([_claim(False)], before, 2, LATE)[0]["lastTransitionTime"] == "2026-01-02T00:00:00Z"
    assert conditions([_claim(None)], before, 2, LATE)[0]["status"] == "Unknown"


@pytest.mark.parametrize("previous", [None, [], "x", [1], [{}], [{"type": "Ready"}]], ids=repr)
def test_whatever_was_stored_is_survived(previous: object) -> None:
    assert conditions([_claim(True)], previous, 1, LATE)[0]["lastTransitionTime"] == "2026-01-02T00:00:00Z"
