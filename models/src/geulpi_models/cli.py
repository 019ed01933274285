"""`geulpi build` and `geulpi quality`: train and publish the calendar models, and judge them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["build", "quality"]


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

    Balance and burnout learn from diaries in the folder that $GEULPI_DATA names.

    Example: geulpi build event_classifier
    """
    from rich.console import Console
    from rich.table import Table

    from geulpi_models._build import build as build_models

    built = []
    with Console(stderr=True).status("building …") as status:
        for one in build_models(names, model_repository, keep=keep):
            built.append(one)
            status.update(f"built {one.name}, going on …")
    if as_json:
        rows = [
            {
                "name": one.name,
                "served": one.served,
                "training_rows": one.training_rows,
                "folders": {name: str(folder) for name, folder in one.folders.items()},
            }
            for one in built
        ]
        print(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("model", "served as", "trained on", "published")
    for one in built:
        table.add_row(
            one.name,
            one.served,
            f"{one.training_rows} rows" if one.training_rows else "",
            "\n".join(f"{name}/{folder.name}" for name, folder in one.folders.items()),
        )
    Console().print(table)


def quality(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]…", help="The models to judge.", show_default="all"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Also write a page, such as docs/quality.md.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge the calendar models by real data that they were not trained on, beside a baseline.

    The data lies in the folder that $GEULPI_DATA names.

    Example: geulpi quality pattern_detector
    """
    import math
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from geulpi_models._build import evaluation_data
    from geulpi_models._errors import DataNotFound, UnknownModel
    from geulpi_models._quality import JUDGES, judged, page

    wanted = names or list(JUDGES)
    for name in wanted:
        if name not in JUDGES:
            raise UnknownModel(name, JUDGES)
    data = evaluation_data()
    if data is None:
        raise DataNotFound.to_judge()
    figures = {}
    with Console(stderr=True).status("") as status:
        for name in wanted:
            status.update(f"judging {name} …")
            figures[name] = judged(name, data)
    if output is not None:
        output.write_text(page(figures), encoding="utf-8")
    rows = [one for part in figures.values() for one in part]
    if as_json:
        documents = [
            {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(o).items()}
            for o in rows
        ]
        print(json.dumps(documents, ensure_ascii=False))
        return
    for name, part in figures.items():
        table = Table("figure", "on", "value", "baseline", "aim", title=name, title_justify="left")
        for one in part:
            baseline = "" if math.isnan(one.baseline) else f"{one.baseline:.3f}"
            table.add_row(one.what, one.on, f"{one.value:.3f}", baseline, one.aim)
        Console().print(table)
