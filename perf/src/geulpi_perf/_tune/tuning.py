"""Finds a model's settings by measuring, and writes them into its config.

The models are copied and served by a Triton of the tuner's own, so that neither the repository nor
a running server is touched before the winner is known. `search` says how settings are found. What
is written is proven first: the settings as they were and as they are to be, in alternation, and
that their answers are equal.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from google.protobuf import text_format

from geulpi_perf._errors import (
    ConfigChanged,
    ConfigNotWritable,
    OutOfReach,
    UntunableModel,
    UnusableOption,
)
from geulpi_perf._machine import Origin, origin
from geulpi_perf._tune.answers import check_equal
from geulpi_perf._tune.knobs import Knob, Value, knobs_of
from geulpi_perf._tune.load import Measured
from geulpi_perf._tune.search import CONCURRENCY, Goal, Objective, Point, Search
from geulpi_perf._tune.server import CONFIG, TuningServer, read_configs, read_text
from geulpi_perf._tune.text import parsed, rewritten

__all__ = ["TUNED", "Change", "Measurement", "Seen", "Tuned", "tune"]

TUNED = "tuned"  # a parameter of the config: the measurement that its settings come from
LEVELS = (1, 2, 4, 8, 16, 32, 64)
PROOF_PARTS = 4  # a measurement of the proof lasts so many of the shortest


@dataclass(frozen=True)
class Change:
    """One setting, before and after; equal where it stays."""

    setting: str
    models: tuple[str, ...]
    before: Value
    after: Value


@dataclass(frozen=True)
class Seen:
    """Medians of the proof, at so many requests in flight."""

    in_flight: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Measurement:
    """One measurement: `seen` is None where the settings were refused."""

    settings: Point
    seconds: float
    seen: Measured | None


@dataclass(frozen=True)
class Tuned:
    """What was found.

    Attributes:
        model: the model.
        objective: "throughput" or "latency".
        p99_ms: what the p99 was to be at most.
        settings: all that was tried.
        before, after: what the old and the new settings reached, in alternation.
        measurements: all that were taken, in their order.
        origin: on what and with what.
        written: the configs that were written; none in a dry run.
    """

    model: str
    objective: Objective
    p99_ms: float
    settings: tuple[Change, ...]
    before: Seen
    after: Seen
    measurements: tuple[Measurement, ...]
    origin: Origin
    written: tuple[str, ...] = ()

    @property
    def changed(self) -> tuple[Change, ...]:
        """The settings that are to differ."""
        return tuple(one for one in self.settings if one.before != one.after)


def tune(  # noqa: PLR0913 -- the options of a command, all but one by keyword
    name: str,
    *,
    p99_ms: float,
    objective: Objective = "throughput",
    repository: Path = Path("model_repository"),
    dry_run: bool = False,
    concurrency: int = 8,
    seconds: float = 0.5,
    parameters: Mapping[str, Sequence[str]] | None = None,
    max_instances: int | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Tuned:
    """Measure a model with many settings and write the best into its config.

    Args:
        name: a model of the repository; of an ensemble, its steps are tuned.
        p99_ms: what 99 of 100 requests may take at most, in milliseconds.
        objective: "throughput" looks for most requests a second within it, with as many requests
            in flight as that takes; "latency" for the lowest p99 with `concurrency` in flight.
        repository: where the model is; its config is written at the very end.
        dry_run: write nothing.
        concurrency: requests in flight; for throughput only what the search begins with.
        seconds: how long the shortest measurement takes.
        parameters: values to try of further parameters that the model has.
        max_instances: instances of a model that are tried at most, None is one for each core; each
            has a process with memory of its own.
        told: is told what is done next.

    Raises:
        UnusableOption: an option that can't be measured with.
        UntunableModel: the model is not there, has no sample, or nothing that could be tuned.
        ConfigNotWritable: the repository can't be written to.
        OutOfReach: no settings keep the p99.
        AnswersDiffer: the best settings give other answers.
        ConfigChanged: somebody else changed the config meanwhile.
    """
    _check(p99_ms, concurrency, seconds, max_instances)
    texts = read_configs(repository, name)
    configs = {model: parsed(text) for model, text in texts.items()}
    tunable = {m: c for m, c in configs.items() if not c.HasField("ensemble_scheduling")}
    knobs = _knobs(name, tunable, repository, parameters or {}, max_instances)
    for model in texts if not dry_run else ():
        if not os.access(repository / model, os.W_OK, effective_ids=True):
            raise ConfigNotWritable(repository / model / CONFIG, "its folder is read-only")
    goal = Goal(objective, p99_ms)
    taken: list[Measurement] = []

    told(f"serving {name} as it is")
    with TuningServer(repository, name, texts) as server:

        def measure(point: Point, seconds: float) -> Measured | None:
            level = point[CONCURRENCY]
            assert isinstance(level, int)
            seen = server.measure(_with(tunable, knobs, point), level, seconds)
            taken.append(Measurement(point, seconds, seen))
            return seen

        values: dict[str, Sequence[Value]] = {knob.name: knob.values for knob in knobs}
        if objective == "throughput":
            values = {CONCURRENCY: sorted({*LEVELS, concurrency}), **values}
        search = Search(
            values, measure, goal, seconds, lambda now: told(f"{len(taken)} measurements, {now}")
        )
        before: Point = {knob.name: knob.read(tunable[knob.models[0]]) for knob in knobs}
        before[CONCURRENCY] = concurrency
        if objective == "throughput":
            before = search.along(CONCURRENCY, before)
        path = search.descend(before)
        told(f"{len(taken)} measurements, proving the winner")
        winner, old, new = search.prove(path, seconds * PROOF_PARTS)
        after = old if winner is before else new
        if old is None or after is None or not goal.kept(after):
            lowest = min((one.seen.p99_ms for one in taken if one.seen), default=None)
            raise OutOfReach(name, p99_ms, lowest)
        chosen = _with(tunable, knobs, winner)
        if chosen != tunable:
            told("comparing the answers")
            sizes = [c.get(name, configs[name]).max_batch_size for c in (tunable, chosen)]
            check_equal(
                name,
                *(server.answers(asked, min(sizes)) for asked in (tunable, tunable, chosen)),
            )
    tuned = Tuned(
        name, objective, p99_ms,
        tuple(Change(k.name, k.models, before[k.name], winner[k.name]) for k in knobs),
        _seen(before, old), _seen(winner, after), tuple(taken), origin("geulpi tune"),
    )  # fmt: skip
    return tuned if dry_run else _written(tuned, repository, texts, chosen)


def _check(p99_ms: float, concurrency: int, seconds: float, max_instances: int | None) -> None:
    for option, value, good, expected in (
        ("--p99-ms", p99_ms, p99_ms > 0, "a time above 0"),
        ("--concurrency", concurrency, concurrency >= 1, "a number from 1"),
        ("--seconds", seconds, seconds > 0, "a time above 0"),
        (
            "--max-instances",
            max_instances,
            max_instances is None or max_instances >= 1,
            "a number from 1",
        ),
    ):
        if not good:
            raise UnusableOption(option, value, expected)


def _knobs(
    name: str,
    configs: Mapping[str, Any],
    repository: Path,
    parameters: Mapping[str, Sequence[str]],
    max_instances: int | None,
) -> list[Knob]:
    there = sorted({key for config in configs.values() for key in config.parameters})
    for key in parameters:
        if key not in there:
            raise UntunableModel(
                name, f"it has no parameter '{key}'",
                f"name one that its config.pbtxt holds ({', '.join(there) or 'none'})",
            )  # fmt: skip
    cores = len(os.sched_getaffinity(0))
    found = knobs_of(
        configs,
        cores=cores,
        max_instances=max_instances or cores,
        least_batch=_least_batches(repository),
        parameters=parameters,
    )
    knobs = [knob for knob in found if len(knob.values) > 1]
    if not knobs:
        raise UntunableModel(
            name, "its config has no setting that could differ", "tune another model"
        )
    return knobs


def _least_batches(repository: Path) -> dict[str, int]:
    """Return by model the largest batch that an ensemble of the repository may send it."""
    least: dict[str, int] = {}
    for path in repository.glob(f"*/{CONFIG}"):
        try:
            config = parsed(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, text_format.ParseError):
            continue  # it can't be served, so it sends nothing
        for step in config.ensemble_scheduling.step:
            least[step.model_name] = max(least.get(step.model_name, 0), config.max_batch_size)
    return least


def _with(configs: Mapping[str, Any], knobs: Sequence[Knob], point: Point) -> dict[str, Any]:
    """Return the configs with these settings."""
    changed = {}
    for model, config in configs.items():
        changed[model] = type(config)()
        changed[model].CopyFrom(config)
    for knob in knobs:
        for model in knob.models:
            # What stays is not written: an absent field and its default are the same.
            if knob.read(changed[model]) != point[knob.name]:
                knob.write(changed[model], point[knob.name])
    return changed


def _written(
    tuned: Tuned, repository: Path, texts: Mapping[str, str], configs: dict[str, Any]
) -> Tuned:
    """Write the model's config, and those of its steps that changed; all of them or none."""
    new: dict[Path, str] = {}
    for model, text in texts.items():
        config = configs.get(model) or parsed(text)
        if model != tuned.model and config == parsed(text):
            continue
        config.parameters[TUNED].string_value = _record(tuned, model)
        new[repository / model / CONFIG] = rewritten(text, config)
        if read_text(repository, model) != text:
            raise ConfigChanged(repository / model / CONFIG)
    staged: dict[Path, Path] = {}
    try:
        for path, text in new.items():
            staged[path] = _staged(path, text)
        for path, stage in staged.items():
            stage.replace(path)
    except OSError as error:
        raise ConfigNotWritable(path, error.strerror or str(error)) from error
    finally:
        for stage in staged.values():
            stage.unlink(missing_ok=True)
    return replace(tuned, written=tuple(str(path) for path in new))


def _staged(path: Path, text: str) -> Path:
    with NamedTemporaryFile("w", dir=path.parent, prefix=".tuned-", delete=False,
                            encoding="utf-8") as stage:  # fmt: skip
        stage.write(text)
    Path(stage.name).chmod(path.stat().st_mode & 0o777)
    return Path(stage.name)


def _record(tuned: Tuned, model: str) -> str:
    """Return what one config tells of the measurement: short, for it is read by people."""
    told = {
        "date": tuned.origin.date,
        "machine": tuned.origin.machine,
        "measured": f"{tuned.model}, {tuned.objective} with p99 up to {tuned.p99_ms:g} ms, "
        "its own sample one row a request",
        "before": vars(tuned.before),
        "after": vars(tuned.after),
        "changed": {
            one.setting: [one.before, one.after]
            for one in tuned.changed
            if model == tuned.model or model in one.models
        },
    }
    return json.dumps(told, ensure_ascii=False)


def _seen(point: Point, seen: Measured) -> Seen:
    level = point[CONCURRENCY]
    assert isinstance(level, int)
    return Seen(level, round(seen.requests_per_s, 1), round(seen.p50_ms, 2), round(seen.p99_ms, 2))
