"""Which titles name the same thing, however they are spelled.

"Team sync", "team-sync w/ Ana", "Team Sync #12 🎉" and "TEAM SYNC (3/2)" have one key; "Team lunch"
has another. Two titles are the same if their keys are equal, so grouping costs no comparisons.

Whether a remark or the company makes a habit of its own ("1:1 w/ Ana", "1:1 w/ Bo") only the times
can tell, so each title also has its full wording.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Final

__all__ = ["title_key", "title_keys", "wording"]

_RARE: Final = 3  # a wording seen less often can't show a habit by itself
_HEAD_WORDS: Final = 2

_REPLY = re.compile(r"^\s*(?:(?:re|fwd?|updated invitation|invitation|updated)\s*:\s*)+")
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|【[^【】]*】|<[^<>]*>")
_COMPANY = re.compile(r"(?:\bw/|\bwith\b|\bfeat\b|\bft\.|@).*$")
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec"
_DATES = re.compile(
    rf"\b(?:{_MONTHS})[a-z]*\.?\s*\d{{1,2}}(?:st|nd|rd|th)?\b"
    rf"|\b\d{{1,2}}(?:st|nd|rd|th)?\s*(?:{_MONTHS})[a-z]*\b"
    r"|제?\s*\d+\s*(?:년도?|월|일|주차|회차|차시|차|회|분기|시|분)(?=\W|\d|제|$)"
    r"|\b(?:no|nr|vol|week|wk|ep|episode|part|day|session)[\s.]*#?\d+\b"
    r"|\b[qwv]\d+\b"
    r"|\b\d+(?:st|nd|rd|th)\b"
)
_ONE_ON_ONE = re.compile(r"\b1\s*(?::|-|on|/)\s*1s?\b")
_NUMBERS = re.compile(r"\d+")
_SEPARATORS = re.compile(r"[\W_]+")


def title_key(title: str) -> str:
    """Return the words of a title that stay from one occurrence to the next, blanks between them.

    Unicode NFKC, case folded; without bracketed remarks, company ("w/ Ana"), dates, numbers,
    punctuation and emoji. Where nothing would be left, less is taken away.
    """
    bare = _COMPANY.sub(" ", _BRACKETS.sub(" ", _plain(title)))
    return _lasting_words(bare) or wording(title)


def wording(title: str) -> str:
    """Return the words of a title as `title_key`, but with remarks and company."""
    plain = _plain(title)
    return _lasting_words(plain) or _words(plain) or " ".join(title.split())


def title_keys(titles: Sequence[str]) -> list[str]:
    """Return for each title the name of its group.

    Spaces do not tell titles apart: Korean is written with and without them. A wording of three
    words or more that is too rare to show a habit joins the others that begin with the same two
    words, so that "Team sync: budget" and "Team sync: hiring" meet in "Team sync".
    """
    keys = {title: title_key(title) for title in set(titles)}
    counts = Counter(keys[title] for title in titles)
    groups = {
        key: "".join(words[:_HEAD_WORDS] if len(words) > _HEAD_WORDS and count < _RARE else words)
        for key, count in counts.items()
        for words in [key.split()]
    }
    return [groups[keys[title]] for title in titles]


def _plain(title: str) -> str:
    text = unicodedata.normalize("NFKC", title).casefold()
    return _ONE_ON_ONE.sub("oneonone", _REPLY.sub("", text))


def _lasting_words(text: str) -> str:
    return _words(_NUMBERS.sub(" ", _DATES.sub(" ", text)))


def _words(text: str) -> str:
    return _SEPARATORS.sub(" ", text).strip()
