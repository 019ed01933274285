"""What is converted and served: estimators, and the data they are fitted and asked with."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import clone


@dataclass(frozen=True)
class Data:
    """Rows to fit with, and fresh ones of the same kind that conversion never sees.

    Attributes:
        rows: what `fit` is given, and the sample of the conversion.
        target: what is learnt; None where nothing is.
        fresh: further rows.
        groups: by name, rows that are out of the ordinary; these are made where there are none.
    """

    rows: Any
    target: Any
    fresh: Any
    groups: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One configuration: an estimator that is not yet fitted, and its data.

    Attributes:
        subject: the class, or the family of pipelines, that it is counted for.
        title: what is special about the configuration.
        estimator: not fitted.
        data: makes the data.
    """

    subject: str
    title: str
    estimator: Any
    data: Callable[[], Data]

    @property
    def name(self) -> str:
        """The subject with what is special."""
        return f"{self.subject} ({self.title})" if self.title else self.subject

    def fitted(self) -> tuple[Any, Data]:
        """Return the fitted estimator and its data."""
        data = self.data()
        given = (data.rows,) if data.target is None else (data.rows, data.target)
        # Names of columns, convergence, deprecations: nothing that this is about.
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return clone(self.estimator).fit(*given), data
