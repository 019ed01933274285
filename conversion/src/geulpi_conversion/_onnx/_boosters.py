"""Knows the translators of xgboost and lightgbm, which need not be installed."""

from __future__ import annotations

import importlib
import sys

from geulpi_conversion._onnx._graph import Translator

# By package, the module that translates it.
OPTIONAL = {"lightgbm": "_lightgbm", "xgboost": "_xgboost"}


def translators() -> dict[type, Translator]:
    """Return those of the packages in use: whoever holds an estimator has imported its package."""
    found: dict[type, Translator] = {}
    for package, module in OPTIONAL.items():
        if package in sys.modules:
            found |= importlib.import_module(f"{__package__}.{module}").TRANSLATORS
    return found
