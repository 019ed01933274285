"""Work that hangs or crashes ends in an error, and the next work is done."""

from __future__ import annotations

import ctypes
import importlib
import math
import os
import sys
import time
from collections.abc import Iterator

import pytest
from geulpi_conversion._worker import Worker, WorkerFailed


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def test_it_calls_functions_in_another_process(worker: Worker) -> None:
    """Results and errors come back, from one process that stays."""
    first = worker.call(os.getpid, 30)
    assert first != os.getpid()
    with pytest.raises(ZeroDivisionError):
        worker.call(divmod, 30, 1, 0)
    assert worker.call(os.getpid, 30) == first


def test_work_that_takes_too_long_is_ended(worker: Worker) -> None:
    """The process is killed, and another one does the next work."""
    worker.call(os.getpid, 30)
    began = time.monotonic()
    with pytest.raises(WorkerFailed, match=r"longer than 0\.3 s"):
        worker.call(time.sleep, 0.3, 60)
    assert time.monotonic() - began < 30
    assert worker.call(math.sqrt, 30, 4.0) == 2.0


def test_a_crash_is_told(worker: Worker) -> None:
    """A process that dies, even by a fault of memory, is an error and no hang."""
    for call, code in ((lambda: worker.call(os._exit, 30, 3), 3),
                       (lambda: worker.call(ctypes.string_at, 30, 0), -11)):  # fmt: skip
        with pytest.raises(WorkerFailed, match=f"exit code {code}"):
            call()
    assert worker.call(math.sqrt, 30, 9.0) == 3.0


def test_it_knows_nothing_of_the_caller(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the working directory nor PYTHONPATH is the caller's, as on a server."""
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    assert worker.call(os.getcwd, 30) == "/"
    assert worker.call(os.getenv, 30, "PYTHONPATH") is None
    sys.modules["only_here"] = sys
    try:
        with pytest.raises(ModuleNotFoundError):
            worker.call(importlib.import_module, 30, "only_here")
    finally:
        del sys.modules["only_here"]
