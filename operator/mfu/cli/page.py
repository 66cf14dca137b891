"""One self-contained HTML page of a fleet: the whole, its tenants, its workloads, the roofline, the money.

Pure: objects in, text out. Every figure is the text that the operator wrote into an object's status; the page fetches nothing.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mfu.cli.page_charts import bars, interval, waterfall
from mfu.cli.page_roofline import roofline
from mfu.cli.page_rows import Row, amount, field, gap_by_cause, ratio, rows
from mfu.cli.page_style import STYLE, Cell, link, table, tile

__all__ = ["MOST_PANELS", "page"]

MOST_PANELS = 100
GROUPS = (
    ("byTenant", "By tenant", "Tenant"),
    ("byClass", "By GPU type", "GPU type"),
    ("byModel", "By model class", "Model class"),
    ("byNode", "By node, what loses most first", "Node"),
)
# Column → field of a group. A column that no line has a figure for is left out.
FIGURES = (
    ("GPUs", "accelerators"),
    ("Allocated", "allocated"),
    ("Utilisation", "utilisation"),
    ("Hardware", "hardware"),
    ("MFU observed", "observed"),
    ("MFU expected", "expected"),
    ("Unknown", "unknown"),
    ("Cost/h", "costPerHour"),
    ("Gap/h", "gapPerHour"),
)
# The content-security policy keeps the page from loading anything, whatever an object's texts try.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(objects: Sequence[Mapping[str, Any]], *, report: Mapping[str, Any], title: str = "GPU fleet: model FLOP utilisation") -> str:
    """`objects`: ModelWorkloads (others are passed over); `report`: the status of a FleetReport, empty where there is none."""
    workloads = rows(objects)
    tenants = sorted({row.namespace for row in workloads})
    sections = [
        ("fleet", "The fleet", _fleet(report, tenants)),
        ("money", "Money", _money(report, workloads)),
        ("roofline-of-all", "Roofline", _roofline(workloads)),
        ("tenants", "Tenants", "".join(_tenant(name, report, [row for row in workloads if row.namespace == name]) for name in tenants)),
        ("workloads", "Workloads", _panels(workloads)),
    ]
    present = [(anchor, heading, body) for anchor, heading, body in sections if body]
    contents = "".join(f'<li><a href="#{anchor}">{escape(heading)}</a></li>' for anchor, heading, _ in present)
    body = "".join(
        f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{escape(heading)}</h2>{text}</section>' for anchor, heading, text in present
    )
    at = field(report, "at")
    stamp = f'<p class="note">Figures of <time datetime="{escape(at)}">{escape(at)}</time>.</p>' if at else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><title>{escape(title)}</title><style>{STYLE}</style></head>'
        f'<body><a class="skip" href="#main">Skip to the figures</a><header><h1>{escape(title)}</h1>'
        f"<p>{escape(field(report, 'summary'))}</p>{stamp}"
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav></header><main id="main">{body}</main>'
        '<footer><p class="note">MFU: model FLOP/s achieved over the dense peak FLOP/s of the GPUs at the precision used. '
        "Expected: what the declared intent should reach on these GPUs. Gap: the share of the cost that bought no expected work. "
        "“–” and “unknown” mean that a figure is not known; they never stand for zero.</p></footer></body></html>\n"
    )


def _fleet(report: Mapping[str, Any], tenants: Sequence[str]) -> str:
    if not report:
        return ""
    held = report.get("accelerators") or {}
    total, allocated = _count(held, "total"), _count(held, "allocated")
    tiles = [
        tile("GPUs", field(held, "total"), "of all nodes"),
        tile("Allocated", field(held, "allocated"), "held by pods"),
        tile("Declared", field(held, "declared"), "held by pods of a ModelWorkload"),
        tile("Productive", field(held, "productive"), "GPUs' worth of expected work that is really done"),
        tile("Cost", _hourly(report, "costPerHour"), "of the declared GPUs, an hour"),
        tile("Gap", _hourly(report, "gapPerHour"), "lost between expected and observed, an hour"),
    ]
    share = allocated / total if total and allocated is not None else None
    illusion = [
        ("Allocated", "unknown" if share is None else f"{share:.1%}", share),
        ("Busy (utilisation)", field(report, "utilisation"), ratio(field(report, "utilisation"))),
        ("Hardware counters", field(report, "mfu", "hardware"), ratio(field(report, "mfu", "hardware"))),
        ("MFU expected", field(report, "mfu", "expected"), ratio(field(report, "mfu", "expected"))),
        ("MFU observed", field(report, "mfu", "observed"), ratio(field(report, "mfu", "observed"))),
    ]
    parts = [
        f'<dl class="tiles">{"".join(tiles)}</dl>',
        bars(
            "illusion",
            "Allocated, busy and productive",
            illusion,
            "What a dashboard of allocation shows, and what the GPUs produce. Allocated: share of all GPUs; the others: means over the "
            "GPUs where the figure is known, MFU weighted by peak FLOP/s.",
        ),
    ]
    for name, caption, column in GROUPS:
        parts.append(_group_table(report.get(name) or (), caption, column, tenants if name == "byTenant" else ()))
    parts.append(_losses(report.get("worst") or ()))
    unknown = [(field(item, "reason"), field(item, "accelerators")) for item in report.get("unknown") or ()]
    parts.append(table("Declared GPUs without an observed MFU, by reason", ("Reason", "GPUs"), unknown, figures=("GPUs",)))
    return "".join(parts)


def _group_table(groups: Sequence[Mapping[str, Any]], caption: str, column: str, linked: Sequence[str]) -> str:
    shown = [(heading, name) for heading, name in FIGURES if any(group.get(name) is not None for group in groups)]
    lines: list[tuple[str | Cell, ...]] = [
        (
            (field(group, "name"), f"tenant-{field(group, 'name')}" if field(group, "name") in linked else ""),
            *(field(group, name) for _, name in shown),
        )
        for group in groups
    ]
    headings = tuple(heading for heading, _ in shown)
    return table(caption, (column, *headings), lines, figures=headings)


def _losses(worst: Sequence[Mapping[str, Any]]) -> str:
    lines: list[tuple[str | Cell, ...]] = [
        (
            (f"{field(item, 'namespace')}/{field(item, 'name')}", f"workload-{field(item, 'namespace')}-{field(item, 'name')}"),
            *(field(item, name) for name in ("observed", "expected", "gapPerHour", "cause")),
        )
        for item in worst
    ]
    return table(
        "What loses most",
        ("Workload", "MFU observed", "MFU expected", "Gap/h", "Main cause"),
        lines,
        figures=("MFU observed", "MFU expected", "Gap/h"),
    )


def _money(report: Mapping[str, Any], workloads: Sequence[Row]) -> str:
    cost, gap = amount(field(report, "costPerHour")), amount(field(report, "gapPerHour"))
    if cost is None or gap is None:
        return "<p>Not known: no accelerator has a price. Set pricePerHour in its AcceleratorClass, or prices in the chart.</p>"
    stated = {field(item, "cause"): amount(field(item, "perHour")) or 0.0 for item in report.get("byCause") or ()}
    by_cause = stated or gap_by_cause(workloads, gap)
    currency = "$" if field(report, "costPerHour").startswith("$") else f"{field(report, 'currency')} "
    caption = (
        f"Where {field(report, 'costPerHour')} an hour go: {field(report, 'gapPerHour')} are lost between expected and observed MFU. "
        "Causes are the shares of the workloads' diagnoses; what no diagnosis explains is Unexplained."
    )
    lines = [(cause, f"{currency}{value:,.2f}", f"{value / gap:.1%}") for cause, value in by_cause.items() if gap > 0]
    drawing = waterfall("money-waterfall", cost=cost, by_cause=by_cause, currency=currency, caption=caption)
    return drawing + table("The gap by cause", ("Cause", "Amount/h", "Share"), lines, figures=("Amount/h", "Share"))


def _roofline(workloads: Sequence[Row]) -> str:
    drawing = roofline(workloads)
    if not drawing:
        return ""
    points = [row for row in workloads if row.roof_ratio and row.ratio("expected", "mfu")]
    lines = [
        (
            str(number),
            (f"{row.namespace}/{row.name}", row.anchor),
            row.text("mode"),
            row.text("expected", "boundBy"),
            f"{row.roof_ratio:.1%}",
            row.text("expected", "mfu"),
            row.text("observed", "mfu"),
        )
        for number, row in enumerate(points[:MOST_PANELS], start=1)
    ]
    columns = ("No.", "Workload", "Mode", "Bound by", "Allowed", "MFU expected", "MFU observed")
    caption = f"The workloads of the roofline{_of(len(lines), len(points))}"
    return drawing + table(caption, columns, lines, figures=columns[4:])


def _tenant(name: str, report: Mapping[str, Any], workloads: Sequence[Row]) -> str:
    group: Mapping[str, Any] = next((item for item in report.get("byTenant") or () if field(item, "name") == name), {})
    shown = [(heading, text) for heading, key in FIGURES if (text := field(group, key))]
    tiles = "".join(tile(heading, text) for heading, text in shown)
    lines = [
        (
            (row.name, row.anchor),
            row.text("mode"),
            row.text("accelerators", "count"),
            row.text("observed", "mfu"),
            row.text("expected", "mfu"),
            row.text("drift", "ratio") + (" (drifting)" if row.drifting else ""),
            row.text("verdict", "decision"),
            row.text("cost", "perHour"),
            row.text("cost", "gapPerHour"),
        )
        for row in workloads[:MOST_PANELS]
    ]
    columns = ("Workload", "Mode", "GPUs", "MFU observed", "MFU expected", "Drift", "Verdict", "Cost/h", "Gap/h")
    listed = table(f"Workloads of {name}{_of(len(lines), len(workloads))}", columns, lines, figures=("GPUs", *columns[3:6], *columns[7:]))
    heading = f'<h3 id="tenant-{escape(name)}">{escape(name)}</h3>'
    return heading + (f'<dl class="tiles">{tiles}</dl>' if tiles else "") + listed


def _panels(workloads: Sequence[Row]) -> str:
    if not workloads:
        return "<p>No ModelWorkload is declared.</p>"
    note = "" if len(workloads) <= MOST_PANELS else f"<p>The {MOST_PANELS} of {len(workloads)} that lose most.</p>"
    return note + "".join(_panel(row, number) for number, row in enumerate(workloads[:MOST_PANELS]))


def _panel(row: Row, number: int) -> str:
    facts = " · ".join(
        text
        for text in (row.text("mode"), row.text("model"), f"{row.text('accelerators', 'count')} × {row.text('accelerators', 'class')}")
        if text
    )
    parts = [f'<article class="panel" aria-labelledby="{escape(row.anchor)}">']
    parts.append(f'<h3 id="{escape(row.anchor)}">{escape(row.namespace)}/{escape(row.name)}</h3>')
    parts.append(f'<p class="note">{escape(facts)} · {link("tenant " + row.namespace, "tenant-" + row.namespace)}</p>')
    parts.append(f"<p>{escape(row.text('summary'))}</p>")
    if row.drifting:
        parts.append(f'<p class="flag">▲ drifting since {escape(row.text("drift", "since") or "an unknown time")}</p>')
    parts.append(
        interval(
            f"interval-{number}",
            expected=row.ratio("expected", "mfu"),
            low=row.ratio("expected", "low"),
            high=row.ratio("expected", "high"),
            observed=row.ratio("observed", "mfu"),
            texts={
                "expected": f"{row.text('expected', 'mfu')} (80 %: {row.text('expected', 'low')} to {row.text('expected', 'high')})",
                "observed": row.text("observed", "mfu"),
                "hardware": row.text("observed", "hardware"),
            },
        )
        if row.ratio("expected", "mfu") is not None
        else f"<p>{escape(row.text('expected', 'message') or 'nothing is expected yet')}</p>"
    )
    causes = [(cause.cause, cause.share, cause.evidence) for cause in row.causes]
    parts.append(table("Diagnosis", ("Cause", "Share of the gap", "Evidence"), causes, figures=("Share of the gap",)))
    changes = [
        tuple(field(item, name) for name in ("change", "expected", "saves", "note")) for item in row.status.get("recommendations") or ()
    ]
    parts.append(
        table("What would be better", ("Change", "MFU expected then", "Saves", "Note"), changes, figures=("MFU expected then", "Saves"))
    )
    money = [
        (label, row.text("cost", key))
        for label, key in (("an hour", "perHour"), ("a million tokens", "perMillionTokens"), ("gap an hour", "gapPerHour"))
    ]
    priced = ", ".join(f"{text} {label}" for label, text in money if text) or row.text("cost", "message")
    parts.append(f"<p>Cost: {escape(priced or 'unknown')}</p></article>")
    return "".join(parts)


def _hourly(report: Mapping[str, Any], name: str) -> str:
    text = field(report, name)
    return f"{text}/h" if text else ""


def _count(values: Mapping[str, Any], name: str) -> int | None:
    value = values.get(name)
    return value if isinstance(value, int) else None


def _of(shown: int, all_of_them: int) -> str:
    return "" if shown == all_of_them else f" ({shown} of {all_of_them}, what loses most first)"
