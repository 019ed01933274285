"""`geulpi build`: train, convert and publish the calendar models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["build"]


def build(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]…", help="The models to build.", show_default="all"),
    ] = None,
    model_repository: Annotated[Path, typer.Option(help="The folder to publish into.")] = Path(
        "model_repository"
    ),
    keep: Annotated[
        int | None,
        typer.Option(help="Leave so many versions, the newest among them.", show_default="all"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train the calendar models, prove their conversion and publish them as new versions.

    Where real labelled data lies in the folder $GEULPI_DATA names, the models are judged by it.

    Example: geulpi build event_classifier
    """
    from rich.console import Console
    from rich.table import Table

    from geulpi_models._build import MODELS
    from geulpi_models._build import build as build_one
    from geulpi_models._errors import UnknownModel

    for name in names or ():
        if name not in MODELS:
            raise UnknownModel(name, MODELS)
    built = []
    with Console(stderr=True).status("") as status:
        for name in names or MODELS:
            status.update(f"building {name} …")
            built.append(build_one(name, model_repository, keep=keep))
    if as_json:
        rows = [
            {
                "name": one.name,
                "folder": str(one.folder),
                "backend": one.converted.backend,
                "reason": one.converted.reason,
                "training_rows": one.training_rows,
                "evaluation": one.evaluation and vars(one.evaluation),
            }
            for one in built
        ]
        print(json.dumps(rows, ensure_ascii=False))
        return
    table = Table(
        "model", "backend", "trained on", "macro accuracy, main label", "either label", "published"
    )
    for one in built:
        judged = one.evaluation
        table.add_row(
            one.name,
            one.converted.backend,
            f"{one.training_rows} rows",
            f"{judged.strict:.3f} ({judged.rows} real titles)" if judged else "no data to judge by",
            f"{judged.lenient:.3f}" if judged else "",
            str(one.folder),
        )
    Console().print(table)
