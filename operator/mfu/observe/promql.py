"""The queries of a tick: many named figures in few expressions, whatever the number of workloads.

`rate()` and `avg_over_time()` drop the metric's name, so figures cannot be told apart after `rate({__name__=~"a|b"}[2m])`, and alike series
of two names collide there. Each figure is therefore an expression of its own, marked with the label `figure`, and figures are joined
with `or`.

The same series stored twice (two Prometheus replicas behind one query front end) must not count twice: `max by` over the labels that
identify a series comes before any sum, which also drops whatever label the replicas differ in.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["APPLICATION_LABELS", "FIGURE", "POD_LABELS", "Across", "Figure", "Kind", "any_of", "expression", "pack", "quote", "selector"]

FIGURE = "figure"
# A scrape without honorLabels moves the exporter's own labels to exported_*: both styles are kept and told apart when read.
POD_LABELS = ("namespace", "pod", "exported_namespace", "exported_pod")
APPLICATION_LABELS = (*POD_LABELS, "instance")
_MAX_QUERY_CHARACTERS = 3500  # it travels in the URL, and proxies commonly stop at 8 KiB


class Kind(StrEnum):
    RATE = "rate"  # a counter's increase each second
    MEAN = "mean"  # a gauge's mean over the window
    NOW = "now"  # present where the series still exists
    LATEST = "latest"  # the last sample: codes and bit masks, which have no mean
    LAST_SCRAPE = "lastScrape"  # Unix time of the latest sample
    BEFORE_WINDOW = "beforeWindow"  # present where the series existed a whole window ago


class Across(StrEnum):
    """How the series of one group are joined after duplicates are gone."""

    SUM = "sum"
    MEAN = "avg"
    MAX = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`selectors`: alternatives in order of preference; for each pod the first that exists is taken."""

    name: str
    selectors: tuple[str, ...]
    kind: Kind
    across: Across = Across.SUM


def quote(value: str) -> str:
    """A PromQL string literal: whatever a label value holds, it stays inside the quotes."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def selector(metric: str, **labels: str) -> str:
    """`metric{label="value",…}` with every value quoted."""
    if not labels:
        return metric
    return metric + "{" + ",".join(f"{name}={quote(value)}" for name, value in labels.items()) + "}"


def any_of(selectors: Iterable[str]) -> str:
    """The series of all these metrics in one selector; what the selectors ask of labels is left out."""
    names = dict.fromkeys(chosen.partition("{")[0] for chosen in selectors)
    return "{" + f"__name__=~{quote('|'.join(names))}" + "}"


def expression(figure: Figure, *, group: Sequence[str], identity: Sequence[str], window_seconds: float) -> str:
    """One figure, one element for each combination of the `group` labels, marked with the label `figure`.

    `identity`: the labels that tell apart series which both count; includes `group`.
    """
    window = f"{round(window_seconds)}s"
    alternatives = []
    for chosen in figure.selectors:
        match figure.kind:
            case Kind.RATE:
                inner = f"rate({chosen}[{window}])"
            case Kind.MEAN:
                inner = f"avg_over_time({chosen}[{window}])"
            case Kind.NOW:
                inner = chosen
            case Kind.LATEST:
                inner = chosen
            case Kind.LAST_SCRAPE:
                inner = f"timestamp({chosen})"
            case Kind.BEFORE_WINDOW:
                inner = f"{chosen} offset {window}"
        if figure.across is not Across.MAX and tuple(identity) != tuple(group):
            inner = f"max by ({','.join(identity)}) ({inner})"
        alternatives.append(f"{figure.across} by ({','.join(group)}) ({inner})")
    return f"label_replace({' or '.join(alternatives)},{quote(FIGURE)},{quote(figure.name)},{quote('')},{quote('')})"


def pack(expressions: Iterable[str], *, at_most: int = 100) -> tuple[str, ...]:
    """The expressions joined with `or` into as few queries as fit a URL, `at_most` that many in one.

    Figures have different names, so matching on those is enough. Every `or` copies what is on its left: where a figure has very many
    elements, few are to be joined.
    """
    packed: list[str] = []
    joined = 0
    for each in expressions:
        if packed and joined < at_most and len(packed[-1]) + len(each) + 20 <= _MAX_QUERY_CHARACTERS:
            packed[-1] = f"{packed[-1]} or on ({FIGURE}) {each}"
            joined += 1
        else:
            packed.append(each)
            joined = 1
    return tuple(packed)
