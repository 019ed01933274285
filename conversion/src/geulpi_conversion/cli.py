"""`geulpi convert`: an estimator file becomes a repository entry; `geulpi describe` shows one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from geulpi_conversion._serving import Device, VersionPolicy

if TYPE_CHECKING:
    from geulpi_conversion import Converted

__all__ = ["convert", "describe"]

Repository = Annotated[
    Path, typer.Option("--repository", "--model-repository", help="The model repository.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

SERVING = "How it is served"
# Fields of ServingConfig that a measurement may have set; who sets one of them sets them all.
TUNED_FIELDS = {
    "max_batch_size", "queue_delay_us", "preferred_batch_sizes", "instances", "trim_every",
}  # fmt: skip
LIGHTER = "Smaller and faster"


def convert(
    model: Annotated[Path, typer.Argument(help="A fitted estimator: .skops, .joblib or .pkl.")],
    sample: Annotated[
        Path,
        typer.Option(
            help="Rows to prove the conversion by: .npy; .npz (one array, the columns of a table, "
            "or a sparse matrix); .csv with a header row; .parquet; or .json (a list of texts, of "
            "records or of rows of numbers)."
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the model in Triton.")],
    repository: Repository = Path("model_repository"),
    trust: Annotated[
        bool, typer.Option("--trust", help="Load the file even if that can run code.")
    ] = False,
    keep: Annotated[
        int | None,
        typer.Option(
            help="Leave so many versions, the newest and those that are served.", show_default="all"
        ),
    ] = None,
    store_sample: Annotated[
        bool,
        typer.Option(
            "--sample-rows/--no-sample",
            help="Store up to 100 rows of the sample, real ones, for `geulpi verify`. With "
            "--no-sample and --no-warmup no row is stored.",
        ),
    ] = True,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="RELEASE",
            help="Check that this release of Triton's container can serve it, such as 25.06.",
        ),
    ] = None,
    max_batch_size: Annotated[
        int | None,
        typer.Option(
            help="Most rows that are answered at once.",
            show_default="256",
            rich_help_panel=SERVING,
        ),
    ] = None,
    queue_delay_us: Annotated[
        int | None,
        typer.Option(
            help="Microseconds that a request may wait for others to be answered with.",
            show_default="500 for ONNX, 0 for Python",
            rich_help_panel=SERVING,
        ),
    ] = None,
    preferred_batch_sizes: Annotated[
        str | None,
        typer.Option(
            metavar="N,N…",
            help="Sizes at which a batch does not wait any longer, such as 4,8.",
            show_default="none",
            rich_help_panel=SERVING,
        ),
    ] = None,
    instances: Annotated[
        int | None,
        typer.Option(
            help="Copies that answer at the same time.", show_default="1", rich_help_panel=SERVING
        ),
    ] = None,
    device: Annotated[
        Device, typer.Option(help="Where they run.", rich_help_panel=SERVING)
    ] = "cpu",
    warmup: Annotated[
        bool,
        typer.Option(
            help="Answer a row of the sample before the model says it is ready.",
            rich_help_panel=SERVING,
        ),
    ] = True,
    max_queue_size: Annotated[
        int,
        typer.Option(
            help="Requests that may wait; more are refused. 0: no limit.", rich_help_panel=SERVING
        ),
    ] = 0,
    timeout_us: Annotated[
        int,
        typer.Option(
            help="Microseconds that a request may wait before it is refused. 0: no limit.",
            rich_help_panel=SERVING,
        ),
    ] = 0,
    version_policy: Annotated[
        str,
        typer.Option(
            metavar="POLICY",
            help="Versions that are served: so many of the newest (latest:2), all, or some (3,5).",
            rich_help_panel=SERVING,
        ),
    ] = "latest:1",
    trim_every: Annotated[
        int | None,
        typer.Option(
            help="Executions after which a Python model gives memory back. 0: never.",
            show_default="1000",
            rich_help_panel=SERVING,
        ),
    ] = None,
    optimize: Annotated[
        bool,
        typer.Option(
            "--optimize",
            help="Let ONNX Runtime optimise the graph now, not at each start.",
            rich_help_panel=LIGHTER,
        ),
    ] = False,
    quantize: Annotated[
        Literal["float16", "int8"] | None,
        typer.Option(help="Round the numbers of an ONNX model.", rich_help_panel=LIGHTER),
    ] = None,
    compress: Annotated[
        bool,
        typer.Option(
            "--compress", help="Compress a Python model's artefact.", rich_help_panel=LIGHTER
        ),
    ] = False,
    distill: Annotated[
        bool,
        typer.Option(
            "--distill",
            help="Serve a small student that answers as the estimator does.",
            rich_help_panel=LIGHTER,
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Convert a fitted estimator, prove that the answers are equal, and publish it.

    It becomes ONNX where that gives the estimator's answers, else a Python-backend model. Settings
    that `geulpi tune` wrote stay, unless an option here sets one of them.

    Example: geulpi convert churn.skops --sample churn.csv --name churn --keep 3 --target 25.06
    """
    from rich.console import Console

    from geulpi_conversion import ServingConfig, publish
    from geulpi_conversion import convert as convert_estimator
    from geulpi_conversion._describe import read_entry
    from geulpi_conversion._files import read_estimator, read_sample_file, takes_records
    from geulpi_conversion._targets import check_target, find_target

    changes = {
        "max_batch_size": max_batch_size,
        "queue_delay_us": queue_delay_us,
        "preferred_batch_sizes": _numbers("preferred_batch_sizes", preferred_batch_sizes),
        "instances": instances,
        "device": device,
        "warmup": warmup,
        "max_queue_size": max_queue_size,
        "timeout_us": timeout_us,
        "version_policy": _policy(version_policy),
        "trim_every": trim_every,
    }
    wanted: dict[str, Any] = {field: value for field, value in changes.items() if value is not None}
    # What is wrong with the options is told before a conversion that may take minutes.
    ServingConfig(**{"queue_delay_us": 0, **wanted})
    if target is not None:
        find_target(target)
    with Console(stderr=True).status(f"reading {model} and {sample} …") as status:
        estimator = read_estimator(model, trust=trust)
        rows = read_sample_file(sample, records=takes_records(estimator))
        status.update("converting and comparing …")
        converted = convert_estimator(
            estimator,
            rows,
            name=name,
            optimize=optimize,
            quantize=quantize,
            compress=compress,
            distill=distill,
        )
        serving = ServingConfig.for_backend(
            converted.backend, batches=converted.parameters.get("batching") != "request", **wanted
        )
        if target is not None:
            status.update(f"checking against Triton {target} …")
            check_target(converted, target)
        status.update("publishing …")
        folder = publish(
            converted, repository, serving=serving, keep=keep, sample=store_sample,
            keep_tuned=not wanted.keys() & TUNED_FIELDS,
        )  # fmt: skip
    if as_json:
        written = read_entry(repository, name).to_dict()["serving"]
        document = _to_dict(converted, folder) | {"serving": written, "target": target}
        print(json.dumps(document, ensure_ascii=False))
        return
    from geulpi_conversion import _report

    _print(_report.conversion(converted, folder, _columns(converted)))


def describe(
    name: Annotated[str, typer.Argument(help="Name of the model in Triton.")],
    repository: Repository = Path("model_repository"),
    as_json: Json = False,
) -> None:
    """Show what is in an entry of a model repository; exit code 1 if it is damaged.

    Example: geulpi describe churn --repository model_repository
    """
    from geulpi_conversion._describe import read_entry

    entry = read_entry(repository, name)
    if as_json:
        print(json.dumps(entry.to_dict(), ensure_ascii=False))
    else:
        from geulpi_conversion import _report

        _print(_report.entry(entry))
    entry.raise_if_damaged()


def _numbers(field: str, text: str | None) -> tuple[int, ...] | None:
    from geulpi_conversion import InvalidServing

    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise InvalidServing(field, text, "whole numbers with commas between, as 4,8") from error


def _policy(text: str) -> VersionPolicy:
    from geulpi_conversion import InvalidServing

    if text == "all":
        return "all"
    kind, colon, count = text.partition(":")
    if colon and kind == "latest" and count.isascii() and count.isdecimal():
        return int(count)
    if colon or not (versions := _numbers("version_policy", text)):
        raise InvalidServing("version_policy", text, "latest:2, all, or versions as 3,5")
    return versions


def _columns(converted: Converted) -> dict[str, Any]:
    columns: dict[str, Any] = json.loads(converted.parameters.get("columns", "{}"))
    return columns


def _to_dict(converted: Converted, folder: Path) -> dict[str, object]:
    from geulpi_conversion._recorded import report_of

    tensors = {"inputs": converted.inputs, "outputs": converted.outputs}
    return {
        "name": converted.name,
        "backend": converted.backend,
        "folder": str(folder),
        "version": int(folder.name),
        **{
            kind: [{"name": s.name, "datatype": s.datatype, "dims": [s.width]} for s in specs]
            for kind, specs in tensors.items()
        },
        "columns": _columns(converted),
        **report_of(converted).to_dict(),
    }


def _print(parts: Iterable[Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for part in parts:
        # A line stays one, so that it can be copied and searched; tables keep to the window.
        console.print(part, soft_wrap=isinstance(part, Text))
