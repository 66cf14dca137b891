"""Objects of the cluster → the rows of a report page. Texts stay as the operator wrote them; only what is drawn is read as a number."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["CauseRow", "Row", "amount", "field", "gap_by_cause", "ratio", "rows"]

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
UNEXPLAINED = "Unexplained"


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseRow:
    """`share_ratio`: part of the gap; 0 where the object does not say it."""

    cause: str
    share: str
    share_ratio: float
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One ModelWorkload. Texts are "" where the status has none; `status` has the rest."""

    namespace: str
    name: str
    status: Mapping[str, Any]
    causes: tuple[CauseRow, ...]
    drifting: bool

    @property
    def anchor(self) -> str:
        return f"workload-{self.namespace}-{self.name}"

    def text(self, *path: str) -> str:
        return field(self.status, *path)

    def ratio(self, *path: str) -> float | None:
        return ratio(field(self.status, *path))

    def amount(self, *path: str) -> float | None:
        return amount(field(self.status, *path))

    @property
    def roof_ratio(self) -> float | None:
        """MFU that arithmetic and memory traffic alone, at the data-sheet rates, would leave: expected MFU over `expected.roofline`."""
        expected, reached = self.ratio("expected", "mfu"), self.ratio("expected", "roofline")
        return None if not expected or not reached else min(1.0, expected / reached)


def rows(objects: Iterable[Mapping[str, Any]]) -> tuple[Row, ...]:
    """The ModelWorkloads among the objects, what loses most money first."""
    found = [_row(body) for body in objects if body.get("kind", "ModelWorkload") == "ModelWorkload"]
    return tuple(sorted(found, key=lambda row: (-(row.amount("cost", "gapPerHour") or 0.0), row.namespace, row.name)))


def field(values: Any, *path: str) -> str:
    """The text at a path of mappings, "" where there is none."""
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return "" if values is None else str(values)


def ratio(text: str) -> float | None:
    """ "43.1%" → 0.431; None for anything else, "unknown" above all."""
    number = _NUMBER.fullmatch(text.removesuffix("%").removeprefix("+")) if text.endswith("%") else None
    return float(number.group().replace(",", "")) / 100.0 if number else None


def amount(text: str) -> float | None:
    """ "$1,204" → 1204.0, whatever the currency; None where there is no figure."""
    number = _NUMBER.search(text)
    if number is None or text.startswith("unknown"):
        return None
    return float(number.group().replace(",", "")) * (-1.0 if text.startswith("-") and not number.group().startswith("-") else 1.0)


def gap_by_cause(workloads: Iterable[Row], gap: float) -> dict[str, float]:
    """`gap` an hour split by the causes that the workloads' diagnoses name, largest first; what they do not explain is Unexplained.

    The amounts add up to `gap`, also where the workloads' figures are rounded to more than it.
    """
    found: dict[str, float] = {}
    for row in workloads:
        lost = row.amount("cost", "gapPerHour") or 0.0
        for cause in row.causes:
            found[cause.cause] = found.get(cause.cause, 0.0) + lost * cause.share_ratio
    explained = sum(found.values())
    if explained > gap:
        found = {cause: value * gap / explained for cause, value in found.items()}
    rest = gap - sum(found.values())
    if rest > 0.0:
        found[UNEXPLAINED] = found.get(UNEXPLAINED, 0.0) + rest
    return dict(sorted(((cause, value) for cause, value in found.items() if value > 0.0), key=lambda item: (-item[1], item[0])))


def _row(body: Mapping[str, Any]) -> Row:
    status = body.get("status") or {}
    causes = tuple(
        CauseRow(
            cause=field(item, "cause"),
            share=field(item, "share"),
            share_ratio=ratio(field(item, "share")) or 0.0,
            evidence=field(item, "evidence"),
        )
        for item in status.get("diagnosis") or ()
    )
    drifting = any(item.get("type") == "Drifting" and item.get("status") == "True" for item in status.get("conditions") or ())
    return Row(
        namespace=field(body, "metadata", "namespace"),
        name=field(body, "metadata", "name"),
        status=status,
        causes=causes,
        drifting=drifting,
    )
