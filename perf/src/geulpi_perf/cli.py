"""The commands of this package, for whoever wires them up."""

from __future__ import annotations

from geulpi_perf._bench.cli import bench
from geulpi_perf._compare.cli import compare
from geulpi_perf._load.cli import load
from geulpi_perf._tune.cli import tune

__all__ = ["bench", "compare", "load", "tune"]
