"""Whether other settings give the same answers: to rows alone, side by side, and to a batch."""

from __future__ import annotations

import base64
import queue
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferResult
from tritonclient.utils import triton_to_np_dtype

from geulpi_perf._bench.rows import datatype
from geulpi_perf._errors import AnswersDiffer, BenchFailed

__all__ = ["Answers", "ask", "check_equal", "sample_rows"]

SAMPLE = "sample.npz"  # of a version: recorded rows, an array `rows/NAME` for each input
COPIES = 4  # of the one row, where no others are recorded
# What the conversion allows between a served float and the estimator's.
ABSOLUTE, RELATIVE = 1e-5, 1e-4  # of the output's largest value, or of 1; of the value itself

Array = np.ndarray[Any, Any]
Tensors = dict[str, Array]


@dataclass(frozen=True)
class Answers:
    """Answers to the same rows, by output.

    Attributes:
        alone: each row in a request of its own, all in flight at once.
        together: as many rows in a request as fit.
    """

    alone: Tensors
    together: Tensors


def sample_rows(entry: Path, config: Any, sample: dict[str, Any]) -> Tensors:
    """Return rows to compare with: the recorded ones of the newest version, else copies of one.

    Args:
        entry: the model's folder in its repository.
        config: its config.
        sample: its one row, as perf_analyzer reads it.
    """
    recorded = sorted(entry.glob(f"[0-9]*/{SAMPLE}"), key=lambda path: int(path.parent.name))
    if recorded:
        with np.load(recorded[-1]) as arrays:
            return {tensor.name: arrays[f"rows/{tensor.name}"] for tensor in config.input}
    (row,) = sample["data"]
    rows = {}
    for tensor in config.input:
        values = row[tensor.name]
        content = values.get("content") if isinstance(values, dict) else values
        shape = values.get("shape") if isinstance(values, dict) else None
        kind = np.dtype(triton_to_np_dtype(datatype(tensor.data_type)))
        if content is None:
            raw = base64.b64decode(values["b64"])
            one = np.array([raw], object) if kind.hasobject else np.frombuffer(raw, kind)
        elif kind.hasobject:
            one = np.array([text.encode() for text in content], object)
        else:
            one = np.array(content, kind)
        rows[tensor.name] = np.stack([one.reshape(shape or tensor.dims)] * COPIES)
    return rows


def ask(
    client: InferenceServerClient, model: str, config: Any, rows: Tensors, most: int
) -> Answers:
    """Ask a model all rows.

    Args:
        client: of its server.
        model: under which name it is served.
        config: tells of its inputs.
        rows: by input.
        most: rows in a batch; 0 for a model without batches.

    Raises:
        tritonclient.utils.InferenceServerException: it refused.
    """
    count = range(len(next(iter(rows.values()))))
    if not most:
        alone = _asked(client, model, config, [{n: v[i] for n, v in rows.items()} for i in count])
        return Answers(alone, alone)
    alone, together = (
        _asked(
            client, model, config,
            [{n: v[i : i + size] for n, v in rows.items()} for i in count[::size]],
        )
        for size in (1, most)
    )  # fmt: skip
    return Answers(alone, together)


def check_equal(model: str, old: Answers, again: Answers, new: Answers) -> None:
    """Check that new settings answer as the old ones.

    Bit for bit where the old settings give the same bits alone, in a batch and when they are asked
    again; else as closely as the conversion wants it. What differs when it is asked again, such as
    a time that was taken, can't be compared.

    Raises:
        AnswersDiffer: they don't.
    """
    for output in old.alone:
        exact = _same(old.alone[output], old.together[output]) and all(
            _same(ways(old)[output], ways(again)[output]) for ways in WAYS
        )
        equal = _same if exact else _close
        for ways in WAYS:
            before, repeated, after = (ways(one)[output] for one in (old, again, new))
            if _close(before, repeated) and not equal(before, after):
                raise AnswersDiffer(model, output)


WAYS: tuple[Callable[[Answers], Tensors], ...] = (lambda a: a.alone, lambda a: a.together)


def _asked(
    client: InferenceServerClient, model: str, config: Any, requests: list[Tensors]
) -> Tensors:
    done: queue.Queue[tuple[int, Any, Any]] = queue.Queue()
    for place, request in enumerate(requests):
        inputs = []
        for tensor in config.input:
            kind = datatype(tensor.data_type)
            values = request[tensor.name].astype(triton_to_np_dtype(kind))
            inputs.append(InferInput(tensor.name, list(values.shape), kind))
            inputs[-1].set_data_from_numpy(values)
        client.async_infer(
            model, inputs, lambda result, error, place=place: done.put((place, result, error))
        )
    answers: dict[int, InferResult] = {}
    for _ in requests:
        place, result, error = done.get()
        if error is not None:
            raise BenchFailed(f"'{model}'", str(error), "see what the model says")
        answers[place] = result
    return {
        output.name: np.concatenate(
            [np.atleast_1d(answers[place].as_numpy(output.name)) for place in range(len(requests))]
        )
        for output in config.output
    }


def _same(one: Array, other: Array) -> bool:
    if one.dtype.hasobject:
        return one.shape == other.shape and bool((one == other).all())
    return one.shape == other.shape and one.tobytes() == other.tobytes()


def _close(one: Array, other: Array) -> bool:
    if one.dtype.kind != "f" or one.shape != other.shape:
        return _same(one, other)
    finite = np.abs(one[np.isfinite(one)])
    largest = max(1.0, float(finite.max(initial=0)))
    return bool(np.allclose(other, one, rtol=RELATIVE, atol=ABSOLUTE * largest, equal_nan=True))
