"""Compares what a translated estimator answers, in ONNX Runtime, with the estimator's own word."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from geulpi_conversion._answers import find_answers
from geulpi_conversion._converted import OutputParity
from geulpi_conversion._onnx._candidate import runner
from geulpi_conversion._onnx._model import OnnxModel, build_model
from geulpi_conversion._parity import compare
from geulpi_conversion._sample import read_sample


def translated(
    estimator: Any, sample: Any, *, double: bool = False, precision: str = "FP32"
) -> OnnxModel:
    """Return the ONNX model of an estimator, without any proof."""
    read = read_sample(sample)
    inputs = read.inputs(precision)
    outputs = find_answers(estimator, read).outputs
    return build_model(
        estimator, inputs, outputs, {}, read.missing, nones=read.nones, double=double
    )


def compared(
    estimator: Any,
    sample: Any,
    *,
    double: bool = False,
    precision: str = "FP32",
    rows: Sequence[Any] = (),
) -> list[OutputParity]:
    """Return the comparison of each output, on the sample and on further rows like it.

    The estimator is asked with what the tensors carry: a float64 sample is rounded to FP32 first.
    """
    model = translated(estimator, sample, double=double, precision=precision)
    run = runner(model.content)
    found = []
    for given in (sample, *rows):
        read = read_sample(given)
        tensors = read.tensors(read.inputs(precision))
        native = read.layout.to_native(tensors)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reference = find_answers(estimator, read_sample(native)).reference
            answers = run(tensors)
        found += [compare(name, values, [answers[name]]) for name, values in reference.items()]
    return found


def assert_translated(estimator: Any, sample: Any, **options: Any) -> None:
    """Check that every output is the estimator's on every row."""
    for output in compared(estimator, sample, **options):
        assert output.rows_over == 0, output
        if output.name != "label":
            assert np.isfinite(output.max_abs)
