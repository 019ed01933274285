"""Every estimator of scikit-learn that can be fitted, in the configurations that matter.

A row is an estimator, its data, and what is special about it.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
from breadth import _data as d
from breadth._cases import Case
from sklearn import ensemble as en
from sklearn import linear_model as lm
from sklearn import preprocessing as pp
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import (
    DBSCAN,
    HDBSCAN,
    OPTICS,
    AffinityPropagation,
    AgglomerativeClustering,
    Birch,
    BisectingKMeans,
    FeatureAgglomeration,
    KMeans,
    MeanShift,
    MiniBatchKMeans,
    SpectralBiclustering,
    SpectralClustering,
    SpectralCoclustering,
)
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.covariance import (
    OAS,
    EllipticEnvelope,
    EmpiricalCovariance,
    GraphicalLasso,
    GraphicalLassoCV,
    LedoitWolf,
    MinCovDet,
    ShrunkCovariance,
)
from sklearn.cross_decomposition import CCA, PLSSVD, PLSCanonical, PLSRegression
from sklearn.decomposition import (
    NMF,
    PCA,
    DictionaryLearning,
    FactorAnalysis,
    FastICA,
    IncrementalPCA,
    KernelPCA,
    LatentDirichletAllocation,
    MiniBatchDictionaryLearning,
    MiniBatchNMF,
    MiniBatchSparsePCA,
    SparseCoder,
    SparsePCA,
    TruncatedSVD,
)
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.experimental import (  # noqa: F401 -- the imports make them available
    enable_halving_search_cv,
    enable_iterative_imputer,
)
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.image import PatchExtractor
from sklearn.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfTransformer,
    TfidfVectorizer,
)
from sklearn.feature_selection import (
    RFE,
    RFECV,
    GenericUnivariateSelect,
    SelectFdr,
    SelectFpr,
    SelectFromModel,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
    mutual_info_classif,
)
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel
from sklearn.impute import IterativeImputer, KNNImputer, MissingIndicator, SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.kernel_approximation import (
    AdditiveChi2Sampler,
    Nystroem,
    PolynomialCountSketch,
    RBFSampler,
    SkewedChi2Sampler,
)
from sklearn.kernel_ridge import KernelRidge
from sklearn.manifold import (
    MDS,
    TSNE,
    ClassicalMDS,
    Isomap,
    LocallyLinearEmbedding,
    SpectralEmbedding,
)
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import (
    KernelDensity,
    KNeighborsClassifier,
    KNeighborsRegressor,
    KNeighborsTransformer,
    LocalOutlierFactor,
    NearestCentroid,
    NearestNeighbors,
    NeighborhoodComponentsAnalysis,
    RadiusNeighborsClassifier,
    RadiusNeighborsRegressor,
    RadiusNeighborsTransformer,
)
from sklearn.neural_network import BernoulliRBM, MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection
from sklearn.semi_supervised import LabelPropagation, LabelSpreading, SelfTrainingClassifier
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR, NuSVC, NuSVR, OneClassSVM
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

# The data, under short names: the tables below are long enough.
binary, multi, regression, plain = d.binary, d.multi, d.regression, d.plain
binary32, multi32 = partial(d.binary, "float32"), partial(d.multi, "float32")
regression32, plain32 = partial(d.regression, "float32"), partial(d.plain, "float32")
strings, bools, negative, floats, huge = (
    partial(d.labelled, kind) for kind in ("strings", "bool", "negative", "floats", "huge")
)
holed, holed_numbers = d.with_missing, partial(d.with_missing, "numbers")
exact, exact_numbers = d.one_decimal, partial(d.one_decimal, "numbers")
many, targets, counts, positive_target = d.many_classes, d.regressions, d.counts, d.positive_target
texts, only_texts = d.texts, partial(d.texts, "none")
categories, category_numbers = d.categories, partial(d.categories, "numbers")
holed_categories = partial(d.categories, missing=True)
matrix, holed_matrix = d.strings, partial(d.strings, missing=True)

Row = tuple[Any, ...]
SEED: dict[str, Any] = {"random_state": 0}
LOGISTIC = lm.LogisticRegression()
FOREST = en.RandomForestClassifier(9, max_depth=5, **SEED)
FORESTS = en.RandomForestRegressor(9, max_depth=5, **SEED)
FEW = {"n_components": 3}
PENALTIES = {"C": [0.1, 1.0]}
BOOSTED = en.HistGradientBoostingClassifier(max_iter=10, **SEED)


def quiet(kind: Any) -> Any:
    """Make an estimator that says it is deprecated; it is to be served all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kind(**SEED)


LINEAR: list[Row] = [
    (lm.LinearRegression(), regression),
    (lm.LinearRegression(), regression32, "float32"),
    (lm.LinearRegression(), targets, "three targets"),
    (lm.LinearRegression(positive=True, fit_intercept=False), regression, "positive"),
    (lm.LinearRegression(), d.far_away, "far from the origin"),
    (lm.Ridge(), regression),
    (lm.Ridge(), targets, "three targets"),
    (lm.RidgeCV(), regression),
    (lm.Lasso(0.1), regression),
    (lm.LassoCV(cv=3), regression),
    (lm.ElasticNet(0.1), regression),
    (lm.ElasticNetCV(cv=3), regression),
    (lm.Lars(), regression),
    (lm.LarsCV(cv=3), regression),
    (lm.LassoLars(0.01), regression),
    (lm.LassoLarsCV(cv=3), regression),
    (lm.LassoLarsIC(), regression),
    (lm.ARDRegression(), regression),
    (lm.BayesianRidge(), regression),
    (lm.HuberRegressor(), regression),
    (lm.TheilSenRegressor(max_subpopulation=200, **SEED), regression),
    (lm.RANSACRegressor(**SEED), regression),
    (
        lm.RANSACRegressor(DecisionTreeRegressor(max_depth=4), min_samples=0.5, **SEED),
        regression,
        "tree",
    ),
    (lm.QuantileRegressor(alpha=0.01), regression),
    (lm.OrthogonalMatchingPursuit(), regression),
    (lm.OrthogonalMatchingPursuitCV(cv=3), regression),
    (lm.MultiTaskLasso(0.1), targets),
    (lm.MultiTaskLassoCV(cv=3), targets),
    (lm.MultiTaskElasticNet(0.1), targets),
    (lm.MultiTaskElasticNetCV(cv=3), targets),
    (lm.SGDRegressor(**SEED), d.signals_and_target),
    (quiet(lm.PassiveAggressiveRegressor), d.signals_and_target),
    (lm.PoissonRegressor(), positive_target),
    (lm.GammaRegressor(), positive_target),
    (lm.TweedieRegressor(power=1.5, link="log"), positive_target),
    (lm.TweedieRegressor(power=0), positive_target, "normal"),
    (lm.LogisticRegression(), multi),
    (lm.LogisticRegression(), binary, "binary"),
    (lm.LogisticRegression(), binary32, "float32, binary"),
    (lm.LogisticRegression(), strings, "strings"),
    (lm.LogisticRegression(), bools, "bools"),
    (lm.LogisticRegression(), negative, "negative labels"),
    (lm.LogisticRegression(), floats, "labels of floats"),
    (lm.LogisticRegression(), huge, "labels of 10¹²"),
    (lm.LogisticRegression(max_iter=1000), many, "40 classes"),
    (lm.LogisticRegression(), d.sparse_counts, "sparse"),
    (lm.LogisticRegression(), d.codes, "integers"),
    (lm.LogisticRegressionCV(Cs=3, cv=3, l1_ratios=(0.0,), use_legacy_attributes=False), multi),
    (lm.RidgeClassifier(), multi),
    (lm.RidgeClassifier(), binary, "binary"),
    (lm.RidgeClassifier(), d.multilabel, "multilabel"),
    (lm.RidgeClassifierCV(), strings),
    (lm.SGDClassifier(**SEED), multi),
    (lm.SGDClassifier(loss="modified_huber", **SEED), binary, "modified Huber"),
    (lm.SGDClassifier(loss="modified_huber", **SEED), multi, "modified Huber, three classes"),
    (lm.SGDClassifier(loss="log_loss", **SEED), strings, "logistic, strings"),
    (lm.SGDOneClassSVM(**SEED), d.with_outliers),
    (quiet(lm.PassiveAggressiveClassifier), multi),
    (lm.Perceptron(**SEED), strings),
    (LinearDiscriminantAnalysis(), multi),
    (LinearDiscriminantAnalysis(), binary, "binary"),
    (LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto"), strings, "eigen, strings"),
    (QuadraticDiscriminantAnalysis(), multi),
    (QuadraticDiscriminantAnalysis(), strings, "strings"),
    (QuadraticDiscriminantAnalysis(reg_param=0.1), binary, "binary"),
]

TREES: list[Row] = [
    (DecisionTreeClassifier(**SEED), multi),
    (DecisionTreeClassifier(**SEED), binary32, "float32, binary"),
    (DecisionTreeClassifier(**SEED), strings, "strings"),
    (DecisionTreeClassifier(**SEED), exact, "one-decimal data"),
    (DecisionTreeClassifier(**SEED), holed, "missing values"),
    (DecisionTreeClassifier(**SEED), d.two_questions, "two outputs"),
    (DecisionTreeClassifier(**SEED), d.codes, "integers"),
    (DecisionTreeRegressor(**SEED), regression),
    (DecisionTreeRegressor(**SEED), exact_numbers, "one-decimal data"),
    (DecisionTreeRegressor(**SEED), holed_numbers, "missing values"),
    (DecisionTreeRegressor(max_depth=5, **SEED), targets, "three targets"),
    (ExtraTreeClassifier(**SEED), strings),
    (ExtraTreeRegressor(**SEED), regression),
    (en.RandomForestClassifier(20, **SEED), multi),
    (en.RandomForestClassifier(20, **SEED), multi32, "float32"),
    (en.RandomForestClassifier(20, **SEED), binary, "binary, even"),
    (en.RandomForestClassifier(15, **SEED), strings, "strings"),
    (en.RandomForestClassifier(15, **SEED), bools, "bools"),
    (en.RandomForestClassifier(15, **SEED), negative, "negative labels"),
    (en.RandomForestClassifier(15, **SEED), holed, "missing values"),
    (en.RandomForestClassifier(15, **SEED), partial(d.with_missing, dtype="float32"),
     "missing values, float32"),
    (en.RandomForestClassifier(15, **SEED), exact, "one-decimal data"),
    (en.RandomForestClassifier(10, **SEED), many, "40 classes"),
    (en.RandomForestClassifier(10, **SEED), d.multilabel, "multilabel"),
    (en.RandomForestClassifier(10, **SEED), d.two_questions, "two outputs"),
    (en.RandomForestClassifier(200, max_depth=8, **SEED), binary, "200 trees"),
    (en.RandomForestRegressor(20, **SEED), regression),
    (en.RandomForestRegressor(20, **SEED), holed_numbers, "missing values"),
    (en.RandomForestRegressor(10, **SEED), targets, "three targets"),
    (en.RandomForestRegressor(10, **SEED), d.far_away, "far from the origin"),
    (en.ExtraTreesClassifier(20, **SEED), multi),
    (en.ExtraTreesClassifier(10, **SEED), holed, "missing values"),
    (en.ExtraTreesRegressor(20, **SEED), regression),
    (en.GradientBoostingClassifier(n_estimators=15, **SEED), multi),
    (en.GradientBoostingClassifier(n_estimators=15, **SEED), strings, "strings"),
    (en.GradientBoostingClassifier(n_estimators=15, **SEED), binary, "binary"),
    (en.GradientBoostingClassifier(n_estimators=15, loss="exponential", **SEED), binary,
     "exponential"),
    (en.GradientBoostingClassifier(n_estimators=15, init=LOGISTIC, **SEED), binary, "init"),
    (en.GradientBoostingRegressor(n_estimators=20, **SEED), regression),
    (en.GradientBoostingRegressor(n_estimators=20, loss="quantile", **SEED), exact_numbers,
     "quantile"),
    (en.HistGradientBoostingClassifier(max_iter=15), multi),
    (en.HistGradientBoostingClassifier(max_iter=15), binary, "binary"),
    (en.HistGradientBoostingClassifier(max_iter=15), strings, "strings"),
    (en.HistGradientBoostingClassifier(max_iter=15), binary32, "float32, binary"),
    (en.HistGradientBoostingClassifier(max_iter=15), holed, "missing values"),
    (en.HistGradientBoostingClassifier(max_iter=15), exact, "one-decimal data"),
    (en.HistGradientBoostingClassifier(max_iter=15, categorical_features=[0, 2]), d.codes,
     "categories"),
    (en.HistGradientBoostingClassifier(max_iter=15), categories, "DataFrame with categories"),
    (en.HistGradientBoostingClassifier(max_iter=15), holed_categories,
     "DataFrame with categories, missing values"),
    (en.HistGradientBoostingRegressor(max_iter=20), regression),
    (en.HistGradientBoostingRegressor(max_iter=20), holed_numbers, "missing values"),
    (en.HistGradientBoostingRegressor(max_iter=20, loss="poisson"), positive_target, "Poisson"),
    (en.HistGradientBoostingRegressor(max_iter=20, loss="gamma"), positive_target, "gamma"),
    (en.HistGradientBoostingRegressor(max_iter=20, loss="quantile", quantile=0.9),
     exact_numbers, "quantile, one-decimal data"),
    (en.HistGradientBoostingRegressor(max_iter=20), category_numbers, "categories"),
    (en.AdaBoostClassifier(n_estimators=10, **SEED), multi),
    (en.AdaBoostClassifier(n_estimators=10, **SEED), strings, "strings"),
    (en.AdaBoostClassifier(n_estimators=10, **SEED), binary, "binary"),
    (en.AdaBoostRegressor(n_estimators=10, **SEED), regression),
    (en.BaggingClassifier(n_estimators=8, **SEED), multi),
    (en.BaggingClassifier(SVC(), n_estimators=5, max_features=0.6, **SEED), strings, "SVC"),
    (en.BaggingClassifier(LOGISTIC, n_estimators=5, **SEED), binary, "logistic, binary"),
    (en.BaggingRegressor(n_estimators=8, **SEED), regression),
    (en.BaggingRegressor(lm.Ridge(), n_estimators=5, max_features=0.5, **SEED), regression,
     "ridge"),
    (en.IsolationForest(n_estimators=20, **SEED), d.with_outliers),
    (en.IsolationForest(n_estimators=20, contamination=0.1, max_features=0.5, **SEED),
     d.with_outliers, "contamination"),
    (en.RandomTreesEmbedding(n_estimators=8, max_depth=4, **SEED), plain),
]  # fmt: skip

META: list[Row] = [
    (en.VotingClassifier([("l", LOGISTIC), ("f", FOREST)]), strings, "hard, strings"),
    (en.VotingClassifier([("l", LOGISTIC), ("f", FOREST)], voting="soft"), multi),
    (en.VotingClassifier([("l", LOGISTIC), ("f", FOREST)], voting="soft", weights=[1, 3]),
     binary, "weights, binary"),
    (en.VotingRegressor([("r", lm.Ridge()), ("f", FORESTS)]), regression),
    (en.StackingClassifier([("l", LOGISTIC), ("f", FOREST)], cv=3), multi),
    (en.StackingClassifier([("s", LinearSVC()), ("f", FOREST)], cv=3, passthrough=True), strings,
     "decisions, passthrough, strings"),
    (en.StackingRegressor([("r", lm.Ridge()), ("f", FORESTS)], cv=3), regression),
    (CalibratedClassifierCV(LinearSVC(), cv=3), strings),
    (CalibratedClassifierCV(FOREST, method="isotonic", cv=3), multi, "isotonic"),
    (CalibratedClassifierCV(LinearSVC(), method="sigmoid", cv=3, ensemble=False), binary,
     "one model, binary"),
    (CalibratedClassifierCV(LOGISTIC, method="temperature", cv=3), multi, "temperature"),
    (FixedThresholdClassifier(LOGISTIC, threshold=0.3), binary),
    (FixedThresholdClassifier(FOREST, threshold=0.7), bools, "forest, bools"),
    (TunedThresholdClassifierCV(LOGISTIC, cv=3), binary),
    (TunedThresholdClassifierCV(BOOSTED, scoring="f1", cv=3), binary, "boosting, F1"),
    (GridSearchCV(LOGISTIC, PENALTIES, cv=3), strings),
    (GridSearchCV(KMeans(n_init=2, **SEED), {"n_clusters": [2, 3]}, cv=2), d.blobs, "clusters"),
    (RandomizedSearchCV(LOGISTIC, PENALTIES, n_iter=2, cv=3, **SEED), binary),
    (HalvingGridSearchCV(LOGISTIC, PENALTIES, cv=3, **SEED), binary),
    (HalvingRandomSearchCV(lm.Ridge(), {"alpha": [0.1, 1.0, 10.0]}, cv=3, **SEED), regression),
    (Pipeline([("s", pp.StandardScaler()), ("p", "passthrough"), ("m", LOGISTIC)]), strings),
    (make_pipeline(pp.StandardScaler(), PCA(3)), plain, "transformer"),
    (FeatureUnion([("p", PCA(2)), ("s", pp.StandardScaler())]), plain),
    (ColumnTransformer([("s", pp.StandardScaler(), [0, 1]), ("d", "drop", [2])],
                       remainder="passthrough"), plain),
    (TransformedTargetRegressor(lm.Ridge(), func=np.log1p, inverse_func=np.expm1),
     positive_target),
    (TransformedTargetRegressor(FORESTS, transformer=pp.QuantileTransformer(n_quantiles=50)),
     regression, "quantiles"),
    (OneVsRestClassifier(LinearSVC()), strings),
    (OneVsRestClassifier(LOGISTIC), multi, "probabilities"),
    (OneVsRestClassifier(LOGISTIC), d.multilabel, "multilabel"),
    (OneVsOneClassifier(LinearSVC()), strings),
    (OneVsOneClassifier(LOGISTIC), multi, "logistic"),
    (OutputCodeClassifier(LOGISTIC, **SEED), multi),
    (OutputCodeClassifier(LinearSVC(), **SEED), strings, "strings"),
    (MultiOutputClassifier(LOGISTIC), d.two_questions),
    (MultiOutputClassifier(FOREST), partial(d.two_questions, "strings"), "strings"),
    (MultiOutputRegressor(en.GradientBoostingRegressor(n_estimators=5, **SEED)), targets),
    (ClassifierChain(LOGISTIC, **SEED), d.multilabel),
    (RegressorChain(lm.Ridge(), order=[2, 0, 1]), targets),
    (SelfTrainingClassifier(LOGISTIC), d.half_labelled),
    (FrozenEstimator(lm.LogisticRegression().fit(binary().rows, binary().target)), binary),
    (RFE(lm.Ridge(), n_features_to_select=3), regression),
    (RFE(LOGISTIC, n_features_to_select=5), strings, "classifier"),
    (RFECV(LOGISTIC, cv=3, min_features_to_select=2), multi),
    (SelectFromModel(en.ExtraTreesClassifier(10, **SEED)), d.wide),
    (SequentialFeatureSelector(LOGISTIC, n_features_to_select=2, cv=2), multi),
    (DummyClassifier(), multi),
    (DummyClassifier(strategy="constant", constant="mid"), strings, "constant string"),
    (DummyRegressor(), regression),
    (DummyRegressor(strategy="quantile", quantile=0.8), targets, "quantile, three targets"),
]  # fmt: skip

KERNELS: list[Row] = [
    (SVC(), multi),
    (SVC(), binary, "binary"),
    (SVC(kernel="poly", degree=2), strings, "polynomial, strings"),
    (SVC(kernel="sigmoid"), multi, "sigmoid"),
    (SVC(kernel="linear"), bools, "linear, bools"),
    (SVC(decision_function_shape="ovo"), multi, "one against one"),
    (SVC(break_ties=True), multi, "ties broken"),
    (SVC(), multi32, "float32"),
    (SVC(kernel="precomputed"), d.kernel, "precomputed"),
    (NuSVC(nu=0.3), multi),
    (NuSVC(nu=0.3), binary, "binary"),
    (SVR(), regression),
    (SVR(kernel="linear"), regression32, "linear, float32"),
    (NuSVR(), regression),
    (OneClassSVM(), d.with_outliers),
    (LinearSVC(), multi),
    (LinearSVC(), bools, "bools"),
    (LinearSVR(), d.signals_and_target),
    (KernelRidge(kernel="rbf", gamma=0.05), regression),
    (KernelRidge(kernel="poly", degree=2), targets, "polynomial, three targets"),
    (KernelRidge(kernel="precomputed"), partial(d.kernel, "numbers"), "precomputed"),
    (GaussianProcessRegressor(ConstantKernel() * RBF() + WhiteKernel(), normalize_y=True, **SEED),
     regression),
    (GaussianProcessRegressor(Matern(nu=1.5), alpha=0.1, **SEED), targets, "Matérn, three targets"),
    (GaussianProcessClassifier(RBF(3.0), optimizer=None, **SEED), binary),
    (GaussianProcessClassifier(RBF(3.0), optimizer=None, **SEED), strings, "strings"),
    (KNeighborsClassifier(), multi),
    (KNeighborsClassifier(weights="distance"), strings, "by distance, strings"),
    (KNeighborsClassifier(3, p=1), binary32, "Manhattan, float32"),
    (KNeighborsClassifier(metric="cosine"), multi, "cosine"),
    (KNeighborsClassifier(metric="precomputed"), d.distances, "precomputed"),
    (KNeighborsClassifier(), d.far_away, "far from the origin"),
    (KNeighborsClassifier(), d.two_questions, "two outputs"),
    (KNeighborsRegressor(), regression),
    (KNeighborsRegressor(weights="distance"), regression, "by distance"),
    (KNeighborsRegressor(metric="manhattan"), targets, "Manhattan, three targets"),
    (RadiusNeighborsClassifier(6.0, outlier_label="most_frequent"), multi),
    (RadiusNeighborsRegressor(40.0), regression),
    (IsotonicRegression(out_of_bounds="clip"), d.one_number),
    (IsotonicRegression(), d.one_number, "nothing beyond the ends"),
    (NearestCentroid(), strings),
    (NearestCentroid(shrink_threshold=0.2), multi, "shrunk"),
    (NearestCentroid(metric="manhattan"), multi, "Manhattan"),
    (KNeighborsTransformer(n_neighbors=3), plain),
    (RadiusNeighborsTransformer(radius=4.0), plain),
    (NeighborhoodComponentsAnalysis(2, max_iter=10, **SEED), multi),
    (NearestNeighbors(), plain),
    (KernelDensity(), plain),
    (LocalOutlierFactor(novelty=True), d.with_outliers),
    (LabelPropagation(gamma=0.5), d.half_labelled),
    (LabelPropagation("knn", n_neighbors=5), d.half_labelled, "neighbours"),
    (LabelSpreading(gamma=0.5), d.half_labelled),
    (KernelPCA(3, kernel="rbf", gamma=0.05), plain),
    (KernelPCA(3, kernel="cosine"), plain, "cosine"),
    (pp.KernelCenterer(), partial(d.kernel, "centre")),
    (Nystroem(n_components=20, gamma=0.05, **SEED), plain),
    (Nystroem(kernel="laplacian", n_components=20, gamma=0.05, **SEED), plain, "Laplace"),
    (RBFSampler(n_components=20, gamma=0.05, **SEED), plain),
    (PolynomialCountSketch(n_components=16, **SEED), plain),
    (SkewedChi2Sampler(skewedness=1.0, n_components=16, **SEED), d.positive),
    (AdditiveChi2Sampler(), d.positive),
    (EllipticEnvelope(**SEED), d.with_outliers),
]  # fmt: skip

BAYES_AND_NETS: list[Row] = [
    (GaussianNB(), multi),
    (GaussianNB(), strings, "strings"),
    (BernoulliNB(binarize=0.2), multi),
    (MultinomialNB(), counts),
    (MultinomialNB(), d.sparse_counts, "sparse"),
    (ComplementNB(), counts),
    (ComplementNB(norm=True), counts, "norm"),
    (CategoricalNB(), d.codes),
    (MLPClassifier((8,), max_iter=80, **SEED), multi),
    (MLPClassifier((8, 4), max_iter=80, activation="tanh", **SEED), bools, "tanh, bools"),
    (MLPClassifier((8,), max_iter=80, activation="logistic", **SEED), d.multilabel, "multilabel"),
    (MLPRegressor(hidden_layer_sizes=(8,), max_iter=80, **SEED), d.signals_and_target),
    (
        MLPRegressor(hidden_layer_sizes=(8,), max_iter=80, activation="identity", **SEED),
        targets,
        "three targets",
    ),
    (BernoulliRBM(8, n_iter=3, **SEED), d.unit),
    (GaussianMixture(3, **SEED), d.blobs),
    (GaussianMixture(3, covariance_type="diag", **SEED), d.blobs, "diagonal"),
    (GaussianMixture(3, covariance_type="tied", **SEED), d.blobs, "tied"),
    (GaussianMixture(3, covariance_type="spherical", **SEED), d.blobs, "spherical"),
    (BayesianGaussianMixture(n_components=4, max_iter=200, **SEED), d.blobs),
    (BayesianGaussianMixture(n_components=4, covariance_type="diag", **SEED), d.blobs, "diagonal"),
]

CLUSTERS: list[Row] = [
    (KMeans(4, n_init=2, **SEED), d.blobs),
    (KMeans(3, n_init=2, **SEED), d.far_away, "far from the origin"),
    (MiniBatchKMeans(4, n_init=2, **SEED), d.blobs),
    (BisectingKMeans(5, **SEED), d.blobs),
    (MeanShift(bandwidth=4), d.blobs),
    (AffinityPropagation(damping=0.9, **SEED), d.blobs),
    (Birch(n_clusters=4), d.blobs),
    (Birch(n_clusters=None, threshold=2.0), d.blobs, "subclusters"),
    (FeatureAgglomeration(3), plain),
    (AgglomerativeClustering(4), d.blobs),
    (DBSCAN(2.0), d.blobs),
    (HDBSCAN(copy=True), d.blobs),
    (OPTICS(), d.blobs),
    (SpectralClustering(4, **SEED), d.blobs),
    (SpectralBiclustering(2, **SEED), d.positive),
    (SpectralCoclustering(2, **SEED), d.positive),
    (EmpiricalCovariance(), plain),
    (GraphicalLasso(0.1), plain),
    (GraphicalLassoCV(), plain),
    (LedoitWolf(), plain),
    (MinCovDet(**SEED), plain),
    (OAS(), plain),
    (ShrunkCovariance(), plain),
]

DECOMPOSITIONS: list[Row] = [
    (PCA(3), plain),
    (PCA(0.9, whiten=True), plain32, "whitened, float32"),
    (PCA(2), d.far_away, "far from the origin"),
    (IncrementalPCA(3), plain),
    (SparsePCA(3, max_iter=20, **SEED), plain),
    (MiniBatchSparsePCA(3, max_iter=20, **SEED), plain),
    (TruncatedSVD(3, **SEED), plain),
    (TruncatedSVD(3, **SEED), partial(d.sparse_counts, "none"), "sparse"),
    (FactorAnalysis(3, **SEED), plain),
    (FastICA(3, **SEED), plain),
    (NMF(3, max_iter=500, **SEED), partial(counts, "none")),
    (MiniBatchNMF(3, **SEED), partial(counts, "none")),
    (LatentDirichletAllocation(3, max_iter=5, **SEED), partial(counts, "none")),
    (DictionaryLearning(5, max_iter=10, transform_algorithm="lasso_lars", **SEED), plain),
    (MiniBatchDictionaryLearning(5, max_iter=5, **SEED), plain),
    (SparseCoder(d.normal(21, 16)[:8], transform_algorithm="omp"), d.signals),
    (SparseCoder(d.normal(21, 16)[:8], transform_algorithm="threshold"), d.signals, "threshold"),
    (PLSRegression(3), regression),
    (PLSRegression(2), targets, "three targets"),
    (PLSCanonical(2), targets),
    (CCA(2), targets),
    (PLSSVD(2), targets),
    (Isomap(n_components=2), plain),
    (LocallyLinearEmbedding(n_components=2, **SEED), plain),
    (MDS(n_init=1, max_iter=20, init="random", **SEED), plain),
    (ClassicalMDS(), plain),
    (SpectralEmbedding(**SEED), plain),
    (TSNE(init="random", max_iter=250, **SEED), plain),
    (GaussianRandomProjection(3, **SEED), plain),
    (SparseRandomProjection(3, **SEED), plain),
]

PREPROCESSING: list[Row] = [
    (pp.StandardScaler(), plain),
    (pp.StandardScaler(), d.far_away, "far from the origin"),
    (pp.StandardScaler(), holed, "missing values"),
    (pp.MinMaxScaler(clip=True), plain),
    (pp.MaxAbsScaler(), plain),
    (pp.RobustScaler(), plain),
    (pp.Normalizer(), plain),
    (pp.Normalizer("max"), plain, "max"),
    (pp.Binarizer(threshold=0.5), plain),
    (pp.PowerTransformer(), plain),
    (pp.PowerTransformer("box-cox"), d.positive, "Box-Cox"),
    (pp.QuantileTransformer(n_quantiles=50), plain),
    (pp.QuantileTransformer(n_quantiles=50, output_distribution="normal"), plain, "normal"),
    (pp.PolynomialFeatures(2), plain),
    (pp.PolynomialFeatures(3, interaction_only=True, include_bias=False), plain32,
     "interactions, float32"),
    (pp.SplineTransformer(n_knots=4), plain),
    (pp.SplineTransformer(extrapolation="periodic"), plain, "periodic"),
    (pp.SplineTransformer(knots="quantile", extrapolation="linear"), plain, "quantiles, linear"),
    (pp.KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf"), plain),
    (pp.KBinsDiscretizer(4, encode="ordinal", strategy="uniform"), exact,
     "ordinal, one-decimal data"),
    (pp.FunctionTransformer(), plain),
    (pp.FunctionTransformer(np.log1p), partial(counts, "none"), "log1p"),
    (pp.OneHotEncoder(), matrix),
    (pp.OneHotEncoder(handle_unknown="ignore", sparse_output=False), matrix, "unknown ignored"),
    (pp.OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=70), matrix,
     "infrequent"),
    (pp.OneHotEncoder(handle_unknown="ignore", drop="if_binary"), matrix, "drop"),
    (pp.OneHotEncoder(handle_unknown="ignore"), holed_matrix, "missing values"),
    (pp.OneHotEncoder(handle_unknown="ignore"), d.codes, "integers"),
    (pp.OneHotEncoder(handle_unknown="ignore"), d.frame_of_strings, "DataFrame"),
    (pp.OrdinalEncoder(), matrix),
    (pp.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), matrix,
     "unknown is -1"),
    (pp.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan,
                       encoded_missing_value=-2), holed_matrix, "missing values"),
    (pp.OrdinalEncoder(), d.frame_of_strings, "DataFrame"),
    (pp.TargetEncoder(target_type="multiclass", **SEED), partial(d.strings, "classes")),
    (pp.TargetEncoder(target_type="continuous", **SEED), partial(d.strings, "numbers"), "numbers"),
    (pp.LabelEncoder(), d.names),
    (pp.LabelEncoder(), partial(d.names, "integers"), "integers"),
    (pp.LabelBinarizer(), d.names),
    (pp.LabelBinarizer(neg_label=-1, pos_label=2), partial(d.names, "integers"), "integers"),
    (pp.MultiLabelBinarizer(), d.tag_sets),
    (SimpleImputer(), holed),
    (SimpleImputer(strategy="median", add_indicator=True), holed, "median, indicator"),
    (SimpleImputer(strategy="most_frequent"), holed_matrix, "strings"),
    (SimpleImputer(strategy="constant", fill_value=-1.0), holed, "constant"),
    (KNNImputer(n_neighbors=3), holed),
    (KNNImputer(n_neighbors=3, weights="distance", add_indicator=True), holed, "by distance"),
    (IterativeImputer(max_iter=3, **SEED), holed),
    (MissingIndicator(features="all"), holed),
    (VarianceThreshold(0.2), plain),
    (SelectKBest(k=3), multi),
    (SelectKBest(mutual_info_classif, k=2), multi, "mutual information"),
    (SelectPercentile(percentile=50), multi),
    (SelectFpr(), multi),
    (SelectFdr(), multi),
    (SelectFwe(), multi),
    (GenericUnivariateSelect(mode="k_best", param=3), multi),
]  # fmt: skip

TEXT: list[Row] = [
    (CountVectorizer(), only_texts),
    (CountVectorizer(ngram_range=(1, 2), max_features=80), only_texts, "pairs of words"),
    (CountVectorizer(analyzer="char", ngram_range=(2, 3), max_features=150), only_texts, "letters"),
    (CountVectorizer(analyzer="char_wb", ngram_range=(2, 3), max_features=150), only_texts,
     "letters within words"),
    (CountVectorizer(binary=True, lowercase=False), only_texts, "binary, case kept"),
    (CountVectorizer(stop_words="english"), only_texts, "stop words"),
    (CountVectorizer(strip_accents="unicode"), only_texts, "accents stripped"),
    (CountVectorizer(token_pattern=r"\S+"), only_texts, "split at blanks"),
    (TfidfVectorizer(), only_texts),
    (TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)), only_texts, "sublinear, pairs"),
    (TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), max_features=200), only_texts,
     "letters within words"),
    (TfidfVectorizer(stop_words=["팀", "the", "meeting"], ngram_range=(1, 2)), only_texts,
     "stop words, pairs"),
    (TfidfVectorizer(norm="l1", use_idf=False, min_df=2), only_texts, "l1, no idf"),
    (HashingVectorizer(n_features=64), only_texts),
    (HashingVectorizer(n_features=64, analyzer="char", alternate_sign=False), only_texts,
     "letters"),
    (TfidfTransformer(), partial(counts, "none")),
    (TfidfTransformer(sublinear_tf=True), partial(d.sparse_counts, "none"), "sublinear, sparse"),
    (DictVectorizer(), d.dicts),
    (FeatureHasher(16), partial(d.dicts, "hash")),
    (PatchExtractor(patch_size=(3, 3), max_patches=4, **SEED), d.images),
]  # fmt: skip

ROWS = [*LINEAR, *TREES, *META, *KERNELS, *BAYES_AND_NETS, *CLUSTERS, *DECOMPOSITIONS,
        *PREPROCESSING, *TEXT]  # fmt: skip


def estimator_cases() -> list[Case]:
    """Return every configuration, by class."""
    cases = [
        Case(type(row[0]).__name__, row[2] if len(row) > 2 else "", row[0], row[1]) for row in ROWS
    ]
    return sorted(cases, key=lambda case: case.subject)
