"""What a verdict depends on: as long as it is the same, so is the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass

from mfu.estimate.result import Estimate
from mfu.estimate.workload import Workload
from mfu.judge.policy import Policy
from mfu.judge.verdict import Verdict
from mfu.missing import Missing

__all__ = ["Answer", "Question"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The inputs of `decide`. `search`: whether remedies are to be looked for."""

    workload: Workload | Missing
    estimate: Estimate | Missing
    policies: tuple[Policy, ...]
    namespace_labels: Mapping[str, str]
    workload_labels: Mapping[str, str]
    skip_gate_reason: str | None
    problems: tuple[str, ...]
    link_domain_satisfied: bool | None
    search: bool

    def has_changes_of(self, other: "Question") -> bool:
        """Whether the changes searched for `other` are those of this question too, whatever the policies."""
        return (self.workload, self.estimate, self.search) == (other.workload, other.estimate, other.search)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the policies said to a question, before anybody looked at what became of the pods."""

    question: Question
    verdict: Verdict
