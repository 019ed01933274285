"""The settings of a model that are tuned: where each stands in the config, and what is tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tritonclient.grpc import model_config_pb2

__all__ = ["Knob", "Value", "knobs_of"]

Value = int | str | tuple[int, ...]

DELAYS_US = (0, 100, 500, 2000)
PREFERRED = ((), (8,), (16,), (32,))
BATCHES = (16, 64, 256)
# Parameters of Python models that change cost, never answers.
PYTHON_PARAMETERS = {"trim_every": ("100", "1000", "10000")}
_THREADS = "intra_op_thread_count"


@dataclass(frozen=True)
class Knob:
    """One setting, of one model or, with one value, of several.

    Attributes:
        name: how it is called in tables and in JSON.
        models: the models whose configs hold it.
        values: what is tried; what the config says now is always among them.
        read: returns it from a config.
        write: puts it into a config.
    """

    name: str
    models: tuple[str, ...]
    values: tuple[Value, ...]
    read: Callable[[Any], Value]
    write: Callable[[Any, Any], None]


def knobs_of(
    configs: Mapping[str, Any],
    *,
    cores: int,
    max_instances: int,
    least_batch: Mapping[str, int],
    parameters: Mapping[str, Sequence[str]],
) -> Iterator[Knob]:
    """Return what can be tuned of a model, or of an ensemble's steps.

    A model without dynamic batching gets none: only its author knows whether rows may share a call.
    The steps of an ensemble share their delay and threads, so that few measurements do; their
    instances are found step by step.

    Args:
        configs: the configs by model, without the ensemble itself.
        cores: how many there are.
        max_instances: so many of a model are tried at most, each a process with memory of its own.
        least_batch: batches that a model must take, because an ensemble sends them.
        parameters: values to try of further parameters, for the models that have them.
    """
    alone = len(configs) == 1
    batching = tuple(m for m, config in configs.items() if config.HasField("dynamic_batching"))
    for label, models in _alike(batching, configs, _read_delay):
        yield _knob(f"{label}max_queue_delay_microseconds", models, configs, DELAYS_US,
                    _read_delay, _write_delay)  # fmt: skip
    for model, config in configs.items():
        if len(config.instance_group) <= 1:
            name = "instances" if alone else f"{model}: instances"
            counts = _powers(max_instances)
            yield _knob(name, (model,), configs, counts, _read_instances, _write_instances)
    onnx = tuple(m for m, config in configs.items() if config.backend == "onnxruntime")
    threads = tuple(parameters.get(_THREADS, map(str, _powers(cores))))
    for label, models in _alike(onnx, configs, _read_threads):
        name = f"{label}{_THREADS}"
        yield _parameter(_THREADS, models, configs, threads, unless="1", name=name)
    if alone:
        ((model, config),) = configs.items()
        if config.HasField("dynamic_batching"):
            batches = tuple(size for size in BATCHES if size >= least_batch.get(model, 0))
            yield _knob("max_batch_size", (model,), configs, batches, _read_batch, _write_batch)
            preferred = tuple(p for p in PREFERRED if all(s <= config.max_batch_size for s in p))
            yield _knob("preferred_batch_size", (model,), configs, preferred,
                        _read_preferred, _write_preferred)  # fmt: skip
    for model, config in configs.items():
        own = PYTHON_PARAMETERS if config.backend == "python" else {}
        for key, values in {**own, **parameters}.items():
            if key in config.parameters and key != _THREADS:
                name = key if alone else f"{model}: {key}"
                tried = tuple(str(value) for value in values)
                yield _parameter(key, (model,), configs, tried, name=name)


def _knob(  # noqa: PLR0917 -- the fields of a Knob, and the configs
    name: str,
    models: tuple[str, ...],
    configs: Mapping[str, Any],
    values: tuple[Value, ...],
    read: Callable[[Any], Value],
    write: Callable[[Any, Any], None],
) -> Knob:
    current = read(configs[models[0]])
    tried = (*values, *(() if current in values else (current,)))
    return Knob(name, models, tried, read, write)


def _parameter(
    key: str,
    models: tuple[str, ...],
    configs: Mapping[str, Any],
    values: tuple[str, ...],
    *,
    unless: str = "",
    name: str = "",
) -> Knob:
    def read(config: Any) -> Value:
        return str(config.parameters[key].string_value) if key in config.parameters else unless

    def write(config: Any, value: Any) -> None:
        config.parameters[key].string_value = value

    return _knob(name or key, models, configs, values, read, write)


def _alike(
    models: Sequence[str], configs: Mapping[str, Any], read: Callable[[Any], Value]
) -> list[tuple[str, tuple[str, ...]]]:
    """Return all models together if they have the same value now, else each with its label."""
    if len({read(configs[model]) for model in models}) == 1:
        return [("", tuple(models))]
    return [(f"{model}: ", (model,)) for model in models]


def _powers(most: int) -> tuple[int, ...]:
    """Return 1, 2, 4 … up to a number."""
    return tuple(1 << power for power in range(most.bit_length()))


def _read_threads(config: Any) -> Value:
    return str(config.parameters[_THREADS].string_value) if _THREADS in config.parameters else "1"


def _read_delay(config: Any) -> Value:
    return int(config.dynamic_batching.max_queue_delay_microseconds)


def _write_delay(config: Any, value: Any) -> None:
    config.dynamic_batching.max_queue_delay_microseconds = value


def _read_preferred(config: Any) -> Value:
    return tuple(config.dynamic_batching.preferred_batch_size)


def _write_preferred(config: Any, value: Any) -> None:
    config.dynamic_batching.preferred_batch_size[:] = value


def _read_batch(config: Any) -> Value:
    return int(config.max_batch_size)


def _write_batch(config: Any, value: Any) -> None:
    config.max_batch_size = value


def _read_instances(config: Any) -> Value:
    return int(config.instance_group[0].count or 1) if config.instance_group else 1


def _write_instances(config: Any, value: Any) -> None:
    if not config.instance_group:
        config.instance_group.add(kind=model_config_pb2.ModelInstanceGroup.KIND_CPU)
    config.instance_group[0].count = value
