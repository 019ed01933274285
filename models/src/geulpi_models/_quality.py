"""How good the calendar models are on real data, beside a baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from geulpi_models import balance_analyzer, burnout_analyzer, event_classifier
from geulpi_models import pattern_detector as patterns
from geulpi_models import schedule_optimizer as schedules

__all__ = ["JUDGES", "Figure", "judged", "page"]


@dataclass(frozen=True)
class Figure:
    """One figure of a model.

    Attributes:
        model: whose.
        what: is measured.
        on: what it is measured on; none of it was trained on.
        value: of the model.
        baseline: of the trivial way; NaN where there is none.
        aim: what it is to be, in words; "" where nothing was set.
    """

    model: str
    what: str
    on: str
    value: float
    baseline: float = math.nan
    aim: str = ""


def judged(model: str, data: Path) -> list[Figure]:
    """Return the figures of a calendar model on the real data of a folder."""
    return list(JUDGES[model](data))


def page(figures: Mapping[str, list[Figure]]) -> str:
    """Return docs/quality.md."""
    lines = [
        "# Quality",
        "",
        "Written by `geulpi quality`, on real data of which no row was trained on. Settings were",
        "chosen with some of it in sight: [the models' cards](../models/README.md) say of each",
        "figure how far it holds for other data.",
    ]
    for model, rows in figures.items():
        lines += [
            "",
            f"## {model}",
            "",
            "| figure | on | model | trivial baseline | aim |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {one.what} | {one.on} | {one.value:.3f} | "
            f"{'' if math.isnan(one.baseline) else f'{one.baseline:.3f}'} | {one.aim} |"
            for one in rows
        ]
    return "\n".join(lines) + "\n"


def _event_classifier(data: Path) -> Iterator[Figure]:
    fitted = event_classifier.fit(*event_classifier.training_rows())
    found = event_classifier.evaluate(fitted, data / "event_titles" / "titles_labelled.csv")
    name = event_classifier.NAME

    def figure(what: str, on: str, value: float, baseline: float, aim: str) -> Figure:
        return Figure(
            name,
            what,
            f"{on} real titles, at hand while settings were chosen",
            value,
            baseline,
            aim,
        )

    strict, lenient = "macro accuracy, main label", "macro accuracy, either label"
    on = str(found.rows)
    yield figure(strict, on, found.strict, found.baseline_real_strict, "≥ 0.70")
    yield figure(lenient, on, found.lenient, found.baseline_real_lenient, "≥ 0.82")
    yield figure("expected calibration error", on, found.calibration_error, math.nan, "≤ 0.05")
    yield figure("Brier score", on, found.brier, math.nan, "")
    for language, part in found.by_language.items():
        on = f"{part.rows} ({language})"
        yield figure(strict, on, part.strict, math.nan, "≥ 0.70")
        yield figure(lenient, on, part.lenient, math.nan, "≥ 0.82")
        yield figure("expected calibration error", on, part.calibration_error, math.nan, "")


def _schedule_optimizer(data: Path) -> Iterator[Figure]:
    found = schedules.evaluate(data)
    name = schedules.NAME
    for what, told in {
        "real events": found.people,
        "later events of one calendar": found.one_person,
    }.items():
        on = f"{told.events} {what}"
        yield Figure(
            name,
            "bits to tell the hour of the week (fewer is better)",
            on,
            told.bits,
            told.bits_all,
        )
    for what, part in {
        "CSPLib 046, meetings with travel": found.meetings,
        "OR-Library, weighted tardiness of 12 jobs": found.tardiness,
        "PSPLIB j30, precedence and four resources": found.precedence,
    }.items():
        on = f"{part.instances} instances, {schedules.JUDGED_SECONDS:g} s each"
        yield Figure(name, f"{what}: share solved", on, part.solved / part.instances)
        yield Figure(name, f"{what}: mean gap", on, part.mean_gap)


def _pattern_detector(data: Path) -> Iterator[Figure]:
    found = patterns.evaluate(data)
    name = patterns.NAME
    on = f"{found.series} real series"
    yield Figure(name, "F1 of days, macro", on, found.days.macro, found.baseline.macro, "≥ 0.9")
    yield Figure(name, "F1 of days, micro", on, found.days.micro, found.baseline.micro, "≥ 0.9")
    yield Figure(
        name, "F1 of the rule as written, macro", on, found.written.macro, math.nan, "≥ 0.9"
    )
    yield Figure(
        name, "F1 of the rule as written, micro", on, found.written.micro, math.nan, "≥ 0.9"
    )
    noisy = f"{on}, ± 15 min, 10 % dropped"
    base = found.baseline_noisy
    yield Figure(name, "F1 of days, macro", noisy, found.noisy.macro, base.macro, "≥ 0.8")
    yield Figure(name, "F1 of days, micro", noisy, found.noisy.micro, base.micro, "≥ 0.8")
    for kind, (clean, blurred) in found.made.items():
        yield Figure(name, f"F1 of made series: {kind}", "made calendars", clean)
        yield Figure(name, f"F1 of made series: {kind}", "the same with that noise", blurred)
    for kind, rate in found.false_per_100.items():
        yield Figure(
            name, f"false patterns per 100 events: {kind}", "chance", rate, math.nan, "≤ 1"
        )
    known = found.confidence
    on = f"{known.forecasts} forecasts of real series"
    yield Figure(name, "Brier score of the confidence", on, known.brier, known.baseline_brier)
    yield Figure(name, "calibration error of the confidence", on, known.error)


def _balance_analyzer(data: Path) -> Iterator[Figure]:
    found = balance_analyzer.evaluate(balance_analyzer.train(data), data)
    on = f"{found.rows} held-out diaries"
    for dimension, part in found.dimensions.items():
        yield Figure(
            balance_analyzer.NAME,
            f"{dimension}: continuous ranked probability score, hours",
            on,
            part.crps_hours,
            part.crps_trivial_hours,
        )
        yield Figure(
            balance_analyzer.NAME,
            f"{dimension}: unevenness of the percentiles (KS)",
            on,
            part.ks,
            part.ks_trivial,
        )


def _burnout_analyzer(data: Path) -> Iterator[Figure]:
    found = burnout_analyzer.evaluate(burnout_analyzer.train(data), data)
    name = burnout_analyzer.NAME
    on = f"{found.rows} held-out diaries"
    for part, figures in {
        on: found.held_out,
        f"{on}, person untold": found.untold,
        "5-fold on the training part": found.cross_validated,
    }.items():
        aim = "≥ 0.64" if part == on else ""
        yield Figure(name, "AUC", part, figures.auc, found.trivial.auc, aim)
        yield Figure(name, "Brier score", part, figures.brier, found.trivial.brier)
        trivial = found.trivial.calibration_error
        yield Figure(name, "expected calibration error", part, figures.calibration_error, trivial)
    for label, auc in found.other_labels.items():
        yield Figure(name, f"AUC for another label: {label}", on, auc, 0.5)


JUDGES: Mapping[str, Callable[[Path], Iterator[Figure]]] = {
    "event_classifier": _event_classifier,
    "schedule_optimizer": _schedule_optimizer,
    "pattern_detector": _pattern_detector,
    "balance_analyzer": _balance_analyzer,
    "burnout_analyzer": _burnout_analyzer,
}
