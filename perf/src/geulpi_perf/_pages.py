"""Pages about a measurement: tables and plots in one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from matplotlib.figure import Figure
from rich.table import Table

from geulpi_perf._machine import Origin
from geulpi_perf._plots import svg

__all__ = ["Part", "page"]

STYLE = (
    "body{font:15px system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}"
    "pre{white-space:pre-wrap}svg{display:block;max-width:100%;height:auto;margin:1rem 0}"
    "table{border-collapse:collapse;margin:1rem 0}caption{text-align:left;font-weight:bold}"
    "td,th{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #ddd}"
    "td:first-child,th:first-child{text-align:left}"
)

Part = Table | Figure | str
"""A table, a plot, or a sentence; a string that begins with `# ` is a heading."""


def page(title: str, origin: Origin, parts: Iterable[Part]) -> str:
    """Return a page with its parts one below the other."""
    made = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        f"<style>{STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(origin.date)}, {escape(origin.machine)}<br>{escape(origin.made_with)}</p>",
        f"<pre>{escape(origin.command)}</pre>",
        *map(_part, parts),
        "</body></html>",
        "",
    ]
    return "\n".join(made)


def _part(part: Part) -> str:
    if isinstance(part, Figure):
        return svg(part)
    if isinstance(part, Table):
        return _table(part)
    heading = part.removeprefix("# ")
    return f"<h2>{escape(heading)}</h2>" if heading != part else f"<p>{escape(part)}</p>"


def _table(table: Table) -> str:
    head = [str(column.header) for column in table.columns]
    rows = zip(*(column.cells for column in table.columns), strict=True)
    lines = [
        f"<caption>{escape(str(table.title or ''))}</caption>",
        _row("th", head),
        *(_row("td", [str(cell) for cell in cells]) for cells in rows),
    ]
    return "\n".join(["<table>", *lines, "</table>"])


def _row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
