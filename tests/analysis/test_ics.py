"""iCalendar files as programs really write them, and broken ones."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from geulpi_analysis import FileUnreadable, NotICalendar, Reading, TooManyEvents, read_export

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
SEOUL = "X-WR-TIMEZONE:Asia/Seoul"
Read = Callable[..., Reading]

OUTLOOK_ZONE = """BEGIN:VTIMEZONE
TZID:Customized Time Zone
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
"""


def vevent(*lines: str, title: str = "SUMMARY:회의", uid: str = "UID:1") -> str:
    return "\n".join(filter(None, ["BEGIN:VEVENT", uid, title, *lines, "END:VEVENT"])) + "\n"


def calendar(*parts: str) -> str:
    head = [part if part.endswith("\n") else part + "\n" for part in parts]
    return "BEGIN:VCALENDAR\n" + "".join(head) + "END:VCALENDAR\n"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a file of this text or these bytes; the events of 2026."""

    def reading(content: str | bytes, start: datetime = START, end: datetime = END) -> Reading:
        path = tmp_path / "my.ics"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_export(str(path)).between(start, end)

    return reading


def starts(reading: Reading) -> list[str]:
    return [f"{event.start:%m-%d %H:%M}" for event in reading.events]


@pytest.mark.parametrize(
    ("line", "start"),
    [
        ("DTSTART:20260302T000000Z", "2026-03-02T09:00:00+09:00"),
        ("DTSTART:20260302T090000", "2026-03-02T09:00:00+09:00"),  # floating
        ("DTSTART;TZID=Asia/Seoul:20260302T090000", "2026-03-02T09:00:00+09:00"),
        ('DTSTART;TZID="Asia/Seoul":20260302T090000', "2026-03-02T09:00:00+09:00"),
        ("DTSTART;TZID=Korea Standard Time:20260302T090000", "2026-03-02T09:00:00+09:00"),
        ('DTSTART;TZID="W. Europe Standard Time":20260702T090000', "2026-07-02T16:00:00+09:00"),
        ("DTSTART;TZID=(UTC+09:00) Seoul:20260302T090000", "2026-03-02T09:00:00+09:00"),
        ("DTSTART;TZID=GMT-0500:20260302T090000", "2026-03-02T23:00:00+09:00"),
        ("DTSTART;TZID=/mozilla.org/20070129_1/Europe/Berlin:20260702T090000",
         "2026-07-02T16:00:00+09:00"),
        ("DTSTART;TZID=America/Argentina/Buenos_Aires:20260302T090000",
         "2026-03-02T21:00:00+09:00"),
        ("DTSTART;TZID=Customized Time Zone:20260702T090000", "2026-07-02T16:00:00+09:00"),
        ("DTSTART;TZID=Customized Time Zone:20261202T090000", "2026-12-02T17:00:00+09:00"),
        ("dtstart;tzid=Asia/Tokyo:20260302T0900", "2026-03-02T09:00:00+09:00"),  # no seconds
        ("DTSTART;VALUE=DATE-TIME;TZID=Asia/Seoul:20260302T090000 ", "2026-03-02T09:00:00+09:00"),
    ],
)  # fmt: skip
def test_times_are_read_in_the_zone_that_they_name(read: Read, line: str, start: str) -> None:
    """IANA, Windows, quoted, prefixed and offset names, a file's own rules, floating times."""
    reading = read(calendar(SEOUL, OUTLOOK_ZONE, vevent(line)))
    assert reading.events[0].start.isoformat() == start
    assert reading.problems == ()


def test_a_known_name_wins_over_the_files_own_rules(read: Read) -> None:
    """They are often cut, or of another year."""
    rules = OUTLOOK_ZONE.replace("Customized Time Zone", "Asia/Tokyo")
    reading = read(calendar(SEOUL, rules, vevent("DTSTART;TZID=Asia/Tokyo:20260702T090000")))
    assert starts(reading) == ["07-02 09:00"]


def test_an_unknown_zone_is_the_calendars_own_and_told_once(read: Read) -> None:
    """Start and end name it; one line says so."""
    lines = ("DTSTART;TZID=Mars/Base:20260302T090000", "DTEND;TZID=Mars/Base:20260302T100000")
    reading = read(calendar(SEOUL, vevent(*lines)))
    assert reading.events[0].start.isoformat() == "2026-03-02T09:00:00+09:00"
    assert [str(problem) for problem in reading.problems] == [
        "my.ics:3: 회의: the time zone 'Mars/Base' is not known; read in the calendar's own"
    ]


@pytest.mark.parametrize(
    ("parts", "zone"),
    [
        ((SEOUL, vevent("DTSTART;TZID=Europe/Paris:20260302T090000")), "Asia/Seoul"),
        ((vevent("DTSTART;TZID=Europe/Paris:20260302T090000"),), "Europe/Paris"),
        ((vevent("DTSTART;TZID=Tokyo Standard Time:20260302T090000"),), "Asia/Tokyo"),
        ((vevent("DTSTART;TZID=GMT+0900:20260302T090000"),), "+09:00"),
        ((OUTLOOK_ZONE, vevent("DTSTART;TZID=Customized Time Zone:20260302T090000")), "+01:00"),
        ((vevent("DTSTART:20260302T090000Z"),), "UTC"),
        (("X-WR-TIMEZONE:Nowhere", vevent("DTSTART:20260302T090000")), "UTC"),
    ],
)
def test_the_calendars_zone_has_a_name_that_models_know(
    read: Read, parts: tuple[str, ...], zone: str
) -> None:
    """Its own word first, else that of most events, else UTC."""
    assert read(calendar(*parts)).time_zone == zone


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("DTSTART:20260302T090000Z", "DTEND:20260302T100000Z"), 60),
        (("DTSTART:20260302T090000Z", "DURATION:PT1H30M"), 90),
        (("DTSTART:20260302T090000Z", "DTEND;TZID=Asia/Seoul:20260302T190000"), 60),
        (("DTSTART:20260302T090000Z", "DTEND:20260302T090000Z"), 0),
        (("DTSTART:20260302T090000Z",), None),
        (("DTSTART:20260302T090000Z", "DTEND:20260303"), 900),  # a date is its midnight
        (("DTSTART;VALUE=DATE:20260302",), 24 * 60),
        (("DTSTART;VALUE=DATE:20260302", "DTEND;VALUE=DATE:20260302"), 24 * 60),
        (("DTSTART;VALUE=DATE:20260302", "DTEND;VALUE=DATE:20260305"), 3 * 24 * 60),
        (("DTSTART:20260302", "DURATION:P2D"), 2 * 24 * 60),
        (("DTSTART:20260302T000000", "DTEND:20260303T000000",
          "X-MICROSOFT-CDO-ALLDAYEVENT:TRUE"), 24 * 60),
    ],
)  # fmt: skip
def test_how_long_it_lasts(read: Read, lines: tuple[str, ...], expected: int | None) -> None:
    """DTEND, DURATION or neither; days are all-day."""
    reading = read(calendar(vevent(*lines)))
    (event,) = reading.events
    assert event.duration == (None if expected is None else timedelta(minutes=expected))
    assert event.all_day == ("T" not in lines[0].partition(":")[2] or len(lines) == 3)


@pytest.mark.parametrize(
    ("summary", "title"),
    [
        ("SUMMARY:Lunch\\, then; walk", "Lunch, then; walk"),
        ('SUMMARY;LANGUAGE=ko;X-P="a:b":치과 예약', "치과 예약"),
        ("SUMMARY:two\\nlines  and   blanks", "two lines and blanks"),
        ("SUMMARY:Long\n  er", "Long er"),  # folded
        ("SUMMARY:tab\n\tbed", "tabbed"),
        ("SUMMARY:", "(no title)"),
        ("SUMMARY:   ", "(no title)"),
        ("", "(no title)"),
        ("SUMMARY:x: y", "x: y"),
        ("SUMMARY:" + "가" * 2000, "가" * 999 + "…"),
    ],
)
def test_titles(read: Read, summary: str, title: str) -> None:
    """Unescaped, unfolded, on one line, never blank, of bounded length."""
    reading = read(calendar(vevent("DTSTART:20260302T090000Z", title=summary)))
    assert [event.title for event in reading.events] == [title]


def test_a_fold_within_a_letter_is_undone(read: Read) -> None:
    """Lines are folded by bytes; a Korean letter has three."""
    raw = calendar(vevent("DTSTART:20260302T090000Z", title="SUMMARY:치과 예약")).encode()
    cut = raw.index("예".encode()) + 1
    reading = read(raw[:cut] + b"\r\n " + raw[cut:])
    assert reading.events[0].title == "치과 예약"
    assert reading.problems == ()


@pytest.mark.parametrize(
    ("title", "encoding", "told"),
    [
        ("치과", "utf-8-sig", None),
        ("치과", "utf-16", None),
        ("치과", "euc_kr", "euc_kr"),
        ("Café à Genève", "latin-1", "cp1252"),
    ],
)
def test_other_encodings(read: Read, title: str, encoding: str, told: str | None) -> None:
    """A mark at the beginning is understood; where there is none, the guess is told."""
    text = calendar(vevent("DTSTART:20260302T090000Z", title=f"SUMMARY:{title}"))
    reading = read(text.encode(encoding))
    assert reading.events[0].title == title
    assert [problem.what for problem in reading.problems] == (
        [f"the text is not UTF-8; read as {told}"] if told else []
    )


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r", "\r\r\n"])
def test_any_line_ends(read: Read, ends: str) -> None:
    """Also those of other systems, and doubled ones."""
    text = calendar(vevent("DTSTART:20260302T090000Z", title="SUMMARY:abc\n  def"))
    assert read(text.replace("\n", ends)).events[0].title == "abc def"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["RRULE:FREQ=WEEKLY;COUNT=3"], ["03-02 09:00", "03-09 09:00", "03-16 09:00"]),
        (["RRULE:FREQ=WEEKLY;UNTIL=20260310T000000Z"], ["03-02 09:00", "03-09 09:00"]),
        (["RRULE:FREQ=WEEKLY;UNTIL=20260309"], ["03-02 09:00", "03-09 09:00"]),
        (["RRULE:FREQ=WEEKLY;COUNT=3", "EXDATE;TZID=Asia/Seoul:20260309T090000"],
         ["03-02 09:00", "03-16 09:00"]),
        (["RRULE:FREQ=WEEKLY;COUNT=3", "EXDATE:20260309T000000Z,20260316T000000Z"],
         ["03-02 09:00"]),
        (["RRULE:FREQ=WEEKLY;COUNT=3", "EXDATE;VALUE=DATE:20260309"],
         ["03-02 09:00", "03-16 09:00"]),
        (["RDATE;TZID=Asia/Seoul:20260305T110000,20260306T110000"],
         ["03-02 09:00", "03-05 11:00", "03-06 11:00"]),
        (["RDATE;VALUE=PERIOD;TZID=Asia/Seoul:20260305T110000/PT3H"],
         ["03-02 09:00", "03-05 11:00"]),
        (["RRULE:FREQ=MONTHLY;BYDAY=1MO;COUNT=2"], ["03-02 09:00", "04-06 09:00"]),
        (["RRULE:freq=weekly;count=2;X-NOTE=1;"], ["03-02 09:00", "03-09 09:00"]),
        (["RRULE:"], ["03-02 09:00"]),
        (["RRULE:FREQ=WEEKLY;COUNT=-1;UNTIL=20260309"], ["03-02 09:00", "03-09 09:00"]),
    ],
)  # fmt: skip
def test_repetition_is_spelled_out(read: Read, lines: list[str], expected: list[str]) -> None:
    """Rules, added and removed occurrences, each with the length of the first."""
    event = vevent("DTSTART;TZID=Asia/Seoul:20260302T090000", "DURATION:PT45M", *lines)
    reading = read(calendar(event))
    assert starts(reading) == expected
    assert reading.problems == ()
    lengths = {event.duration for event in reading.events}
    assert lengths <= {timedelta(minutes=45), timedelta(hours=3)}


def test_a_rule_keeps_the_wall_clock_of_its_zone(read: Read) -> None:
    """A weekly call at 9:00 in London moves in Seoul when London's clocks do."""
    rule = ("DTSTART;TZID=Europe/London:20260323T090000", "RRULE:FREQ=WEEKLY;COUNT=2")
    assert starts(read(calendar(SEOUL, vevent(*rule)))) == ["03-23 18:00", "03-30 17:00"]


def test_an_infinite_rule_ends_with_the_period(read: Read) -> None:
    """So does one of the year 1970."""
    for first in ("19700105", "20251201"):
        event = vevent(f"DTSTART;VALUE=DATE:{first}", "RRULE:FREQ=WEEKLY;BYDAY=MO")
        reading = read(calendar(event))
        assert len(reading.events) == 52
        assert reading.events[0].start.date() == date(2026, 1, 5)


def test_replaced_and_cancelled_occurrences(read: Read) -> None:
    """RECURRENCE-ID moves one, STATUS:CANCELLED drops one."""
    series = vevent("DTSTART;TZID=Asia/Seoul:20260302T090000", "RRULE:FREQ=WEEKLY;COUNT=4")
    moved = vevent("DTSTART;TZID=Asia/Seoul:20260310T140000", title="SUMMARY:회의 (변경)")
    moved = moved.replace("END:", "RECURRENCE-ID;TZID=Asia/Seoul:20260309T090000\nEND:")
    gone = vevent("DTSTART;TZID=Asia/Seoul:20260316T090000", "STATUS:cancelled")
    gone = gone.replace("END:", "RECURRENCE-ID:20260316T000000Z\nEND:")
    reading = read(calendar(moved, series, gone))  # in any order
    assert starts(reading) == ["03-02 09:00", "03-10 14:00", "03-23 09:00"]
    assert reading.events[1].title == "회의 (변경)"
    assert all(one.repeated for one in reading.occurrences)


def test_this_and_future(read: Read) -> None:
    """An occurrence may stand for all later ones."""
    series = vevent("DTSTART;TZID=Asia/Seoul:20260302T090000", "RRULE:FREQ=WEEKLY;COUNT=3")
    later = vevent(
        "RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Asia/Seoul:20260309T090000",
        "DTSTART;TZID=Asia/Seoul:20260309T103000",
    )
    assert starts(read(calendar(series, later))) == ["03-02 09:00", "03-09 10:30", "03-16 10:30"]


def test_a_cancelled_series_and_an_exception_without_its_series(read: Read) -> None:
    """The first is dropped, the second is an event."""
    series = vevent("DTSTART:20260302T090000Z", "RRULE:FREQ=DAILY", "STATUS:CANCELLED")
    alone = vevent("DTSTART:20260303T090000Z", "RECURRENCE-ID:20260302T090000Z", uid="UID:2")
    assert starts(read(calendar(series, alone))) == ["03-03 09:00"]


def test_updates_and_doubles(read: Read) -> None:
    """Of one UID the highest SEQUENCE counts; the same event twice is one."""
    old = vevent("DTSTART:20260302T090000Z", "SEQUENCE:1")
    new = vevent("DTSTART:20260302T110000Z", "SEQUENCE:2")
    assert starts(read(calendar(new, old))) == ["03-02 11:00"]
    assert starts(read(calendar(new, new))) == ["03-02 11:00"]


def test_events_that_share_a_uid_or_have_none_are_all_there(read: Read) -> None:
    """Some programs give all events the same UID, or none."""
    same = [vevent(f"DTSTART:2026030{day}T090000Z") for day in (2, 3)]
    none = [vevent("DTSTART:20260304T090000Z", uid="") for _ in range(2)]
    assert len(read(calendar(*same, *none)).events) == 4


def test_what_is_no_event_is_ignored(read: Read) -> None:
    """Tasks, alarms with times of their own, rich descriptions, several calendars in a file."""
    alarm = "BEGIN:VALARM\nTRIGGER:-PT15M\nDTSTART:garbage\nSUMMARY:Alarm\nEND:VALARM"
    rich = "X-ALT-DESC;FMTTYPE=text/html:<html>" + "x" * 200_000
    todo = "BEGIN:VTODO\nUID:t\nDTSTART:20260302T090000Z\nSUMMARY:Todo\nEND:VTODO"
    event = vevent("DTSTART:20260302T090000Z", rich, alarm, "no property at all", "A;B=")
    reading = read(calendar(todo, event) + calendar(event.replace("UID:1", "UID:2")))
    assert [event.title for event in reading.events] == ["회의", "회의"]
    assert reading.problems == ()


@pytest.mark.parametrize(
    ("lines", "told", "used"),
    [
        ([], "it has no DTSTART; left out", 0),
        (["DTSTART:20260231T090000Z"],
         "DTSTART is '20260231T090000Z', which no calendar has; left out", 0),
        (["DTSTART:tomorrow"], "DTSTART is 'TOMORROW', no date or time; left out", 0),
        (["DTSTART:00010101T090000Z"],
         "DTSTART is '00010101T090000Z', outside the years 2 to 9998; left out", 0),
        (["DTSTART:20260302T090000Z", "DTEND:20260302T080000Z"],
         "DTEND lies before DTSTART; read without an end", 1),
        (["DTSTART:20260302T090000Z", "DURATION:-PT1H"],
         "DURATION lies before DTSTART; read without an end", 1),
        (["DTSTART:20260302T090000Z", "DTEND:later"],
         "DTEND is 'LATER', no date or time; read without an end", 1),
        (["DTSTART:20260302T090000Z", "DURATION:long"],
         "DURATION is 'LONG', no duration; read without an end", 1),
        (["DTSTART:20260302T090000Z", "RRULE:FREQ=SECONDLY"],
         "RRULE: FREQ=SECONDLY is more often than any calendar event recurs; read as one event", 1),
        (["DTSTART:20260302T090000Z", "RRULE:WEEKLY"],
         "RRULE: WEEKLY is no part of a rule; read as one event", 1),
        (["DTSTART:20260302T090000Z", "RDATE:20260399", "EXDATE:x"],
         "RDATE is '20260399', which no calendar has; that occurrence is left out", 1),
        (["DTSTART:20260302T090000Z", "RRULE:FREQ=WEEKLY;UNTIL=never"],
         "its repetition can't be spelled out", 1),
    ],
)  # fmt: skip
def test_a_bad_event_is_listed_and_the_good_ones_are_used(
    read: Read, lines: list[str], told: str, used: int
) -> None:
    """Each with the file, the line, its title or UID, and why."""
    good = vevent("DTSTART:20260401T090000Z", uid="UID:good")
    reading = read(calendar(vevent(*lines, uid="UID:bad"), good))
    assert len(reading.events) == used + 1
    assert reading.problems[0].what.startswith(told)
    assert str(reading.problems[0]).startswith("my.ics:2: 회의: ")


@pytest.mark.parametrize(
    ("text", "events", "told"),
    [
        (calendar(vevent("DTSTART:20260302T090000Z"))[:-60], 0, "END:VEVENT is missing"),
        ("BEGIN:VCALENDAR\n" + vevent("DTSTART:20260302T090000Z"), 1, "END:VCALENDAR is missing"),
        (calendar(vevent("DTSTART:20260302T090000Z").replace("END:VEVENT\n", ""),
                  vevent("DTSTART:20260303T090000Z", uid="UID:2")), 2, "END:VEVENT is missing"),
    ],
)  # fmt: skip
def test_a_file_that_is_cut_off(read: Read, text: str, events: int, told: str) -> None:
    """What is whole is used, and it is told."""
    reading = read(text)
    assert len(reading.events) == events
    assert told in reading.problems[0].what


def test_events_without_a_calendar_around_them(read: Read) -> None:
    """A bare VEVENT is an event, too."""
    assert len(read(vevent("DTSTART:20260302T090000Z")).events) == 1


@pytest.mark.parametrize(
    "raw", [b"", b"\xff\xfe\x00", b"<html>", b"%PDF-1.7\n\x80", b"BEGIN:VCARD"]
)
def test_no_icalendar_at_all(read: Read, raw: bytes) -> None:
    """One sentence that says what it is and what to do; exit code 1."""
    with pytest.raises(NotICalendar, match=r"my.ics is no iCalendar file.*\nRemedy") as caught:
        read(raw)
    assert caught.value.exit_code == 1


def test_a_folder_is_all_its_files(tmp_path: Path) -> None:
    """What is no calendar is listed; the same invitation in two of them is one event."""
    meeting = vevent("DTSTART:20260302T090000Z")
    (tmp_path / "a.ics").write_text(calendar(meeting, vevent("DTSTART:20260303T090000Z", uid="")))
    (tmp_path / "b.ICS").write_text(calendar(SEOUL, meeting))
    (tmp_path / "c.ics").write_text("no calendar")
    (tmp_path / "notes.txt").write_text("ignored")
    reading = read_export(str(tmp_path)).between(START, END)
    assert len(reading.events) == 2
    assert [str(one) for one in reading.problems] == ["c.ics: it is no iCalendar file; left out"]


def test_what_can_not_be_read(tmp_path: Path) -> None:
    """A path that is not there, an empty folder, a folder of other things."""
    with pytest.raises(FileUnreadable, match="no such file"):
        read_export(str(tmp_path / "away.ics"))
    with pytest.raises(FileUnreadable, match=r"holds no \.ics file"):
        read_export(str(tmp_path))
    (tmp_path / "a.ics").write_text("x")
    with pytest.raises(NotICalendar):
        read_export(str(tmp_path))


def test_the_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dash is what is piped in; the calendar's own name is shown."""
    raw = calendar("X-WR-CALNAME:일정\\, 개인", vevent("DTSTART:20260302T090000Z")).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    export = read_export("-")
    assert export.name == "일정, 개인"
    assert len(export.between(START, END).events) == 1


def test_more_events_than_the_models_take(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused with a remedy."""
    monkeypatch.setattr("geulpi_analysis._ics.MAX_EVENTS", 364)
    with pytest.raises(TooManyEvents, match="--from and --to"):
        read(calendar(vevent("DTSTART:20200101T000000Z", "RRULE:FREQ=DAILY")))


def test_what_takes_time(read: Read) -> None:
    """Events do unless they are transparent; days do only where they are explicitly opaque."""
    lines = [
        ("DTSTART:20260302T090000Z",),
        ("DTSTART:20260303T090000Z", "TRANSP:TRANSPARENT"),
        ("DTSTART;VALUE=DATE:20260304",),
        ("DTSTART;VALUE=DATE:20260305", "TRANSP:OPAQUE"),
    ]
    reading = read(calendar(*(vevent(*line, uid="") for line in lines)))
    assert [one.takes_time for one in reading.occurrences] == [True, False, False, True]


def test_the_period_cuts(read: Read) -> None:
    """An event counts that lasts into the period, not one that ends or begins at its edge."""
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    events = [
        vevent("DTSTART:20260302T110000Z", f"DTEND:20260302T1{hour}0000Z", uid=f"UID:{hour}")
        for hour in (2, 3)
    ]
    after = vevent("DTSTART:20260302T140000Z", uid="UID:after")
    at_noon = vevent("DTSTART:20260302T120000Z", uid="UID:noon")
    reading = read(calendar(*events, at_noon, after), noon, noon + timedelta(hours=2))
    assert [one.uid for one in reading.occurrences] == ["3", "noon"]
