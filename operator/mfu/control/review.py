"""The answer to an admission review of a ModelWorkload or an MFUPolicy."""

import logging
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from mfu.api.problem import Problem
from mfu.api.resolve import missing_of, resolve
from mfu.api.validate import problems, warnings
from mfu.control.configs import ConfigTexts
from mfu.control.gates import skip_reason
from mfu.control.resources import JsonObject
from mfu.control.view import View, labels_of
from mfu.errors import ClusterError, IntentError
from mfu.estimate.estimator import estimate
from mfu.estimate.workload import Workload
from mfu.judge.admission import decide
from mfu.judge.verdict import Decision, VerdictReason
from mfu.missing import Missing

__all__ = ["ALLOWED", "Answer", "Reviewer", "unchanged"]

_log = logging.getLogger(__name__)

INVALID, FORBIDDEN = 422, 403
# kubectl shows a warning on one line; the API server cuts what is longer than 256 characters, and all of them at 4096.
WARNING_CHARACTERS = 120
MOST_WARNINGS = 12
SHOWN_PROBLEMS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`code` and `message` speak when the object is turned away."""

    allowed: bool
    message: str = ""
    code: int = FORBIDDEN
    warnings: tuple[str, ...] = ()

    @property
    def decision(self) -> str:
        """A metric label: allowed, warned or denied."""
        if not self.allowed:
            return "denied"
        return "warned" if self.warnings else "allowed"


ALLOWED = Answer(allowed=True)


def unchanged(request: JsonObject) -> bool:
    """An update of status, labels or finalizers alone, or of an object on its way out, says nothing that has to be judged."""
    if request.get("operation") not in ("CREATE", "UPDATE") or request.get("subResource"):
        return True
    new, old = request.get("object") or {}, request.get("oldObject") or {}
    if (new.get("metadata") or {}).get("deletionTimestamp"):
        return True
    return request["operation"] == "UPDATE" and new.get("spec") == old.get("spec")


class Reviewer:
    def __init__(self, view: View, configs: ConfigTexts) -> None:
        self._view = view
        self._configs = configs

    async def workload(self, body: JsonObject) -> Answer:
        """Refuses invalid intent and what a policy refuses; warns of what would be held."""
        classes = self._view.classes()
        found = problems(body, classes=classes)
        if found:
            return _invalid(found)
        doubts = [f"{doubt.path}: {doubt.message}" for doubt in warnings(body, classes=classes)]
        try:
            texts = await self._configs.of(body)
        except ClusterError as error:
            _log.warning("the review goes on without ConfigMaps: %s", error)
            texts = {}
        workload: Workload | Missing
        try:
            workload = resolve(body, classes=classes, config_maps=lambda *name: texts.get(name))
        except IntentError as error:
            workload = missing_of(error)
            if error.path:
                doubts.append(str(error))
        namespace = body["metadata"].get("namespace") or "default"
        verdict = decide(
            workload,
            workload if isinstance(workload, Missing) else estimate(workload),
            self._view.policies(),
            namespace_labels=self._view.namespace_labels(namespace),
            workload_labels=labels_of(body),
            skip_gate_reason=skip_reason(body),
        )
        match verdict.decision:
            case Decision.REFUSED:
                return Answer(allowed=False, message=_line(f"{verdict.reason}: {verdict.message}"))
            case Decision.HELD:
                doubts.insert(0, f"pods will be held ({verdict.reason}): {verdict.message}")
            case Decision.WARNED:
                doubts.insert(0, f"{verdict.reason}: {verdict.message}")
            case Decision.ADMITTED if verdict.reason is VerdictReason.BREAK_GLASS:
                doubts.insert(0, verdict.message)
        return Answer(allowed=True, warnings=_wrapped(doubts))

    async def policy(self, body: JsonObject) -> Answer:
        found = problems(body)
        if found:
            return _invalid(found)
        return Answer(allowed=True, warnings=_wrapped([f"{doubt.path}: {doubt.message}" for doubt in warnings(body)]))


def _invalid(found: Sequence[Problem]) -> Answer:
    shown = [f"{problem.path}: {problem.message}" for problem in found[:SHOWN_PROBLEMS]]
    if len(found) > SHOWN_PROBLEMS:
        shown.append(f"and {len(found) - SHOWN_PROBLEMS} more")
    return Answer(allowed=False, message=_line("; ".join(shown)), code=INVALID)


def _line(text: str) -> str:
    return " ".join(text.split())


def _wrapped(texts: Sequence[str]) -> tuple[str, ...]:
    lines = [line for text in texts for line in textwrap.wrap(_line(text), WARNING_CHARACTERS, break_long_words=True)]
    return tuple(lines[:MOST_WARNINGS])
