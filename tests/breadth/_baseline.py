"""What skl2onnx reaches by itself: `to_onnx(estimator, X[:1])`, no options but zipmap off."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from breadth._cases import Data
from breadth._judge import METHODS, Question, answers, difference, ties
from breadth._rows import Array, carried, count, special_rows

LIMIT_S = 20.0  # some conversions never end
FIRST = ("label", "prediction", "features")


@dataclass(frozen=True)
class Plain:
    """What plain skl2onnx reaches.

    Attributes:
        why: what is wrong with it; "" where nothing is.
        ordinary: whether it is right at least on the sample and the fresh rows.
    """

    why: str
    ordinary: bool = False

    @property
    def right(self) -> bool:
        """Whether it is right on all rows."""
        return not self.why


def plain(estimator: Any, data: Data, outputs: list[str]) -> Plain:
    """Judge plain skl2onnx as ours is judged, on the same rows with the same outputs.

    But for two things in its favour: groups with rows that the estimator refuses are not asked, and
    of two columns of a decision either will do.
    """
    asked = []
    groups = {"sample": data.rows, "fresh": data.fresh} | special_rows(data)
    for group, rows in groups.items():
        rounded = carried(rows, single=True)
        expected = answers(estimator, rounded, outputs)
        if expected is not None:
            tied = ties(estimator, rounded, expected)
            asked.append((rounded, Question(group, {}, expected, tied)))
    fork = multiprocessing.get_context("fork")  # the estimator need not be pickled
    ours, theirs = fork.Pipe()
    process = fork.Process(target=_answer, args=(theirs, estimator, data.rows, asked))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(LIMIT_S) else Plain(f"took longer than {LIMIT_S:g} s")
    except EOFError:
        return Plain("its process died")
    finally:
        process.kill()
        process.join()
        ours.close()


def _answer(connection: Any, *job: Any) -> None:
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            told = _judged(*job)
    except Exception as error:  # noqa: BLE001 -- whatever it is, that is the result
        lines = str(error).strip().splitlines() or [""]
        told = Plain(f"{type(error).__name__}: {lines[0][:150]}")
    connection.send(told)


def _judged(estimator: Any, sample: Any, asked: list[tuple[Any, Question]]) -> Plain:
    session = _session(estimator, sample)
    names = [given.name for given in session.get_inputs()]
    for rows, question in asked:
        # Names of columns are rewritten; their order is kept.
        feeds = dict(zip(names, _given(rows).values(), strict=False))
        try:
            found: Any = _named(session.run(None, feeds), question, count(rows))
        except Exception as error:  # noqa: BLE001 -- a refusal, whatever it is called
            found = str(error)
        if why := difference(question, found):
            return Plain(why, ordinary=question.group not in {"sample", "fresh"})
    return Plain("", ordinary=True)


def _session(estimator: Any, sample: Any) -> Any:
    import onnxruntime  # only in this process
    from skl2onnx import to_onnx

    columns = {name: values[:1] for name, values in _given(sample).items()}
    frame = isinstance(sample, pd.DataFrame)
    first = pd.DataFrame({k: v[:, 0] for k, v in columns.items()}) if frame else columns["X"]
    try:
        model = to_onnx(estimator, first, options={id(estimator): {"zipmap": False}})
    except NameError:  # what has no such option
        model = to_onnx(estimator, first)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), settings)


def _given(rows: Any) -> dict[str, Array]:
    """Return rows as skl2onnx's documentation gives them: FP32, INT64, strings; columns by name."""
    if isinstance(rows, pd.DataFrame):
        return {str(name): _column(rows[name]) for name in rows}
    array = np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows)
    if array.ndim == 1:
        array = array.reshape(-1, 1)
    if array.dtype.kind in "US":
        array = array.astype(object)
    return {"X": array.astype(np.float32) if array.dtype.kind == "f" else array}


def _column(series: pd.Series[Any]) -> Any:
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(series.cat.categories.dtype if not series.isna().any() else object)
    values = series.to_numpy()
    if values.dtype.kind == "f":
        values = values.astype(np.float32)
    return values.reshape(-1, 1)


def _named(given: list[Any], question: Question, rows: int) -> dict[str, Array]:
    named = {}
    for name, reference in (question.expected or {}).items():
        first = METHODS[name] in {"predict", "transform"} or len(given) == 1
        values = given[0] if first else given[1]
        if isinstance(values, list) and isinstance(values[0], dict):
            values = [list(row.values()) for row in values]
        array = np.asarray(values)
        matrix = array.reshape(rows, -1) if array.size % max(rows, 1) == 0 else array
        if matrix.ndim == 2 and matrix.shape[1] == 2 and reference.shape[1] == 1:
            matrix = _closer(matrix, reference)
        named[name] = matrix
    return named


def _closer(pair: Array, reference: Array) -> Array:
    place = int(np.nansum(np.abs(pair - reference), axis=0).argmin())
    return pair[:, place : place + 1]
