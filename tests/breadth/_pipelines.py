"""Pipelines as people build them, by what they are for."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from breadth import _custom as own
from breadth import _data as d
from breadth import _tables as t
from breadth._cases import Case
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn import ensemble as en
from sklearn import linear_model as lm
from sklearn import preprocessing as pp
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import Birch, KMeans, MiniBatchKMeans
from sklearn.compose import (
    ColumnTransformer,
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.covariance import EllipticEnvelope
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import NMF, PCA, LatentDirichletAllocation, TruncatedSVD
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 -- makes it available
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfTransformer,
    TfidfVectorizer,
)
from sklearn.feature_selection import (
    RFE,
    SelectFromModel,
    SelectKBest,
    SelectPercentile,
    VarianceThreshold,
    chi2,
    f_regression,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.kernel_ridge import KernelRidge
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    LocalOutlierFactor,
    NearestCentroid,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC, SVR, LinearSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier, XGBRegressor, XGBRFClassifier

SEED: dict[str, Any] = {"random_state": 0}
FAST: dict[str, Any] = {"n_estimators": 15, "max_depth": 4, "random_state": 0}
XGB: dict[str, Any] = FAST | {"n_jobs": 1}  # more of them wait for each other
LIGHT: dict[str, Any] = XGB | {"verbose": -1, "min_child_samples": 5}
LOGISTIC = lm.LogisticRegression(max_iter=500)
FOREST = en.RandomForestClassifier(**FAST)
FORESTS = en.RandomForestRegressor(**FAST)
BOOSTED = en.HistGradientBoostingClassifier(max_iter=15, **SEED)

NUMBERS = ["age", "tenure (months)", "월 요금", "label"]
NAMES = ["plan", "city"]
ONE_HOT = pp.OneHotEncoder(handle_unknown="ignore")
ORDINAL = pp.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
FILLED = make_pipeline(SimpleImputer(strategy="median"), pp.StandardScaler())
NAMED = make_pipeline(SimpleImputer(strategy="most_frequent"), ONE_HOT)


def customers(numbers: Any = FILLED, names: Any = NAMED, **more: Any) -> ColumnTransformer:
    """Prepare the customers' columns; the id, the time and what else there is are dropped."""
    parts = [("numbers", numbers, NUMBERS), ("names", names, NAMES), ("flag", "passthrough",
             ["newsletter"])]  # fmt: skip
    return ColumnTransformer(parts, **more)


def churn_model(model: Any, *steps: Any, **parts: Any) -> Pipeline:
    """Return a model of the customers."""
    return make_pipeline(customers(**parts), *steps, model)


integers, bools = partial(t.churn, "integers"), partial(t.churn, "bools")
CHURN: list[tuple[Any, ...]] = [
    ("logistic regression", churn_model(LOGISTIC), t.churn),
    ("forest", churn_model(FOREST), t.churn),
    ("boosting by histograms, ordinal categories",
     churn_model(BOOSTED, numbers="passthrough", names=ORDINAL), t.churn),
    ("gradient boosting", churn_model(en.GradientBoostingClassifier(**FAST)), bools),
    ("calibrated linear SVM", churn_model(CalibratedClassifierCV(LinearSVC(), cv=3)), t.churn),
    ("tuned threshold", TunedThresholdClassifierCV(churn_model(LOGISTIC), cv=3), bools),
    ("fixed threshold", FixedThresholdClassifier(churn_model(FOREST), threshold=0.35), t.churn),
    ("stack of pipelines",
     en.StackingClassifier([("l", churn_model(LOGISTIC)), ("f", churn_model(FOREST))], cv=3),
     t.churn),
    ("votes of pipelines",
     en.VotingClassifier([("l", churn_model(LOGISTIC)), ("n", churn_model(FOREST))],
                         voting="soft", weights=[2, 1]), t.churn),
    ("grid search", GridSearchCV(churn_model(LOGISTIC), {"logisticregression__C": [0.1, 1]}, cv=3),
     t.churn),
    ("xgboost", churn_model(XGBClassifier(**XGB)), integers),
    ("lightgbm", churn_model(LGBMClassifier(**LIGHT)), t.churn),
    ("target encoder, ridge",
     churn_model(lm.RidgeClassifier(), names=pp.TargetEncoder(**SEED)), t.churn),
    ("SVM", churn_model(SVC()), t.churn),
    ("neighbours", churn_model(KNeighborsClassifier(7)), t.churn),
    ("imputers with indicators",
     churn_model(LOGISTIC, numbers=make_pipeline(SimpleImputer(add_indicator=True),
                                                 pp.StandardScaler())), t.churn),
    ("infrequent cities, chi²",
     churn_model(LOGISTIC, SelectKBest(chi2, k=5), numbers=make_pipeline(KNNImputer(n_neighbors=3),
                 pp.MinMaxScaler()),
                 names=pp.OneHotEncoder(min_frequency=60, handle_unknown="infrequent_if_exist")),
     t.churn),
    ("columns by type",
     make_pipeline(
         make_column_transformer(
             (FILLED, make_column_selector(dtype_include=np.number)),
             (NAMED, make_column_selector(dtype_include=["category", object])),
         ),
         LOGISTIC,
     ), t.churn),
    ("missing strings filled with a constant",
     churn_model(FOREST, names=make_pipeline(SimpleImputer(strategy="constant",
                 fill_value="unknown"), ORDINAL)), t.churn),
    ("times by an own transformer",
     make_pipeline(ColumnTransformer([("n", FILLED, NUMBERS),
                                      ("t", own.Calendar(), ["signed_up"])]), FOREST), t.churn),
    ("remainder of numbers and ids",
     make_pipeline(ColumnTransformer([("c", NAMED, NAMES), ("x", "drop", ["signed_up"])],
                                     remainder=SimpleImputer()), BOOSTED), t.churn),
    ("transformer alone", customers(), t.churn),
    ("output as a DataFrame",
     make_pipeline(customers(names=make_pipeline(SimpleImputer(strategy="most_frequent"), ORDINAL))
                   .set_output(transform="pandas"), BOOSTED), t.churn),
]  # fmt: skip

AMOUNTS = ["amount", "duration", "income/year", "score"]
WORDS = ["purpose", "housing"]


def loans(numbers: Any, names: Any | None = None) -> ColumnTransformer:
    """Prepare the loans' columns; an unknown purpose is refused."""
    encoder = names or pp.OneHotEncoder(drop="if_binary")
    return ColumnTransformer([("n", numbers, AMOUNTS), ("c", encoder, WORDS)],
                             remainder="passthrough")  # fmt: skip


SCALED = pp.StandardScaler()
CREDIT: list[tuple[Any, ...]] = [
    ("logistic regression", make_pipeline(loans(SCALED), LOGISTIC), t.credit),
    ("forest", make_pipeline(loans("passthrough", pp.OrdinalEncoder()), FOREST), t.credit),
    ("bins", make_pipeline(loans(pp.KBinsDiscretizer(5, quantile_method="averaged_inverted_cdf")),
                           LOGISTIC), t.credit),
    ("powers", make_pipeline(loans(pp.PowerTransformer()), lm.SGDClassifier(**SEED)), t.credit),
    ("quantiles to normal",
     make_pipeline(loans(pp.QuantileTransformer(n_quantiles=60, output_distribution="normal")),
                   GaussianNB()), t.credit),
    ("logarithms",
     make_pipeline(loans(make_pipeline(pp.FunctionTransformer(np.log1p), SCALED)), SVC()),
     t.credit),
    ("polynomials",
     make_pipeline(loans(make_pipeline(SCALED, pp.PolynomialFeatures(2, include_bias=False))),
                   LOGISTIC), t.credit),
    ("neural network", make_pipeline(loans(SCALED), MLPClassifier((8,), max_iter=60, **SEED)),
     t.credit),
    ("bagged trees", make_pipeline(loans(SCALED), en.BaggingClassifier(n_estimators=7, **SEED)),
     t.credit),
    ("AdaBoost", make_pipeline(loans(SCALED), en.AdaBoostClassifier(n_estimators=10, **SEED)),
     t.credit),
    ("extra trees", make_pipeline(loans(pp.RobustScaler()), en.ExtraTreesClassifier(**FAST)),
     t.credit),
    ("features chosen by a forest",
     make_pipeline(loans(SCALED), SelectFromModel(FOREST), LOGISTIC), t.credit),
    ("recursive elimination", make_pipeline(loans(SCALED), RFE(LOGISTIC, n_features_to_select=4),
                                            LOGISTIC), t.credit),
    ("one against the rest", make_pipeline(loans(SCALED), OneVsRestClassifier(LinearSVC())),
     t.credit),
    ("hard votes", make_pipeline(loans("passthrough"), pp.MaxAbsScaler(),
                                 en.VotingClassifier([("f", FOREST), ("l", LOGISTIC)])), t.credit),
    ("random search",
     RandomizedSearchCV(make_pipeline(loans(SCALED), FOREST),
                        {"randomforestclassifier__max_depth": [2, 4]}, n_iter=2, cv=2, **SEED),
     t.credit),
]  # fmt: skip

PLACES = ["area", "rooms", "year", "lat", "lon"]


def homes(numbers: Any = SCALED) -> ColumnTransformer:
    """Prepare the houses' columns."""
    return ColumnTransformer([("n", numbers, PLACES), ("c", ONE_HOT, ["district"]),
                              ("p", SimpleImputer(add_indicator=True), ["parking"])])  # fmt: skip


def priced(model: Any) -> TransformedTargetRegressor:
    """Return the model of the target's logarithm."""
    return TransformedTargetRegressor(model, func=np.log1p, inverse_func=np.expm1)


float32 = partial(t.house_numbers, "float32")
HOUSES: list[tuple[Any, ...]] = [
    ("ridge of logarithms", priced(make_pipeline(homes(), lm.Ridge())), t.houses),
    ("forest", make_pipeline(homes(), FORESTS), t.houses),
    ("boosting by histograms",
     make_pipeline(homes("passthrough"), en.HistGradientBoostingRegressor(max_iter=20)), t.houses),
    ("gradient boosting of a quantile",
     make_pipeline(homes(), en.GradientBoostingRegressor(loss="quantile", **FAST)), t.houses),
    ("splines", make_pipeline(homes(pp.SplineTransformer(n_knots=5)), lm.RidgeCV()), t.houses),
    ("polynomials", make_pipeline(homes(make_pipeline(SCALED, pp.PolynomialFeatures(2))),
                                  lm.LassoCV(cv=3)), t.houses),
    ("target as a normal",
     TransformedTargetRegressor(
         make_pipeline(homes(), lm.Ridge()),
         transformer=pp.QuantileTransformer(n_quantiles=50, output_distribution="normal")),
     t.houses),
    ("stack", en.StackingRegressor([("r", make_pipeline(homes(), lm.Ridge())),
                                    ("f", make_pipeline(homes(), FORESTS))], cv=3), t.houses),
    ("votes", en.VotingRegressor([("r", make_pipeline(homes(), lm.HuberRegressor(max_iter=500))),
                                  ("f", make_pipeline(homes(), FORESTS))]), t.houses),
    ("xgboost", make_pipeline(homes(), XGBRegressor(**XGB)), t.houses),
    ("lightgbm", priced(make_pipeline(homes(), LGBMRegressor(**LIGHT))), t.houses),
    ("neighbours by place", make_pipeline(
        ColumnTransformer([("p", "passthrough", ["lat", "lon"])]), KNeighborsRegressor(5)),
     t.houses),
    ("own function", make_pipeline(
        ColumnTransformer([("a", pp.FunctionTransformer(own.per_room), ["area", "rooms"])]),
        lm.LinearRegression()), t.houses),
    ("SVM, numbers only", priced(make_pipeline(SCALED, SVR())), t.house_numbers),
    ("partial least squares", make_pipeline(SCALED, PLSRegression(2)), t.house_numbers),
    ("Nyström", make_pipeline(SCALED, Nystroem(n_components=30, **SEED), lm.Ridge()),
     t.house_numbers),
    ("random Fourier features, float32",
     make_pipeline(SCALED, RBFSampler(n_components=30, gamma=0.1, **SEED), lm.Ridge()), float32),
    ("neural network, float32",
     make_pipeline(SCALED, MLPRegressor(hidden_layer_sizes=(8,), max_iter=80, **SEED)), float32),
    ("Gaussian process",
     make_pipeline(SCALED, GaussianProcessRegressor(RBF() + WhiteKernel(), optimizer=None)),
     t.house_numbers),
    ("kernel ridge", make_pipeline(SCALED, KernelRidge(kernel="rbf", gamma=0.1)), t.house_numbers),
    ("components, then forest", make_pipeline(SCALED, PCA(3), FORESTS), t.house_numbers),
    ("selection, then ridge",
     make_pipeline(VarianceThreshold(), SelectKBest(f_regression, k=3), SCALED, lm.Ridge()),
     t.house_numbers),
    ("several targets", make_pipeline(SCALED, MultiOutputRegressor(
        en.HistGradientBoostingRegressor(max_iter=8))), d.regressions),
    ("quantile regression", make_pipeline(pp.RobustScaler(), lm.QuantileRegressor(alpha=0.01)),
     t.house_numbers),
]  # fmt: skip

strings, tags = partial(d.texts, "strings"), t.text_tags
ENGLISH = {"stop_words": "english"}
LETTERS = {"analyzer": "char_wb", "ngram_range": (2, 4), "max_features": 400}
TEXTS: list[tuple[Any, ...]] = [
    ("words", make_pipeline(TfidfVectorizer(), LOGISTIC), strings),
    ("pairs of words, sublinear",
     make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2), LOGISTIC),
     d.texts),
    ("letters within words, linear SVM", make_pipeline(TfidfVectorizer(**LETTERS), LinearSVC()),
     strings),
    ("letters, naive Bayes",
     make_pipeline(CountVectorizer(analyzer="char", ngram_range=(1, 2)), MultinomialNB()), strings),
    ("words and letters",
     make_pipeline(FeatureUnion([("w", TfidfVectorizer()), ("l", TfidfVectorizer(**LETTERS))]),
                   LOGISTIC), strings),
    ("stop words", make_pipeline(TfidfVectorizer(**ENGLISH), ComplementNB()), strings),
    ("stop words, pairs",
     make_pipeline(CountVectorizer(ngram_range=(1, 2), **ENGLISH), TfidfTransformer(), LOGISTIC),
     strings),
    ("hashing", make_pipeline(HashingVectorizer(n_features=256), lm.SGDClassifier(**SEED)),
     strings),
    ("latent semantics, forest",
     make_pipeline(TfidfVectorizer(), TruncatedSVD(8, **SEED), FOREST), strings),
    ("calibrated", make_pipeline(TfidfVectorizer(), CalibratedClassifierCV(LinearSVC(), cv=3)),
     strings),
    ("several tags", make_pipeline(TfidfVectorizer(), OneVsRestClassifier(LOGISTIC)), tags),
    ("chosen by chi²", make_pipeline(CountVectorizer(), SelectPercentile(chi2, percentile=40),
                                     LOGISTIC), strings),
    ("accents stripped", make_pipeline(TfidfVectorizer(strip_accents="unicode"), LOGISTIC),
     strings),
    ("one letter is a word",
     make_pipeline(TfidfVectorizer(token_pattern=r"(?u)\b\w+\b"), LOGISTIC), strings),
    ("split at blanks, case kept",
     make_pipeline(TfidfVectorizer(token_pattern=r"\S+", lowercase=False), LinearSVC()), strings),
    ("own preprocessor", make_pipeline(TfidfVectorizer(preprocessor=own.spelt), LOGISTIC), strings),
    ("own tokenizer",
     make_pipeline(TfidfVectorizer(tokenizer=own.words, token_pattern=None), LOGISTIC), strings),
    ("words and own numbers",
     make_pipeline(make_union(TfidfVectorizer(), pp.FunctionTransformer(own.lengths)), LOGISTIC),
     strings),
    ("given vocabulary",
     make_pipeline(CountVectorizer(vocabulary=["회의", "meeting", "🎂"], token_pattern=r"\S+"),
                   LOGISTIC), strings),
    ("nearest centroid", make_pipeline(TfidfVectorizer(), NearestCentroid()), strings),
    ("neighbours by cosine",
     make_pipeline(TfidfVectorizer(), KNeighborsClassifier(metric="cosine")), strings),
    ("topics", make_pipeline(CountVectorizer(), LatentDirichletAllocation(4, max_iter=4, **SEED)),
     d.texts),
    ("clusters", make_pipeline(TfidfVectorizer(), MiniBatchKMeans(4, n_init=2, **SEED)), d.texts),
    ("factors", make_pipeline(TfidfVectorizer(max_features=40), NMF(4, **SEED)), d.texts),
    ("boosting",
     make_pipeline(TfidfVectorizer(max_features=50), LGBMClassifier(**LIGHT)), strings),
]  # fmt: skip

TITLE = ("title", TfidfVectorizer(), "title")
EVENTS: list[tuple[Any, ...]] = [
    ("title and numbers",
     make_pipeline(ColumnTransformer([TITLE, ("n", SCALED, ["weekday", "hour", "minutes"])]),
                   LOGISTIC), t.events),
    ("two texts",
     make_pipeline(ColumnTransformer([TITLE, ("place", CountVectorizer(**LETTERS), "place")]),
                   LinearSVC()), t.events),
    ("title and categories",
     make_pipeline(ColumnTransformer([TITLE, ("c", ONE_HOT, ["place", "weekday"])],
                                     remainder="passthrough"), FOREST), t.events),
    ("weights of the parts",
     make_pipeline(ColumnTransformer([TITLE, ("n", pp.MinMaxScaler(), ["hour", "minutes"])],
                                     transformer_weights={"title": 2.0, "n": 0.5}), LOGISTIC),
     t.events),
    ("stack on titles",
     make_pipeline(ColumnTransformer([TITLE, ("n", SCALED, ["hour"])]),
                   en.StackingClassifier([("l", LOGISTIC), ("s", LinearSVC())], cv=3)), t.events),
]  # fmt: skip

UNSUPERVISED: list[tuple[Any, ...]] = [
    ("isolation forest", make_pipeline(SCALED, en.IsolationForest(n_estimators=20, **SEED)),
     d.with_outliers),
    ("one-class SVM", make_pipeline(SCALED, OneClassSVM(nu=0.1)), d.with_outliers),
    ("local outlier factor", make_pipeline(SCALED, LocalOutlierFactor(novelty=True)),
     d.with_outliers),
    ("elliptic envelope", make_pipeline(pp.RobustScaler(), EllipticEnvelope(**SEED)),
     d.with_outliers),
    ("outliers of customers",
     make_pipeline(customers(), en.IsolationForest(n_estimators=20, **SEED)), t.churn),
    ("k-means", make_pipeline(SCALED, KMeans(4, n_init=2, **SEED)), d.blobs),
    ("mixture of components", make_pipeline(PCA(3), GaussianMixture(4, **SEED)), d.blobs),
    ("BIRCH", make_pipeline(SCALED, Birch(n_clusters=3, threshold=0.8)), d.blobs),
    ("customers in clusters", make_pipeline(customers(), KMeans(5, n_init=2, **SEED)), t.churn),
    ("distances to clusters, then logistic", make_pipeline(KMeans(8, n_init=2, **SEED), LOGISTIC),
     d.multi),
    ("features only", make_pipeline(SimpleImputer(), pp.PowerTransformer(), PCA(3)),
     d.with_missing),
    ("iterative imputer", make_pipeline(IterativeImputer(max_iter=3, **SEED), SCALED),
     d.with_missing),
]  # fmt: skip

EXACTNESS: list[tuple[Any, ...]] = [
    ("time stamps and device numbers, tree",
     make_pipeline(pp.FunctionTransformer(), DecisionTreeClassifier(**SEED)), t.sensors),
    ("time stamps scaled", make_pipeline(SCALED, LOGISTIC), t.sensors),
    ("device numbers as categories",
     make_pipeline(ColumnTransformer([("d", ONE_HOT, ["device"])], remainder=SCALED), FOREST),
     t.sensors),
    ("time stamps, boosting", en.HistGradientBoostingClassifier(max_iter=15), t.sensors),
    ("clusters far from the origin", make_pipeline(pp.MinMaxScaler(), KMeans(3, n_init=2, **SEED)),
     d.far_away),
    ("components far from the origin", make_pipeline(PCA(2), LOGISTIC), d.far_away),
    ("one decimal, scaled, forest", make_pipeline(SCALED, FOREST), d.one_decimal),
    ("times by an own function",
     make_pipeline(ColumnTransformer([("t", pp.FunctionTransformer(own.hours), ["start"]),
                                      ("d", "passthrough", ["distance"])]), SCALED, lm.Ridge()),
     t.journeys),
    ("times with a zone",
     make_pipeline(ColumnTransformer([("t", own.Calendar(), ["start", "booked"])],
                                     remainder="passthrough"), FORESTS), t.journeys),
]  # fmt: skip

LABELS: list[tuple[Any, ...]] = [
    ("a hundred names", make_pipeline(SCALED, LOGISTIC), t.many_words),
    ("a hundred names, forest", make_pipeline(SCALED, FOREST), t.many_words),
    ("negative labels", make_pipeline(SCALED, SVC()), partial(d.labelled, "negative")),
    ("labels of 10¹²", make_pipeline(SCALED, FOREST), partial(d.labelled, "huge")),
    ("two questions", make_pipeline(SCALED, MultiOutputClassifier(FOREST)),
     partial(d.two_questions, "strings")),
    ("chain of labels", make_pipeline(SCALED, ClassifierChain(LOGISTIC, **SEED)), d.multilabel),
    ("multilabel neighbours", make_pipeline(SCALED, KNeighborsClassifier()), d.multilabel),
    ("half of them unknown", make_pipeline(SCALED, SelfTrainingClassifier(LOGISTIC)),
     d.half_labelled),
]  # fmt: skip

KINDS: list[tuple[Any, ...]] = [
    ("sparse counts, naive Bayes", make_pipeline(TfidfTransformer(), MultinomialNB()),
     d.sparse_counts),
    ("sparse counts, scaled", make_pipeline(pp.MaxAbsScaler(), LOGISTIC), d.sparse_counts),
    ("sparse counts, components",
     make_pipeline(TruncatedSVD(3, **SEED), KMeans(3, n_init=2, **SEED)),
     partial(d.sparse_counts, "none")),
    ("dicts", make_pipeline(DictVectorizer(sparse=False), MiniBatchKMeans(3, n_init=2, **SEED)),
     d.dicts),
    ("strings only", make_pipeline(ONE_HOT, LOGISTIC), partial(d.strings, "classes")),
    ("strings with missing ones",
     make_pipeline(SimpleImputer(strategy="most_frequent"), ORDINAL, FOREST),
     partial(d.strings, "classes", missing=True)),
    ("nullable types",
     make_pipeline(ColumnTransformer([("n", FILLED, ["visits", "spent"]),
                                      ("c", ONE_HOT, ["city"])]), LOGISTIC), t.nullable),
    ("float32", make_pipeline(SCALED, FOREST), partial(d.multi, "float32")),
    ("integers", make_pipeline(ONE_HOT, LOGISTIC), d.codes),
]  # fmt: skip

BOOSTERS: list[tuple[Any, ...]] = [
    ("xgboost, binary", XGBClassifier(**XGB), d.binary),
    ("xgboost, three classes", XGBClassifier(**XGB), d.multi),
    ("xgboost, missing values", XGBClassifier(**XGB), d.with_missing),
    ("xgboost, numbers", XGBRegressor(**XGB), d.regression),
    ("xgboost, float32", XGBRegressor(**XGB), partial(d.regression, "float32")),
    ("xgboost, Poisson", XGBRegressor(objective="count:poisson", **XGB), d.positive_target),
    ("xgboost, DART", XGBRegressor(booster="dart", rate_drop=0.2, **XGB), d.regression),
    ("xgboost, linear", XGBClassifier(booster="gblinear", n_estimators=15), d.binary),
    ("xgboost, forest", XGBRFClassifier(**XGB), d.binary),
    ("xgboost, categories", XGBClassifier(enable_categorical=True, **XGB), d.categories),
    ("xgboost, several targets", XGBRegressor(**XGB), d.regressions),
    ("lightgbm, binary", LGBMClassifier(**LIGHT), d.binary),
    ("lightgbm, strings", LGBMClassifier(**LIGHT), partial(d.labelled, "strings")),
    ("lightgbm, missing values", LGBMClassifier(**LIGHT), d.with_missing),
    ("lightgbm, numbers", LGBMRegressor(**LIGHT), d.regression),
    ("lightgbm, one decimal", LGBMRegressor(**LIGHT), partial(d.one_decimal, "numbers")),
    ("lightgbm, Poisson", LGBMRegressor(objective="poisson", **LIGHT), d.positive_target),
    ("lightgbm, categories", LGBMClassifier(**LIGHT), d.categories),
    ("lightgbm, forest",
     LGBMClassifier(boosting_type="rf", subsample=0.7, subsample_freq=1, **LIGHT), d.binary),
    ("xgboost in votes",
     en.VotingClassifier([("x", XGBClassifier(**XGB)), ("l", LGBMClassifier(**LIGHT))],
                         voting="soft"), d.multi),
]  # fmt: skip

OWN: list[tuple[Any, ...]] = [
    ("own transformer", make_pipeline(own.Clipper(), LOGISTIC), d.multi),
    ("own classifier", make_pipeline(SCALED, own.Rule()), partial(d.labelled, "strings")),
    ("unchanged subclass", make_pipeline(SCALED, own.Renamed()), d.multi),
    ("own transformer alone", own.Clipper(0.05), d.plain),
    ("own and text",
     make_pipeline(pp.FunctionTransformer(own.lengths), SCALED, LOGISTIC), strings),
]  # fmt: skip

FAMILIES = {
    "customers": CHURN,
    "loans": CREDIT,
    "houses": HOUSES,
    "texts": TEXTS,
    "events": EVENTS,
    "unsupervised": UNSUPERVISED,
    "exactness": EXACTNESS,
    "labels": LABELS,
    "kinds of input": KINDS,
    "boosters": BOOSTERS,
    "own code": OWN,
}


def pipeline_cases() -> list[Case]:
    """Return every pipeline, by family."""
    return [
        Case(family, title, estimator, data)
        for family, rows in FAMILIES.items()
        for title, estimator, data in rows
    ]
