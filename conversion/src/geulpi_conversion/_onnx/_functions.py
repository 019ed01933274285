"""FunctionTransformer, of functions that are a few operators of ONNX."""

from __future__ import annotations

import numpy as np
from sklearn.preprocessing import FunctionTransformer

from geulpi_conversion._onnx._graph import Graph, Translator, Untranslatable
from geulpi_conversion._onnx._numpy import narrow, wide
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._ufuncs import UFUNCS


def function(
    graph: Graph, estimator: FunctionTransformer, table: Table, _method: str
) -> Value | Table:
    """Apply a known function of numpy or scipy to each number; no function changes nothing.

    Raises:
        Untranslatable: another function, arguments for it, or no numbers to apply it to.
    """
    func = estimator.func
    if func is None:
        return table
    name = getattr(func, "__name__", repr(func))
    if estimator.kw_args:
        raise Untranslatable(estimator, f"the function '{name}' is given arguments")
    ufunc = UFUNCS.get(func) if getattr(func, "__hash__", None) else None
    if ufunc is None:
        raise Untranslatable(estimator, f"the function '{name}' has no ONNX form")
    if not table.kinds <= {"float", "double", "int64"}:
        raise Untranslatable(estimator, f"'{name}' would be given what are no numbers")
    if func is np.reciprocal and "int64" in table.kinds:
        raise Untranslatable(estimator, "numpy's reciprocal of integers is an integer")
    return narrow(graph, ufunc(graph, wide(graph, table)), table.width)


TRANSLATORS: dict[type, Translator] = {FunctionTransformer: function}
