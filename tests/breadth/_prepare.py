"""Fits, converts and publishes cases, in a process of its own that may die."""

from __future__ import annotations

import hashlib
import multiprocessing
import re
import time
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from breadth._baseline import plain
from breadth._cases import Case
from breadth._judge import METHODS, lacking, questions
from breadth._outcome import Prepared, Status
from geulpi_conversion import ConversionError, Unservable, convert, publish
from sklearn.dummy import DummyRegressor

CONVERT_S = 60.0  # of one way of serving
CASE_S = 400.0  # of all that is done with a case


def prepared(cases: Sequence[Case], repository: Path) -> Iterator[Prepared]:
    """Yield what became of each case; one at which the process dies is a crash."""
    waiting = list(cases)
    spawn = multiprocessing.get_context("spawn")
    while waiting:
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_run, args=(theirs, waiting, repository))
        process.start()
        theirs.close()
        try:
            while waiting:
                if not ours.poll(CASE_S):
                    yield Prepared("", Status.CRASH, f"took longer than {CASE_S:g} s")
                    break
                yield ours.recv()
                del waiting[0]
        except EOFError:
            process.join()
            yield Prepared("", Status.CRASH, f"the process died ({process.exitcode})")
        finally:
            process.kill()
            process.join()
            ours.close()
        waiting = waiting[1:]


def _run(connection: Connection, cases: Sequence[Case], repository: Path) -> None:
    # The first conversion starts a process, and imports: not to be held against a case.
    convert(DummyRegressor().fit([[0.0]], [0.0]), [[0.0], [1.0]], name="first")
    for case in cases:
        connection.send(prepare(case, repository))


def prepare(case: Case, repository: Path, *, baseline: bool = True) -> Prepared:
    """Fit, convert and publish a case, and ask the estimator what it should answer.

    Args:
        case: what is to be served.
        repository: where it is published.
        baseline: whether plain skl2onnx is tried as well.
    """
    name = model_name(case)
    started = time.perf_counter()
    try:
        estimator, data = case.fitted()
        started = time.perf_counter()
        converted = convert(estimator, data.rows, name=name, timeout_s=CONVERT_S)
        seconds = time.perf_counter() - started
        publish(converted, repository)
        asked = list(questions(estimator, data, converted))
    except ConversionError as error:
        seconds = time.perf_counter() - started
        right = isinstance(error, Unservable) and not answers_new_rows(estimator)
        status = Status.UNSERVABLE if right else Status.REFUSED
        return Prepared("", status, _sentence(error), seconds=seconds)
    except Exception:  # noqa: BLE001 -- the very thing that is looked for
        return Prepared("", Status.CRASH, traceback.format_exc(limit=-3))
    if missing := lacking(estimator, converted):
        return Prepared("", Status.WRONG, f"it has no output {missing}", seconds=seconds)
    outputs = [spec.name for spec in converted.outputs]
    alone = plain(estimator, data, outputs) if baseline else None
    status = Status.PYTHON
    if converted.backend == "onnxruntime":
        status = Status.ONNX if alone is not None and alone.right else Status.MENDED
    return Prepared(name, status, converted.reason, alone, converted.fixes, seconds, asked)


def answers_new_rows(estimator: object) -> bool:
    """Whether the estimator has a method by which rows are served."""
    return any(hasattr(estimator, method) for method in METHODS.values())


def model_name(case: Case) -> str:
    """Return the case's name as Triton takes it; a few letters tell similar ones apart."""
    readable = re.sub(r"[^A-Za-z0-9]+", "_", case.name).strip("_")[:50]
    return f"{readable}_{hashlib.sha256(case.name.encode()).hexdigest()[:6]}"


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())
