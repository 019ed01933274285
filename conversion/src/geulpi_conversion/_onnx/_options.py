"""What skl2onnx must be told to convert an estimator right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common._registration import get_converter
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import StandardScaler

# What Python's \s matches in a str; RE2, which cuts the tokens of an ONNX model, knows ASCII only.
BLANKS = (
    r"\x{09}-\x{0d}\x{1c}-\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}"
    r"\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
)
# Token patterns of scikit-learn, and what cuts the same tokens by RE2.
TOKENS = {
    r"(?u)\b\w\w+\b": r"[\p{L}\p{N}_]{2,}",
    r"(?u)\S": f"[^{BLANKS}]",
    r"\S": f"[^{BLANKS}]",
}


def options(estimator: Any, *, decision: bool) -> dict[int, dict[str, Any]]:
    """Return skl2onnx's options by id of the part of the estimator that they are for.

    Args:
        estimator: the fitted estimator.
        decision: whether `decision_function` is wanted, not probabilities.

    Raises:
        ValueError: a text vectorizer cuts its tokens in a way that has no ONNX form.
    """
    inside = list(parts(estimator))
    chosen: dict[int, dict[str, Any]] = {}
    # Products round otherwise than quotients do, and a tree's threshold tells.
    trees = any(hasattr(part, "tree_") for part in inside)
    for part in inside:
        if isinstance(part, CountVectorizer):
            # Slim systems lack the default, en_US.UTF-8.
            chosen[id(part)] = {"locale": "C.UTF-8", "tokenexp": _tokens(part)}
        elif isinstance(part, StandardScaler) and trees:
            chosen[id(part)] = {"div": "div"}
    last = _last(estimator)
    if decision and "raw_scores" in _allowed(last):
        chosen[id(last)] = {"raw_scores": True}
    return chosen


def _tokens(vectorizer: CountVectorizer) -> str:
    if vectorizer.analyzer != "word" or vectorizer.tokenizer is not None:
        raise ValueError(f"{type(vectorizer).__name__} cuts letters or by a function of its own")
    if vectorizer.token_pattern not in TOKENS:
        raise ValueError(f"the token pattern {vectorizer.token_pattern!r} has no proven ONNX form")
    return TOKENS[vectorizer.token_pattern]


def parts(estimator: Any) -> Iterator[Any]:
    """Yield the estimator and every estimator inside it, fitted or not."""
    yield estimator
    for value in vars(estimator).values():
        yield from _parts_of_value(value)


def _parts_of_value(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _parts_of_value(item)
    elif hasattr(value, "get_params") and not isinstance(value, type):
        yield from parts(value)


def _last(estimator: Any) -> Any:
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[-1][1]
    return estimator


def _allowed(estimator: Any) -> dict[str, Any]:
    alias = sklearn_operator_name_map.get(type(estimator))
    return (get_converter(alias).get_allowed_options() or {}) if alias else {}
