"""Line plots as SVG, to be put into a page as they are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 190, 34, 42
TICKS = 5
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#8c564b",
    "#000000", "#bcbd22", "#9467bd", "#17becf", "#d62728",
)  # fmt: skip

Line = tuple[Sequence[float], Sequence[float]]


def line_plot(title: str, lines: Mapping[str, Line], *, x: str, y: str, log: bool = False) -> str:
    """Return a plot with a line for each name; points that are not numbers are left out.

    Args:
        title: above it.
        lines: the points by the name in the legend.
        x, y: what the axes say.
        log: whether the y axis has powers of ten.
    """
    kept = {
        name: [
            (a, b)
            for a, b in zip(*line, strict=True)
            if math.isfinite(a) and math.isfinite(b) and (b > 0 or not log)
        ]
        for name, line in lines.items()
    }
    points = [point for line in kept.values() for point in line]
    if not points:
        return f"<p>{escape(title)}: nothing was measured.</p>"
    across, up = [a for a, _ in points], [b for _, b in points]
    x_axis = _Axis(min(across), max(across), LEFT, WIDTH - RIGHT)
    low, high = (min(up), max(up)) if log else (0.0, max(up) * 1.05)
    y_axis = _Axis(low, high, HEIGHT - BOTTOM, TOP, log=log)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="11" role="img">'
        ),
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="13" font-weight="bold">{escape(title)}</text>',
        *_grid(x_axis, y_axis),
        (
            f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
            f"{escape(x)}</text>"
        ),
        (
            f'<text transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" '
            f'text-anchor="middle">{escape(y)}</text>'
        ),
    ]
    for number, (name, line) in enumerate(kept.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x_axis.place(a):.1f},{y_axis.place(b):.1f}" for a, b in line)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        )
        if len(line) == 1:
            parts.append(f'<circle cx="{path.split(",")[0]}" cy="{path.split(",")[1]}" r="2.5" '
                         f'fill="{colour}"/>')  # fmt: skip
        height = TOP + 8 + 17 * number
        parts += [
            (
                f'<line x1="{WIDTH - RIGHT + 12}" x2="{WIDTH - RIGHT + 28}" y1="{height}" '
                f'y2="{height}" stroke="{colour}" stroke-width="3"/>'
            ),
            f'<text x="{WIDTH - RIGHT + 34}" y="{height + 4}">{escape(name)}</text>',
        ]
    return "\n".join([*parts, "</svg>"])


class _Axis:
    """Places values between two pixels."""

    def __init__(
        self, low: float, high: float, first: float, last: float, *, log: bool = False
    ) -> None:
        if log:
            low, high = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high))
        if high <= low:
            high = low * 10 if log else low + 1
        self._low, self._high, self._log = low, high, log
        self._first, self._last = first, last

    def place(self, value: float) -> float:
        """Return the pixel of a value."""
        if self._log:
            part = math.log(value / self._low) / math.log(self._high / self._low)
        else:
            part = (value - self._low) / (self._high - self._low)
        return self._first + part * (self._last - self._first)

    def ticks(self) -> Iterator[float]:
        """Yield round values along the axis."""
        if self._log:
            value = self._low
            while value <= self._high * 1.001:
                yield value
                value *= 10
            return
        rough = (self._high - self._low) / TICKS
        scale = 10 ** math.floor(math.log10(rough))
        step = next(scale * factor for factor in (1, 2, 5, 10) if scale * factor >= rough)
        value = math.ceil(self._low / step) * step
        while value <= self._high + step * 1e-6:
            yield value
            value += step


def _grid(x_axis: _Axis, y_axis: _Axis) -> Iterator[str]:
    top, bottom, left, right = TOP, HEIGHT - BOTTOM, LEFT, WIDTH - RIGHT
    for value in y_axis.ticks():
        place = y_axis.place(value)
        yield f'<line x1="{left}" x2="{right}" y1="{place:.1f}" y2="{place:.1f}" stroke="#ddd"/>'
        yield f'<text x="{left - 6}" y="{place + 4:.1f}" text-anchor="end">{value:,.6g}</text>'
    for value in x_axis.ticks():
        place = x_axis.place(value)
        yield f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{top}" y2="{bottom}" stroke="#eee"/>'
        yield (f'<text x="{place:.1f}" y="{bottom + 15}" text-anchor="middle">{value:,.6g}</text>')
