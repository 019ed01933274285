"""Plots, as matplotlib draws them: SVG to be put into a page, or a PNG file."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

__all__ = ["Line", "Lines", "bars", "panels", "save", "scatter", "svg"]

WIDTH_IN, HEIGHT_IN = 7.4, 3.2  # of one plot
COLOURS, STYLES = 10, ("-", "--", ":")  # matplotlib has ten colours: then come dashes
OURS, THEIRS = "#1a7f4b", "#9aa5b1"

Line = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Lines:
    """A plot with a line for each name; what is not finite is left out.

    Attributes:
        title: above it.
        named: x and y values by the name in the legend.
        x, y: what the axes say.
        log: which axes are logarithmic: "", "x", "y" or "xy".
        points: whether each point gets a mark.
        ticks: what stands at x = 0, 1, 2 …, in place of numbers.
    """

    title: str
    named: Mapping[str, Line]
    x: str
    y: str
    log: str = ""
    points: bool = False
    ticks: Sequence[str] = ()


def panels(*plots: Lines) -> Figure:
    """Return plots one below the other, as one."""
    figure = Figure((WIDTH_IN, HEIGHT_IN * len(plots)), layout="constrained")
    for axes, plot in zip(figure.subplots(len(plots), squeeze=False)[:, 0], plots, strict=True):
        _dress(axes, plot.title)
        _draw(axes, plot)
    return figure


def _draw(axes: Axes, plot: Lines) -> None:
    log = plot.log
    for number, (name, (across, up)) in enumerate(plot.named.items()):
        kept = [
            (a, b)
            for a, b in zip(across, up, strict=True)
            if math.isfinite(a) and math.isfinite(b) and (b > 0 or "y" not in log)
        ]
        mark = "o" if plot.points or len(kept) == 1 else None
        axes.plot([a for a, _ in kept], [b for _, b in kept], label=name, marker=mark, ms=3.5,
            ls=STYLES[number // COLOURS % len(STYLES)])  # fmt: skip
    if "x" in log:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:,g}")
    if "y" in log:
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))
    else:
        top = axes.dataLim.ymax  # infinite where there is no point
        axes.set_ylim(0, 1.06 * top if 0 < top < math.inf else None)
    axes.yaxis.set_major_formatter("{x:,g}")
    if plot.ticks:
        axes.set_xticks(range(len(plot.ticks)), plot.ticks)
    axes.set_xlabel(plot.x)
    axes.set_ylabel(plot.y)
    axes.grid(color="#e4e4e4")
    if len(plot.named) > 1:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)


def bars(
    title: str,
    values: Mapping[str, Sequence[float]],
    *,
    words: Mapping[str, str],
    ours: str,
    x: str,
) -> Figure:
    """Return a bar for the median of each name's values, with a line for their range.

    Args:
        title: above it.
        values: by the name beside the bar.
        words: what stands at the end of a bar.
        ours: the bar that has a colour.
        x: what the axis says.
    """
    figure, axes = _plot(title, 0.9 + 0.42 * len(values))
    names = list(values)
    middle = [median(values[name]) for name in names]
    spread = [
        [at - min(values[name]) for at, name in zip(middle, names, strict=True)],
        [max(values[name]) - at for at, name in zip(middle, names, strict=True)],
    ]
    colours = [OURS if name == ours else THEIRS for name in names]
    axes.barh(names, middle, xerr=spread, color=colours, ecolor="#222", height=0.6)
    for place, name in enumerate(names):
        axes.annotate(
            words[name], (max(values[name]), place), xytext=(6, 0), textcoords="offset points",
            va="center", fontsize=8,
        )  # fmt: skip
    axes.invert_yaxis()
    axes.set_xlim(right=max(map(max, values.values())) * 1.35)
    axes.set_xlabel(x)
    return figure


def scatter(title: str, named: Mapping[str, Line], *, x: str, y: str) -> Figure:
    """Return a plot with points; those of the first name are pale, those of the last stand out.

    Args:
        title: above it.
        named: x and y values by the name in the legend.
        x, y: what the axes say.
    """
    figure, axes = _plot(title)
    looks = [THEIRS, *["#222"] * (len(named) - 2), OURS][-len(named) :]
    for colour, (name, (across, up)) in zip(looks, named.items(), strict=True):
        axes.scatter(across, up, label=name, color=colour, s=14 if colour == THEIRS else 60)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(bottom=0)
    axes.grid(color="#e4e4e4")
    axes.set_axisbelow(True)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    return figure


def svg(figure: Figure) -> str:
    """Return a plot as an `<svg>` element."""
    file = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "geulpi"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]


def save(figure: Figure, path: Path) -> None:
    """Write a plot as the file's name says: PNG, SVG or PDF."""
    figure.savefig(path, dpi=144)


def _plot(title: str, height_in: float = HEIGHT_IN) -> tuple[Figure, Axes]:
    figure = Figure((WIDTH_IN, height_in), layout="constrained")
    axes = figure.subplots()
    _dress(axes, title)
    return figure, axes


def _dress(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axes.tick_params(which="both", labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
