"""Trains a small student on the soft answers of a fitted teacher.

Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network (2015): the teacher's
probabilities say more about a row than its label does. scikit-learn's classifiers take them as
weights: each row is there once for each class, weighted by its probability.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import is_classifier, is_regressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from geulpi_conversion._errors import CannotDistill

Array = np.ndarray[Any, Any]

HELD_OUT = 0.25  # of the sample, to judge the student by
FEWEST_ROWS = 40
LEAST_FIDELITY = 0.9  # below, the student is another model
GOOD_FIDELITY = 0.98  # a smaller student than the best will do
# From the smallest to the largest.
CLASSIFIERS: tuple[Callable[[], Any], ...] = (
    lambda: make_pipeline(StandardScaler(with_mean=False), LogisticRegression(max_iter=1000)),
    lambda: DecisionTreeClassifier(max_leaf_nodes=64, random_state=0),
    lambda: HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=8, random_state=0),
)
REGRESSORS: tuple[Callable[[], Any], ...] = (
    lambda: make_pipeline(StandardScaler(with_mean=False), Ridge()),
    lambda: DecisionTreeRegressor(max_leaf_nodes=64, random_state=0),
    lambda: HistGradientBoostingRegressor(max_iter=30, max_leaf_nodes=8, random_state=0),
)


@dataclass(frozen=True)
class Student:
    """A fitted student, and how far it answers as the teacher does.

    Attributes:
        estimator: with the teacher's own steps before it, where the teacher is a pipeline.
        fidelity: on held-out rows: the share with the teacher's label, or R² of its predictions.
        rows: so many were held out.
    """

    estimator: Any
    fidelity: float
    rows: int


def distill(teacher: Any, sample: Any) -> Student:
    """Return the smallest student that is good enough, else the best one.

    Args:
        teacher: a fitted classifier with probabilities, or a regressor of one target; of a pipeline
            the steps before the last are kept, and the last is replaced.
        sample: rows as the teacher takes them.

    Raises:
        CannotDistill: the teacher is neither, the sample is small, or no student is good enough.
    """
    *before, last = [step for _, step in teacher.steps] if hasattr(teacher, "steps") else [teacher]
    features = sample
    for step in before:
        features = features if step in {None, "passthrough"} else step.transform(features)
    matrix: Any = features if sparse.issparse(features) else np.asarray(features)
    if matrix.dtype == np.object_ or matrix.ndim != 2:
        raise CannotDistill(teacher, "what it is given are no numbers")
    rows = matrix.shape[0]
    if rows < FEWEST_ROWS:
        raise CannotDistill(teacher, f"the sample has {rows} rows, {FEWEST_ROWS} are needed")
    order = np.random.default_rng(0).permutation(rows)
    held = max(1, int(rows * HELD_OUT))
    known, asked = matrix[order[held:]], matrix[order[:held]]
    best: tuple[float, Any] | None = None
    for student in _students(teacher, last, known):
        fidelity = _fidelity(last, student, asked, _dense(asked))
        if best is None or fidelity > best[0]:
            best = fidelity, student
        if fidelity >= GOOD_FIDELITY:
            break
    if best is None or best[0] < LEAST_FIDELITY:
        found = best[0] if best else 0.0
        raise CannotDistill(
            teacher,
            f"the best student agrees with it on {found:.1%} of the held-out rows, "
            f"{LEAST_FIDELITY:.0%} are needed",
        )
    steps = [step for step in before if step not in {None, "passthrough"}]
    whole = make_pipeline(*steps, best[1]) if steps else best[1]
    return Student(whole, best[0], held)


def _students(teacher: Any, last: Any, known: Any) -> Iterator[Any]:
    dense = _dense(known)
    if is_classifier(last) and hasattr(last, "predict_proba") and np.ndim(last.classes_[0]) == 0:
        soft = last.predict_proba(known)
        labels = np.repeat(np.asarray(last.classes_), len(dense))
        rows, weights = np.concatenate([dense] * soft.shape[1]), soft.T.ravel()
        used = weights > 1e-6
        for make in CLASSIFIERS:
            yield _fitted(make(), rows[used], labels[used], weights[used])
    elif is_regressor(last) and np.ndim(last.predict(known)) == 1:
        answers = last.predict(known)
        for make in REGRESSORS:
            yield make().fit(dense, answers)
    else:
        raise CannotDistill(teacher, "it is no classifier with probabilities and no regressor")


def _fitted(student: Any, rows: Array, labels: Array, weights: Array) -> Any:
    last = student.steps[-1][0] + "__" if hasattr(student, "steps") else ""
    return student.fit(rows, labels, **{f"{last}sample_weight": weights})


def _fidelity(teacher: Any, student: Any, asked: Any, dense: Array) -> float:
    if is_classifier(teacher):
        return float(np.mean(teacher.predict(asked) == student.predict(dense)))
    return float(r2_score(teacher.predict(asked), student.predict(dense)))


def _dense(matrix: Any) -> Any:
    return matrix.toarray() if hasattr(matrix, "toarray") else matrix
