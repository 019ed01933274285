"""Measurements: perf_analyzer on a running server, and side by side with what it replaces."""

from geulpi_perf._errors import BenchFailed, PerfError, ToolMissing, UnusableOption

__all__ = ["BenchFailed", "PerfError", "ToolMissing", "UnusableOption"]
