"""`convert`: a fitted estimator becomes a model that provably gives the same answers."""

from __future__ import annotations

import re
from typing import Any, Literal

from geulpi_conversion._converted import Converted
from geulpi_conversion._errors import InvalidName

TIMEOUT_S = 120.0  # of one way of serving; some conversions never end
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def convert(
    estimator: Any,
    sample: Any,
    name: str,
    *,
    optimize: bool = False,
    quantize: Literal["float16", "int8"] | None = None,
    compress: bool = False,
    distill: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> Converted:
    """Convert a fitted scikit-learn estimator into a Triton model, and prove that it is right.

    The model is tried as ONNX computed in float32, then in float64, then with FP64 inputs where the
    sample has them, then as the estimator itself behind Triton's Python backend. Each is run as
    the server would run it, in a process of its own; the first is taken whose labels equal the
    estimator's on every row, whose floats differ by no more than rounding, and which refuses what
    the estimator refuses: on the sample, and on rows made from it to provoke differences.

    Args:
        estimator: a fitted estimator that has `predict` or `transform`.
        sample: rows like those that will be asked, odd ones among them: a DataFrame (one input
            for each column, `[N, 1]`), a 2-D array `[N, n_features]` of numbers or strings (one
            input `X`) or a sparse matrix, a list, 1-D array or Series of texts (`X`, BYTES
            `[N, 1]`), or a list of dicts (`X`, BYTES `[N, 1]`, each JSON).
        name: of the model in Triton; 1 to 64 of `A-Z a-z 0-9 _ -`.
        optimize: let ONNX Runtime optimise the graph now, not at each start.
        quantize: store the weights of an ONNX model as float16 or int8; the answers may be
            farther off then, within the tolerance that `parity.json` states.
        compress: make the artefact of the Python backend as small as it gets.
        distill: serve a small student that is trained on the estimator's own answers.
        timeout_s: how long one way of serving may take to be made and proven.

    Returns:
        The model, whose `parity` holds. Outputs by kind of estimator: `label` `[N, 1]` INT64 or
        BYTES with `probabilities` `[N, n_classes]` FP32, else `decision`; `prediction`
        `[N, n_targets]` FP32; `features` `[N, k]` FP32; `label`; `label` and `score`;
        of a KernelDensity `log_density`, of NearestNeighbors `distances` and `indices`.

    Raises:
        InvalidName: the name can't be used.
        NotFitted: the estimator was never fitted.
        SampleMismatch: the estimator refuses the sample, or no tensor can carry it.
        Unservable: the estimator has no answer for new rows, or none that fits a tensor.
        NoFaithfulRoute: nothing that could be served gives the estimator's answers.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidName(name)
    # scikit-learn, skl2onnx and ONNX Runtime take a second to import: not for `geulpi --help`.
    from geulpi_conversion._lighter import Lighter  # noqa: PLC0415
    from geulpi_conversion._routes import first_faithful  # noqa: PLC0415

    lighter = Lighter(optimize=optimize, quantize=quantize, compress=compress, distill=distill)
    return first_faithful(estimator, sample, name, timeout_s=timeout_s, lighter=lighter)
