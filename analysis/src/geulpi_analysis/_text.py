"""The bytes of an iCalendar file to its lines and components (RFC 5545, section 3.1); pure.

Files are read leniently: each line by itself, each event by itself, so that what is broken in one
takes no other with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_LINE_ENDS = re.compile(rb"\r\n|\n|\r")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
# EUC-KR comes before cp1252, which takes almost any bytes: two letters with accents side by side
# are rare in Western text, and Korean text has no other.
_ENCODINGS = ("utf-8", "euc_kr", "cp1252", "latin-1")
_ESCAPED = re.compile(r"\\([nN,;:\\\"])")
_ESCAPES = {"n": "\n", "N": "\n"}
_ROOT = ""
_NOT_NESTED = ("VEVENT", "VTODO", "VJOURNAL", "VTIMEZONE")


@dataclass(frozen=True)
class Line:
    """A content line, unfolded: its number in the file, its text, the encoding that was found."""

    number: int
    text: str
    encoding: str = "utf-8"


@dataclass
class Component:
    """What stands between BEGIN and END: its lines, and the components in it.

    `closed` is whether its own END was there.
    """

    kind: str
    line: int
    lines: list[Line] = field(default_factory=list)
    parts: list[Component] = field(default_factory=list)
    closed: bool = False

    def of_kind(self, kind: str) -> Iterator[Component]:
        """The parts of that kind."""
        return (part for part in self.parts if part.kind == kind)

    def source(self) -> str:
        """Return the text again, as iCalendar."""
        rows = [f"BEGIN:{self.kind}", *(line.text for line in self.lines)]
        rows += [part.source() for part in self.parts if not part.parts]  # no deeper: no recursion
        return "\r\n".join([*rows, f"END:{self.kind}"])


@dataclass(frozen=True)
class Property:
    """A property of a component: name and parameter names in capitals, the value as it stands."""

    name: str
    parameters: dict[str, str]
    value: str


def content_lines(data: bytes) -> list[Line]:
    """Return the unfolded lines, without blank ones.

    Folds are undone before decoding: they may lie within a letter of several bytes.
    """
    if data[:2] in _UTF16:
        data = data.decode("utf-16", errors="replace").encode()
    folded: list[tuple[int, list[bytes]]] = []
    for number, raw in enumerate(_LINE_ENDS.split(data.removeprefix(b"\xef\xbb\xbf")), start=1):
        if raw[:1] in {b" ", b"\t"} and folded:
            folded[-1][1].append(raw[1:])
        elif raw.strip():
            folded.append((number, [raw]))
    return [_decoded(number, b"".join(parts)) for number, parts in folded]


def components(lines: list[Line]) -> Component:
    """Return the tree of components; an unclosed one ends where the next of its kind begins."""
    root = Component(_ROOT, 1, closed=True)
    open_now = [root]
    for line in lines:
        word, _, kind = line.text.strip().upper().partition(":")
        kind = kind.strip()
        if word == "BEGIN":
            if kind == "VCALENDAR":
                del open_now[1:]
            elif kind in _NOT_NESTED:
                _close_down_to(open_now, kind, found=False)
            part = Component(kind, line.number)
            open_now[-1].parts.append(part)
            open_now.append(part)
        elif word == "END":
            _close_down_to(open_now, kind, found=True)
        else:
            open_now[-1].lines.append(line)
    return root


def split_property(text: str) -> Property | None:
    """Return a content line's name, parameters and value; `None` where it is no property."""
    head, value = _halves(text)
    if value is None:
        return None
    name, *parameters = _outside_quotes(head, ";")
    pairs = (parameter.partition("=") for parameter in parameters)
    return Property(
        name.strip().upper(),
        {key.strip().upper(): word.strip().strip('"') for key, _, word in pairs},
        value,
    )


def plain_text(value: str) -> str:
    """Return a text value without its escapes, on one line."""
    return " ".join(_ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), value).split())


def _decoded(number: int, raw: bytes) -> Line:
    raw = raw.replace(b"\0", b"")
    for encoding in _ENCODINGS[:-1]:
        try:
            return Line(number, raw.decode(encoding), encoding)
        except UnicodeDecodeError:
            continue
    return Line(number, raw.decode(_ENCODINGS[-1]), _ENCODINGS[-1])


def _close_down_to(open_now: list[Component], kind: str, *, found: bool) -> None:
    for depth in range(len(open_now) - 1, 0, -1):
        if open_now[depth].kind == kind:
            open_now[depth].closed = found
            del open_now[depth:]
            return


def _halves(text: str) -> tuple[str, str | None]:
    name = re.split(r"[;:]", text, maxsplit=1)[0].strip().upper()
    if name in {"DTSTART", "DTEND", "RDATE", "EXDATE", "RECURRENCE-ID"}:
        # Outlook writes TZID=(UTC+09:00) Seoul without quotes; a date has no colon itself.
        head, colon, value = text.rpartition(":")
        return head, value if colon else None
    parts = _outside_quotes(text, ":", at_most=1)
    return parts[0], parts[1] if len(parts) == 2 else None


def _outside_quotes(text: str, mark: str, at_most: int = -1) -> list[str]:
    parts, begin, quoted = [], 0, False
    for position, letter in enumerate(text):
        if letter == '"':
            quoted = not quoted
        elif letter == mark and not quoted and at_most:
            parts.append(text[begin:position])
            begin, at_most = position + 1, at_most - 1
            if not at_most:
                break
    return [*parts, text[begin:]]
