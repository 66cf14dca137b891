"""Which Events a change of a workload's status is worth. Compared are the stored status and the new one: a restart repeats nothing."""

from collections.abc import Iterator, Mapping
from typing import Any

from mfu.control.events import Happening
from mfu.judge.verdict import Decision, Verdict

__all__ = ["transitions"]


def transitions(previous: Mapping[str, Any], current: Mapping[str, Any], verdict: Verdict) -> Iterator[Happening]:
    """Verdict (Admitted, Warned, Held, Refused) and drift (Drifting, Recovered); both statuses as the API stores them."""
    before, after = previous.get("verdict") or {}, current.get("verdict") or {}
    if (before.get("decision"), before.get("reason")) != (after.get("decision"), after.get("reason")):
        text = verdict.message if verdict.reason.value == verdict.decision.value else f"{verdict.reason}: {verdict.message}"
        yield Happening(reason=verdict.decision.value, message=text, warning=verdict.decision is not Decision.ADMITTED)
    was, now = _status(previous, "Drifting"), _status(current, "Drifting")
    if now == "True" and was != "True":
        yield Happening(reason="Drifting", message=str(current.get("summary") or "observed MFU left the expected interval"), warning=True)
    elif was == "True" and now == "False":
        yield Happening(reason="Recovered", message=str(current.get("summary") or "observed MFU is back in the expected interval"))


def _status(status: Mapping[str, Any], name: str) -> str:
    return next((str(c.get("status")) for c in status.get("conditions") or () if c.get("type") == name), "")
