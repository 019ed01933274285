"""Writes a changed config into the text of a config.pbtxt, and leaves the rest as it was written.

Only the top-level fields that differ are written anew; comments, order and style of others stay.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

__all__ = ["parsed", "rewritten"]

_PARAMETERS = "parameters"
_TOKEN = re.compile(
    r"""(?P<blank>(?:\s|\#[^\n]*)+)|(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
    r"""|(?P<open>[{\[<])|(?P<close>[}\]>])|(?P<mark>[:;,])|(?P<word>[^\s\#"'{}\[\]<>:;,]+)""",
    re.VERBOSE,
)


class _Field(NamedTuple):
    """One top-level field as it stands in the text."""

    name: str
    start: int
    end: int


def parsed(text: str) -> Any:
    """Return the config that a text holds.

    Raises:
        google.protobuf.text_format.ParseError: it holds none.
    """
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def rewritten(text: str, wanted: Any) -> str:
    """Return the text with what differs from the wanted config written anew.

    A text whose layout is too unusual to be edited is printed as a whole, without its comments.
    """
    edited = _edited(text, wanted)
    try:
        if parsed(edited) == wanted:
            return edited
    except text_format.ParseError:
        pass
    return _printed(wanted)


def _edited(text: str, wanted: Any) -> str:
    now = parsed(text)
    changed = {
        field.name
        for field in wanted.DESCRIPTOR.fields
        if field.name != _PARAMETERS and not _same(now, wanted, field.name)
    }
    keys = {
        key
        for key in {*now.parameters, *wanted.parameters}
        if (key in now.parameters) != (key in wanted.parameters)
        or now.parameters[key] != wanted.parameters[key]
    }
    # Looking up a key of a protobuf map puts it there.
    now = parsed(text)
    keys_left = {key for key in keys if key in wanted.parameters}
    fields_left = set(changed)
    pieces, place, after_parameters = [], 0, None
    for field in _fields(text):
        own = text[field.start : field.end]
        pieces.append(text[place : field.start])
        place = field.end
        if field.name == _PARAMETERS:
            names = sorted(parsed(own).parameters)
            if keys & set(names):
                own = _parameters(wanted, [name for name in names if name in wanted.parameters])
                keys_left -= set(names)
            pieces.append(own)
            after_parameters = len(pieces)
        elif field.name in changed:
            pieces.append(_printed(wanted, field.name) if field.name in fields_left else "")
            fields_left.discard(field.name)
        else:
            pieces.append(own)
    rest = text[place:]
    new = _parameters(wanted, sorted(keys_left))
    if new and after_parameters is not None:
        pieces.insert(after_parameters, f"\n{new}")
        new = ""
    added = [*(_printed(wanted, name) for name in sorted(fields_left)), new]
    end = "".join(f"{one}\n" for one in added if one)
    whole = "".join([*pieces, rest])
    return f"{whole}{'' if whole.endswith(chr(10)) or not end else chr(10)}{end}"


def _same(one: Any, other: Any, name: str) -> bool:
    return _printed(one, name) == _printed(other, name)


def _printed(config: Any, *names: str) -> str:
    """Return a config, or some of its fields, as text."""
    part = model_config_pb2.ModelConfig()
    part.CopyFrom(config)
    for field in part.DESCRIPTOR.fields if names else ():
        if field.name not in names:
            part.ClearField(field.name)
    text = text_format.MessageToString(part, as_utf8=True)
    return str(text).rstrip("\n") if names else str(text)


def _parameters(config: Any, keys: list[str]) -> str:
    part = model_config_pb2.ModelConfig()
    for key in keys:
        part.parameters[key].CopyFrom(config.parameters[key])
    return str(text_format.MessageToString(part, as_utf8=True)).rstrip("\n")


def _fields(text: str) -> list[_Field]:
    """Find the top-level fields of a text that parses."""
    fields: list[_Field] = []
    depth, expects_name = 0, True
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "blank":
            continue
        if depth == 0 and kind == "mark":
            # A colon leads to the value; a comma or semicolon belongs to the field before it.
            if token[0] != ":":
                fields[-1] = fields[-1]._replace(end=token.end())
            continue
        if depth == 0 and kind == "word" and expects_name:
            fields.append(_Field(token[0], token.start(), token.end()))
            expects_name = False
            continue
        depth += {"open": 1, "close": -1}.get(kind or "", 0)
        fields[-1] = fields[-1]._replace(end=token.end())
        expects_name = depth == 0
    return fields
