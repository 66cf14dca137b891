"""A hint as the `spec.affinity` of a gated pod or a suspended Job's template. An existing affinity is only ever tightened.

Kubernetes lets a gated pod's required node affinity change only by added requirements: every existing term keeps what it has and gets ours
(terms are alternatives, so each needs it). Preferences may change freely; ours is added beside the others.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from mfu.place.hint import Hint

__all__ = ["affinity"]

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_WEIGHT = 100


def affinity(hint: Hint, existing: Mapping[str, Any] | None) -> dict[str, Any]:
    """The whole `spec.affinity` with the hint in it. `existing` is not changed; applying the same hint twice adds nothing."""
    merged: dict[str, Any] = deepcopy(dict(existing or {}))
    node_affinity: dict[str, Any] = merged.get("nodeAffinity") or {}
    merged["nodeAffinity"] = node_affinity
    expressions = [{"key": item.key, "operator": "In", "values": list(item.values)} for item in hint.requirements]
    if hint.required:
        selector: dict[str, Any] = node_affinity.get(_REQUIRED) or {}
        terms: list[dict[str, Any]] = selector.get("nodeSelectorTerms") or []
        node_affinity[_REQUIRED] = {
            **selector,
            "nodeSelectorTerms": [_tightened(term, expressions) for term in terms] or [_term(expressions)],
        }
    else:
        preferred: list[dict[str, Any]] = node_affinity.get(_PREFERRED) or []
        ours = {"weight": _WEIGHT, "preference": _term(expressions)}
        node_affinity[_PREFERRED] = preferred if ours in preferred else [*preferred, ours]
    return merged


def _term(expressions: list[dict[str, Any]]) -> dict[str, Any]:
    return {"matchExpressions": expressions}


def _tightened(term: dict[str, Any], expressions: list[dict[str, Any]]) -> dict[str, Any]:
    present: list[dict[str, Any]] = term.get("matchExpressions") or []
    # A term without expressions and fields matches no node; a requirement would make it match some.
    if not present and not term.get("matchFields"):
        return term
    return {**term, "matchExpressions": [*present, *(item for item in expressions if item not in present)]}
