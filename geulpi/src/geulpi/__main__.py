"""The `geulpi` command: the rooms' commands under one name, and their errors as sentences."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

import typer
from geulpi_analysis import AnalysisError
from geulpi_analysis.cli import analyze
from geulpi_client import GeulpiError
from geulpi_client.cli import cache, classify, status
from geulpi_conversion import ConversionError
from geulpi_conversion.cli import convert, describe
from geulpi_models import ModelError
from geulpi_models.cli import build, quality
from geulpi_perf import PerfError
from geulpi_perf.cli import bench, compare, load, tune
from geulpi_server import ServerError
from geulpi_server.cli import serve

from geulpi.cli import verify

ERRORS = (AnalysisError, ConversionError, GeulpiError, ModelError, PerfError, ServerError)

app = typer.Typer(
    name="geulpi",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a bug shows Python's own traceback, once, unadorned
    add_completion=False,
)
for command in (
    serve, status, classify, convert, describe, verify, build, quality, analyze,
    bench, tune, load, compare,
):  # fmt: skip
    app.command()(command)
app.add_typer(cache, name="cache")


@app.callback(invoke_without_command=True)
def geulpi(
    *,
    show_version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    """scikit-learn models in production on NVIDIA Triton.

    Example: geulpi serve
    """
    if show_version:
        print(version("geulpi"))
        raise typer.Exit


def main() -> None:
    """Run the command line: 0 done, 1 failed, 2 wrong use."""
    try:
        app()
    except (
        AnalysisError,
        GeulpiError,
        ConversionError,
        ModelError,
        PerfError,
        ServerError,
    ) as error:
        print(f"geulpi: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output went away (`geulpi … | head`): nothing to say, nothing to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
