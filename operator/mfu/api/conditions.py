"""Conditions of all resources: the wire model, and lists in which a time changes only when a status does."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, Strict

from mfu.api.figures import instant
from mfu.api.wire import Wire

__all__ = ["Claim", "Condition", "conditions"]


class Condition(Wire):
    """One aspect of the state of the object."""

    type: Annotated[str, Strict(), Field(min_length=1, max_length=64)] = Field(description="What the condition is about.")
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    reason: Annotated[str, Strict(), Field(min_length=1, max_length=128)] = Field(description="Stable token that says why.")
    message: Annotated[str, Strict(), Field(max_length=1024)] = Field(description="One line that says why, and what to do.")
    last_transition_time: Annotated[str, Strict(), Field(max_length=32, json_schema_extra={"format": "date-time"})] = Field(
        description="When the status last changed."
    )
    observed_generation: Annotated[int, Strict(), Field(ge=0)] | None = Field(
        default=None, description="Generation of the spec that the condition is about."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A condition before it has a time. `status` None is Unknown."""

    type: str
    status: bool | None
    reason: str
    message: str


def conditions(claims: Iterable[Claim], previous: object, generation: int, now: datetime) -> list[dict[str, Any]]:
    """The list for a status: `lastTransitionTime` is kept from `previous` (a status' conditions) where the status is the same."""
    known = {item.get("type"): item for item in previous if isinstance(item, Mapping)} if isinstance(previous, list) else {}
    rendered = []
    for claim in claims:
        status = {True: "True", False: "False", None: "Unknown"}[claim.status]
        before = known.get(claim.type, {})
        since = before.get("lastTransitionTime") if before.get("status") == status else None
        rendered.append(
            {
                "type": claim.type,
                "status": status,
                "reason": claim.reason,
                "message": claim.message[:1024],
                "lastTransitionTime": since or instant(now),
                "observedGeneration": generation,
            }
        )
    return rendered
