"""`geulpi verify`: a published model, asked through a real server, answers as its estimator did."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["verify"]


def verify(
    name: Annotated[str, typer.Argument(help="Name of the model in Triton.")],
    repository: Annotated[
        Path, typer.Option("--repository", "--model-repository", help="The model repository.")
    ] = Path("model_repository"),
    url: Annotated[
        str | None,
        typer.Option(
            help="host:port of the gRPC API of a server that serves the model.",
            show_default="one is started",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.")
    ] = False,
) -> None:
    """Ask a published model its recorded rows through a server, and compare with the estimator.

    The rows are sent in one batch and one by one; exit code 1 if an answer differs.

    Example: geulpi verify churn --repository model_repository
    """
    from geulpi_conversion._describe import read_entry
    from geulpi_conversion._report import parity_table
    from rich.console import Console

    from geulpi._verify import asked, newest_served, served_alone

    entry = read_entry(repository, name)
    entry.raise_if_damaged()
    version = newest_served(entry)
    version.sample()  # without one, no server needs to start
    with Console(stderr=True).status("") as status, contextlib.ExitStack() as servers:
        if url is None:
            status.update(f"starting a server with {name} …")
            url = servers.enter_context(served_alone(entry))
        status.update(f"asking {name} version {version.number} at {url} …")
        parity = asked(url, entry, version)
    if as_json:
        document = {"name": name, "version": version.number, **parity.to_dict()}
        print(json.dumps(document, ensure_ascii=False))
    else:
        console = Console(highlight=False)
        verdict = "answers as the estimator did" if parity.ok else "does NOT answer as it should"
        told = f"{name} version {version.number}, asked through a server, {verdict}: {parity}"
        console.print(told, markup=False, soft_wrap=True)
        console.print(parity_table(parity))
    if not parity.ok:
        raise typer.Exit(1)
