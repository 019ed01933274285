"""An analysis as tables on a terminal, readable at 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from geulpi_client import BALANCE_DIMENSIONS
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from geulpi_analysis._analysis import Analysis, Planned
from geulpi_analysis._words import (
    DAY_NAMES,
    day_in_words,
    duration_in_words,
    hours_in_words,
    moment_in_words,
    name_in_words,
    rule_in_words,
    signed,
)

_BAR_CELLS: Final = 24
_SHADES: Final = " ·░▒▓█"
_MOST_PATTERNS: Final = 12
_MOST_PROBLEMS: Final = 10
_TITLE_CELLS: Final = 28


def tables(analysis: Analysis) -> Iterator[RenderableType]:
    """Yield what an analysis shows, in the order of reading."""
    yield _summary(analysis)
    yield _categories(analysis)
    yield _heat_map(analysis.heat_map)
    if analysis.patterns:
        yield _patterns(analysis)
    else:
        yield Text("Habits: none found.")
    yield _balance(analysis)
    yield _burnout(analysis)
    if analysis.planned is not None:
        yield from _schedule(analysis.planned)
    if analysis.problems:
        yield _problems(analysis)


def _summary(analysis: Analysis) -> RenderableType:
    last = (analysis.end - timedelta(microseconds=1)).date()
    return Group(
        Text(analysis.calendar_name, style="bold", overflow="ellipsis", no_wrap=True),
        Text(
            f"{day_in_words(analysis.start.date())} to {day_in_words(last)}, {analysis.time_zone}: "
            f"{len(analysis.events)} events, {analysis.hours:,.0f} hours"
        ),
    )


def _categories(analysis: Analysis) -> Table:
    table = _table("Time by category", "category", "events", "hours", "share", "")
    most = max((one.share for one in analysis.categories), default=0.0)
    for one in analysis.categories:
        table.add_row(
            one.category,
            str(one.events),
            f"{one.hours:,.1f}",
            f"{one.share:.0%}",
            _bar(one.share / most if most else 0.0),
        )
    _right(table, "events", "hours", "share")
    return table


def _heat_map(cells: Sequence[Sequence[float]]) -> RenderableType:
    """Each hour of the week as two cells, shaded by how much of it is usually taken."""
    most = max(max(day) for day in cells) or 1.0
    rows = [Text("The usual week (hours taken, by hour of the day)", style="bold")]
    rows.append(Text("     " + "".join(f"{hour:<6}" for hour in range(0, 24, 3)), style="dim"))
    for name, day in zip(DAY_NAMES, cells, strict=True):
        shades = (_SHADES[min(5, round(hours / most * 5 + (0.5 if hours else 0)))] for hours in day)
        rows.append(Text(f"{name[:3]}  " + "".join(shade * 2 for shade in shades)))
    rows.append(Text(f"     darkest: {hours_in_words(most)} a week in that hour", style="dim"))
    return Group(Text(""), *rows)


def _patterns(analysis: Analysis) -> Table:
    table = _table("Habits", "title", "rule", "seen", "sure", "next")
    for one in analysis.patterns[:_MOST_PATTERNS]:
        table.add_row(
            _short(one.title),
            rule_in_words(one.rrule, one.dtstart),
            f"{one.support}/{one.expected}",
            f"{one.confidence:.0%}",
            moment_in_words(analysis.local(one.next[0])) if one.next else "",
        )
    _right(table, "seen", "sure")
    left = len(analysis.patterns) - _MOST_PATTERNS
    if left > 0:
        table.caption = f"and {left} more: see --json or --html"
    return table


def _balance(analysis: Analysis) -> Table:
    balance = analysis.balance
    title = f"Balance of the week from {day_in_words(analysis.week)}: {balance.score:.0f} of 100"
    table = _table(title, "", "h a day", "score", "against people alike", "")
    for name in BALANCE_DIMENSIONS:
        table.add_row(
            name,
            f"{balance.hours_per_day[name]:.1f}",
            f"{balance.sub_scores[name]:.0f}",
            f"more than {balance.percentiles[name]:.0%} of them",
            _bar(balance.sub_scores[name] / 100),
        )
    _right(table, "h a day", "score")
    return table


def _burnout(analysis: Analysis) -> Table:
    burnout = analysis.burnout
    low, high = burnout.interval
    table = _table(
        f"Burnout index: {burnout.level}, {burnout.probability:.0%} ({low:.0%} to {high:.0%})",
        "driver",
        "log-odds",
        "lowers",
        "raises",
    )
    most = max((abs(one.contribution) for one in burnout.drivers), default=0.0) or 1.0
    cells = _BAR_CELLS // 2
    for one in burnout.drivers:
        bar = _bar(abs(one.contribution) / most, cells)
        raises = one.contribution > 0
        table.add_row(
            name_in_words(one.name),
            signed(one.contribution),
            "" if raises else bar.rjust(cells),
            bar if raises else "",
        )
    _right(table, "log-odds", "lowers")
    table.caption = (
        "An index from time-use diaries, no diagnosis: one week says little of a person."
    )
    return table


def _schedule(planned: Planned) -> Iterator[RenderableType]:
    schedule = planned.schedule
    if schedule.placements:
        table = _table(f"Proposed schedule ({schedule.status})", "task", "when", "length")
        parts = [
            (start, end, planned.title_of(one.task), len(one.chunks), number)
            for one in schedule.placements
            for number, (start, end) in enumerate(one.chunks, start=1)
        ]
        for start, end, title, count, number in sorted(parts):
            table.add_row(
                _short(title).append(f" ({number}/{count})" if count > 1 else ""),
                f"{moment_in_words(start)} to {end:%H:%M}",
                duration_in_words(end - start),
            )
        yield table
    if schedule.not_placed:
        table = _table("Not placed", "task", "why")
        for left in schedule.not_placed:
            table.add_row(_short(planned.title_of(left.task)), left.detail or left.reason)
        yield table


def _problems(analysis: Analysis) -> Table:
    problems = analysis.problems
    table = _table(f"Problems of the file ({len(problems)})", "where", "event", "what")
    for one in problems[:_MOST_PROBLEMS]:
        where = one.file if one.line is None else f"{one.file}:{one.line}"
        table.add_row(where, _short(one.event), one.what)
    if len(problems) > _MOST_PROBLEMS:
        table.caption = f"and {len(problems) - _MOST_PROBLEMS} more: see --json or --html"
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=f"\n{title}",
        title_style="bold",
        title_justify="left",
        caption_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for column in columns:
        table.add_column(column, header_style="dim", overflow="fold")
    return table


def _right(table: Table, *names: str) -> None:
    for column in table.columns:
        if column.header in names:
            column.justify = "right"
            column.no_wrap = True


def _short(title: str) -> Text:
    text = Text(title)
    text.truncate(_TITLE_CELLS, overflow="ellipsis")
    return text


def _bar(share: float, cells: int = _BAR_CELLS) -> str:
    return "█" * round(max(0.0, min(share, 1.0)) * cells)
