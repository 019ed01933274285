"""The models that curves are measured on: trained quickly, and converted as users do it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from geulpi_perf._processes import said

__all__ = ["Model", "copied", "made"]

DEPTH = 6  # of the trees whose number and features are varied
# Few rows, for what a forest costs to serve is its trees, not what they learned.
TRAINING = """
import sys, joblib, numpy as np
from scipy import special
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
kind, trees, features, depth, model, sample = sys.argv[1:]
X, y = make_classification(300, int(features), random_state=0)
X = X.astype(np.float32)
if kind == "forest":
    made = RandomForestClassifier(int(trees), max_depth=int(depth), random_state=0)
elif kind == "linear":
    made = LogisticRegression(max_iter=1000)
else:  # a function that ONNX has no form for, so that the Python backend serves it
    X = np.abs(X) + 1
    made = make_pipeline(FunctionTransformer(special.gammaln), LogisticRegression(max_iter=1000))
joblib.dump(made.fit(X, y), model)
np.save(sample, X[:100])
"""


@dataclass(frozen=True)
class Model:
    """What is to be made: a "forest", a "linear" model, or one that the "python" backend serves."""

    kind: str
    features: int = 20
    trees: int = 0

    @property
    def name(self) -> str:
        """Its name in a repository."""
        return f"{self.kind}_{self.trees}_{self.features}"


def made(models: Sequence[Model], repository: Path) -> None:
    """Train and convert models into a repository, two at a time.

    Raises:
        BenchFailed: one of them could not be made.
    """
    repository.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(lambda one: _make(one, repository), models):
            pass


def copied(entry: Path, name: str, repository: Path, *, instances: int = 1) -> None:
    """Copy a repository entry into another repository, under a name and with so many instances."""
    shutil.copytree(entry, repository / name)
    path = repository / name / "config.pbtxt"
    config = text_format.Parse(path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    config.name = name
    config.instance_group[0].count = instances
    path.write_text(text_format.MessageToString(config, as_utf8=True), encoding="utf-8")


def _make(one: Model, repository: Path) -> None:
    folder = repository.with_name(f"{repository.name}-{one.name}")
    folder.mkdir()
    model, sample = folder / "model.joblib", folder / "sample.npy"
    numbers = (str(number) for number in (one.trees, one.features, DEPTH))
    said(sys.executable, "-c", TRAINING, one.kind, *numbers, model, sample)
    said(sys.executable, "-m", "geulpi", "convert", model, "--trust", "--sample", sample,
         "--name", one.name, "--repository", repository)  # fmt: skip
