"""What is told of a week beside the judgements of models: `MEASURES`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import time
from typing import Final

from geulpi_calendar._week_clock import HOUR, WeekClock
from geulpi_calendar._week_spans import Span, gaps, longest_gap, merged, overlapped, parts, total
from geulpi_calendar.names import MEASURES

__all__ = ["measures"]

BREAK_S: Final = 15 * 60.0
FRAGMENT_S: Final = 60 * 60.0
_DAY_OPENS, _DAY_CLOSES = time(8), time(18)
_EVENING_CLOSES = time(22)
_NIGHT_OPENS, _NIGHT_CLOSES = time(20), time(10)
_NIGHT_HOURS: Final = 14.0


def measures(
    unions: Mapping[str, Sequence[Span]],
    clock: WeekClock,
    seen: Sequence[bool],
    *,
    events: int,
    meetings: int,
    spans: Sequence[Span],
) -> list[float]:
    """Return the measures of a week, in the order of `MEASURES`, which `week` defines.

    Args:
        unions: the time of each category, merged and within the week.
        clock: of the week.
        seen: which of the seven days an event touches.
        events, meetings: how many there are.
        spans: of all events that run by the hour, within the week.
    """
    work = merged([*unions.get("work", ()), *unions.get("meeting", ())])
    by_day = parts(work, clock.days)
    pauses = [gap for day in by_day for gap in gaps(day)]
    breaks = sum(gap >= BREAK_S for gap in pauses)
    offices = clock.windows(range(5), _DAY_OPENS, _DAY_CLOSES)
    in_hours = sum(total(part) for part in parts(work, offices))
    told = {
        "events": events,
        "days_with_events": sum(seen),
        "work_hours": total(work) / HOUR,
        "meeting_hours": total(unions.get("meeting", ())) / HOUR,
        "meeting_count": meetings,
        "after_hours_hours": (sum(total(day) for day in by_day[:5]) - in_hours) / HOUR,
        "weekend_work_hours": sum(total(day) for day in by_day[5:]) / HOUR,
        "fragmentation": sum(gap < FRAGMENT_S for gap in pauses) / max(len(pauses), 1),
        "longest_stretch_hours": _longest(merged(work, tolerance=BREAK_S)) / HOUR,
        "breaks_per_day": breaks / max(sum(bool(day) for day in by_day), 1),
        "sleep_window_hours": _sleep_window(merged(spans), clock, seen),
        "free_evenings": _free_evenings(unions, clock, seen),
        "overlap_hours": total(overlapped(spans)) / HOUR,
    }
    for name in ("exercise", "social", "family", "travel"):
        told[f"{name}_hours"] = total(unions.get(name, ())) / HOUR
    return [float(told[name]) for name in MEASURES]


def _longest(union: Sequence[Span]) -> float:
    return max((end - start for start, end in union), default=0.0)


def _sleep_window(union: Sequence[Span], clock: WeekClock, seen: Sequence[bool]) -> float:
    nights = [
        (clock.at(day, _NIGHT_OPENS), clock.at(day + 1, _NIGHT_CLOSES))
        for day in range(6)
        if seen[day] and seen[day + 1]
    ]
    free = [
        longest_gap(busy, night) for busy, night in zip(parts(union, nights), nights, strict=True)
    ]
    return sum(free) / len(free) / HOUR if free else _NIGHT_HOURS


def _free_evenings(
    unions: Mapping[str, Sequence[Span]], clock: WeekClock, seen: Sequence[bool]
) -> int:
    duties = merged([span for n in ("work", "meeting", "study") for span in unions.get(n, ())])
    evenings = clock.windows([day for day in range(7) if seen[day]], _DAY_CLOSES, _EVENING_CLOSES)
    return sum(not busy for busy in parts(duties, evenings))
