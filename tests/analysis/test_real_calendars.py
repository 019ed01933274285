"""Real calendars, where they are at hand, are read completely."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from geulpi_analysis import Asked, chosen_span, read_export


@pytest.fixture
def folder(root: Path) -> Path:
    """The folder of real calendars."""
    data = Path(os.environ.get("GEULPI_DATA", root.parent / "shared" / "data")) / "ics"
    if not data.is_dir():
        pytest.skip(f"no real calendars at {data}; GEULPI_DATA names the folder of the real data")
    return data


@pytest.mark.parametrize(
    ("name", "zone", "stored"),
    [
        ("kubernetes_meetings.ics", "America/Los_Angeles", 67),
        ("one_person.ics", "Asia/Seoul", 296),
        ("working_groups.ics", "America/New_York", 612),
    ],
)
def test_every_event_is_read(folder: Path, name: str, zone: str, stored: int) -> None:
    """None is left out, and the chosen period holds all that happen once."""
    export = read_export(str(folder / name))
    assert (export.time_zone, len(export.series), export.problems) == (zone, stored, ())
    span = chosen_span(export, Asked(), datetime(2026, 3, 2, tzinfo=UTC))
    single = sum(not series.lead.repeats for series in export.series)
    assert len(span.reading.events) >= max(single, 100)
