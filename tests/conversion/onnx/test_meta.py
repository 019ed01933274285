"""Estimators of estimators answer as scikit-learn's, whatever their labels and their inner ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from geulpi_conversion import convert
from geulpi_conversion._onnx._graph import Graph, Untranslatable
from geulpi_conversion._onnx._leaf import leaf
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._translators import TRANSLATORS
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.model_selection._search_successive_halving import (
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from translating import assert_translated

ROWS = np.random.default_rng(0).normal(size=(150, 4)).astype(np.float32)
MORE = [
    np.random.default_rng(1).normal(size=(300, 4)).astype(np.float32),
    np.random.default_rng(2).normal(scale=1e6, size=(20, 4)).astype(np.float32),
    ROWS[:1],
]
BINARY = (ROWS[:, 0] + 0.5 * ROWS[:, 1] > 0).astype(int)
THREE = BINARY + (ROWS[:, 2] > 0.3)
SEVERAL = np.column_stack([BINARY, ROWS[:, 2] > 0, ROWS[:, 3] > 0.5]).astype(int)
NUMBER = (ROWS @ [1.0, -2.0, 0.5, 3.0] + ROWS[:, 0] ** 2).astype(np.float64)
NUMBERS = np.column_stack([NUMBER, ROWS[:, 1] - 2 * ROWS[:, 2]])

LABELS = {
    "text": lambda y: np.array(["다", "가", "나🎉"])[y],
    "negative": lambda y: np.array([-7, 0, 12])[y],
    "large": lambda y: np.array([2**33, 2**40 + 1, -(2**35)])[y],
    "float": lambda y: y.astype(float),
    "bool": lambda y: y == 1,
}

LOGISTIC = LogisticRegression(C=0.5)
TREE = DecisionTreeClassifier(max_depth=3, random_state=0)
FOREST = RandomForestClassifier(8, max_depth=3, random_state=0)
SVM = LinearSVC(random_state=0)
MEMBERS = [("tree", TREE), ("bayes", GaussianNB()), ("logistic", LOGISTIC)]
GRID = {"C": [0.1, 1.0]}

CLASSIFIERS = {
    "grid search": GridSearchCV(LOGISTIC, GRID, cv=2),
    "random search": RandomizedSearchCV(LOGISTIC, GRID, n_iter=2, cv=2, random_state=0),
    "halving": HalvingGridSearchCV(LOGISTIC, GRID, cv=2, min_resources=70, random_state=0),
    "random halving": HalvingRandomSearchCV(
        LOGISTIC, GRID, cv=2, n_candidates=2, min_resources=70, random_state=0
    ),
    "search in a pipeline": make_pipeline(StandardScaler(), GridSearchCV(SVM, GRID, cv=2)),
    "soft": VotingClassifier(MEMBERS, voting="soft"),
    "soft, weights": VotingClassifier(MEMBERS, voting="soft", weights=[0.1, 0.2, 0.3]),
    "hard": VotingClassifier([*MEMBERS, ("svm", SVM)]),
    "hard, weights": VotingClassifier(MEMBERS, weights=[0.1, 0.2, 0.3]),
    "hard, dropped": VotingClassifier([("none", "drop"), *MEMBERS], weights=[9, 1, 2, 1]),
    "stacking": StackingClassifier(MEMBERS, cv=2),
    "stacking, all methods": StackingClassifier(
        [("svm", SVM), *MEMBERS, ("none", "drop")], FOREST, cv=2, passthrough=True
    ),
    "stacking, predict": StackingClassifier(MEMBERS, stack_method="predict", cv=2),
    "one against the rest": OneVsRestClassifier(LOGISTIC),
    "one against the rest, trees": OneVsRestClassifier(TREE),
    "one against the rest, regressors": OneVsRestClassifier(Ridge()),
    "one against one": OneVsOneClassifier(SVM),
    "one against one, trees": OneVsOneClassifier(TREE),
    "codes": OutputCodeClassifier(LOGISTIC, random_state=0, code_size=4),
    "codes, trees": OutputCodeClassifier(TREE, random_state=0, code_size=4),
    "sigmoid": CalibratedClassifierCV(SVM, cv=2),
    "sigmoid, no ensemble": CalibratedClassifierCV(GaussianNB(), cv=2, ensemble=False),
    "isotonic": CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=2),
    "isotonic, decision": CalibratedClassifierCV(SVM, method="isotonic", cv=2, ensemble=False),
    "temperature": CalibratedClassifierCV(FOREST, method="temperature", cv=2),
    "temperature, decision": CalibratedClassifierCV(SVM, method="temperature", cv=2),
    "prior": DummyClassifier(),
    "most frequent": DummyClassifier(strategy="most_frequent"),
}


def refuses(estimator: Any, why: str, method: str = "predict") -> None:
    graph = Graph(TRANSLATORS, leaf)
    with pytest.raises(Untranslatable, match=why):
        graph.call(estimator, Table.of(Value("X", "float", ROWS.shape[1])), method)


@pytest.mark.parametrize("labels", ["text", "negative"])
@pytest.mark.parametrize("classifier", CLASSIFIERS.values(), ids=CLASSIFIERS)
@pytest.mark.parametrize("target", [BINARY, THREE], ids=["two", "three"])
def test_classifiers_of_classifiers(
    classifier: BaseEstimator, target: np.ndarray, labels: str
) -> None:
    """Labels and scores of two classes and of three are scikit-learn's."""
    fitted = clone(classifier).fit(ROWS, LABELS[labels](target))
    assert_translated(fitted, ROWS, rows=MORE)


@pytest.mark.parametrize("labels", ["large", "float", "bool"])
@pytest.mark.parametrize(
    "name",
    ["soft", "hard", "stacking", "sigmoid", "one against one", "one against the rest", "codes",
     "most frequent", "grid search"],
)  # fmt: skip
def test_labels_of_every_type(name: str, labels: str) -> None:
    """Labels beyond 32 bits, truth values and whole floats come as INT64."""
    fitted = clone(CLASSIFIERS[name]).fit(ROWS, LABELS[labels](BINARY))
    assert_translated(fitted, ROWS)


@pytest.mark.parametrize("name", ["soft, weights", "stacking", "isotonic", "one against one"])
def test_float64_arithmetic(name: str) -> None:
    """The same holds where the graph computes in float64, of FP64 tensors too."""
    fitted = clone(CLASSIFIERS[name]).fit(ROWS.astype(float), THREE)
    assert_translated(fitted, ROWS, rows=MORE, double=True)
    assert_translated(fitted, ROWS.astype(float), double=True, precision="FP64")


class TestVoting:
    """Votes tie where scikit-learn's do."""

    def test_weights_add_up_in_float64(self) -> None:
        """0.1 + 0.2 is more than 0.3 in float64, and no tie as it is in float32."""
        nays = [("a", TREE), ("b", DummyClassifier(strategy="constant", constant=1))]
        voting = VotingClassifier(
            [*nays, ("c", DummyClassifier(strategy="constant", constant=0))],
            weights=[0.1, 0.2, 0.3],
        )
        assert_translated(voting.fit(ROWS, BINARY), ROWS)

    def test_the_first_of_equal_classes_wins(self) -> None:
        """Two against two is the first class."""
        labels = enumerate([2, 1, 1, 2])
        members = [(str(i), DummyClassifier(strategy="constant", constant=y)) for i, y in labels]
        voting = VotingClassifier(members).fit(ROWS, THREE)
        assert set(voting.predict(ROWS)) == {1}
        assert_translated(voting, ROWS)

    @pytest.mark.parametrize("voting", ["soft", "hard"])
    def test_votes_are_features(self, voting: str) -> None:
        """In a pipeline, votes and probabilities are columns for the next step."""
        first = VotingClassifier(MEMBERS, voting=voting)
        assert_translated(make_pipeline(first, LOGISTIC).fit(ROWS, THREE), ROWS)

    def test_probabilities_that_are_no_matrix(self) -> None:
        """Without flatten_transform there is no matrix to translate."""
        voting = VotingClassifier(MEMBERS, voting="soft", flatten_transform=False)
        refuses(voting.fit(ROWS, BINARY), "flatten_transform=False gives no matrix", "transform")

    def test_regressors_are_averaged(self) -> None:
        """Weighted or not, with dropped ones."""
        members = [
            ("a", LinearRegression()),
            ("none", "drop"),
            ("b", DecisionTreeRegressor(random_state=0)),
        ]
        for weights in (None, [1, 5, 2.5]):
            assert_translated(VotingRegressor(members, weights=weights).fit(ROWS, NUMBER), ROWS)


@pytest.mark.parametrize(
    "regressor",
    [
        StackingRegressor(
            [("a", LinearRegression()), ("b", DecisionTreeRegressor(random_state=0))], cv=2
        ),
        StackingRegressor(
            [("a", Ridge())], RandomForestRegressor(5, random_state=0), passthrough=True, cv=2
        ),
        StackingRegressor([("a", FrozenEstimator(Ridge().fit(ROWS, NUMBER)))], cv="prefit"),
        DummyRegressor(),
        DummyRegressor(strategy="quantile", quantile=0.9),
    ],
    ids=["stacking", "passthrough", "prefit", "mean", "quantile"],
)
def test_regressors_of_regressors(regressor: BaseEstimator) -> None:
    """Stacked, frozen and dummy regressors predict what scikit-learn's do."""
    assert_translated(regressor.fit(ROWS, NUMBER), ROWS, rows=MORE)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("method", ["isotonic", "sigmoid", "temperature"])
def test_calibration_of_fitted_classifiers(method: str, *, frozen: bool) -> None:
    """A classifier that is fitted already is calibrated as it is."""
    forest = clone(FOREST).fit(ROWS, THREE)
    inner = FrozenEstimator(forest) if frozen else clone(forest)
    calibrated = CalibratedClassifierCV(inner, method=method, cv=3).fit(ROWS, THREE)
    assert_translated(calibrated, ROWS, double=True)


def test_calibration_far_from_the_middle() -> None:
    """Where every class is all but impossible, the shares are still those of scikit-learn."""
    calibrated = CalibratedClassifierCV(RidgeClassifier(), cv=2).fit(ROWS, THREE)
    for pair in calibrated.calibrated_classifiers_:
        for place, calibrator in enumerate(pair.calibrators):
            calibrator.b_ = 40.0 + place
    assert_translated(calibrated, ROWS)


class TestThresholds:
    """The label is what the threshold says, not the inner classifier."""

    @pytest.mark.parametrize("response", ["auto", "predict_proba", "decision_function"])
    @pytest.mark.parametrize("label", [None, "나", "가"])
    def test_a_threshold_that_was_set(self, response: str, label: str | None) -> None:
        """Of either label, on probabilities or decision values."""
        target = np.where(BINARY == 1, "나", "가")
        threshold = -0.7 if response == "decision_function" else 0.2
        fixed = FixedThresholdClassifier(
            LOGISTIC, threshold=threshold, pos_label=label, response_method=response
        ).fit(ROWS, target)
        assert (fixed.predict(ROWS) != fixed.estimator_.predict(ROWS)).any()
        assert_translated(fixed, ROWS, rows=MORE)

    @pytest.mark.parametrize("inner", [LOGISTIC, SVM, FrozenEstimator(TREE.fit(ROWS, BINARY))])
    def test_thresholds_by_default(self, inner: BaseEstimator) -> None:
        """A half of probabilities, 0 of decision values."""
        assert_translated(FixedThresholdClassifier(inner).fit(ROWS, BINARY), ROWS, rows=MORE)

    def test_a_threshold_that_scores_equal(self) -> None:
        """A score equal to the threshold is above it, in float32 as in float64."""
        tree = clone(TREE).fit(ROWS, BINARY)
        for threshold in np.unique(tree.predict_proba(ROWS)[:, 1]):
            fixed = FixedThresholdClassifier(FrozenEstimator(tree), threshold=threshold)
            assert_translated(fixed.fit(ROWS, BINARY), ROWS)

    @pytest.mark.parametrize("inner", [LOGISTIC, SVM, FOREST])
    def test_a_threshold_that_was_found(self, inner: BaseEstimator) -> None:
        """The tuned threshold decides."""
        target = (ROWS[:, 0] > 1).astype(int)
        tuned = TunedThresholdClassifierCV(inner, scoring="balanced_accuracy", cv=3)
        assert_translated(tuned.fit(ROWS, target), ROWS, rows=MORE)


class TestSeveralTargets:
    """Several targets are answered side by side."""

    @pytest.mark.parametrize(
        "classifier",
        [
            OneVsRestClassifier(LOGISTIC),
            OneVsRestClassifier(TREE),
            MultiOutputClassifier(SVM),
            MultiOutputClassifier(TREE),
            ClassifierChain(LOGISTIC, order=[2, 0, 1]),
            ClassifierChain(LOGISTIC, chain_method="predict_proba", order="random", random_state=3),
            ClassifierChain(LOGISTIC, chain_method="decision_function", cv=2),
            StackingClassifier([("a", OneVsRestClassifier(LOGISTIC))], FOREST, cv=2),
            DummyClassifier(),
        ],
        ids=repr,
    )
    def test_labels(self, classifier: BaseEstimator) -> None:
        """Each target has its own label."""
        assert_translated(clone(classifier).fit(ROWS, SEVERAL), ROWS, rows=MORE)

    @pytest.mark.parametrize("inner", [LOGISTIC, TREE])
    def test_labels_of_text(self, inner: BaseEstimator) -> None:
        """Targets of texts, of two classes and of three."""
        target = np.column_stack([LABELS["text"](BINARY), LABELS["text"](THREE)])
        assert_translated(MultiOutputClassifier(inner).fit(ROWS, target), ROWS)

    def test_a_target_without_a_choice(self) -> None:
        """A label that all rows had, or none, is that of every row."""
        target = np.column_stack([BINARY, np.ones_like(BINARY), np.zeros_like(BINARY)])
        with pytest.warns(UserWarning, match="is present in all training examples"):
            fitted = OneVsRestClassifier(LOGISTIC).fit(ROWS, target)
        assert_translated(fitted, ROWS)

    @pytest.mark.parametrize(
        "regressor",
        [
            MultiOutputRegressor(Ridge()),
            RegressorChain(Ridge(), order=[1, 0]),
            RegressorChain(DecisionTreeRegressor(max_depth=4, random_state=0), cv=2),
            DummyRegressor(strategy="median"),
        ],
        ids=repr,
    )
    def test_numbers(self, regressor: BaseEstimator) -> None:
        """Each target has its own number."""
        assert_translated(clone(regressor).fit(ROWS, NUMBERS), ROWS)


def test_self_training_asks_what_it_trained() -> None:
    """Rows without a label trained the inner classifier, too."""
    target = np.where(np.arange(len(ROWS)) % 3, THREE, -1)
    assert_translated(SelfTrainingClassifier(LOGISTIC).fit(ROWS, target), ROWS, rows=MORE)


class TestDummies:
    """What answers every row alike does so in ONNX, if it is not at random."""

    @pytest.mark.parametrize("strategy", ["uniform", "stratified"])
    def test_random_answers(self, strategy: str) -> None:
        """No graph answers at random."""
        refuses(DummyClassifier(strategy=strategy).fit(ROWS, BINARY), "answers at random")

    def test_a_constant_of_text(self) -> None:
        """The label that was set is that of every row."""
        dummy = DummyClassifier(strategy="constant", constant="가")
        assert_translated(dummy.fit(ROWS, LABELS["text"](BINARY)), ROWS, rows=MORE)


def functions(
    forth: Callable[[Any], Any], back: Callable[[Any], Any]
) -> TransformedTargetRegressor:
    return TransformedTargetRegressor(Ridge(), func=forth, inverse_func=back, check_inverse=False)


class TestTransformedTargets:
    """Predictions are transformed back."""

    @pytest.mark.parametrize(
        "regressor",
        [
            *(
                TransformedTargetRegressor(Ridge(), transformer=transformer)
                for transformer in (
                    StandardScaler(),
                    StandardScaler(with_mean=False),
                    MinMaxScaler(),
                    MaxAbsScaler(),
                    RobustScaler(),
                    PowerTransformer(),
                    PowerTransformer("box-cox", standardize=False),
                    QuantileTransformer(n_quantiles=40),
                    QuantileTransformer(n_quantiles=150, output_distribution="normal"),
                    make_pipeline(FunctionTransformer(np.log1p, np.expm1), StandardScaler()),
                )
            ),
            TransformedTargetRegressor(),
            functions(np.log1p, np.expm1),
            functions(np.log, np.exp),
            functions(np.sqrt, np.square),
            functions(np.log2, np.exp2),
        ],
        ids=repr,
    )
    def test_known_inverses(self, regressor: TransformedTargetRegressor) -> None:
        """Scalers, powers, quantiles, pipelines and numpy's functions have inverses in ONNX."""
        assert_translated(clone(regressor).fit(ROWS, np.exp(NUMBER / 4) + 0.1), ROWS)

    @pytest.mark.parametrize("power", [0.0, 2.0, 2.7, -0.9, 1e-4])
    def test_powers(self, power: float) -> None:
        """Every branch of Yeo-Johnson's inverse, with its limits."""
        regressor = TransformedTargetRegressor(Ridge(), transformer=PowerTransformer())
        regressor.fit(ROWS.astype(float), NUMBERS)
        regressor.transformer_.lambdas_[:] = power
        regressor.transformer_._scaler.mean_[:] = 0
        regressor.transformer_._scaler.scale_[:] = 0.1
        assert_translated(regressor, ROWS.astype(float), double=True, precision="FP64")

    def test_unknown_functions(self) -> None:
        """The reason names the function."""
        regressor = functions(np.cos, np.arccos).fit(ROWS, NUMBER)
        refuses(regressor, "inverse_func=arccos has no ONNX form")

    def test_unknown_transformers(self) -> None:
        """The reason names the transformer."""
        regressor = TransformedTargetRegressor(Ridge(), transformer=PCA())
        refuses(regressor.fit(ROWS, NUMBERS), "PCA: its inverse has no ONNX form")

    def test_far_predictions_of_quantiles(self) -> None:
        """Beyond the outer quantiles the answer is the outer one."""
        for distribution in ("normal", "uniform"):
            transformer = QuantileTransformer(n_quantiles=9, output_distribution=distribution)
            regressor = TransformedTargetRegressor(Ridge(), transformer=transformer)
            assert_translated(regressor.fit(ROWS, NUMBER), ROWS, rows=MORE)


class Named(LogisticRegression):
    """A class of a user's own that only trains in another way."""

    def fit(self, X: Any, y: Any) -> Named:  # noqa: N803 -- scikit-learn's names
        return super().fit(X * 2, y)


class Trees(VotingClassifier):
    """A class of a user's own that adds nothing."""


class Contrary(LogisticRegression):
    """A class of a user's own that answers otherwise."""

    def predict(self, X: Any) -> Any:  # noqa: N803 -- scikit-learn's names
        return 1 - super().predict(X)


class Gentle(LogisticRegression):
    """A class of a user's own that answers what its base doesn't, beneath the methods."""

    def _predict_proba_lr(self, X: Any) -> Any:  # noqa: N803 -- scikit-learn's names
        return super()._predict_proba_lr(X / 2)


class TestSubclasses:
    """A class of a user's own is translated as its base if it answers as that."""

    def test_those_that_only_train(self) -> None:
        """They are translated, also inside of others."""
        votes = Trees([("a", Named()), ("b", TREE)], voting="soft")
        assert_translated(votes.fit(ROWS, THREE), ROWS)

    @pytest.mark.parametrize("kind", [Contrary, Gentle])
    def test_those_that_answer(self, kind: type[LogisticRegression]) -> None:
        """They are not, whatever it is that they change."""
        refuses(kind().fit(ROWS, BINARY), f"{kind.__name__}: ")


def test_nested_deeply() -> None:
    """A search of a pipeline of calibrated votes is served as ONNX."""
    votes = CalibratedClassifierCV(VotingClassifier(MEMBERS, voting="soft"), cv=2)
    search = GridSearchCV(make_pipeline(StandardScaler(), votes), {}, cv=2)
    converted = convert(search.fit(ROWS, LABELS["text"](THREE)), ROWS, name="nested")
    assert (converted.backend, converted.reason) == ("onnxruntime", "")
