"""What a terminal shows of a conversion and of an entry: lines and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from geulpi_conversion._converted import Change, Converted, Parity, Step, TensorSpec
from geulpi_conversion._describe import Entry, Version
from geulpi_conversion._recorded import Report, report_of
from geulpi_conversion._serving import ServingConfig

__all__ = ["conversion", "entry", "parity_table"]

SHOWN_CHARACTERS = 300  # of hyperparameters


def conversion(
    converted: Converted, folder: Path, columns: Mapping[str, Any]
) -> Iterator[RenderableType]:
    """Yield what `geulpi convert` shows.

    Args:
        converted: the model.
        folder: of its new version.
        columns: by tensor, the name of the sample's column.
    """
    yield _line(f"{converted.name} is served by {converted.backend}: {folder}")
    yield from _report(report_of(converted))
    yield from tensors_tables(converted.inputs, converted.outputs, columns)
    yield parity_table(converted.parity)


def entry(described: Entry) -> Iterator[RenderableType]:
    """Yield what `geulpi describe` shows."""
    yield _line(f"{described.name} is served by {described.backend}: {described.folder}")
    if estimator := described.parameters.get("estimator"):
        yield _line(f"estimator: {estimator}")
    if classes := described.known.get("classes"):
        yield _line(f"classes: {_listed(classes)}")
    columns = described.known.get("columns")
    yield from tensors_tables(
        described.inputs, described.outputs, columns if isinstance(columns, dict) else {}
    )
    yield _settings(described)
    yield _versions(described.versions)
    for version in described.versions[-1:]:
        if version.libraries:
            yield _line(f"libraries of version {version.number}: {_pairs(version.libraries)}")
        if parameters := version.manifest.get("hyperparameters"):
            told = str(parameters)
            more = "… (all with --json)" if len(told) > SHOWN_CHARACTERS else ""
            yield _line(f"hyperparameters: {told[:SHOWN_CHARACTERS]}{more}")
        if version.report:
            yield from _report(version.report)
            yield parity_table(version.report.parity, title=f"parity of version {version.number}")


def tensors_tables(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], columns: Mapping[str, Any]
) -> Iterator[Table]:
    """Yield the tensors; beside each input its column, where names had to be changed."""
    renamed = any(str(column) != tensor for tensor, column in columns.items())
    table = Table(
        "tensors",
        "name",
        "type",
        "shape",
        *(["column of the sample"] if renamed else []),
        box=SIMPLE_HEAD,
    )
    for direction, specs in (("in", inputs), ("out", outputs)):
        for spec in specs:
            column = [Text(str(columns.get(spec.name, "")))] if renamed else []
            table.add_row(
                direction, Text(spec.name), Text(spec.datatype), f"N × {spec.width}", *column
            )
    yield table


def parity_table(parity: Parity, title: str = "parity") -> Table:
    """Return what was compared, one line for each output and group of rows.

    `differ` is how many rows do, and how many may; `most` and `share` are the largest difference,
    and the largest as a share of the estimator's value; `worst` is the row in which it is found.
    """
    table = Table(title=title, box=SIMPLE_HEAD)
    table.add_column("output", no_wrap=True)
    table.add_column("rows of", no_wrap=True)
    for column in ("rows", "differ", "most", "share", "worst"):
        table.add_column(column, justify="right")
    for output in parity.outputs:
        allowed = f" (≤ {output.rows_allowed})" if output.rows_allowed else ""
        ties = f" + {output.ties} ties" if output.ties else ""
        table.add_row(
            Text(output.name),
            Text(output.group),
            str(output.rows),
            f"{output.rows_over}{allowed}{ties}",
            f"{output.max_abs:.2g}",
            f"{output.max_rel:.2g}",
            "" if output.worst_row is None else str(output.worst_row),
            style=None if output.ok else "bold red",
        )
    for refusal in parity.refusals:
        table.add_row(
            "refusal",
            Text(refusal.group),
            str(refusal.rows),
            str(refusal.answered),
            style=None if refusal.ok else "bold red",
        )
    return table


def _report(report: Report) -> Iterator[RenderableType]:
    if report.reason:
        yield _line(f"why not ONNX: {report.reason}")
    if len(report.steps) > 1:
        yield _steps(report.steps)
    for fix in report.fixes:
        yield _line(f"fix: {fix}")
    if report.changes:
        yield _changes(report.changes)


def _steps(steps: Iterable[Step]) -> Table:
    table = Table("tried", "why it was left", box=SIMPLE_HEAD)
    for step in steps:
        table.add_row(Text(step.route), Text(step.why or "taken"))
    return table


def _changes(changes: Iterable[Change]) -> Table:
    """Return what making the model smaller or faster has changed, before and after."""
    table = Table("changed", title="smaller and faster", box=SIMPLE_HEAD)
    for column in ("size", "rows/s", "max diff.", "fidelity"):
        table.add_column(column, justify="right")
    for change in changes:
        table.add_row(
            Text(change.what),
            f"{decimal(change.bytes_before)} → {decimal(change.bytes_after)}",
            f"{change.rows_per_s_before:,.0f} → {change.rows_per_s_after:,.0f}",
            f"{change.max_abs:.2g}",
            "" if change.fidelity is None else f"{change.fidelity:.3f}",
        )
    return table


def _settings(described: Entry) -> RenderableType:
    if described.serving is None:
        return _line(f"serving: {described.unusual}")
    default = ServingConfig()
    table = Table("serving", "", box=SIMPLE_HEAD)
    for field, value in described.serving.to_dict().items():
        if field == "trim_every" and described.backend != "python":
            continue
        shown = _listed(value) if isinstance(value, list | tuple) else str(value)
        changed = value != getattr(default, field)
        table.add_row(field, Text(shown or "none", style="bold" if changed else ""))
    return table


def _versions(versions: Sequence[Version]) -> Table:
    table = Table("version", "served", "file", "size", "digest", "parity", box=SIMPLE_HEAD)
    table.add_column("sample")
    table.add_column("made", no_wrap=True)
    for version in versions:
        recorded = "right" if version.recorded else "unknown"
        parity = version.report and ("equal" if version.report.parity.ok else "DIFFERS")
        table.add_row(
            str(version.number),
            "yes" if version.served else "no",
            Text(version.artefact or "missing"),
            decimal(version.bytes),
            Text(recorded) if version.intact else Text("DIFFERS", style="bold red"),
            Text(parity or "unknown"),
            "yes" if version.has_sample else "no",
            Text(str(version.manifest.get("created", ""))[:10]),
        )
    return table


def _line(text: str) -> Text:
    return Text(text)


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(str(value) for value in values)


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
