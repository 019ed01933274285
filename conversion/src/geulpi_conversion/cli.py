"""`geulpi convert`: an estimator file becomes a model repository entry."""

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
    sample: Annotated[
        Path,
        typer.Option(
            help="Rows to prove the conversion by: .npy, .csv with a header row, or .json (a list "
            "of texts or of records)."
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the model in Triton.")],
    repository: Annotated[
        Path, typer.Option("--repository", "--model-repository", help="The model repository.")
    ] = Path("model_repository"),
    trust: Annotated[
        bool, typer.Option("--trust", help="Load the file even if that can run code.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Convert a fitted estimator, prove that the answers are equal, and publish it.

    It becomes ONNX where that gives the estimator's answers, else a Python-backend model.

    Example: geulpi convert churn.skops --sample churn.csv --name churn
    """
    from rich.console import Console

    from geulpi_conversion import convert as convert_estimator
    from geulpi_conversion import publish
    from geulpi_conversion._files import read_estimator, read_sample_file

    progress = Console(stderr=True)
    with progress.status(f"reading {model} and {sample} …") as status:
        rows = read_sample_file(sample)
        estimator = read_estimator(model, trust=trust)
        status.update("converting and comparing …")
        converted = convert_estimator(estimator, rows, name=name)
        status.update("publishing …")
        folder = publish(converted, repository)
    if as_json:
        print(json.dumps(_to_dict(converted, folder), ensure_ascii=False))
        return
    console = Console()
    console.print(f"{converted.name} is served by {converted.backend}: {folder}", soft_wrap=True)
    if converted.reason:
        console.print(f"why not ONNX: {converted.reason}", markup=False, soft_wrap=True)
    console.print(_tensors(converted))
    console.print(_parity(converted))


def _to_dict(converted: Converted, folder: Path) -> dict[str, object]:
    tensors = {"inputs": converted.inputs, "outputs": converted.outputs}
    return {
        "name": converted.name,
        "backend": converted.backend,
        "reason": converted.reason,
        "folder": str(folder),
        "version": int(folder.name),
        **{
            kind: [{"name": s.name, "datatype": s.datatype, "dims": [s.width]} for s in specs]
            for kind, specs in tensors.items()
        },
        "parity": converted.parity.to_dict(),
    }


def _tensors(converted: Converted) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "tensor", "type", "shape")
    for direction, specs in (("in", converted.inputs), ("out", converted.outputs)):
        for spec in specs:
            table.add_row(direction, escape(spec.name), spec.datatype, f"N × {spec.width}")
    return table


def _parity(converted: Converted) -> Table:
    from rich.table import Table

    table = Table(
        "output", "rows", "rows over", "largest difference", "largest share", title="parity"
    )
    for output in converted.parity.outputs:
        table.add_row(
            output.name,
            str(output.rows),
            f"{output.rows_over} (of {output.rows_allowed} allowed)",
            f"{output.max_abs:.2g}",
            f"{output.max_rel:.2g}",
        )
    return table
