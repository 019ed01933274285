"""What weighs fitted rows by a kernel answers as scikit-learn: support vectors, processes, PCA."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from geulpi_conversion._onnx import _algebra
from geulpi_conversion._onnx._graph import Untranslatable
from sklearn.datasets import make_blobs
from sklearn.decomposition import KernelPCA
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    RBF,
    ConstantKernel,
    DotProduct,
    ExpSineSquared,
    Kernel,
    Matern,
    RationalQuadratic,
    WhiteKernel,
)
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM
from translating import assert_translated, translated

ROWS, CLUSTERS = make_blobs(120, 3, centers=4, cluster_std=2.5, random_state=0)
ROWS = (ROWS / 5).astype(np.float32)
LABELS = np.array(["다", "a", "b", "c"])[CLUSTERS]
NUMBER = np.sin(ROWS[:, 0]) + ROWS[:, 1] * ROWS[:, 2]
NUMBERS = np.column_stack([NUMBER, ROWS[:, 0] ** 2])
MORE = [ROWS[:1], (ROWS * 1.3 + 0.1).astype(np.float32), (ROWS[:20] * 1e3).astype(np.float32)]
NEAR = MORE[:2]
KERNELS = ["linear", "rbf", "poly", "sigmoid"]


@pytest.mark.parametrize("kernel", [*KERNELS, "cosine", "laplacian"])
@pytest.mark.parametrize("target", [NUMBER, NUMBERS], ids=["one", "two"])
def test_ridge(kernel: str, target: np.ndarray) -> None:
    """Kernel ridge regression predicts one target or several."""
    fitted = KernelRidge(kernel=kernel, alpha=0.5, gamma=0.1).fit(ROWS, target)
    assert_translated(fitted, ROWS, rows=MORE, double=True)


@pytest.mark.parametrize("kernel", [*KERNELS, "cosine"])
def test_principal_components(kernel: str) -> None:
    """Kernel PCA projects the centred kernel."""
    assert_translated(KernelPCA(3, kernel=kernel).fit(ROWS), ROWS, rows=NEAR, double=True)


@pytest.mark.parametrize("kernel", ["rbf", "poly"])
def test_nystroem(kernel: str) -> None:
    """Nystroem's map is that of the rows that it chose."""
    fitted = Nystroem(kernel, n_components=6, degree=2, coef0=1, random_state=0).fit(ROWS)
    assert_translated(fitted, ROWS, rows=NEAR, double=True)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("kernel", KERNELS)
def test_support_vectors(kernel: str, classes: int) -> None:
    """Labels and decisions are libsvm's."""
    chosen = classes > CLUSTERS
    fitted = SVC(kernel=kernel).fit(ROWS[chosen], LABELS[chosen])
    assert_translated(fitted, ROWS, rows=MORE, double=True)


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"decision_function_shape": "ovo"},
        {"break_ties": True},
        {"class_weight": "balanced", "gamma": 0.3},
    ],
    ids=str,
)
def test_shapes_of_decisions(options: dict[str, Any], double: bool) -> None:
    """Decisions are of each class or of each two, and break ties where that is asked."""
    assert_translated(SVC(**options).fit(ROWS, LABELS), ROWS, rows=MORE, double=double)
    assert_translated(NuSVC(nu=0.2, **options).fit(ROWS, LABELS), ROWS, rows=MORE, double=double)


def test_votes_that_tie() -> None:
    """Of classes with equally many votes the first wins, whatever the decisions say."""
    rows = np.random.default_rng(0).normal(scale=4, size=(4000, 3)).astype(np.float32)
    fitted = SVC(C=0.1).fit(ROWS, LABELS)
    best = fitted.classes_[fitted.decision_function(rows).argmax(axis=1)]
    assert (best != fitted.predict(rows)).any()
    assert_translated(fitted, ROWS, rows=[rows], double=True)


@pytest.mark.filterwarnings("ignore:The `probability` parameter")
@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("kind", [SVC, NuSVC])
def test_probabilities(kind: type, classes: int) -> None:
    """Probabilities are coupled from pairs, with libsvm's own number of rounds."""
    chosen = classes > CLUSTERS
    options = {"nu": 0.2} if kind is NuSVC else {}
    fitted = kind(probability=True, random_state=0, **options)
    fitted.fit(ROWS[chosen], LABELS[chosen])
    assert_translated(fitted, ROWS, rows=MORE)


@pytest.mark.parametrize("kernel", KERNELS)
def test_support_vectors_of_numbers_and_of_one_class(kernel: str) -> None:
    """Regressors and the outlier detector have a kernel and a product."""
    assert_translated(SVR(kernel=kernel).fit(ROWS, NUMBER), ROWS, rows=MORE, double=True)
    assert_translated(NuSVR(kernel=kernel).fit(ROWS, NUMBER), ROWS, rows=MORE, double=True)
    fitted = OneClassSVM(kernel=kernel, nu=0.3).fit(ROWS)
    assert_translated(fitted, ROWS, rows=MORE, double=True)


def test_a_kernel_computed_before() -> None:
    """A precomputed kernel is the input."""
    kernel = np.exp(-np.square(ROWS[:, None] - ROWS).sum(axis=2))
    assert_translated(SVC(kernel="precomputed").fit(kernel, LABELS), kernel, rows=[kernel[:1]])
    fitted = KernelRidge(kernel="precomputed").fit(kernel, NUMBER)
    assert_translated(fitted, kernel, rows=[kernel[:1]])


@pytest.mark.parametrize("estimator", [SVC, SVR, OneClassSVM])
def test_sparse_rows(estimator: type) -> None:
    """Support vectors may have been sparse."""
    sparse = pytest.importorskip("scipy.sparse")
    rows = sparse.csr_matrix(np.where(ROWS > 0, ROWS, 0))
    assert_translated(estimator().fit(rows, CLUSTERS), rows)


def test_many_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Distances to many points are a matrix product."""
    monkeypatch.setattr(_algebra, "MOST_BROADCAST", 0)
    far = ROWS.astype(np.float64) + 1e4
    assert_translated(SVC().fit(far, LABELS), far, rows=[far[:1]], double=True, precision="FP64")
    assert_translated(SVC().fit(ROWS, LABELS), ROWS, rows=MORE)


PROCESSES: dict[str, Kernel | None] = {
    "default": None,
    "smooth": 2.0 * RBF(1.5),
    "of each column": RBF([1.0, 2.0, 3.0]) + WhiteKernel(0.1),
    "rough": Matern(nu=0.5),
    "less rough": ConstantKernel(2.0) * Matern(nu=1.5),
    "nearly smooth": Matern(nu=2.5),
    "without end": Matern(nu=np.inf),
    "rational": RationalQuadratic(alpha=0.7),
    "linear": DotProduct() + WhiteKernel(0.5),
    "squared": DotProduct(sigma_0=2.0) ** 2,
    "periodic": ExpSineSquared(periodicity=9.0) * RBF(3.0),
}


@pytest.mark.parametrize("kernel", PROCESSES.values(), ids=PROCESSES)
def test_processes(kernel: Kernel | None) -> None:
    """A process predicts the mean of one target or of several."""
    for target in (NUMBER, NUMBERS):
        fitted = GaussianProcessRegressor(kernel, alpha=0.1, optimizer=None, normalize_y=True)
        assert_translated(fitted.fit(ROWS, target), ROWS, rows=NEAR, double=True)


@pytest.mark.parametrize("kernel", PROCESSES.values(), ids=PROCESSES)
def test_processes_of_two_classes(kernel: Kernel | None) -> None:
    """A process classifies by Laplace's approximation, with scikit-learn's sum of erfs."""
    chosen = CLUSTERS < 2
    fitted = GaussianProcessClassifier(kernel, optimizer=None)
    assert_translated(fitted.fit(ROWS[chosen], LABELS[chosen]), ROWS, rows=NEAR)


def test_processes_of_several_classes() -> None:
    """Of several classes there is a process for each."""
    fitted = GaussianProcessClassifier(2.0 * RBF(1.0), optimizer=None).fit(ROWS, LABELS)
    assert_translated(fitted, ROWS, rows=NEAR)


@pytest.mark.parametrize(
    ("estimator", "why"),
    [
        (SVC(kernel=lambda a, b: a @ b.T), "its kernel is a function"),
        (KernelRidge(kernel="chi2"), "the kernel 'chi2' has no translation"),
        (KernelRidge(kernel=lambda a, b: a @ b), "its kernel is a function"),
        (GaussianProcessRegressor(Matern(nu=3.3), optimizer=None, alpha=1), "Bessel"),
    ],
)
def test_refused(estimator: Any, why: str) -> None:
    """What has no translation is refused with the reason."""
    rows = np.abs(ROWS)
    if isinstance(estimator, KernelRidge) and estimator.kernel == "chi2":
        estimator.gamma = 1.0
    with pytest.raises(Untranslatable, match=why):
        translated(estimator.fit(rows, CLUSTERS), rows)
