"""Cuts texts into numbered tokens, in which an n-gram of the vocabulary is a run of numbers.

The rows of a batch are as long as the longest; what fills the others is no token. Where a token is
one character, numbers fold the case by themselves, without the machine's C library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from geulpi_conversion._onnx._graph import ML, Graph
from geulpi_conversion._onnx._letters import Accents, capitals, cut, fold, regular
from geulpi_conversion._onnx._regex import CHARACTERS, NotTheSame, cut_of

# Numbers that are no token of the vocabulary; blanks are `BLANK` and below.
UNKNOWN, DROPPED, BLANK = 0, -1, -2
BLANKS = [" ", *(c for c in CHARACTERS if c.isspace() and c != " ")]
EDGE = "edge"  # counted twice a word; no letter, for it has four
PAD = ""
EVERY_CHARACTER = "."  # the Tokenizer's own way, quicker than an expression; of line breaks too


@dataclass(frozen=True)
class Reading:
    """How a vectorizer reads a text.

    Attributes:
        analyzer: "word", "char" or "char_wb".
        pattern: what `re.findall` finds the tokens by, for words.
        lower: whether letters become small.
        accents: how they are stripped.
        sizes: the lengths of n-grams.
        stops: the tokens that are left out, for words.
    """

    analyzer: str
    pattern: str
    lower: bool
    accents: Accents
    sizes: range
    stops: frozenset[str]


@dataclass(frozen=True)
class Tokens:
    """Numbered tokens, and the vocabulary in the same numbers.

    Attributes:
        ids: INT64 `[N, longest]`.
        columns: by n-gram, its column. What occurs in no text may be missing.
    """

    ids: str
    columns: Mapping[tuple[int, ...], int]


def read(graph: Graph, text: str, reading: Reading, vocabulary: Mapping[str, int]) -> Tokens:
    """Return the tokens of texts `[N]`.

    Raises:
        NotTheSame: they may be other than in Python.
    """
    readers = {"char": _characters, "char_wb": _characters_of_words, "word": _words}
    return readers[reading.analyzer](graph, text, reading, vocabulary)


def _words(graph: Graph, text: str, reading: Reading, vocabulary: Mapping[str, int]) -> Tokens:
    found = cut_of(reading.pattern)
    single = reading.sizes.stop == 2  # then a token is not told from an n-gram by its spaces
    if found.blanks and not single:
        raise NotTheSame("its tokens may hold spaces, as n-grams do between their tokens")
    split = ((key,) if single else tuple(key.split(" ")) for key in vocabulary)
    grams = {
        gram: column
        for gram, column in zip(split, vocabulary.values(), strict=True)
        if len(gram) in reading.sizes and PAD not in gram and not reading.stops & set(gram)
    }
    numbers = _numbered(grams)
    left_out = dict.fromkeys(reading.stops - {PAD}, DROPPED)
    if found.others is None:
        text = fold(graph, text, lower=reading.lower, accents=reading.accents)
        words = cut(graph, text, found.token)
        ids = _encoded(graph, words, {**numbers, **left_out})
        if found.whole:
            right = graph.op("RegexFullMatch", words, pattern=found.whole)
            ids = graph.op("Where", right, ids, DROPPED)
    else:
        left_out |= dict.fromkeys(found.others, DROPPED)
        ids = _letters(graph, text, reading, {**numbers, **left_out})
    if not single and (left_out or found.whole):
        ids = _compact(graph, ids, graph.op("Greater", ids, DROPPED))
    return Tokens(ids, _in_numbers(grams, numbers))


def _characters(graph: Graph, text: str, reading: Reading, vocabulary: Mapping[str, int]) -> Tokens:
    """Of two or more blanks one space is left; a single blank stays what it is."""
    grams = {tuple(key): column for key, column in vocabulary.items() if len(key) in reading.sizes}
    numbers = _numbered(grams) | {blank: BLANK - place for place, blank in enumerate(BLANKS)}
    ids = _letters(graph, text, reading, numbers)
    padded = graph.op("Pad", ids, np.array([0, 1, 0, 1]), UNKNOWN)
    blank = graph.op("Less", padded, 0)
    here, before, after = (_columns(graph, blank, *ends) for ends in ((1, -1), (0, -2), (2, None)))
    beside = graph.op("And", here, graph.op("Or", before, after))
    spaced = graph.op("Where", beside, BLANK, ids)
    keep = graph.op("Not", graph.op("And", here, before))
    return Tokens(_compact(graph, spaced, keep), _in_numbers(grams, numbers))


def _characters_of_words(
    graph: Graph, text: str, reading: Reading, vocabulary: Mapping[str, int]
) -> Tokens:
    """Words stand between spaces; one that is too short for any n-gram is one itself.

    Two words share the blanks between them here, so an n-gram with a blank inside is none. A single
    space as an n-gram is counted apart, for each word has two of its own.
    """
    grams = {
        (EDGE,) if key == " " else tuple(key): column
        for key, column in vocabulary.items()
        if len(key) in reading.sizes or _is_short_word(key, reading)
        if not any(c.isspace() for c in key[1:-1]) and key.strip(" ") == key.strip()
        if key == " " or key.strip()
    }
    numbers = _numbered(grams) | dict.fromkeys([*BLANKS, PAD], BLANK)
    ids = _letters(graph, text, reading, numbers)
    edged = graph.op("Pad", ids, np.array([0, 1, 0, 1]), BLANK)
    if (EDGE,) in grams:
        blank = graph.op("Equal", edged, BLANK)
        before, after = _columns(graph, blank, 0, -1), _columns(graph, blank, 1, None)
        begins = graph.op("And", before, graph.op("Not", after))
        edge = graph.op("Where", begins, numbers[EDGE], UNKNOWN)
        edged = graph.op("Concat", edged, edge, edge, axis=1)
    return Tokens(edged, _in_numbers(grams, numbers))


def _is_short_word(key: str, reading: Reading) -> bool:
    return len(key) < reading.sizes.start and len(key) > 2 and key[0] == key[-1] == " "


def _letters(graph: Graph, text: str, reading: Reading, numbers: Mapping[str, int]) -> str:
    """Return the numbers of the characters of texts, `[N, longest]`."""
    if reading.accents:
        text = fold(graph, text, lower=reading.lower, accents=reading.accents)
    elif reading.lower:
        text = regular(graph, text)
        numbers = {
            character: number
            for small, number in numbers.items()
            if small.lower() == small  # no text holds others
            for character in capitals().get(small, [small])
        }
    return _encoded(graph, cut(graph, text, EVERY_CHARACTER), numbers)


def _encoded(graph: Graph, tokens: str, numbers: Mapping[str, int]) -> str:
    return graph.op(
        "LabelEncoder",
        tokens,
        domain=ML,
        keys_strings=list(numbers) or [PAD],
        values_int64s=list(numbers.values()) or [UNKNOWN],
        default_int64=UNKNOWN,
    )


def _compact(graph: Graph, ids: str, keep: str) -> str:
    """Move the tokens that are kept together; behind them there is room for one that is not."""
    rows, width = graph.op("Shape", ids, end=1), graph.op("Shape", ids, start=1)
    shape = graph.op("Concat", rows, graph.op("Add", width, 1), axis=0)
    kept = graph.op("CumSum", graph.op("Cast", keep, to=TensorProto.INT64), 1)
    place = graph.op("Where", keep, graph.op("Sub", kept, 1), width)
    empty = graph.op("Expand", np.array([UNKNOWN]), shape)
    tokens = graph.op("Where", keep, ids, UNKNOWN)
    return graph.op("ScatterElements", empty, place, tokens, axis=1)


def _columns(graph: Graph, tensor: str, start: int, end: int | None) -> str:
    end = np.iinfo(np.int64).max if end is None else end
    return graph.op("Slice", tensor, np.array([start]), np.array([end]), np.array([1]))


def _numbered(grams: Iterable[tuple[str, ...]]) -> dict[str, int]:
    tokens = dict.fromkeys(token for gram in grams for token in gram)
    return {token: number for number, token in enumerate(tokens, 1)}


def _in_numbers(
    grams: Mapping[tuple[str, ...], int], numbers: Mapping[str, int]
) -> dict[tuple[int, ...], int]:
    return {tuple(numbers[t] for t in gram): column for gram, column in grams.items()}
