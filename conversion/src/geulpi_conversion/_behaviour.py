"""Whether an estimator says the same twice, and the same to a row alone as among others."""

from __future__ import annotations

import warnings
from typing import Any

from geulpi_conversion._answers import Answers
from geulpi_conversion._backend.geulpi_served import answer
from geulpi_conversion._parity import compare
from geulpi_conversion._sample import Sample


def is_random(estimator: Any, sample: Sample, answers: Answers) -> bool:
    """Whether the estimator answers the same rows otherwise when it is asked again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = answer(estimator, sample.native, tuple(answers.reference))
    return not _same(answers.reference, again)


def depends_on_batch(answers: Answers) -> bool:
    """Whether a row's answer is another one when the row is asked alone.

    Such are decompositions that iterate until the whole batch has settled.
    """
    rows = len(next(iter(answers.singles.values())))
    return not _same({n: v[:rows] for n, v in answers.reference.items()}, answers.singles)


def _same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return all(compare(name, first[name], [second[name]]).rows_over == 0 for name in first)
