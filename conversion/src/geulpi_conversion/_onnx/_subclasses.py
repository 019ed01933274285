"""Finds whose methods an estimator of a user's own class has."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

# What a class may define and yet answer, from what it was fitted to, as its base does.
TRAINING = {"fit", "fit_predict", "fit_transform", "partial_fit", "score", "__init__", "__repr__"}
# What Python and scikit-learn write into every class.
BOOKKEEPING = {
    "__abstractmethods__", "__annotations__", "__dict__", "__doc__", "__module__",
    "__orig_bases__", "__parameters__", "__qualname__", "__weakref__", "_abc_impl",
    "_parameter_constraints", "_sklearn_auto_wrap_output_keys",
}  # fmt: skip


def as_base(estimator: Any, known: Container[type]) -> Any:
    """Return the estimator as one of a known class or scikit-learn's, if it answers as that does.

    It does if its own classes define nothing but how to be trained; else it is returned as it is.

    Args:
        estimator: of any class.
        known: the classes that need no base.
    """
    kinds = type(estimator).__mro__
    base = next((k for k in kinds if k in known or k.__module__.startswith("sklearn.")), object)
    own = [kind for kind in kinds if kind not in base.__mro__]
    if not own or base is object or not all(_only_trains(kind) for kind in own):
        return estimator
    twin: Any = object.__new__(base)
    vars(twin).update(vars(estimator))
    return twin


def _only_trains(kind: type) -> bool:
    return all(
        name in TRAINING | BOOKKEEPING
        or name.startswith("__metadata_request__")
        or (name.startswith("set_") and name.endswith("_request"))
        for name in vars(kind)
    )
