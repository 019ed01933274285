"""Which titles are one."""

from __future__ import annotations

import pytest
from geulpi_calendar._recurrence_titles import title_key, title_keys, wording


@pytest.mark.parametrize(
    "title",
    [
        "Team sync", "TEAM SYNC", "team-sync", "Team  sync ", "Team sync w/ Ana",
        "Team sync with Ana", "Team sync @ room 3", "Team sync #12", "Team Sync 🎉",
        "Team sync (online)", "[ext] Team sync", "2026-03-02 Team sync", "3/2 Team sync",
        "Mar 2 team sync", "Team sync 2nd March", "Team sync Q3", "Team sync, week 12",
        "Re: Team sync", "Ｔｅａｍ ｓｙｎｃ", "team_sync", "3월 2일 Team sync", "Team sync 12회",
        "제3차 Team sync", "Updated invitation: Team sync",
    ],
)  # fmt: skip
def test_spellings_of_one_title_have_one_key(title: str) -> None:
    """Case, width, numbers, dates, company, remarks, emoji and punctuation make no difference."""
    assert title_key(title) == "team sync"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Team sync", "Team lunch"),
        ("주간 회의", "월간 회의"),
        ("1:1", "1:10"),
        ("🏋️", "🏊"),
        ("2026", "2027"),
        ("Maya", "Mayor"),
        ("일본어", "영어"),
        ("10월", "11월"),
    ],
)
def test_titles_of_other_words_have_other_keys(one: str, other: str) -> None:
    """What is left of a short title is never nothing, so such titles do not meet there."""
    assert title_key(one) != title_key(other)
    assert title_key(one) != ""


def test_blanks_do_not_part_korean_titles() -> None:
    """주간 회의 and 주간회의 are one."""
    one, other = title_keys(["주간 회의", "주간회의"])
    assert one == other


def test_rare_wordings_meet_in_their_first_two_words() -> None:
    """A topic after the title is no other title, unless it comes back as often as a habit does."""
    keys = title_keys(["Team sync", "Team sync: budget", "Team sync: hiring"])
    assert len(set(keys)) == 1
    keys = title_keys([*["CCC group: delivery"] * 3, *["CCC group: taxonomy"] * 3])
    assert len(set(keys)) == 2


def test_an_empty_title_is_a_title() -> None:
    """Events without a title are one group."""
    assert title_keys(["", "  "]) == ["", ""]


def test_a_wording_keeps_remarks_and_company() -> None:
    """Numbers, dates and punctuation are left out of it too."""
    assert wording("Team sync #3 (online) w/ Ana") == "team sync online w ana"
    assert wording("2026") == "2026"
