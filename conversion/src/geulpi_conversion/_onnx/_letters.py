"""Folds the case of texts and strips accents, as Python does it for all of Unicode.

ONNX Runtime folds case by the machine's C library: quick, and right but for a few characters. Where
a request holds one of those, its texts are cut into characters and mapped by a table.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper
from sklearn.feature_extraction.text import strip_accents_ascii, strip_accents_unicode

from geulpi_conversion._onnx._graph import MICROSOFT, ML, Graph
from geulpi_conversion._onnx._regex import CHARACTERS, characters

Accents = Literal["ascii", "unicode"] | None

SIGMA, FINAL_SIGMA = "Σ", "ς"
LAST = "\0"  # put behind a Σ that ends a word; no request's text holds it
ANY = "(?s:.)"
# Their lower case is no single letter, or hangs on what is around them.
IRREGULAR = "İ" + SIGMA
NO_CASE = range(0x1F000, 0x110000)  # emoji, CJK: no letter that a newer Unicode gives a small one


def fold(graph: Graph, text: str, *, lower: bool, accents: Accents) -> str:
    """Return texts `[N]` after `str.lower` and the stripping of accents, as asked for."""

    def quick() -> str:
        if not lower:
            return graph.op("Identity", text)
        # Slim systems lack the default, en_US.UTF-8.
        return graph.op("StringNormalizer", text, case_change_action="LOWER", locale="C.UTF-8")

    odd = _odd(lower, accents)
    if not odd:
        return quick()
    return _unless(graph, text, odd, quick, lambda: _mapped(graph, text, lower, accents))


def regular(graph: Graph, text: str) -> str:
    """Return texts `[N]`, of which each letter can be folded by itself."""
    return _unless(
        graph,
        text,
        characters(IRREGULAR),
        lambda: graph.op("Identity", text),
        lambda: _mapped(graph, text, lower=True, accents=None),
    )


def cut(graph: Graph, text: str, expression: str) -> str:
    """Return tokens `[N, longest]` of texts `[N]`, padded with "", which is no token."""
    return graph.op(
        "Tokenizer",
        text,
        domain=MICROSOFT,
        tokenexp=expression,
        mark=0,
        mincharnum=1,
        pad_value="",
    )


@lru_cache(maxsize=1)
def capitals() -> Mapping[str, Sequence[str]]:
    """Return by small letter the characters that become it, with itself."""
    found: dict[str, str] = {}
    for character, small in zip(CHARACTERS, _images(lower=True, accents=None), strict=True):
        found[small] = found.get(small, "") + character
    return found


def _unless(
    graph: Graph, text: str, odd: str, quick: Callable[[], str], slow: Callable[[], str]
) -> str:
    """Compute the one or the other, by whether a request holds an odd character."""
    count = graph.op("Shape", cut(graph, text, odd), start=1)
    return graph.op(
        "If",
        graph.op("Greater", count, 0),
        then_branch=_subgraph(graph, slow),
        else_branch=_subgraph(graph, quick),
    )


def _subgraph(graph: Graph, build: Callable[[], str]) -> onnx.GraphProto:
    outer, graph.nodes = graph.nodes, []
    try:
        output = helper.make_tensor_value_info(build(), TensorProto.STRING, None)
        return helper.make_graph(graph.nodes, graph.fresh("branch"), [], [output])
    finally:
        graph.nodes = outer


def _mapped(graph: Graph, text: str, lower: bool, accents: Accents) -> str:
    images = _table(lower, accents)
    expression = ANY
    if lower:
        text = _with_last_sigmas(graph, text)
        images = {**images, SIGMA + LAST: "" if accents == "ascii" else FINAL_SIGMA}
        expression = rf"{SIGMA}\x{{0}}|{ANY}"
    letters = cut(graph, text, expression)
    place = graph.op(
        "LabelEncoder",
        letters,
        domain=ML,
        keys_strings=list(images),
        values_int64s=list(range(1, len(images) + 1)),
        default_int64=0,
    )
    found = graph.op("Gather", graph.constant(["", *images.values()]), place)
    if accents != "ascii":  # which drops what it does not know
        found = graph.op("Where", graph.op("Equal", place, 0), letters, found)
    return _joined(graph, found)


def _with_last_sigmas(graph: Graph, text: str) -> str:
    """Mark each Σ that becomes ς: the last cased letter of a word, and not its only one."""
    cased, ignored = (characters(found) for found in _around_sigma())
    words = cut(graph, text, f"{cased}(?:{ignored}*{cased})*|{ANY}")
    ends = graph.op("RegexFullMatch", words, pattern=f"(?s).+{SIGMA}")
    marked = graph.op("StringConcat", words, graph.constant(np.array([LAST], object)))
    return _joined(graph, graph.op("Where", ends, marked, words))


def _joined(graph: Graph, pieces: str) -> str:
    """Return texts `[N]` of pieces `[N, 1 or more]`: neighbours are joined until one is left."""
    turn, still, left = (graph.fresh(name) for name in ("turn", "still", "left"))
    outer, graph.nodes = graph.nodes, []
    rows = graph.op("Shape", left, end=1)
    nothing = graph.op(
        "Expand", graph.constant([""]), graph.op("Concat", rows, np.array([1]), axis=0)
    )
    even = graph.op("Concat", left, nothing, axis=1)
    joined = graph.op("StringConcat", _every_second(graph, left, 0), _every_second(graph, even, 1))
    again = _several(graph, joined)
    body = helper.make_graph(
        graph.nodes,
        graph.fresh("body"),
        [
            helper.make_tensor_value_info(turn, TensorProto.INT64, []),
            helper.make_tensor_value_info(still, TensorProto.BOOL, []),
            helper.make_tensor_value_info(left, TensorProto.STRING, [None, None]),
        ],
        [
            helper.make_tensor_value_info(again, TensorProto.BOOL, []),
            helper.make_tensor_value_info(joined, TensorProto.STRING, [None, None]),
        ],
    )
    graph.nodes = outer
    whole = graph.op("Loop", "", _several(graph, pieces), pieces, body=body)
    return graph.op("Reshape", whole, np.array([-1]))


def _several(graph: Graph, pieces: str) -> str:
    width = graph.op("Squeeze", graph.op("Shape", pieces, start=1))
    return graph.op("Greater", width, 1)


def _every_second(graph: Graph, pieces: str, start: int) -> str:
    end = np.array([np.iinfo(np.int64).max])
    return graph.op("Slice", pieces, np.array([start]), end, np.array([1]), np.array([2]))


@lru_cache(maxsize=8)
def _odd(lower: bool, accents: Accents) -> str:
    """Return RE2 for the characters that `fold` can't leave to the C library; "" if none."""
    if accents == "ascii":
        return characters(CHARACTERS[0x7F:])
    odd: set[str] = set()
    if lower:
        odd.update(IRREGULAR, filter(_is_new, CHARACTERS[: NO_CASE.start]))
    if accents:
        folded = zip(CHARACTERS, _images(lower, None), _images(lower, accents), strict=True)
        odd.update(c for c, small, stripped in folded if small != stripped)
    return characters(odd) if odd else ""


def _is_new(character: str) -> bool:
    """Return whether Python and a C library, of other versions, may disagree about its case."""
    if unicodedata.category(character) == "Cn":
        return True
    unknown_once = unicodedata.ucd_3_2_0.category(character) == "Cn"
    return unknown_once and character.lower() != character


@lru_cache(maxsize=1)
def _around_sigma() -> tuple[str, str]:
    """Return the cased characters, and those that are ignored between a cased one and a Σ."""

    def final(before: str) -> set[str]:
        texts = (before + c + SIGMA for c in CHARACTERS)
        endings = "\0".join(texts).lower().split("\0")
        return {c for c, text in zip(CHARACTERS, endings, strict=True) if text[-1] == FINAL_SIGMA}

    cased = final("")
    return "".join(cased), "".join(final("A") - cased)


@lru_cache(maxsize=8)
def _table(lower: bool, accents: Accents) -> Mapping[str, str]:
    """Return by character what becomes of it, where that is not what is done by default."""
    images = zip(CHARACTERS, _images(lower, accents), strict=True)
    if accents == "ascii":
        return {c: image for c, image in images if image}
    return {c: image for c, image in images if image != c}


@lru_cache(maxsize=8)
def _images(lower: bool, accents: Accents) -> list[str]:
    """Return for each of `CHARACTERS` what becomes of it where it stands alone."""
    text = "\0".join(CHARACTERS)
    if lower:
        text = text.lower()
    if accents:
        text = {"ascii": strip_accents_ascii, "unicode": strip_accents_unicode}[accents](text)
    return text.split("\0")
