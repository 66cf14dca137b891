"""The look of a report page: one style sheet inside the page, and the few pieces of HTML that every part is made of."""

from collections.abc import Sequence
from html import escape

__all__ = ["STYLE", "Cell", "figure", "link", "table", "tile"]

# Text on its ground has a contrast of at least 4.5 to 1, marks on theirs of at least 3 to 1.
STYLE = """
:root { color-scheme: light; --ink: #1b2430; --soft: #4a5563; --line: #c9d1db; --ground: #ffffff; --panel: #f5f7fa;
        --expected: #1f5fa8; --observed: #b3470f; --other: #5f6b7a; --good: #256b34; --bad: #a3182b; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; background: var(--ground); color: var(--ink);
       font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; border-bottom: 2px solid var(--ink); }
h3 { font-size: 1.1rem; margin: 1.5rem 0 .4rem; } p { margin: .4rem 0; max-width: 60rem; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; margin: .8rem 0; }
a { color: #0b4f9e; } a:focus-visible { outline: 3px solid #0b4f9e; outline-offset: 2px; }
.skip { position: absolute; left: -100vw; } .skip:focus { left: 1rem; background: var(--ground); padding: .5rem; }
.note { color: var(--soft); font-size: .92rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem; padding: 0; margin: 1rem 0; }
.tile { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: .6rem .8rem; }
.tile dt { color: var(--soft); font-size: .9rem; } .tile dd { margin: 0; font-size: 1.45rem; font-weight: 600; }
.tile dd small { display: block; font-size: .85rem; font-weight: 400; color: var(--soft); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; margin: .6rem 0; font-size: .95rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
thead th { background: var(--panel); white-space: nowrap; } tbody th { font-weight: 600; }
td.figure, th.figure { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1rem 0; } figcaption { color: var(--soft); font-size: .92rem; } svg { max-width: 100%; height: auto; display: block; }
svg text { font: 13px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: var(--ink); } svg .soft { fill: var(--soft); }
.panel { border: 1px solid var(--line); border-radius: 6px; padding: .2rem 1rem .8rem; margin: 1rem 0; break-inside: avoid; }
.panel ul { margin: .3rem 0; padding-left: 1.3rem; } .flag { color: var(--bad); font-weight: 600; }
@media print { nav, .skip { display: none; } body { max-width: none; } }
"""

Cell = tuple[str, str]
"""Text and the anchor it leads to, "" for none."""


def link(text: str, anchor: str) -> str:
    return f'<a href="#{escape(anchor)}">{escape(text)}</a>' if anchor else escape(text)


def table(caption: str, columns: Sequence[str], lines: Sequence[Sequence[str | Cell]], *, figures: Sequence[str] = ()) -> str:
    """The first cell of a line is its heading; the columns named in `figures` are aligned right. "" where there is no line."""
    if not lines:
        return ""
    classes = [' class="figure"' if column in figures else "" for column in columns]
    head = "".join(f'<th scope="col"{style}>{escape(column)}</th>' for column, style in zip(columns, classes, strict=True))
    body = []
    for line in lines:
        cells = [link(*cell) if isinstance(cell, tuple) else escape(cell or "–") for cell in line]
        rest = "".join(f"<td{style}>{cell}</td>" for cell, style in zip(cells[1:], classes[1:], strict=True))
        body.append(f'<tr><th scope="row">{cells[0]}</th>{rest}</tr>')
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def tile(term: str, value: str, note: str = "") -> str:
    small = f"<small>{escape(note)}</small>" if note else ""
    return f'<div class="tile"><dt>{escape(term)}</dt><dd>{escape(value or "unknown")}{small}</dd></div>'


def figure(name: str, title: str, description: str, width: int, height: int, drawing: str, caption: str) -> str:
    """An SVG with a title and a description for who cannot see it. `name` is unique in the page."""
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-labelledby="{escape(name)}-title {escape(name)}-desc"><title id="{escape(name)}-title">{escape(title)}</title>'
        f'<desc id="{escape(name)}-desc">{escape(description)}</desc>{drawing}</svg><figcaption>{escape(caption)}</figcaption></figure>'
    )
