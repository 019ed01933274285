"""Translates text vectorizers: n-grams of words or characters, counted and weighted."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfTransformer,
    TfidfVectorizer,
)

from geulpi_conversion._onnx._graph import Graph, Translator, Untranslatable
from geulpi_conversion._onnx._regex import NotTheSame
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._tokens import Reading, Tokens, read

NEVER = -1000  # a number that no token has


def count_vectorizer(graph: Graph, estimator: CountVectorizer, table: Table, _method: str) -> Value:
    """Count the n-grams of the vocabulary in a column of texts."""
    if table.kinds != {"string"} or table.width != 1:
        raise Untranslatable(estimator, "it takes one column of texts")
    text = graph.op("Reshape", table.values[0].name, np.array([-1]))
    reading = _reading(estimator)
    try:
        tokens = read(graph, text, reading, estimator.vocabulary_)
    except NotTheSame as error:
        why = f"the token pattern {reading.pattern!r} has no proven ONNX form: {error}"
        raise Untranslatable(estimator, why) from error
    graph.note("texts are folded and cut as Python does it, for all of Unicode")
    return _counts(graph, tokens, len(estimator.vocabulary_), binary=estimator.binary)


def tfidf_vectorizer(graph: Graph, estimator: TfidfVectorizer, table: Table, method: str) -> Value:
    """Count n-grams and weigh the counts."""
    counts = count_vectorizer(graph, estimator, table, method)
    return _weighted(graph, estimator._tfidf, counts)  # noqa: SLF001 -- the fitted transformer


def tfidf_transformer(
    graph: Graph, estimator: TfidfTransformer, table: Table, _method: str
) -> Value:
    """Weigh counts that something else has made."""
    return _weighted(graph, estimator, graph.matrix(table))


def hashed(_graph: Graph, estimator: Any, _table: Table, _method: str) -> Value:
    """Refuse: the columns are chosen by a hash that ONNX lacks."""
    raise Untranslatable(estimator, "ONNX has no MurmurHash, which chooses its columns")


def dict_vectorizer(_graph: Graph, estimator: Any, _table: Table, _method: str) -> Value:
    """Refuse: a tensor holds no dicts."""
    raise Untranslatable(estimator, "it takes dicts, which no tensor holds")


def _reading(estimator: CountVectorizer) -> Reading:
    """Return how a vectorizer reads texts; the functions that are known are options, too."""
    if estimator.input != "content":
        raise Untranslatable(estimator, f"it reads texts from a {estimator.input}")
    if callable(estimator.analyzer):
        raise Untranslatable(estimator, "its analyzer is a function")
    lower, accents = estimator.lowercase, estimator.strip_accents
    if estimator.preprocessor is not None:
        if estimator.preprocessor is not str.lower:
            raise Untranslatable(estimator, "its preprocessor is a function")
        lower, accents = True, None
    if callable(accents):
        raise Untranslatable(estimator, "its accents are stripped by a function")
    words = estimator.analyzer == "word"
    pattern = estimator.token_pattern
    if words and estimator.tokenizer is not None:
        if estimator.tokenizer is not str.split:
            raise Untranslatable(estimator, "its tokenizer is a function")
        pattern = r"\S+"
    least, most = estimator.ngram_range
    stops = frozenset(estimator.get_stop_words() or ()) if words else frozenset()
    return Reading(estimator.analyzer, pattern, bool(lower), accents, range(least, most + 1), stops)


def _counts(graph: Graph, tokens: Tokens, width: int, *, binary: bool) -> Value:
    """Count n-grams. Every column has one, if need be one that never occurs."""
    columns: dict[tuple[int, ...], int] = dict(tokens.columns)
    missing = set(range(width)).difference(columns.values())
    columns.update({(NEVER - column,): column for column in missing})
    grams = sorted(columns, key=len)
    sizes = [len(gram) for gram in grams]
    starts = [sum(s for s in sizes if s < size) for size in range(1, sizes[-1] + 1)]
    counts = graph.op(
        "TfIdfVectorizer",
        tokens.ids,
        mode="IDF" if binary else "TF",  # the former, without weights, is 1 for any count
        min_gram_length=sizes[0],
        max_gram_length=sizes[-1],
        max_skip_count=0,
        ngram_counts=starts,
        ngram_indexes=[columns[gram] for gram in grams],
        pool_int64s=[number for gram in grams for number in gram],
    )
    return graph.cast(Value(counts, "float", width), graph.kind)


def _weighted(graph: Graph, estimator: TfidfTransformer, counts: Value) -> Value:
    found = counts.name
    if estimator.sublinear_tf:
        grown = graph.op("Add", graph.op("Log", found), 1.0)
        found = graph.op("Where", graph.op("Equal", found, 0.0), 0.0, grown)
    if hasattr(estimator, "idf_"):
        found = graph.op("Mul", found, estimator.idf_[np.newaxis])
    if estimator.norm is not None:
        found = _normalized(graph, found, estimator.norm)
    return graph.value(found, counts.width)


def _normalized(graph: Graph, rows: str, norm: str) -> str:
    """Divide rows by their norm, but those of zeros.

    Several times as fast as `Normalizer` and `ReduceL2`, which don't use the CPU's vectors.
    """
    sizes = graph.op("Abs", rows) if norm == "l1" else graph.op("Mul", rows, rows)
    total = graph.op("ReduceSum", sizes, np.array([1]), keepdims=1)
    length = total if norm == "l1" else graph.op("Sqrt", total)
    length = graph.op("Where", graph.op("Equal", length, 0.0), 1.0, length)
    return graph.op("Mul", rows, graph.op("Reciprocal", length))


TRANSLATORS: dict[type, Translator] = {
    CountVectorizer: count_vectorizer,
    DictVectorizer: dict_vectorizer,
    FeatureHasher: hashed,
    HashingVectorizer: hashed,
    TfidfTransformer: tfidf_transformer,
    TfidfVectorizer: tfidf_vectorizer,
}
