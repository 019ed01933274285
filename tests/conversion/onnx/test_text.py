"""Text vectorizers become ONNX and read every text as Python does."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
import pandas as pd
import pytest
from geulpi_conversion import convert
from geulpi_conversion._onnx._candidate import runner
from geulpi_conversion._onnx._graph import OPSETS, Graph, Untranslatable
from geulpi_conversion._onnx._leaf import leaf
from geulpi_conversion._onnx._letters import Accents, cut, fold, regular
from geulpi_conversion._onnx._regex import CHARACTERS, Cut, NotTheSame, cut_of
from geulpi_conversion._onnx._tables import Table, Value
from geulpi_conversion._onnx._text import TRANSLATORS
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfTransformer,
    TfidfVectorizer,
    strip_accents_ascii,
    strip_accents_unicode,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline
from translating import assert_translated, translated

# Hangul in both forms, half of an emoji, blanks of all kinds, letters whose case is special.
NASTY = [
    *"aAbB치과éÉeE#_'-1٣½ⅧçÇßẞİıIſKΣσςΑα🎉\ud55c각å𐐀𐐨Ꭰꭰა",
    *" \t\n\x0b\x1c\x1f\x85\xa0\u1680\u2003\u2028\u202f\u3000", "  ", " \t ",
    "\u0301", "\u0307", "\u1112\u1161\u11ab", "e\u0301", "\u200b", "\u200d", "\ufeff", "\ufe0f",
    "👩\u200d🚀", "Ｆｕｌｌ", "ﬁ", "會議", "ΟΔΟΣ", "Σ.", "AΣ", "İx", "the ", "a ", "team ", "가나 ",
]  # fmt: skip
TITLES = [
    "치과 예약", "팀  주간\t회의", "Éclair 파티 🎉", "team standup  meeting", "Dentist, 9am", "",
    " ", " \t\u3000", "會議 @ 本社", "under_score __init__", "ΑΣ ΣΑΣ όσος ΟΔΟΣ. Σ Σ' Α'Σ",
    "İstanbul xİyy", "e #", "e", "a b c the cat and the dog", "x#hashtag c#", "# #",
    "가\u200b나", "가\x85나 다\u3000\u3000라",
    "١٢٣ ½ Ⅷ", "don't state-of-the-art", "Ｆｕｌｌ　ｗｉｄｔｈ", "각 각", "a", "no\u00a0break",
    "👩\u200d🚀 🏳️\u200d🌈", "STRASSE ß ẞ", "ა Ა Ꭰ ꭰ 𐐀 Ꞌ", "x" * 300 + " y", " lead and trail ",
]  # fmt: skip
RANGES = [(1, 1), (1, 2), (2, 4), (5, 6)]
texts = st.lists(st.sampled_from(NASTY), max_size=12).map("".join)


def answers(build: Callable[[Graph, str], str], given: Sequence[str]) -> np.ndarray:
    """Return what a piece of a graph makes of texts `[N]`."""
    graph = Graph(TRANSLATORS, leaf)
    name = build(graph, "given")
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "piece",
            [helper.make_tensor_value_info("given", TensorProto.STRING, [None])],
            [helper.make_empty_tensor_value_info(name)],
            list(graph.initializers.values()),
        ),
        opset_imports=[helper.make_opsetid(*opset) for opset in OPSETS.items()],
        ir_version=10,
    )
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"given": np.array(given, object)})[0]


def expected(text: str, lower: bool, accents: Accents) -> str:
    """Return what scikit-learn's preprocessor makes of a text."""
    strip = {"ascii": strip_accents_ascii, "unicode": strip_accents_unicode}
    text = text.lower() if lower else text
    return strip[accents](text) if accents else text


def tokens(found: Cut, given: Sequence[str]) -> list[list[str]]:
    """Return the tokens of texts, as ONNX Runtime cuts them."""
    rows = answers(lambda graph, text: cut(graph, text, found.token), given)
    whole = answers(
        lambda graph, text: graph.op(
            "RegexFullMatch", cut(graph, text, found.token), pattern=found.whole or "(?s).*"
        ),
        given,
    )
    return [
        [t for t, w in zip(*row, strict=True) if t and w] for row in zip(rows, whole, strict=True)
    ]


@pytest.mark.parametrize("odd", [[], ["İ"]], ids=["by the C library", "by the table"])
def test_every_character_is_folded_as_python_does(odd: list[str]) -> None:
    """`str.lower` and the graph agree on all of Unicode, on either way through it."""
    alone = [c for c in CHARACTERS if len(c.lower()) == 1]
    ordinary = alone if odd else [c for c in alone if unicodedata.ucd_3_2_0.category(c) != "Cn"]
    given = [*(c for c in ordinary if c != "Σ"), *odd]
    found = answers(lambda graph, text: fold(graph, text, lower=True, accents=None), given)
    assert [(g, f) for g, f in zip(given, found, strict=True) if g.lower() != f] == []


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("accents", [None, "ascii", "unicode"])
def test_every_character_loses_the_accents_that_python_strips(
    lower: bool, accents: Accents
) -> None:
    """Case and accents become what scikit-learn makes of them, whatever stands around."""
    given = [f"aΣ{c}{c}b" for c in CHARACTERS[:0x30000:7]] + [f"{c}Σ {c}" for c in NASTY]
    found = answers(lambda graph, text: fold(graph, text, lower=lower, accents=accents), given)
    assert list(found) == [expected(text, lower, accents) for text in given]


@settings(max_examples=25, deadline=None)
@given(st.lists(texts, min_size=1, max_size=8))
def test_a_sigma_ends_a_word_where_python_says_so(given: list[str]) -> None:
    """Σ becomes ς or σ by the letters around it, marks and apostrophes left out of account."""
    given = [text.replace("b", "Σ").replace("#", "’") for text in given]
    found = answers(lambda graph, text: fold(graph, text, lower=True, accents=None), given)
    assert list(found) == [text.lower() for text in given]
    found = answers(regular, given)
    assert [text.lower() for text in found] == [text.lower() for text in given]


@pytest.mark.parametrize(
    "pattern", [r"\w", r"\s", r"\S", r"\d", r"[^\W\d_]", r"(?i)[a-k]", r"(?a)\w", r"[^가-힣]", "."]
)
def test_a_class_holds_the_characters_of_python(pattern: str) -> None:
    """Of all Unicode, RE2 takes for a class what this Python takes for it."""
    (found,) = answers(lambda graph, text: cut(graph, text, cut_of(pattern).token), [CHARACTERS])
    assert list(found) == re.findall(pattern, CHARACTERS)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?u)\b\w\w+\b", r"\w+", r"\b\w+\b", r"(\w+)", r"\w{2,5}", r"(?:\w\w)+", r"\S", r"[^\s]+",
        "[a-zA-Z]+", "(?i)[a-c]+", r"\b[^\W\d_]+\b", r"\b[a-z]{2,}\b", r"\b\w{1,3}\b",
        r"\b(?:a|ab|abb)\b", "[가-힣]+|[a-z]+", r"\w[\w'-]*\w", r"[a-z]+(?:'[a-z]+)?",
        "a?b", "ab*", ".", "(?s).", r"\ba{2}\b", "[^,]+",
    ],
)  # fmt: skip
@settings(max_examples=10, deadline=None)
@given(given=st.lists(texts, min_size=1, max_size=8))
def test_tokens_are_those_of_findall(pattern: str, given: list[str]) -> None:
    """A pattern that is translated at all cuts what `re.findall` finds."""
    assert tokens(cut_of(pattern), given) == [re.findall(pattern, text) for text in given]


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"\w*", "nothing at all"),
        (r"\w+?", "min repeat"),
        ("a|ab", "more than one way"),
        ("a?(?:ab)?c?b?", "nothing at all"),
        ("a?(?:ab)?b", "more than one way"),
        ("(?:a|ab)(?:c|bcd)", "more than one way"),
        ("(?:a?)+b", "more than one way"),
        ("(?:|a)b", "more than one way"),
        (r"\w+(?=x)", "assert"),
        (r"(\w)\w", "subpattern"),
        (r"(\w)\1", "subpattern"),
        (r"\b[\w-]+\b", r"\\b"),
        (r"\b\w+", "at"),
        (r"^\w+", "at"),
        ("(?>a+)b", "atomic"),
        ("a++b", "possessive"),
        ("(?i:a)+", "subpattern"),
        (r"\w{60}", "more than 50"),
        (r"[^\w\W]", "no character"),
    ],
)
def test_a_pattern_that_might_cut_otherwise_is_not_translated(pattern: str, why: str) -> None:
    """Python takes the first way to match, ONNX Runtime the longest: in doubt it is refused."""
    with pytest.raises(NotTheSame, match=why):
        cut_of(pattern)


@pytest.mark.parametrize("accents", [None, "unicode", "ascii"])
@pytest.mark.parametrize("ngram_range", RANGES, ids=str)
@pytest.mark.parametrize("analyzer", ["word", "char", "char_wb"])
@pytest.mark.parametrize("kind", [CountVectorizer, TfidfVectorizer])
def test_analyzers_count_the_same_n_grams(
    kind: type, analyzer: str, ngram_range: tuple[int, int], accents: Accents
) -> None:
    """Words, characters and characters of words are counted as in scikit-learn, row by row too."""
    vectorizer = kind(analyzer=analyzer, ngram_range=ngram_range, strip_accents=accents)
    alone = [[title] for title in TITLES]
    swapped = [title.swapcase() for title in TITLES]
    assert_translated(vectorizer.fit(TITLES), TITLES, rows=[*alone, swapped])


@settings(max_examples=100, deadline=None)
@given(
    fitted=st.lists(texts, min_size=1, max_size=6),
    asked=st.lists(texts, min_size=1, max_size=6),
    options=st.fixed_dictionaries(
        {
            "analyzer": st.sampled_from(["word", "word", "char", "char_wb"]),
            "ngram_range": st.sampled_from([(1, 1), (1, 3), (2, 2), (2, 5), (3, 3)]),
            "lowercase": st.booleans(),
            "strip_accents": st.sampled_from([None, None, "unicode", "ascii"]),
            "binary": st.booleans(),
            "sublinear_tf": st.booleans(),
            "norm": st.sampled_from(["l1", "l2", None]),
        }
    ),
    pattern=st.sampled_from([r"(?u)\b\w\w+\b", r"\S", r"\w+", r"\b[^\W\d_]+\b"]),
    stops=st.sampled_from([None, ["the", "가나", "a", "#"]]),
)
def test_any_text_has_the_features_of_scikit_learn(
    fitted: list[str],
    asked: list[str],
    options: dict[str, Any],
    pattern: str,
    stops: list[str] | None,
) -> None:
    """Whatever the texts and the options, the features are the same, in a batch and alone."""
    if options["analyzer"] == "word":
        options = {**options, "token_pattern": pattern, "stop_words": stops}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of stop words that no token can be
        vectorizer = TfidfVectorizer(**options).fit([*fitted, "abcd efgh ijkl mnop"])
    run = runner(translated(vectorizer, asked).content)
    reference = vectorizer.transform(asked).toarray()
    batch = np.array([text.encode() for text in asked], object)[:, None]
    together = run({"X": batch})["features"]
    assert np.allclose(together, reference, atol=1e-6)
    for row, answer in zip(batch, together, strict=True):
        assert np.allclose(run({"X": row[None]})["features"][0], answer, atol=1e-6)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"use_idf": False},
        {"smooth_idf": False},
        {"norm": None},
        {"norm": "l1", "sublinear_tf": True},
        {"binary": True, "norm": None},
        {"max_features": 3},
        {"min_df": 2},
        {"stop_words": "english", "ngram_range": (1, 2)},
        {"stop_words": ["a", "#"], "token_pattern": r"\S", "ngram_range": (2, 3)},
        {"stop_words": ["team"], "token_pattern": r"\b[^\W\d_]+\b", "ngram_range": (1, 3)},
        {"preprocessor": str.lower, "lowercase": False, "strip_accents": "ascii"},
        {"tokenizer": str.split, "token_pattern": None},
        {"lowercase": False},
        {"dtype": np.float32},
    ],
    ids=str,
)
def test_options_mean_the_same(options: dict[str, Any], double: bool) -> None:
    """Weights, norms, stop words and the functions that are known are kept, in either precision."""
    vectorizer = TfidfVectorizer(**options).fit(TITLES)
    assert_translated(vectorizer, TITLES, double=double, rows=[[title] for title in TITLES])


@pytest.mark.parametrize("analyzer", ["word", "char", "char_wb"])
@pytest.mark.parametrize("ngram_range", [(1, 1), (1, 3), (2, 3)], ids=str)
def test_a_given_vocabulary_keeps_its_width(analyzer: str, ngram_range: tuple[int, int]) -> None:
    """Columns that no text can have stay, as zeros, wherever they stand."""
    terms = [
        "never seen here",
        "team",
        "TEAM",
        "",
        " ",
        "  ",
        "\t",
        "a b",
        "ab ",
        " e ",
        "e",
        "te",
        "the",
    ]
    vectorizer = CountVectorizer(
        vocabulary=[*terms, "치과", " 치", "#", "가  나", " \t"],
        analyzer=analyzer,
        ngram_range=ngram_range,
    )
    assert_translated(vectorizer, TITLES, rows=[[title] for title in TITLES])


@pytest.mark.parametrize("pattern", [r"\S", r"[^A-C\s]", r"[^a-c\s]"])
def test_capitals_are_no_letters_of_their_own(pattern: str) -> None:
    """Where case is folded, a capital counts as the small letter, whatever else is asked for."""
    for ngram_range in ((1, 1), (1, 2)):
        vectorizer = CountVectorizer(
            vocabulary=["a", "A", "d", "D", "d d", "D D", "d a"],
            token_pattern=pattern,
            ngram_range=ngram_range,
        )
        assert_translated(vectorizer, ["aA", "AAd", "dD", "bd Ad", "DABD"])


def test_a_vocabulary_that_nothing_reaches_counts_nothing() -> None:
    """The features are zeros, as many as the vocabulary has terms."""
    assert_translated(CountVectorizer(vocabulary=["NO", "no no"]), TITLES)


def test_counts_of_any_origin_are_weighted() -> None:
    """A TfidfTransformer takes what is not counts, too: fractions, negative numbers, empty rows."""
    rows = np.random.default_rng(0).integers(-3, 4, (30, 6)) / 2
    rows[0] = 0
    for norm in ("l1", "l2", None):
        assert_translated(TfidfTransformer(norm=norm).fit(np.abs(rows)), rows.astype(np.float32))
    positive = np.abs(rows).astype(np.float32)
    assert_translated(TfidfTransformer(sublinear_tf=True).fit(positive), positive)


@pytest.mark.parametrize(
    ("estimator", "why"),
    [
        (HashingVectorizer(), "MurmurHash"),
        (FeatureHasher(), "MurmurHash"),
        (DictVectorizer(), "dicts"),
        (CountVectorizer(analyzer=str.split), "analyzer is a function"),
        (CountVectorizer(tokenizer=list, token_pattern=None), "tokenizer is a function"),
        (CountVectorizer(preprocessor=str.upper), "preprocessor is a function"),
        (CountVectorizer(strip_accents=str.upper), "stripped by a function"),
        (CountVectorizer(input="filename"), "from a filename"),
        (CountVectorizer(token_pattern=r"\w+?"), "has no proven ONNX form: it uses min repeat"),
        (CountVectorizer(token_pattern="[^,]+", ngram_range=(1, 2)), "may hold spaces"),
    ],
    ids=str,
)
def test_what_onnx_can_not_say_is_refused_with_the_reason(estimator: Any, why: str) -> None:
    """Hashes, dicts and functions have no ONNX form."""
    estimator.vocabulary_ = {"a": 0}
    table = Table((Value("X", "string", 1),))
    with pytest.raises(Untranslatable, match=why):
        TRANSLATORS[type(estimator)](Graph({}, leaf), estimator, table, "transform")


def test_only_one_column_of_texts_is_taken() -> None:
    """Numbers and several columns are no texts."""
    vectorizer = CountVectorizer().fit(TITLES)
    for value in (Value("X", "string", 2), Value("X", "float", 1)):
        with pytest.raises(Untranslatable, match="one column of texts"):
            TRANSLATORS[CountVectorizer](Graph({}, leaf), vectorizer, Table((value,)), "transform")


@pytest.mark.parametrize(
    "features",
    [
        make_pipeline(CountVectorizer(analyzer="char", ngram_range=(1, 3)), TfidfTransformer()),
        FeatureUnion(
            [
                ("words", TfidfVectorizer(stop_words="english", ngram_range=(1, 2))),
                ("letters", TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4))),
            ]
        ),
    ],
    ids=["pipeline", "union"],
)
def test_vectorizers_work_inside_other_estimators(features: Any) -> None:
    """A text classifier of pipelines and unions is served as ONNX, proven by parity."""
    labels = np.arange(len(TITLES)) % 3
    model = make_pipeline(features, LogisticRegression()).fit(TITLES, labels)
    converted = convert(model, TITLES, name="text")
    assert converted.backend == "onnxruntime", converted.reason


def test_vectorizers_take_a_column_of_a_table() -> None:
    """Each text column of a DataFrame has its own vectorizer."""
    frame = pd.DataFrame({"title": TITLES, "n": np.arange(len(TITLES)), "note": TITLES[::-1]})
    columns = ColumnTransformer(
        [
            ("title", TfidfVectorizer(analyzer="char"), "title"),
            ("n", "passthrough", ["n"]),
            ("note", CountVectorizer(), "note"),
        ]
    )
    labels = np.arange(len(TITLES)) % 2
    model = make_pipeline(columns, LogisticRegression()).fit(frame, labels)
    converted = convert(model, frame, name="columns")
    assert converted.backend == "onnxruntime", converted.reason
