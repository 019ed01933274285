"""Says in RE2, which cuts the tokens of an ONNX model, what a Python pattern means.

RE2's own classes know ASCII only, or another version of Unicode, so classes are written as the very
characters that this Python matches. Python takes the first way to match and ONNX Runtime the
longest match, so a pattern is translated only where these are the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from re import _compiler, _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import numpy as np

Members = np.ndarray[Any, np.dtype[np.bool_]]

# Every character that a text can hold.
CHARACTERS = "".join(map(chr, [*range(1, 0xD800), *range(0xE000, 0x110000)]))
FEW = 256
REPEATS = 50  # copies of a class; more would make the automaton huge
BOUNDARY = (_constants.AT, _constants.AT_BOUNDARY)


class NotTheSame(ValueError):
    """A pattern may cut other tokens in ONNX than in Python, and why."""


@dataclass(frozen=True)
class Cut:
    """How tokens are cut.

    Attributes:
        token: RE2 that finds them.
        whole: RE2 that a found token must match from end to end to be one; "": any does.
        others: the characters that are no token, if every other one is; None: it is not so.
        blanks: whether a token can hold a space.
    """

    token: str
    whole: str
    others: str | None
    blanks: bool


@lru_cache(maxsize=64)
def cut_of(pattern: str) -> Cut:
    """Return how ONNX Runtime's Tokenizer cuts the tokens that `re.findall` finds.

    Raises:
        NotTheSame: it can't, or may cut others.
    """
    parsed = _parser.parse(pattern)
    items = _without_group(parsed)
    bounded = len(items) > 2 and items[0] == items[-1] == BOUNDARY
    reader = _Reader(parsed.state)
    part = reader.sequence(items[1:-1] if bounded else items)
    if part.empty:
        raise NotTheSame("it matches nothing at all")
    used = np.logical_or.reduce(reader.classes)
    blanks = bool(used[CHARACTERS.index(" ")])
    if not bounded:
        if not reader.one_length and not reader.one_way(part):
            raise NotTheSame("it may match in more than one way")
        return Cut(part.re2, "", _others(used) if len(reader.classes) == 1 else None, blanks)
    word = members(re.compile(r"\w"))
    if (used & ~word).any():
        raise NotTheSame(r"it has a \b beside other characters than letters and digits")
    if reader.one_length and part.endless and all((c == word).all() for c in reader.classes):
        return Cut(part.re2, "", None, blanks)
    # What is between two \b is a whole run of \w: found as one, then matched from end to end.
    return Cut(f"{characters(chosen(word))}+", part.re2, None, blanks)


def members(pattern: re.Pattern[str]) -> Members:
    """Return of each of `CHARACTERS` whether a pattern of one character matches it."""
    found = pattern.sub("\0", CHARACTERS)
    matched: Members = np.frombuffer(found.encode("utf-32-le"), np.uint32) == 0
    return matched


def chosen(which: Members) -> str:
    """Return the characters that are marked."""
    return "".join(CHARACTERS[place] for place in np.flatnonzero(which))


def characters(of: Iterable[str]) -> str:
    """Return a class of RE2 that holds just these characters."""
    codes = np.unique(np.fromiter(map(ord, of), np.int64))
    runs = np.split(codes, np.flatnonzero(np.diff(codes) > 1) + 1)
    ranges = (
        rf"\x{{{run[0]:x}}}" + (rf"-\x{{{run[-1]:x}}}" if len(run) > 1 else "") for run in runs
    )
    return f"[{''.join(ranges)}]"


def _others(used: Members) -> str | None:
    return chosen(~used) if np.count_nonzero(~used) <= FEW else None


def _without_group(parsed: Any) -> list[Any]:
    """Return a pattern's items; a group around all of it changes nothing for `findall`."""
    items = list(parsed)
    if len(items) == 1 and items[0][0] is _constants.SUBPATTERN:
        _, more_flags, fewer_flags, inner = items[0][1]
        if not more_flags and not fewer_flags:
            return list(inner)
    return items


@dataclass(frozen=True)
class _Part:
    """A part of a pattern as an automaton, whose places each match one character of a class.

    Attributes:
        re2: the pattern.
        empty: whether it matches nothing at all.
        first: the places where a match can begin.
        last: the places where a match can end.
        endless: whether any number of characters may follow in a match.
    """

    re2: str = ""
    empty: bool = True
    first: frozenset[int] = frozenset()
    last: frozenset[int] = frozenset()
    endless: bool = False


class _Reader:
    """Translates a parsed pattern.

    Attributes:
        classes: by place, the characters that match there.
        follow: by place, the places that can come next.
        one_length: whether a match's length hangs on one repeat of one character at most: then
            the first way to match, with the most repeats, is the longest.
    """

    def __init__(self, state: Any) -> None:
        self.classes: list[Members] = []
        self.follow: dict[int, set[int]] = {}
        self.one_length = True
        self._state = state
        self._open = 0
        self._hasty = False  # whether nothing may be taken before something
        self._known: dict[str, Members] = {}

    def one_way(self, part: _Part) -> bool:
        """Return whether the next character always tells the next place, and none is passed by."""
        choices = [part.first, *self.follow.values()]
        return not self._hasty and all(
            np.add.reduce([self.classes[p].astype(int) for p in places]).max() <= 1
            for places in choices
            if len(places) > 1
        )

    def sequence(self, items: Iterable[Any]) -> _Part:
        """Translate what stands one after the other."""
        whole = _Part()
        for item in items:
            whole = self._then(whole, self._item(item))
        return whole

    def _item(self, item: Any) -> _Part:
        op, argument = item
        match str(op):
            case "LITERAL" | "NOT_LITERAL" | "IN" | "ANY":
                return self._one(item)
            case "MAX_REPEAT":
                return self._repeat(*argument)
            case "BRANCH":
                return self._branch(argument[1])
            case "SUBPATTERN" if argument[:3] == (None, 0, 0):
                return self.sequence(argument[3])
        raise NotTheSame(f"it uses {str(op).lower().replace('_', ' ')}")

    def _one(self, item: Any) -> _Part:
        if repr(item) not in self._known:
            pattern = _compiler.compile(_parser.SubPattern(self._state, [item]))
            self._known[repr(item)] = members(pattern)
        matching = self._known[repr(item)]
        if not matching.any():
            raise NotTheSame("a part of it matches no character")
        place = len(self.classes)
        self.classes.append(matching)
        self.follow[place] = set()
        return _Part(characters(chosen(matching)), False, frozenset({place}), frozenset({place}))

    def _repeat(self, least: int, most: int, items: Sequence[Any]) -> _Part:
        endless = most is _constants.MAXREPEAT
        if least > REPEATS or (not endless and most > REPEATS):
            raise NotTheSame(f"it repeats more than {REPEATS} times")
        if least != most:
            self._open += 1
            self.one_length &= self._open == 1
        copies = [self.sequence(items) for _ in range(least + 1 if endless else most)]
        if not copies:
            return _Part()
        self._hasty |= copies[0].empty
        optional = _Part()
        if endless:
            optional = copies[least]
            self._link(optional.last, optional.first)
        else:
            for copy in reversed(copies[least:]):
                optional = self._then(copy, optional)
                optional = _Part(optional.re2, True, optional.first, optional.last)
        whole = _Part()
        for copy in copies[:least]:
            whole = self._then(whole, copy)
        optional = _Part("", True, optional.first, optional.last)
        whole = self._then(whole, optional)
        limit = "" if endless else str(most)
        re2 = f"(?:{copies[0].re2}){{{least},{limit}}}"
        return _Part(re2, whole.empty, whole.first, whole.last, endless)

    def _branch(self, branches: Sequence[Any]) -> _Part:
        self.one_length = False
        parts = [self.sequence(branch) for branch in branches]
        empty = any(part.empty for part in parts)
        self._hasty |= empty
        return _Part(
            f"(?:{'|'.join(part.re2 for part in parts)})",
            empty,
            frozenset().union(*(part.first for part in parts)),
            frozenset().union(*(part.last for part in parts)),
        )

    def _then(self, one: _Part, other: _Part) -> _Part:
        self._link(one.last, other.first)
        return _Part(
            one.re2 + other.re2,
            one.empty and other.empty,
            one.first | other.first if one.empty else one.first,
            one.last | other.last if other.empty else other.last,
            one.endless or other.endless,
        )

    def _link(self, ends: Iterable[int], starts: Iterable[int]) -> None:
        for end in ends:
            self.follow[end].update(starts)
