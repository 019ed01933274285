"""Makes rows from a sample that provoke differences between an estimator and what is served.

Conversions that are wrong are mostly right on ordinary rows; these are where they go wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from geulpi_conversion._converted import TensorSpec
from geulpi_conversion._rules import few_decimals
from geulpi_conversion._sample import NUMPY_TYPES, Sample
from geulpi_conversion._thresholds import at_thresholds

Array = np.ndarray[Any, Any]
Columns = dict[str, Array]

MOST_ROWS = 48  # of a group: a slow estimator answers each a few times
MOST_COLUMNS = 16  # of a wide matrix, spread over all
UNSEEN = "geulpi: unseen"
# Blanks, letters and signs with which tokenizers and lower-casing are known to go wrong.
ODD_TEXTS = (
    "", " ", "\t", UNSEEN, "a", "가", "치과  예약", "치과\u3000예약", "  팀 회의\n", "가\u1162",
    "Ｆｕｌｌ　ｗｉｄｔｈ", "会議 @ 本社", "🎂 party 🎉🏃", "👩‍👩‍👧 family", "Ärger ÉCLAIR",
    "e\u0301clair", "STRASSE ß ẞ", "İstanbul ΣΑΣ", "under_score __init__", "no\u00a0break",
    "zero\u200bwidth",
    "#hashtag c# C++", "١٢٣ ½ Ⅷ x²", "don't can’t", "a-b/c.d", "the and of", "x" * 300, "가" * 300,
    "nan", "None", "NULL", "0", "-1", "1e5", "%s {}", "<b>&amp;</b>",
)  # fmt: skip


@dataclass(frozen=True)
class Probe:
    """Rows of one kind, as tensors of a request.

    Attributes:
        group: the kind.
        tensors: values by name, `[K, width]`; texts as `str`.
    """

    group: str
    tensors: Columns


def make_probes(estimator: Any, sample: Sample, inputs: tuple[TensorSpec, ...]) -> list[Probe]:
    """Return the groups of rows that this sample and estimator call for.

    Args:
        estimator: a fitted estimator; the thresholds of its trees are sought out.
        sample: where the rows come from.
        inputs: the tensors, whose precision the values have.
    """
    if sample.layout.kind == "records":
        texts = [["{}"], ["[]"], ['{"geulpi: unseen": 1}'], ['["geulpi: unseen"]']]
        return [Probe("unseen", {"X": np.array(texts, np.object_)})]
    maker = _Maker(sample, inputs)
    groups: dict[str, Callable[[], Iterator[Columns]]] = {
        "thresholds": lambda: maker.thresholds(estimator),
        "missing": maker.missing,
        "infinite": maker.infinite,
        "magnitudes": maker.magnitudes,
        "unseen": maker.unseen,
        "texts": maker.texts,
    }
    probes = []
    for group, make in groups.items():
        rows = list(make())[:MOST_ROWS]
        if rows:
            joined = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
            probes.append(Probe(group, joined))
    return probes


def make_grid_probe(estimator: Any, sample: Sample, inputs: tuple[TensorSpec, ...]) -> Probe | None:
    """Return rows at thresholds that data like the sample's will meet, in their own precision.

    Data of few decimals meets them: between 61.2 and 61.4 a tree turns at 61.3. Rounded to FP32
    such a value may lie on the other side. Data of many decimals does not.
    """
    rows = list(_Maker(sample, inputs).on_grid(estimator))[:MOST_ROWS]
    if not rows:
        return None
    joined = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    return Probe("thresholds in float64", joined)


class _Maker:
    """Makes single rows: one of the sample, with one value or all of a kind changed."""

    def __init__(self, sample: Sample, inputs: tuple[TensorSpec, ...]) -> None:
        self._rng = np.random.default_rng(0)
        self._sample = sample
        self._missing: Mapping[str, str] = sample.missing
        with np.errstate(over="ignore"):
            self._values: Columns = {
                s.name: sample.columns[s.name].astype(NUMPY_TYPES.get(s.datatype, np.object_))
                for s in inputs
            }
        columns = sample.layout.columns
        times = {c.tensor for c in columns if c.dtype.startswith(("datetime", "timedelta"))}
        truths = {c.tensor for c in columns if c.bools}
        self._whole = {c.tensor for c in columns if c.dtype.startswith(("Int", "UInt"))}
        self._floats = [s.name for s in inputs if s.datatype in {"FP32", "FP64"}]
        self._integers = [s.name for s in inputs if s.datatype == "INT64" and s.name not in times]
        self._numbers = [n for n in self._floats if n not in truths] + self._integers
        self._texts = [s.name for s in inputs if s.datatype == "BYTES"]

    def missing(self) -> Iterator[Columns]:
        for name, place in self._places(self._floats):
            yield self._changed({name: {place: np.nan}})
        for name, text in self._missing.items():
            yield self._changed({name: {0: text}})
        every: dict[str, dict[int, Any]] = {
            name: dict.fromkeys(range(self._width(name)), np.nan) for name in self._floats
        }
        every |= {name: {0: text} for name, text in self._missing.items()}
        if every:
            yield self._changed(every)

    def infinite(self) -> Iterator[Columns]:
        for name, place in self._places(self._floats):
            yield self._changed({name: {place: np.inf}})
        for name, place in self._places(self._floats)[:2]:
            yield self._changed({name: {place: -np.inf}})

    def magnitudes(self) -> Iterator[Columns]:
        """Yield rows far from the sample: all columns at once and single ones; zeros; signs."""
        if not self._numbers:
            return
        for factor in (0.0, -1.0, 10.0, 1e3, -1e3, 1e6, 1e9, 1e-6):
            yield self._scaled(self._numbers, factor)
        for name, place in self._places(self._numbers):
            for value in (1e6, -1e3, 2.0**24 + 1, 2.0**31 + 1):
                yield self._changed({name: {place: value}})

    def unseen(self) -> Iterator[Columns]:
        for name, place in self._places(self._texts):
            if self._sample.layout.kind != "text":
                yield from (self._changed({name: {place: t}}) for t in (UNSEEN, "", "nan"))
        for name, place in self._places(self._integers):
            column = self._values[name][:, place]
            for value in (column.max() + 1, column.min() - 1, -1, 0):
                yield self._changed({name: {place: value}})

    def texts(self) -> Iterator[Columns]:
        for text in ODD_TEXTS:
            for name in self._texts:
                yield self._changed({name: {0: text}})
        for name in self._texts:  # what is known, written otherwise
            for text in self._values[name][self._rng.integers(len(self._values[name]), size=3), 0]:
                for other in (text.upper(), f" {text}  {text}", text[:1]):
                    yield self._changed({name: {0: other}})

    def thresholds(self, estimator: Any) -> Iterator[Columns]:
        """Yield rows that stand at thresholds of trees, and on both sides of them."""
        for at, name, place in self._placed(estimator, MOST_ROWS // 3):
            yield at
            for towards in (-np.inf, np.inf):
                beside = {key: values.copy() for key, values in at.items()}
                value = at[name][0, place]
                beside[name][0, place] = np.nextafter(value, value.dtype.type(towards))
                yield beside

    def on_grid(self, estimator: Any) -> Iterator[Columns]:
        """Yield rows at thresholds, in columns whose values have few decimals, as they have."""
        for at, name, place in self._placed(estimator, 20 * MOST_ROWS):
            decimals = few_decimals(self._values[name][:, place])
            value = float(at[name][0, place])
            if decimals is not None and np.isclose(round(value, decimals), value, rtol=1e-9):
                at[name][0, place] = round(value, decimals)
                yield at

    def _placed(self, estimator: Any, most: int) -> Iterator[tuple[Columns, str, int]]:
        layout = self._sample.layout
        if not self._floats or layout.shape or layout.kind not in {"array", "frame"}:
            return
        for placed in at_thresholds(estimator, self._sample.native, most, self._rng):
            name, place = self._held(placed.column)
            if name in self._floats:
                at = {key: values[[placed.row]] for key, values in self._values.items()}
                at[name][0, place] = placed.value
                yield at, name, place

    def _held(self, column: int) -> tuple[str, int]:
        for name in self._values:
            if column < self._width(name):
                return name, column
            column -= self._width(name)
        raise IndexError(column)

    def _width(self, name: str) -> int:
        return int(self._values[name].shape[1])

    def _places(self, names: list[str]) -> list[tuple[str, int]]:
        """Return columns of these tensors, not more than is good."""
        places = [(name, place) for name in names for place in range(self._width(name))]
        step = max(1, len(places) // MOST_COLUMNS)
        return places[::step][:MOST_COLUMNS]

    def _row(self) -> Columns:
        row = int(self._rng.integers(self._sample.rows))
        return {name: values[row : row + 1].copy() for name, values in self._values.items()}

    def _changed(self, changes: Mapping[str, Mapping[int, Any]]) -> Columns:
        row = self._row()
        for name, values in changes.items():
            for place, value in values.items():
                row[name][0, place] = value
        return row

    def _scaled(self, names: list[str], factor: float) -> Columns:
        row = self._row()
        for name in names:
            scaled = row[name].astype(np.float64) * factor
            exact = 2.0**53  # beyond, a float is no integer of its own
            if name in self._integers:
                scaled = np.clip(scaled, -exact, exact)
            elif name in self._whole:
                scaled = np.rint(scaled)
            row[name] = scaled.astype(row[name].dtype)
        return row
