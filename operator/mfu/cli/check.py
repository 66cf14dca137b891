"""`mfu check`: the admission verdict on declared workloads under declared policies, without a cluster."""

import argparse
from collections.abc import Sequence
from typing import Any

from mfu.api.policy import policy
from mfu.api.resolve import missing_of
from mfu.api.validate import problems, warnings
from mfu.cli.documents import Document, read_documents
from mfu.cli.output import complain, write_data, write_rows
from mfu.cli.workloads import Declared, classes_of, declared_workloads
from mfu.errors import IntentError, MfuError
from mfu.estimate.estimator import estimate
from mfu.estimate.result import Estimate
from mfu.hardware.accelerator import Accelerator
from mfu.judge.admission import decide
from mfu.judge.policy import Policy
from mfu.judge.verdict import Decision, Verdict
from mfu.missing import Missing, Reason

__all__ = ["add_arguments", "run"]

_SKIP_GATE = "mfu.dev/skip-gate"
_ADMITTED = (Decision.ADMITTED, Decision.WARNED)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f",
        "--filename",
        action="append",
        required=True,
        metavar="FILE",
        help="YAML or JSON with ModelWorkload and MFUPolicy documents (and AcceleratorClass, ConfigMap and Namespace documents); - reads"
        " standard input",
    )
    parser.add_argument("-o", "--output", choices=["table", "json", "yaml"], default="table")


def run(args: argparse.Namespace) -> int:
    """0 where every workload is admitted, 1 where one is held or refused. Raises MfuError for what is no workload or no policy."""
    documents = read_documents(args.filename)
    policies = [_policy(document) for document in documents if document.kind == "MFUPolicy"]
    classes = classes_of(documents)
    namespaces = {document.name: document.labels for document in documents if document.kind == "Namespace"}
    declared = declared_workloads(documents)
    if not declared:
        raise MfuError(f"{', '.join(args.filename)}: no ModelWorkload to check; give one with -f")
    verdicts = []
    for item in declared:
        labels = {"kubernetes.io/metadata.name": item.namespace, **namespaces.get(item.namespace, {})}
        verdicts.append((item, _verdict(item, policies, classes, labels)))
    _write(verdicts, args.output)
    for item, _ in verdicts:
        for warning in warnings(item.document.body or {}, classes=classes):
            complain(f"{item.document.place} ({item.name}): warning: {warning}")
    return 0 if all(verdict.decision in _ADMITTED for _, verdict in verdicts) else 1


def _policy(document: Document) -> Policy:
    try:
        return policy(document.body or {})
    except IntentError as error:
        raise MfuError(f"{document.place}: {error}") from error


def _verdict(item: Declared, policies: Sequence[Policy], classes: dict[str, Accelerator], namespace_labels: dict[str, str]) -> Verdict:
    body = item.document.body
    if body is None:
        raise MfuError(f"{item.document.place}: {item.document.problem}")
    match item.workload:
        case IntentError() as error:
            workload, found = missing_of(error), [str(problem) for problem in problems(body, classes=classes)]
            expectation: Estimate | Missing = workload
        case MfuError() as error:
            raise MfuError(f"{item.document.place}: {error}") from error
        case workload:
            expectation, found = _expectation(item), []
    return decide(
        workload,
        expectation,
        policies,
        namespace_labels=namespace_labels,
        workload_labels=item.document.labels,
        skip_gate_reason=item.document.annotations.get(_SKIP_GATE),
        problems=found,
    )


def _expectation(item: Declared) -> Estimate | Missing:
    assert not isinstance(item.workload, MfuError)
    try:
        return estimate(item.workload)
    except IntentError as error:
        return Missing(reason=Reason.INTENT_INVALID, message=str(error))


def _write(verdicts: Sequence[tuple[Declared, Verdict]], form: str) -> None:
    if form != "table":
        write_data([_entry(item, verdict) for item, verdict in verdicts], form)
        return
    write_rows(
        ("NAME", "DECISION", "REASON", "POLICY", "MESSAGE"),
        [
            (f"{item.namespace}/{item.name}", str(verdict.decision), str(verdict.reason), verdict.policy or "-", verdict.message)
            for item, verdict in verdicts
        ],
    )


def _entry(item: Declared, verdict: Verdict) -> dict[str, Any]:
    return {
        "name": item.name,
        "namespace": item.namespace,
        "decision": str(verdict.decision),
        "reason": str(verdict.reason),
        "policy": verdict.policy,
        "message": verdict.message,
    }
