"""The parts of the fault suite; `geulpi_perf.faults` runs it."""
