"""The entries of the model repository: what each is made of, and which others it asks.

event_classifier      ONNX
schedule_optimizer    Python
pattern_detector      Python
balance_analyzer      ensemble: calendar_features (Python) → balance_index (ONNX)
burnout_analyzer      ensemble: calendar_features → burnout_drivers (ONNX) → burnout_index (Python)
week_insights         ensemble: pattern_detector beside all of the two before
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from geulpi_calendar import burnout_index, names
from geulpi_conversion import Ensemble, EnsembleStep, PythonModel, TensorSpec

from geulpi_models._served import CALENDAR, code_model, text_rows

__all__ = [
    "ENSEMBLES",
    "EXAMPLE_CALENDAR",
    "EXAMPLE_PROBLEM",
    "burnout_index_model",
    "calendar_features",
    "pattern_detector",
    "schedule_optimizer",
]

EXAMPLE_CALENDAR: Final = json.dumps(
    {
        "time_zone": "Asia/Seoul",
        "events": [
            {
                "title": "Team sync",
                "start": f"2026-03-{day:02d}T10:00:00+09:00",
                "end": f"2026-03-{day:02d}T10:30:00+09:00",
                "category": "meeting",
            }
            for day in (2, 9, 16, 23, 30)
        ],
    }
)
EXAMPLE_PROBLEM: Final = json.dumps(
    {
        "time_zone": "Asia/Seoul",
        "window": {"start": "2026-03-02T00:00:00+09:00", "end": "2026-03-07T00:00:00+09:00"},
        "tasks": [{"id": "report", "duration_minutes": 90, "category": "work"}],
        "busy": [{"start": "2026-03-02T10:00:00+09:00", "end": "2026-03-02T11:00:00+09:00"}],
    }
)
_DIMENSIONS: Final = len(names.BALANCE_DIMENSIONS)
_FEATURES: Final = TensorSpec("burnout_features", "FP32", len(names.BURNOUT_FEATURES))
_SEEN: Final = TensorSpec("days_seen", "FP32", 1)
_PATTERNS: Final = TensorSpec("patterns", "BYTES", 1)
_HOURS: Final = TensorSpec("hours_per_day", "FP32", _DIMENSIONS)
_MEASURES: Final = TensorSpec("measures", "FP32", len(names.MEASURES))
_CONTRIBUTIONS: Final = TensorSpec("contributions", "FP32", len(names.BURNOUT_DRIVERS))
_INDEX: Final = (
    TensorSpec("probability", "FP32", 1),
    TensorSpec("interval", "FP32", 2),
    TensorSpec("level", "BYTES", 1),
    TensorSpec("baseline", "FP32", 1),
)
_BALANCE: Final = (
    TensorSpec("score", "FP32", 1),
    TensorSpec("sub_scores", "FP32", _DIMENSIONS),
    TensorSpec("percentiles", "FP32", _DIMENSIONS),
    _HOURS,
)
_ROWS: Final[Mapping[str, np.ndarray[Any, Any]]] = {"calendar": text_rows(EXAMPLE_CALENDAR)}


def schedule_optimizer(preferences: bytes) -> PythonModel:
    """Return the scheduler with its table of slot preferences, JSON."""
    return code_model(
        "schedule_optimizer",
        "scheduling",
        inputs=(TensorSpec("problem", "BYTES", 1),),
        outputs=(TensorSpec("schedule", "BYTES", 1),),
        rows={"problem": text_rows(EXAMPLE_PROBLEM)},
        data={"slot_preferences.json": preferences},
    )


def pattern_detector() -> PythonModel:
    """Return the pattern detector."""
    return code_model(
        "pattern_detector", "patterns", inputs=(CALENDAR,), outputs=(_PATTERNS,), rows=_ROWS
    )


def calendar_features() -> PythonModel:
    """Return the step that balance and burnout share."""
    return code_model(
        "calendar_features",
        "week",
        inputs=(CALENDAR,),
        outputs=(
            TensorSpec("balance_features", "FP32", len(names.BALANCE_FEATURES)),
            _FEATURES,
            _SEEN,
            _HOURS,
            _MEASURES,
        ),
        rows=_ROWS,
    )


def burnout_index_model(files: Mapping[str, bytes]) -> PythonModel:
    """Return the last step of the burnout risk, with what it knows."""
    index = json.loads(files[burnout_index.FILE])
    return code_model(
        "burnout_index",
        "burnout_index",
        inputs=(_FEATURES, _SEEN, _CONTRIBUTIONS),
        outputs=_INDEX,
        rows={
            "burnout_features": np.array([index["means"]], dtype=np.float32),
            "days_seen": np.ones((1, 1), dtype=np.float32),
            "contributions": np.zeros((1, _CONTRIBUTIONS.width), dtype=np.float32),
        },
        data=files,
    )


def _same(*tensors: str) -> dict[str, str]:
    return {name: name for name in tensors}


_PATTERN_STEPS: Final = (EnsembleStep("pattern_detector", _same("calendar"), _same("patterns")),)
_BALANCE_STEPS: Final = (
    EnsembleStep(
        "balance_index", {"X": "balance_features"}, _same("percentiles", "sub_scores", "score")
    ),
)
_BURNOUT_STEPS: Final = (
    EnsembleStep("burnout_drivers", {"X": "burnout_features"}, {"prediction": "contributions"}),
    EnsembleStep(
        "burnout_index",
        _same("burnout_features", "days_seen", "contributions"),
        _same("probability", "interval", "level", "baseline"),
    ),
)


def _features(*tensors: str) -> EnsembleStep:
    return EnsembleStep("calendar_features", _same("calendar"), _same(*tensors))


ENSEMBLES: Final[Mapping[str, Ensemble]] = {
    ensemble.name: ensemble
    for ensemble in (
        Ensemble(
            name="balance_analyzer",
            inputs=(CALENDAR,),
            outputs=(*_BALANCE, _MEASURES),
            steps=(
                _features("balance_features", "hours_per_day", "measures"),
                *_BALANCE_STEPS,
            ),
            rows=_ROWS,
        ),
        Ensemble(
            name="burnout_analyzer",
            inputs=(CALENDAR,),
            outputs=(*_INDEX, _CONTRIBUTIONS, _MEASURES),
            steps=(_features("burnout_features", "days_seen", "measures"), *_BURNOUT_STEPS),
            rows=_ROWS,
        ),
        Ensemble(
            name="week_insights",
            inputs=(CALENDAR,),
            outputs=(_PATTERNS, *_BALANCE, *_INDEX, _CONTRIBUTIONS, _MEASURES),
            steps=(
                *_PATTERN_STEPS,
                _features(
                    "balance_features", "burnout_features", "days_seen", "hours_per_day", "measures"
                ),
                *_BALANCE_STEPS,
                *_BURNOUT_STEPS,
            ),
            rows=_ROWS,
        ),
    )
}
"""By name; each is published anew when one of its steps is."""
