"""`geulpi convert`: a fitted estimator becomes a model of the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from geulpi_conversion import Converted

__all__ = ["convert"]


def convert(
    model: Annotated[Path, typer.Argument(help="A fitted estimator: .skops, .joblib or .pkl.")],
    sample: Annotated[Path, typer.Option(help="Rows it takes: .npy, .csv (with header) or .json.")],
    name: Annotated[str, typer.Option(help="The model's name in Triton.")],
    repository: Annotated[Path, typer.Option(help="The model repository to publish into.")] = Path(
        "model_repository"
    ),
    trust: Annotated[
        bool, typer.Option("--trust", help="Load the file although that may run code in it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Turn a fitted scikit-learn estimator into a model of a Triton repository, with proof.

    ONNX where its answers are the estimator's own on the sample, else the Python backend. Nothing
    is published that does not answer as the estimator does.

    Example: geulpi convert churn.skops --sample rows.csv --name churn
    """
    from rich.console import Console

    from geulpi_conversion import convert as convert_estimator
    from geulpi_conversion import publish
    from geulpi_conversion._files import read_estimator, read_sample_file

    with Console(stderr=True).status(f"converting {model.name} …"):
        rows = read_sample_file(sample)
        converted = convert_estimator(read_estimator(model, trust=trust), rows, name=name)
        folder = publish(converted, repository)
    if as_json:
        report = {
            "name": name,
            "backend": converted.backend,
            "reason": converted.reason,
            "folder": str(folder),
            "parity": converted.parity.to_dict(),
        }
        print(json.dumps(report, ensure_ascii=False))
        return
    Console().print(_summary(converted, folder))


def _summary(converted: Converted, folder: Path) -> Table:
    from rich.table import Table

    table = Table(title=f"{converted.name}: {folder}", show_header=False, title_justify="left")
    table.add_row("backend", converted.backend)
    if converted.reason:
        table.add_row("left aside", converted.reason)
    for role, specs in (("input", converted.inputs.specs), ("output", converted.outputs)):
        for spec in specs:
            table.add_row(role, f"{spec.name}  {spec.dtype}  [N, {spec.width}]")
    for output in converted.parity.outputs:
        table.add_row(
            f"parity of {output.name}",
            f"{converted.parity.rows} rows, largest difference {output.max_abs:.2g}, "
            f"{output.rows_over} over the tolerance",
        )
    return table
