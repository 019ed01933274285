"""What a load came to, as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from geulpi_client import Stats

from geulpi_perf._load.callers import Calls
from geulpi_perf._load.processes import GENERATOR, Sample
from geulpi_perf._load.world import MODELS

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Answers:
    """Calls of one kind, or of all. Latencies of answered calls, in milliseconds.

    Attributes:
        calls: answered and failed.
        errors: failed calls, by the name of their error.
        uncorrected_p99_ms: from when a call was asked in fact; lower than `p99_ms` where questions
            had to wait for the load generator.
        hit_rate: rows that the cache knew, of those that it was asked for; None without a cache.
    """

    kind: str
    calls: int
    errors: Mapping[str, int]
    per_s: float
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    uncorrected_p99_ms: float
    hit_rate: float | None

    @property
    def error_rate(self) -> float:
        """Failed calls among all, 0 to 1."""
        return sum(self.errors.values()) / self.calls if self.calls else 0.0


@dataclass(frozen=True)
class Process:
    """Memory (PSS, MB) of a process, and the processor cores that it kept busy on average.

    The start is when the measured time began, after the warm-up.
    """

    name: str
    start_mb: float
    end_mb: float
    peak_mb: float
    cores: float


@dataclass(frozen=True)
class Timeline:
    """The load over time; a column for each moment, in seconds since its begin.

    `latency_ms` holds the p50 and p99 of the calls answered in each second, nan where there were
    none. `pss_mb` is of the servers, `cores` of the load generator, too.
    """

    seconds: Sequence[float] = ()
    per_s: Sequence[float] = ()
    latency_ms: Mapping[str, Sequence[float]] = field(default_factory=dict)
    sampled_s: Sequence[float] = ()
    pss_mb: Mapping[str, Sequence[float]] = field(default_factory=dict)
    cores: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadResult:
    """What one load came to.

    Attributes:
        title: what was asked for, in words.
        seconds: that were measured, until the last answer.
        total, kinds: of all calls, and by kind.
        servers: Triton, its stubs and Valkey together; None where they are elsewhere.
        processes: of the servers on this machine, one by one.
        generator: the process that asks; not counted among the servers.
        cache_errors: failed operations of the cache.
        distribution: by kind, the latency in ms of each of `QUANTILES`.
        interrupted: Ctrl-C came before the time was over.
    """

    title: str
    seconds: float
    total: Answers
    kinds: tuple[Answers, ...]
    servers: Process | None
    processes: tuple[Process, ...]
    generator: Process
    cache_errors: int
    timeline: Timeline
    distribution: Mapping[str, Sequence[float]]
    interrupted: bool = False


QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)


def summed_up(
    title: str,
    calls: Mapping[str, Calls],
    span_s: tuple[float, float],
    stats: Stats,
    samples: Sequence[Sample],
) -> LoadResult:
    """Return the numbers of a load that lasted from one moment to another."""
    begin_s, end_s = span_s
    seconds = end_s - begin_s
    everything = Calls()
    for one in calls.values():
        for name in ("meant_s", "asked_s", "ended_s"):
            getattr(everything, name).extend(getattr(one, name))
        everything.errors.update(one.errors)
    kinds = tuple(
        _answers(kind, one, seconds, _hit_rate(stats, [MODELS[kind]]))
        for kind, one in calls.items()
    )
    total = _answers("all", everything, seconds, _hit_rate(stats, [MODELS[kind] for kind in calls]))
    found = _processes(samples)
    servers = tuple(process for process in found if process.name != GENERATOR)
    return LoadResult(
        title,
        seconds,
        total,
        kinds,
        _together(servers, samples) if servers else None,
        servers,
        next(process for process in found if process.name == GENERATOR),
        stats.cache_errors,
        _timeline(everything, begin_s, seconds, samples),
        {
            kind: [float(value) for value in np.quantile(_latencies(one), QUANTILES)]
            for kind, one in calls.items()
            if one.ended_s
        },
    )


def _latencies(calls: Calls) -> npt.NDArray[np.float64]:
    ended_s, meant_s = np.array(calls.ended_s), np.array(calls.meant_s)
    return np.asarray((ended_s - meant_s) * 1000, np.float64)


def _answers(kind: str, calls: Calls, seconds: float, hit_rate: float | None) -> Answers:
    answered = len(calls.ended_s)
    errors = dict(calls.errors)
    count = answered + sum(errors.values())
    if not answered:
        nan = float("nan")
        return Answers(kind, count, errors, 0.0, nan, nan, nan, nan, nan, nan, hit_rate)
    took_ms = _latencies(calls)
    p50, p95, p99 = (float(value) for value in np.percentile(took_ms, PERCENTILES))
    uncorrected = (np.array(calls.ended_s) - np.array(calls.asked_s)) * 1000
    return Answers(
        kind, count, errors, answered / seconds, float(took_ms.mean()), p50, p95, p99,
        float(took_ms.max()), float(np.percentile(uncorrected, 99)), hit_rate,
    )  # fmt: skip


def _hit_rate(stats: Stats, models: Iterable[str]) -> float | None:
    found = [stats.models[model] for model in models if model in stats.models]
    hits, misses = sum(one.hits for one in found), sum(one.misses for one in found)
    return hits / (hits + misses) if hits + misses else None


def _processes(samples: Sequence[Sample]) -> list[Process]:
    first, last = samples[0], samples[-1]
    seconds = last.at_s - first.at_s
    found = []
    for name, use in last.uses.items():
        earlier = first.uses.get(name, use)
        peak = max(sample.uses[name].pss_mb for sample in samples if name in sample.uses)
        cores = (use.cpu_s - earlier.cpu_s) / seconds
        found.append(Process(name, earlier.pss_mb, use.pss_mb, peak, cores))
    return found


def _together(servers: Sequence[Process], samples: Sequence[Sample]) -> Process:
    together = [
        sum(use.pss_mb for name, use in sample.uses.items() if name != GENERATOR)
        for sample in samples
    ]
    cores = sum(process.cores for process in servers)
    return Process("servers together", together[0], together[-1], max(together), cores)


def _timeline(calls: Calls, begin_s: float, seconds: float, samples: Sequence[Sample]) -> Timeline:
    ended, took_ms = np.array(calls.ended_s) - begin_s, _latencies(calls)
    whole = max(1, int(seconds))
    of_second = [took_ms[(ended >= second) & (ended < second + 1)] for second in range(whole)]
    names = sorted(samples[-1].uses, key=lambda name: -samples[-1].uses[name].pss_mb)
    servers = [name for name in names if name != GENERATOR]
    pairs = list(pairwise(samples))
    return Timeline(
        [second + 0.5 for second in range(whole)],
        [float(len(one)) for one in of_second],
        {
            f"p{percent}": [
                float(np.percentile(one, percent)) if len(one) else float("nan")
                for one in of_second
            ]
            for percent in (50, 99)
        },
        [sample.at_s - begin_s for sample in samples],
        {
            name: [s.uses[name].pss_mb if name in s.uses else float("nan") for s in samples]
            for name in servers
        },
        {
            name: [float("nan")] + [_cores(name, before, after) for before, after in pairs]
            for name in names
        },
    )


def _cores(name: str, before: Sample, after: Sample) -> float:
    if name not in before.uses or name not in after.uses:
        return float("nan")
    spent_s = after.uses[name].cpu_s - before.uses[name].cpu_s
    return max(0.0, spent_s) / max(1e-9, after.at_s - before.at_s)
