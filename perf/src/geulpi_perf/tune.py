"""Finds a model's settings by measuring, and writes them into its config.

The model is copied and served by Tritons of the tuner's own, so that neither the repository nor a
running server is touched before the winner is known. `_tune_search` says how settings are found,
`_tune_load` with which load. What is written is proven first: the settings as they were and as they
are to be, in alternation.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from google.protobuf import text_format
from rich.table import Table

from geulpi_perf._errors import ConfigChanged, OutOfReach, UntunableModel, UnusableOption
from geulpi_perf._tune_knobs import Knob, Value, knobs_of
from geulpi_perf._tune_load import Measured
from geulpi_perf._tune_search import CONCURRENCY, Goal, Objective, Point, Search
from geulpi_perf._tune_server import CONFIG, TuningServers, read_configs, read_text
from geulpi_perf._tune_text import parsed, rewritten

__all__ = ["TUNED", "Change", "Seen", "Tuned", "table", "tune"]

TUNED = "tuned"  # a parameter of the config: the measurement that its settings come from
LEVELS = (1, 2, 4, 8, 16, 32, 64)
PROOF_PAIRS = 5
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

    concurrency: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Tuned:
    """What was found.

    Attributes:
        model: the model.
        objective: "throughput" or "latency".
        p99_ms: what the p99 was to be at most.
        settings: all that was tried.
        before, after: what the old and the new settings reached, in alternation.
        better: whether settings were found that are better than the old ones.
        written: the configs that were written; none in a dry run.
        measurements: how many were taken.
        date, cores, processor, load, versions: on what and with what.
    """

    model: str
    objective: Objective
    p99_ms: float
    settings: tuple[Change, ...]
    before: Seen
    after: Seen
    better: bool
    written: tuple[str, ...]
    measurements: int
    date: str
    cores: int
    processor: str
    load: str
    versions: dict[str, str]


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
    with_perf_analyzer: bool = True,
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
        with_perf_analyzer: make the load with perf_analyzer, where it is to be had.
        told: is told what is done next.

    Raises:
        UnusableOption: an option that can't be measured with.
        UntunableModel: the model is not there, has no sample, or nothing that could be tuned.
        OutOfReach: no settings keep the p99.
        ConfigChanged: somebody else changed the config meanwhile.
    """
    _check(p99_ms, objective, concurrency, seconds)
    texts = read_configs(repository, name)
    configs = {model: parsed(text) for model, text in texts.items()}
    tunable = {m: c for m, c in configs.items() if not c.HasField("ensemble_scheduling")}
    cores = len(os.sched_getaffinity(0))
    knobs = list(
        knobs_of(
            tunable,
            cores=cores,
            least_batch=_least_batches(repository),
            parameters=parameters or {},
        )
    )
    _check_parameters(name, parameters or {}, tunable)
    knobs = [knob for knob in knobs if len(knob.values) > 1]
    if not knobs:
        raise UntunableModel(
            name, "its config has no setting that could differ", "tune another model"
        )
    goal = Goal(objective, p99_ms)
    lowest: list[float] = []
    measurements = 0

    told(f"serving {name} as it is")
    with TuningServers(repository, name, texts, with_perf_analyzer=with_perf_analyzer) as server:

        def measure(point: Point, seconds: float) -> Measured | None:
            nonlocal measurements
            measurements += 1
            level = point[CONCURRENCY]
            assert isinstance(level, int)
            seen = server.measure(_with(tunable, knobs, point), level, seconds)
            lowest.extend([seen.p99_ms] if seen else [])
            return seen

        values: dict[str, Sequence[Value]] = {knob.name: knob.values for knob in knobs}
        if objective == "throughput":
            values = {CONCURRENCY: sorted({*LEVELS, concurrency}), **values}
        search = Search(values, measure, goal, seconds, told)
        before: Point = {knob.name: knob.read(tunable[knob.models[0]]) for knob in knobs}
        before[CONCURRENCY] = concurrency
        if objective == "throughput":
            before = search.along(CONCURRENCY, before)
        best = search.descend(before)
        told("proving the winner")
        winner, old, new = search.duel(before, best, seconds * PROOF_PARTS, PROOF_PAIRS)
        load, triton = server.load_by, server.triton_version
    after = new if winner is best else old
    if old is None or after is None or not goal.kept(after):
        raise OutOfReach(name, p99_ms, min(lowest, default=None))
    tuned = Tuned(
        name, objective, p99_ms,
        tuple(Change(k.name, k.models, before[k.name], winner[k.name]) for k in knobs),
        _seen(before, old), _seen(winner, after),
        better=winner != before,
        written=(),
        measurements=measurements,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        cores=cores,
        processor=_processor(),
        load=load,
        versions={"triton": triton} | {p: version(p) for p in ("geulpi-perf", "tritonclient")},
    )  # fmt: skip
    if dry_run:
        return tuned
    return _written(tuned, repository, texts, _with(tunable, knobs, winner))


def table(tuned: Tuned) -> Table:
    """Return what was found as a table."""
    wanted = {"throughput": "most requests/s", "latency": "lowest p99"}[tuned.objective]
    what = "" if tuned.better else ": the settings stay, none was better"
    shown = Table(
        "", "before", "after", title=f"{tuned.model}, {wanted} within {tuned.p99_ms:g} ms{what}"
    )
    for one in tuned.settings:
        mark = "bold" if one.before != one.after else None
        shown.add_row(one.setting, _shown(one.before), _shown(one.after), style=mark)
    shown.add_section()
    shown.add_row(CONCURRENCY, str(tuned.before.concurrency), str(tuned.after.concurrency))
    for title, figure in (
        ("requests/s", "requests_per_s"), ("p50 ms", "p50_ms"), ("p99 ms", "p99_ms")
    ):  # fmt: skip
        old, new = getattr(tuned.before, figure), getattr(tuned.after, figure)
        form = ",.0f" if figure == "requests_per_s" else ".2f"
        shown.add_row(title, f"{old:{form}}", f"{new:{form}}")
    return shown


def _check(p99_ms: float, objective: str, concurrency: int, seconds: float) -> None:
    for option, value, good, expected in (
        ("--p99-ms", p99_ms, p99_ms > 0, "a time above 0"),
        ("--objective", objective, objective in {"throughput", "latency"},
         "throughput or latency"),
        ("--concurrency", concurrency, concurrency >= 1, "a number from 1"),
        ("--seconds", seconds, seconds > 0, "a time above 0"),
    ):  # fmt: skip
        if not good:
            raise UnusableOption(option, value, expected)


def _check_parameters(
    name: str, parameters: Mapping[str, Sequence[str]], configs: Mapping[str, Any]
) -> None:
    for key in parameters:
        if not any(key in config.parameters for config in configs.values()):
            raise UntunableModel(
                name, f"it has no parameter '{key}'", "name one that its config.pbtxt holds"
            )


def _least_batches(repository: Path) -> dict[str, int]:
    """Return by model the largest batch that an ensemble of the repository may send it."""
    least: dict[str, int] = {}
    for path in repository.glob(f"*/{CONFIG}"):
        try:
            config = parsed(path.read_text(encoding="utf-8"))
        except text_format.ParseError:
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
        config.parameters[TUNED].string_value = _record(tuned)
        new[repository / model / CONFIG] = rewritten(text, config)
        if read_text(repository, model) != text:
            raise ConfigChanged(repository / model / CONFIG)
    staged = {path: _staged(path, text) for path, text in new.items()}
    for path, stage in staged.items():
        stage.replace(path)
    return replace(tuned, written=tuple(str(path) for path in new))


def _staged(path: Path, text: str) -> Path:
    with NamedTemporaryFile("w", dir=path.parent, prefix=".tuned-", delete=False,
                            encoding="utf-8") as stage:  # fmt: skip
        stage.write(text)
    Path(stage.name).chmod(path.stat().st_mode & 0o777)
    return Path(stage.name)


def _record(tuned: Tuned) -> str:
    told = asdict(tuned)
    del told["written"]
    return json.dumps(told, ensure_ascii=False, sort_keys=True)


def _seen(point: Point, seen: Measured) -> Seen:
    level = point[CONCURRENCY]
    assert isinstance(level, int)
    return Seen(level, round(seen.requests_per_s, 1), round(seen.p50_ms, 3), round(seen.p99_ms, 3))


def _shown(value: Value) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
