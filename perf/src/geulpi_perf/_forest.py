"""The random forest that is measured side by side: 100 trees, 20 features."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from geulpi_perf._processes import said

__all__ = ["ROW", "Forest", "make_forest"]

ROW = [round(0.1 * n, 1) for n in range(20)]

# The forest, the rows that its conversion is judged by, and what it says to `ROW`.
TRAINING = """
import sys, joblib, numpy as np
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
X, y = make_classification(2000, 20, random_state=0)
X = X.astype(np.float32)
forest = RandomForestClassifier(100, random_state=0).fit(X, y)
joblib.dump(forest, sys.argv[1])
np.save(sys.argv[2], X)
row = np.array([[round(0.1 * n, 1) for n in range(20)]], np.float32)
print(*forest.predict_proba(row)[0].tolist())
"""


@dataclass(frozen=True)
class Forest:
    """The forest as a file, as a model repository, and what scikit-learn says to `ROW`."""

    model: Path
    repository: Path
    probabilities: list[float]


def make_forest(folder: Path) -> Forest:
    """Train the forest and convert it for Triton, in `folder`.

    Raises:
        BenchFailed: one of both ended with an error.
    """
    model, sample, repository = folder / "forest.joblib", folder / "rows.npy", folder / "repository"
    probabilities = [
        float(word) for word in said(sys.executable, "-c", TRAINING, model, sample).split()
    ]
    said(sys.executable, "-m", "geulpi", "convert", model, "--trust", "--sample", sample,
         "--name", "forest", "--repository", repository)  # fmt: skip
    return Forest(model, repository, probabilities)
