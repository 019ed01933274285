"""Prometheus metrics of one instance, through Triton's custom metrics.

Published, unchanged, beside `model.py`; it imports nothing of its package.
    geulpi_python_rows_total        rows that were asked
    geulpi_python_batch_rows        histogram: rows of one execution
    geulpi_python_predict_seconds   histogram: seconds that the estimator took for one execution
    geulpi_python_errors_total      requests that got an error, by `kind`
    geulpi_python_resident_bytes    resident memory of the instance's process
Labels are `model` and `version`, under which the instances' numbers add up; memory has `instance`
as well.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter, deque
from pathlib import Path
from typing import Any, NamedTuple

BATCH_ROWS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5]
# Each number that Triton is told costs 20-60 µs, so that a thread tells them, after the answers.
INTERVAL_S = 0.5
WAITING = 100_000  # executions; what exceeds them is forgotten


class Execution(NamedTuple):
    """What one execution was.

    Attributes:
        rows: of all its requests.
        seconds: that the estimator took.
        errors: requests that got an error, by kind.
    """

    rows: int
    seconds: float
    errors: Counter[str]


class Metrics:
    """Tells Triton what executions were; where Triton keeps no metrics it does nothing."""

    def __init__(self, pb_utils: Any, model: str, version: str, instance: str) -> None:
        """Register the metrics of an instance.

        Args:
            pb_utils: `triton_python_backend_utils`.
            model, version, instance: names of these, for the labels.
        """
        self._executions: deque[Execution] = deque(maxlen=WAITING)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="geulpi-metrics", daemon=True)
        # Without metrics the server's own pages tell that there are none; the model serves on.
        with contextlib.suppress(Exception):
            self._register(pb_utils.MetricFamily, {"model": model, "version": version}, instance)
            self._thread.start()

    def add(self, execution: Execution) -> None:
        """Take note of an execution."""
        if self._thread.is_alive():
            self._executions.append(execution)

    def stop(self) -> None:
        """Tell no more; Triton forgets the metrics of an unloaded model."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _register(self, family: Any, labels: dict[str, str], instance: str) -> None:
        # Triton forgets a family that nobody holds.
        self._families = {
            name: family(name=f"geulpi_python_{name}", description=description, kind=kind)
            for name, description, kind in (
                ("rows_total", "Rows that were asked", family.COUNTER),
                ("batch_rows", "Rows of one execution", family.HISTOGRAM),
                ("predict_seconds", "Seconds in the estimator, by execution", family.HISTOGRAM),
                ("errors_total", "Requests that got an error", family.COUNTER),
                ("resident_bytes", "Resident memory of an instance's process", family.GAUGE),
            )
        }
        self._labels = labels
        self._rows = self._families["rows_total"].Metric(labels=labels)
        self._batch = self._families["batch_rows"].Metric(labels=labels, buckets=BATCH_ROWS)
        self._seconds = self._families["predict_seconds"].Metric(labels=labels, buckets=SECONDS)
        self._memory = self._families["resident_bytes"].Metric(
            labels=labels | {"instance": instance}
        )
        self._errors: dict[str, Any] = {}
        self._memory.set(_resident_bytes())

    def _run(self) -> None:
        with contextlib.suppress(Exception):  # a server that stops takes no more numbers
            while not self._stopped.wait(INTERVAL_S):
                self._tell()

    def _tell(self) -> None:
        rows, errors = 0, Counter[str]()
        for _ in range(len(self._executions)):
            execution = self._executions.popleft()
            self._batch.observe(execution.rows)
            self._seconds.observe(execution.seconds)
            rows += execution.rows
            errors += execution.errors
        if not rows and not errors:
            return
        self._rows.increment(rows)
        for kind, count in errors.items():
            if kind not in self._errors:
                labels = self._labels | {"kind": kind}
                self._errors[kind] = self._families["errors_total"].Metric(labels=labels)
            self._errors[kind].increment(count)
        self._memory.set(_resident_bytes())


def _resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
