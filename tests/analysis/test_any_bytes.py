"""Whatever the bytes are: events, problems, or one of the room's own errors."""

from __future__ import annotations

import contextlib
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from geulpi_analysis import AnalysisError, Asked, InvalidTasks, chosen_span, read_export
from geulpi_analysis._tasks import parse_plan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SETTINGS = settings(
    max_examples=150, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip

MOMENTS = st.sampled_from(
    ["20260302T090000Z", "20260302T090000", "20260302", "20260231", "", "T", "99991231T235959Z",
     "00020101", "20260329T023000", "20260302T090000/PT1H", "20260302/20260301", "PT1H", "-P1W",
     "P99999999999W", "20260302,20260303"]
)  # fmt: skip
ZONES = st.sampled_from(
    ["", ";TZID=Asia/Seoul", ";TZID=Own", ";TZID=..", ";TZID=/", ";TZID=America", ";VALUE=DATE",
     ';TZID="Korea Standard Time"', ";TZID=+25:00", ";RANGE=THISANDFUTURE", ";=;;"]
)  # fmt: skip
NAMES = st.sampled_from(["DTSTART", "DTEND", "DURATION", "RDATE", "EXDATE", "RECURRENCE-ID"])
RULES = st.builds(
    ";".join,
    st.lists(
        st.sampled_from(
            ["FREQ=DAILY", "FREQ=WEEKLY", "FREQ=MONTHLY", "FREQ=YEARLY", "FREQ=HOURLY", "COUNT=3",
             "FREQ=SECONDLY", "INTERVAL=0", "INTERVAL=7", "UNTIL=20260401", "UNTIL=x", "BYDAY=MO",
             "BYDAY=-5SU,XX", "BYDAY=", "BYMONTH=2", "BYMONTHDAY=30", "BYSETPOS=9", "BYHOUR=99",
             "BYWEEKNO=53", "BYYEARDAY=-366", "WKST=SU", "COUNT=99999999999", "BYMONTHDAY=0"]
        ),
        max_size=5,
    ),
)  # fmt: skip
LINES = st.one_of(
    st.builds("{}{}:{}".format, NAMES, ZONES, MOMENTS),
    st.builds("RRULE:{}".format, RULES),
    st.sampled_from(
        ["UID:1", "UID:2", "SEQUENCE:2", "STATUS:CANCELLED", "SUMMARY:x", "X", " ", ":"]
    ),
    st.sampled_from(["BEGIN:VALARM", "END:VALARM", "END:VEVENT", "BEGIN:VEVENT", "END:VCALENDAR"]),
)
OWN_ZONE = (
    "BEGIN:VTIMEZONE\nTZID:Own\nBEGIN:STANDARD\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\n"
    "DTSTART:19700101T000000\n{}\nEND:STANDARD\nEND:VTIMEZONE\n"
)


def tried(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.ics")
        path.write_bytes(raw)
        with contextlib.suppress(AnalysisError):
            assert chosen_span(read_export(str(path)), Asked(), NOW).reading.events


@SETTINGS
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes(raw: bytes, framed: bool) -> None:
    """Alone, and as an event's lines."""
    tried(
        b"BEGIN:VCALENDAR\nBEGIN:VEVENT\n" + raw + b"\nEND:VEVENT\nEND:VCALENDAR" if framed else raw
    )


@SETTINGS
@given(st.lists(st.lists(LINES, max_size=7), max_size=4), LINES)
def test_any_event(events: list[list[str]], of_zone: str) -> None:
    """Dates, zones, rules and structure of which each may be wrong."""
    parts = ["BEGIN:VCALENDAR", OWN_ZONE.format(of_zone)]
    for lines in events:
        parts += ["BEGIN:VEVENT", "DTSTART:20260302T090000Z", *lines, "END:VEVENT"]
    tried("\n".join([*parts, "END:VCALENDAR"]).encode())


@SETTINGS
@given(
    st.one_of(
        st.text(max_size=100),
        st.builds("tasks: [{{id: a, duration: 1h, {}: {}}}]".format,
                  st.sampled_from(["deadline", "preferred", "priority", "depends_on", "title"]),
                  st.text("0123456789:-,MOTU[]{}T h", max_size=12)),
    )
)  # fmt: skip
def test_any_tasks_file(text: str) -> None:
    """A plan, or an error that names what is wrong."""
    with contextlib.suppress(InvalidTasks):
        assert parse_plan(text, name="tasks.yaml", time_zone="UTC", as_of=NOW).tasks
