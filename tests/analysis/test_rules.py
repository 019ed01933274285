"""Which rules are counted through."""

from __future__ import annotations

import pytest
from geulpi_analysis._rules import UnusableRule, checked_rule


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE;WKST=SU",
        "FREQ=MONTHLY;BYMONTHDAY=-1",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
        "FREQ=DAILY;BYHOUR=9,13;BYMINUTE=0,30",
        "FREQ=HOURLY;INTERVAL=6;COUNT=12",
    ],
)
def test_rules_of_calendars_pass(rule: str) -> None:
    """They stay as they are."""
    assert checked_rule(rule) == rule


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("FREQ=SECONDLY", "more often"),
        ("FREQ=MINUTELY;INTERVAL=1440", "more often"),
        ("INTERVAL=2", "no FREQ"),
        ("FREQ=FORTNIGHTLY", "FORTNIGHTLY"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL is 0"),
        ("FREQ=DAILY;INTERVAL=-1", "INTERVAL is -1"),
        ("FREQ=DAILY;INTERVAL=100000", "outside 1 to 9999"),
        ("FREQ=DAILY;COUNT=many", "COUNT is MANY"),
        ("FREQ=DAILY;FREQ=WEEKLY", "no part"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20260401", "exclude each other"),
        ("FREQ=DAILY;RSCALE=CHINESE", "RSCALE is not known"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never comes"),
        ("FREQ=YEARLY;BYMONTH=13", "outside 1 to 12"),
        ("FREQ=YEARLY;BYMONTH=May", "no list of numbers"),
        ("FREQ=DAILY;BYSETPOS=2", "says nothing"),
        ("FREQ=HOURLY;BYYEARDAY=400", "says nothing"),
        ("FREQ=DAILY;BYHOUR=0,1,2,3,4;BYMINUTE=0,10,20,30,40", "25 times a day"),
        ("every day", "no part"),
    ],
)
def test_bombs_and_nonsense_are_refused(rule: str, why: str) -> None:
    """Before any library counts through them for ever."""
    with pytest.raises(UnusableRule, match=why):
        checked_rule(rule)


def test_what_programs_add_is_dropped() -> None:
    """Experimental parts, blanks, small letters, a COUNT of −1 for endless."""
    assert checked_rule(" freq=daily; x-evolution=1;count=-1;") == "FREQ=DAILY"
