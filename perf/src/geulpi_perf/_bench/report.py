"""A sweep as tables and as a JSON document."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table

from geulpi_perf._bench.measure import Measured
from geulpi_perf._bench.sweep import Sweep
from geulpi_perf._machine import Origin
from geulpi_perf._output import plain

__all__ = ["document", "left_out", "of_rates", "steps_table", "table", "title"]


def table(model: str, rows: Sequence[Measured]) -> Table:
    """Return the sweep as a table; "late" is the share of a rate's requests that left too late."""
    late = any(row.delayed_percent for row in rows)
    shown = _table(
        f"{model}: {title(rows)}, ms",
        "way", "asked" if of_rates(rows) else "load", "req/s", *(["late"] if late else []),
        "p50", "p90", "p95", "p99", "queue", "compute", "batch",
    )  # fmt: skip
    for row in rows:
        times = (row.p50_us, row.p90_us, row.p95_us, row.p99_us, row.queue_us, row.compute_us)
        batch = "–" if math.isnan(row.rows_per_execution) else f"{row.rows_per_execution:.1f}"
        shown.add_row(
            row.way, f"{row.load:g}", f"{row.requests_per_s:,.0f}",
            *([f"{row.delayed_percent:.0f} %"] if late else []),
            *(f"{time_us / 1000:.2f}" for time_us in times), batch,
        )  # fmt: skip
    return shown


def steps_table(rows: Sequence[Measured]) -> Table | None:
    """Return what each step of an ensemble took; None where there is but one model."""
    if all(len(row.parts) < 2 for row in rows):
        return None
    shown = _table(
        "steps, a request", "way", "load", "step", "queue ms", "compute ms", "rows a batch"
    )
    for row in rows:
        for part in row.parts:
            shown.add_row(
                row.way, f"{row.load:g}", part.model, f"{part.queue_us / 1000:.2f}",
                f"{part.compute_us / 1000:.2f}", f"{part.rows_per_execution:.1f}",
            )  # fmt: skip
        shown.add_section()
    return shown


def document(model: str, done: Sweep, made: Origin) -> dict[str, Any]:
    """Return a sweep as JSON knows it, without NaN: what --json prints and NAME.json holds."""
    return {
        "model": model,
        **made.as_json(),
        "rows": [plain(asdict(row)) for row in done.rows],
        "left_out": [str(error) for error in done.left_out],
        "ended_by": None if done.ended_by is None else str(done.ended_by) or "Ctrl-C",
    }


def left_out(done: Sweep) -> list[str]:
    """Return a sentence for each load that is left out, and then each remedy once."""
    said = [str(error).partition("\nRemedy: ") for error in done.left_out]
    remedies = dict.fromkeys(remedy for _, _, remedy in said)
    return [f"Left out: {what}." for what, _, _ in said] + [f"Remedy: {one}" for one in remedies]


def title(rows: Sequence[Measured]) -> str:
    """Return what each request carried."""
    one, source = rows[0].rows_per_request, rows[0].rows_from
    return f"{'one row' if one == 1 else f'{one} rows'} a request ({source})"


def of_rates(rows: Sequence[Measured]) -> bool:
    """Say whether rates were asked for, not concurrencies."""
    return any(row.request_rate is not None for row in rows)


def _table(above: str, *head: str) -> Table:
    shown = Table(
        title=above,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for name in head:
        words = name in {"way", "step"}
        shown.add_column(name, justify="left" if words else "right", no_wrap=True)
    return shown
