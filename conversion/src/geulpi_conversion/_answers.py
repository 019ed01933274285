"""Finds what a fitted estimator answers: its outputs, and its own answers to the sample."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from geulpi_conversion._backend.geulpi_served import METHODS, UnservableAnswer, answer
from geulpi_conversion._converted import Datatype, TensorSpec
from geulpi_conversion._errors import NotFitted, SampleMismatch, Unservable
from geulpi_conversion._sample import Sample

# By kind of estimator, the outputs it may have; of those in brackets the first that it has.
OUTPUTS: dict[str | None, tuple[str, tuple[str, ...]]] = {
    "classifier": ("label", ("probabilities", "decision")),
    "density_estimator": ("label", ("probabilities",)),
    "outlier_detector": ("label", ("score",)),
    "clusterer": ("label", ()),
    "regressor": ("prediction", ()),
    None: ("features", ()),
}
# What answers for new rows by another method than predict or transform.
OTHERWISE = (("log_density",), ("distances", "indices"))
SINGLE_ROWS = 5  # of the sample, asked one by one as well
# By numpy's kind of the answer, what is served.
DATATYPES: dict[str, Datatype] = {"i": "INT64", "O": "BYTES", "f": "FP32"}


@dataclass(frozen=True)
class Answers:
    """What an estimator answers, and what it answered to the sample.

    Attributes:
        outputs: the tensors of the served model.
        reference: the answers to the sample in the estimator's own precision, by output.
        singles: the answers to its first rows, each asked alone.
    """

    outputs: tuple[TensorSpec, ...]
    reference: dict[str, np.ndarray[Any, Any]]
    singles: dict[str, np.ndarray[Any, Any]]


def check_fitted(estimator: Any) -> None:
    """Check that this is an estimator, and a fitted one.

    Raises:
        NotFitted: it was never fitted.
        Unservable: it is no estimator.
    """
    try:
        check_is_fitted(estimator)
    except NotFittedError as error:
        raise NotFitted(estimator) from error
    except TypeError as error:
        raise Unservable(
            estimator, "it is no estimator instance", "pass a fitted scikit-learn estimator"
        ) from error


def find_answers(estimator: Any, sample: Sample) -> Answers:
    """Ask the estimator about the sample.

    Raises:
        NotFitted: a part of it was never fitted.
        SampleMismatch: it refuses the sample.
        Unservable: it has no answer for new rows, or none that fits a tensor.
    """
    names = output_names(estimator)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fitted with column names, asked without: its affair
            reference = answer(estimator, sample.native, names[:1])
            if names[0] == "label" and reference["label"].shape[1] > 1:
                names = names[:1]  # several labels at once: each has probabilities of its own
            reference |= _second(estimator, sample, names[1:])
            singles = [
                answer(estimator, one_row(sample.native, row), tuple(reference))
                for row in range(min(sample.rows, SINGLE_ROWS))
            ]
    except NotFittedError as error:
        raise NotFitted(estimator) from error
    except UnservableAnswer as error:
        raise Unservable(
            estimator, str(error), "fit it with labels that are integers or strings"
        ) from error
    except Exception as error:
        raise SampleMismatch(
            f"{type(estimator).__name__} refuses it: {str(error).rstrip('.')}",
            "give rows like those that the estimator was fitted with",
        ) from error
    outputs = tuple(
        TensorSpec(
            name,
            DATATYPES[values.dtype.kind],
            values.shape[1],
        )
        for name, values in reference.items()
    )
    _check_numbers(estimator, reference)
    joined = {name: np.concatenate([one[name] for one in singles]) for name in reference}
    return Answers(outputs, reference, joined)


def _second(
    estimator: Any, sample: Sample, names: tuple[str, ...]
) -> dict[str, np.ndarray[Any, Any]]:
    """Return the answers beside the main one; some methods are there and always raise."""
    try:
        return answer(estimator, sample.native, names)
    except Exception:  # noqa: BLE001 -- it has answered the sample already
        return {}


def one_row(native: Any, row: int) -> Any:
    """Return a single row of a sample, as the same kind of thing."""
    return native.iloc[row : row + 1] if hasattr(native, "iloc") else native[row : row + 1]


def _check_numbers(estimator: Any, reference: dict[str, np.ndarray[Any, Any]]) -> None:
    """Check that answers are numbers; a transformer may hand a missing value on."""
    for name, values in reference.items():
        if name == "features" or values.dtype.kind != "f":
            continue
        if (bad := ~np.isfinite(values).all(axis=1)).any():
            row = int(np.argmax(bad))
            raise Unservable(
                estimator,
                f"its {name} for row {row} of the sample is {values[row].tolist()}, no finite "
                "number",
                "fit it anew on data that it can learn from, and look at its warnings",
            )


def output_names(estimator: Any) -> tuple[str, ...]:
    """Return the names of the tensors that an estimator of this kind answers.

    Raises:
        Unservable: it has no answer for new rows.
    """
    main, alternatives = OUTPUTS[_kind(estimator)]
    if not hasattr(estimator, METHODS[main]):
        main, alternatives = OUTPUTS[None]
    if not hasattr(estimator, METHODS[main]):
        for others in OTHERWISE if _kind(estimator) is None else ():
            if hasattr(estimator, METHODS[others[0]]):
                return others
        raise Unservable(
            estimator,
            "it has neither predict nor transform for new rows",
            "fit a classifier or regressor on what it found, such as its labels_, and convert that",
        )
    second = next((name for name in alternatives if hasattr(estimator, METHODS[name])), None)
    return (main, second) if second else (main,)


def _kind(estimator: Any) -> str | None:
    try:
        kind: str | None = get_tags(estimator).estimator_type
    except (AttributeError, TypeError):  # no BaseEstimator
        kind = None
    if kind in OUTPUTS and kind is not None:
        return kind
    if not hasattr(estimator, "predict"):
        return None
    return "classifier" if hasattr(estimator, "classes_") else "regressor"
