"""The parts of a page: everything in one file, nothing loaded, plain on paper."""

import math
from collections.abc import Iterable, Sequence
from html import escape

CSS = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1f24; max-width: 52rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.2rem; border-bottom: 1px solid #d5d9e0; }
h3 { margin: 1.4rem 0 .4rem; }
pre { background: #f4f5f8; padding: .8rem; font-size: .85rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
table { border-collapse: collapse; margin: .6rem 0; font-size: .92rem; }
th, td { text-align: left; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid #e4e7ec;
  vertical-align: baseline; }
.wide { overflow-x: auto; } .lead { font-size: 1.25rem; } .quiet { color: #5b6370; }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: #333; }
svg .m { text-anchor: middle; } svg .e { text-anchor: end; }
svg .grid { stroke: #e4e7ec; } svg .frame { fill: none; stroke: #aab1bd; }
math { font-family: "Cambria Math", "STIX Two Math", "Latin Modern Math", "DejaVu Math TeX Gyre",
  math; }
math[display=block] { overflow-x: auto; } math mtd { text-align: left; padding: .15rem .3rem; }
math[display=block] > mtable > mtr > mtd:first-child { text-align: right; }
mi.mathrm { font-style: normal; } mi.mathit { font-style: italic; }
@media print { body { max-width: none; margin: 0; font-size: 11pt; }
  figure, table, h2, h3, math { break-inside: avoid; } h2, h3 { break-after: avoid; } }
figure { margin: 1rem 0; } figcaption { font-size: .9rem; color: #5b6370; }
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole document."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def section(title: str, parts: Iterable[str]) -> str:
    """A heading and what stands below it; nothing where that is nothing."""
    inside = [part for part in parts if part]
    return (
        f"<section><h2>{escape(title)}</h2>\n" + "\n".join(inside) + "</section>" if inside else ""
    )


def paragraph(text: str, kind: str = "") -> str:
    """Words."""
    mark = f' class="{kind}"' if kind else ""
    return f"<p{mark}>{escape(text)}</p>" if text else ""


def number(value: float | None) -> str:
    """A number to six digits; the element holds all of them. None is one that is not finite."""
    if value is None or not math.isfinite(value):
        return "not finite"
    return f'<data value="{value!r}">{value:.6g}</data>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of HTML below a header of words; without rows nothing."""
    if not rows:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    top = f"<thead><tr>{head}</tr></thead>" if any(header) else ""
    return f'<div class="wide"><table>{top}<tbody>{body}</tbody></table></div>'


def figure(drawing: str, caption: str) -> str:
    """A drawing and what it shows."""
    if not drawing:
        return ""
    return f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>"


def verbatim(text: str) -> str:
    """Text as it was typed."""
    return f"<pre>{escape(text)}</pre>"


def folded(title: str, inside: str, *, opened: bool = True) -> str:
    """What can be folded away, and what is `opened` at first."""
    shown = " open" if opened else ""
    return f"<details{shown}><summary>{escape(title)}</summary>{inside}</details>"
