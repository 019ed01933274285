"""How serving scales on this machine: curves, where each ends, why, and what it takes for more.

    python -m geulpi_perf.scale [--only CURVE …] [--seconds 1] [--json] [--output FOLDER]

Each curve has servers of its own, started for it, and models trained for it. Throughput and
latency come with the processor time of who was at work (Triton, its stubs, the callers, Valkey),
from which it is computed why a curve ends. `--write-docs` puts figures and pictures into
docs/performance.md; with `--from` those of an earlier run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geulpi_perf._scale.results import Results

__all__ = ["main"]

NAMES = ("instances", "batches", "trees", "features", "models", "cache", "clients")
DOCS = Path(__file__).resolve().parents[3] / "docs" / "performance.md"
PROGRAM = "python -m geulpi_perf.scale"


def main() -> None:
    """Measure and show the curves; the exit code says whether all could be measured."""
    options = _options()
    # Late, so that --help is quick.
    from geulpi_client import GeulpiError  # noqa: PLC0415
    from geulpi_server import ServerError  # noqa: PLC0415

    from geulpi_perf._errors import PerfError  # noqa: PLC0415

    try:
        _run(options)
    except PerfError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except (GeulpiError, ServerError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="How serving scales on this machine: throughput, latency and who is at work.",
        epilog=f"Example: {PROGRAM} --only instances --only clients --output results",
    )
    parser.add_argument(
        "--only", choices=NAMES, action="append", metavar="CURVE",
        help=f"one of these, and may be repeated: {', '.join(NAMES)}",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", type=float, default=1.0,
        help="a measurement window, of which perf_analyzer takes three or more (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--mix", metavar="RATE|FILE",
        help="requests/s of the calendar models' mix, or what geulpi load --json printed: for the "
        "number of machines",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER",
        help="write scale.json, scale.csv, scale.html and a picture of each curve",
    )  # fmt: skip
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="put figures and pictures into docs/performance.md",
    )
    parser.add_argument(
        "--from", dest="earlier", type=Path, metavar="FILE",
        help="measure nothing, take the scale.json of an earlier run",
    )  # fmt: skip
    return parser.parse_args()


def _run(options: argparse.Namespace) -> None:
    from rich.console import Console  # noqa: PLC0415

    from geulpi_perf._output import prepare  # noqa: PLC0415
    from geulpi_perf._scale import report  # noqa: PLC0415
    from geulpi_perf._scale.nodes import FORMULA  # noqa: PLC0415
    from geulpi_perf._scale.results import as_json  # noqa: PLC0415

    if options.output is not None:
        prepare(options.output)
    results = _results(options)
    if options.output is not None:
        report.write(results, options.output)
    if options.write_docs:
        report.write_docs(results, DOCS)
    if options.json:
        print(json.dumps(as_json(results), ensure_ascii=False))
        return
    console = Console()
    for curve in results.curves:
        for shown in report.tables(curve):
            console.print(shown)
        for remark in report.remarks(curve, results.cores):
            console.print(f"- {remark}", highlight=False)
        console.print()
    table = report.nodes_table(results)
    if table is not None:
        console.print(table)
        console.print(FORMULA, highlight=False)
    if options.mix is None:
        console.print("For the calendar models' mix give --mix.", highlight=False)


def _results(options: argparse.Namespace) -> Results:
    from dataclasses import replace  # noqa: PLC0415

    from rich.console import Console  # noqa: PLC0415

    from geulpi_perf._errors import UnusableOption  # noqa: PLC0415
    from geulpi_perf._machine import origin  # noqa: PLC0415
    from geulpi_perf._scale.curves import draw  # noqa: PLC0415
    from geulpi_perf._scale.loads import Workshop  # noqa: PLC0415
    from geulpi_perf._scale.nodes import rate_of_mix  # noqa: PLC0415
    from geulpi_perf._scale.results import Results, read  # noqa: PLC0415

    mix = None if options.mix is None else rate_of_mix(options.mix)
    if options.earlier is not None:
        found = read(options.earlier)
        kept = [c for c in found.curves if c.name in (options.only or NAMES)]
        return replace(found, curves=tuple(kept), mix_per_s=mix or found.mix_per_s)
    if not 0 < options.seconds <= 60:
        raise UnusableOption("--seconds", options.seconds, "a time above 0, of at most 60")
    console = Console(stderr=True)
    curves = []
    with tempfile.TemporaryDirectory() as folder, console.status("") as status:
        shop = Workshop(Path(folder), options.seconds, status.update, console.print)
        for name in [name for name in NAMES if name in (options.only or NAMES)]:
            curves.append(draw(name, shop))
            console.print(f"{name}: {curves[-1].took_s:,.0f} s", highlight=False)
    return Results(origin(PROGRAM), len(os.sched_getaffinity(0)), tuple(curves), mix)


if __name__ == "__main__":
    main()
