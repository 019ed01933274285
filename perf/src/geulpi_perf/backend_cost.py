"""What the embedded server costs: CPU time per request, memory, start, and what a stub imports.

    python -m geulpi_perf.backend_cost
    python -m geulpi_perf.backend_cost --before ../earlier/server/src

A forest (100 trees, 20 features) and `event_classifier` are served alone, one row a request over
HTTP and JSON under wrk; all of the repository is asked request by request. CPU time and memory are
those of tritonserver and of its Python stubs, not of the load generator. With `--before` an earlier
source of geulpi-server is measured too, in alternating rounds of the same run. Memory is the
proportional set size (PSS): servers that run beside take part in the libraries and make it less.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import geulpi_server
import typer
from geulpi_server import EmbeddedTriton
from google.protobuf import text_format
from rich.console import Console
from rich.table import Table
from tritonclient.grpc import model_config_pb2

from geulpi_perf._bench.rows import datatype, input_data
from geulpi_perf._errors import BenchFailed, PerfError, UnusableOption
from geulpi_perf._forest import make_forest
from geulpi_perf._load.processes import Use, processes, use_of
from geulpi_perf._machine import origin
from geulpi_perf._processes import ROOT, said
from geulpi_perf._wrk import find_wrk, load

__all__ = ["main", "measure_here"]

OURS = Path(geulpi_server.__file__).parents[1]
CONCURRENCIES = (1, 8, 64)
WARM_UP_S = 1
CALLS, CALLS_S = 200, 2.0  # of each model, whichever comes first
MODULES = ("json", "pathlib", "hashlib", "numpy", "onnxruntime", "dataclasses", "asyncio.events")

# Imports what it is told, one after the other, and says what each took and what memory it added.
IMPORTS = """
import importlib, json, re, sys, time
def own():
    with open("/proc/self/smaps_rollup") as file:
        return int(re.search(r"^Anonymous: +([0-9]+)", file.read(), re.MULTILINE)[1])
found = []
for name in sys.argv[1:]:
    before, started = own(), time.perf_counter()
    importlib.import_module(name)
    took = time.perf_counter() - started
    found.append((name.partition(".")[0], took * 1e3, (own() - before) * 1024 / 1e6))
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Cost:
    """One round of one model under load; CPU times in µs a request.

    Attributes:
        server_us: of the tritonserver process.
        stubs_us: of its Python stubs.
    """

    model: str
    side: str
    concurrency: int
    requests_per_s: float
    server_us: float
    stubs_us: float


@dataclass(frozen=True)
class Standing:
    """What one start took, and the memory after it was asked, in MB of PSS."""

    model: str
    side: str
    start_s: float
    server_mb: float
    stubs_mb: float


def main(
    before: Annotated[
        Path | None, typer.Option(help="Another server/src, measured in alternation.")
    ] = None,
    repository: Annotated[Path, typer.Option(help="With event_classifier.")] = ROOT
    / "model_repository",
    rounds: Annotated[int, typer.Option(help="Starts of each side.")] = 3,
    seconds: Annotated[int, typer.Option(help="Load at each concurrency.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure what the embedded server and its `onnxruntime` backend cost.

    Example: python -m geulpi_perf.backend_cost --rounds 5 --before ../earlier/server/src
    """
    try:
        costs, standings, imports = _measured(before, repository.absolute(), rounds, seconds)
    except PerfError as error:
        print(f"backend_cost: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from error
    if as_json:
        report = {
            **origin("python -m geulpi_perf.backend_cost").as_json(),
            "costs": [asdict(cost) for cost in costs],
            "standings": [asdict(standing) for standing in standings],
            "imports": [{"module": m, "ms": ms, "mb": mb} for m, ms, mb in imports],
        }
        print(json.dumps(report, indent=2))
        return
    _print(costs, standings, imports)


def measure_here(model: str, side: str, repository: str, seconds: int) -> None:
    """Start a server, put load on one model ("" asks all, one by one), and print the figures."""
    started = time.perf_counter()
    with EmbeddedTriton(repository) as triton, tempfile.TemporaryDirectory() as folder:
        start_s = time.perf_counter() - started
        bodies = _bodies(Path(repository))
        costs = []
        for concurrency in CONCURRENCIES if model else ():
            url = f"{triton.http_url}/v2/models/{model}"
            for part_s in (WARM_UP_S, seconds):
                earlier, count = _uses(triton), _count(url)
                found = load(find_wrk(), f"{url}/infer", bodies[model], Path(folder),
                             seconds=part_s, connections=concurrency)  # fmt: skip
            if found.errors:
                raise BenchFailed(f"'{model}'", f"{found.errors} errors", "look at Triton's log")
            server, stubs = (
                (now.cpu_s - then.cpu_s) / (_count(url) - count) * 1e6
                for now, then in zip(_uses(triton), earlier, strict=True)
            )
            costs.append(Cost(model, side, concurrency, found.requests_per_s, server, stubs))
        if not model:
            for name, body in bodies.items():
                _ask(f"{triton.http_url}/v2/models/{name}/infer", body)
        memory = [use.pss_mb for use in _uses(triton)]
        print(json.dumps({
            "costs": [asdict(cost) for cost in costs],
            "standing": asdict(Standing(model or "all models", side, start_s, *memory)),
        }))  # fmt: skip


def measure_imports() -> list[tuple[str, float, float]]:
    """Return what each module of a stub takes to import: its name, ms, MB that are its own."""
    done = said(sys.executable, "-I", "-c", IMPORTS, *MODULES)
    return [(name, ms, mb) for name, ms, mb in json.loads(done)]


def _measured(
    before: Path | None, repository: Path, rounds: int, seconds: int
) -> tuple[list[Cost], list[Standing], list[tuple[str, float, float]]]:
    if before is not None and not (before / "geulpi_server" / "backends").is_dir():
        raise UnusableOption("--before", str(before), "a folder with geulpi_server")
    if not (repository / "event_classifier" / "config.pbtxt").exists():
        raise UnusableOption("--repository", str(repository), "a folder with event_classifier")
    for option, value in (("--rounds", rounds), ("--seconds", seconds)):
        if value < 1:
            raise UnusableOption(option, value, "1 or more")
    find_wrk()
    sides = {"now": OURS} if before is None else {"before": before.absolute(), "now": OURS}
    costs: list[Cost] = []
    standings: list[Standing] = []
    with tempfile.TemporaryDirectory() as work, Console(stderr=True).status("") as status:
        status.update("training and converting the forest …")
        classifier = Path(work, "classifier")
        shutil.copytree(repository / "event_classifier", classifier / "event_classifier")
        served = {
            "forest": make_forest(Path(work)).repository,
            "event_classifier": classifier,
            "": repository,
        }
        status.update("measuring the imports …")
        imports = measure_imports()
        for number in range(rounds):
            for model, folder in served.items():
                for side, source in sides.items():
                    status.update(f"round {number + 1} of {rounds}: {model or 'all'}, {side} …")
                    found = _elsewhere(source, model, side, str(folder), seconds)
                    costs += [Cost(**cost) for cost in found["costs"]]
                    standings.append(Standing(**found["standing"]))
    return costs, standings, imports


def _elsewhere(source: Path, *arguments: object) -> dict[str, Any]:
    """Return what `measure_here` says in a process with that source of geulpi-server."""
    code = f"from geulpi_perf.backend_cost import measure_here; measure_here(*{arguments!r})"
    paths = os.pathsep.join([str(source), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise BenchFailed(f"with {source}", done.stderr, "see above")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _bodies(repository: Path) -> dict[str, dict[str, Any]]:
    """Return by model a request of one row: its own sample."""
    bodies = {}
    for path in sorted(repository.glob("*/config.pbtxt")):
        config = text_format.Parse(path.read_text("utf-8"), model_config_pb2.ModelConfig())
        sample = input_data(path.parent)
        if sample is None:
            raise BenchFailed(f"'{config.name}'", "it has no sample", "convert it with --sample")
        row = sample["data"][0]
        bodies[path.parent.name] = {
            "inputs": [
                {
                    "name": tensor.name,
                    "datatype": datatype(tensor.data_type),
                    "shape": [1, *map(abs, tensor.dims)],
                    "data": list(row[tensor.name]),
                }
                for tensor in config.input
            ]
        }
    return bodies


def _ask(url: str, body: Mapping[str, Any]) -> None:
    content, end = json.dumps(body).encode(), time.monotonic() + CALLS_S
    for _ in range(CALLS):
        try:
            with urllib.request.urlopen(url, content, timeout=30) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            raise BenchFailed(url, error.read().decode(), "look at Triton's log") from error
        if time.monotonic() > end:
            return


def _count(url: str) -> int:
    with urllib.request.urlopen(f"{url}/stats", timeout=30) as answer:
        (stats,) = json.load(answer)["model_stats"]
    return int(stats["inference_count"])


def _uses(triton: EmbeddedTriton) -> tuple[Use, Use]:
    """Return what the server uses, and its stubs together."""
    port = urlsplit(triton.http_url).port or 0
    uses = {pid: use_of(pid) for pid in processes({port})}
    server = uses.pop(triton.pid)
    stubs = uses.values()
    return server, Use(sum(use.pss_mb for use in stubs), sum(use.cpu_s for use in stubs))


def _print(
    costs: Sequence[Cost],
    standings: Sequence[Standing],
    imports: Sequence[tuple[str, float, float]],
) -> None:
    console = Console()
    table = Table(
        "model", "side", "at once", "requests/s", "server µs", "stubs µs", "both µs",
        title="CPU time a request, median (lowest to highest)",
    )  # fmt: skip
    by_load = defaultdict(list)
    for cost in costs:
        by_load[cost.model, cost.concurrency, cost.side].append(cost)
    for (model, concurrency, side), group in sorted(by_load.items()):
        table.add_row(
            model, side, str(concurrency),
            f"{statistics.median(c.requests_per_s for c in group):,.0f}",
            f"{statistics.median(c.server_us for c in group):.0f}",
            f"{statistics.median(c.stubs_us for c in group):.0f}",
            _range([c.server_us + c.stubs_us for c in group], ".0f"),
        )  # fmt: skip
    console.print(table)
    table = Table("model", "side", "start s", "server MB", "stubs MB", "both MB",
                  title="Start to ready, and PSS afterwards")  # fmt: skip
    by_model = defaultdict(list)
    for standing in standings:
        by_model[standing.model, standing.side].append(standing)
    for (model, side), starts in sorted(by_model.items()):
        table.add_row(
            model, side,
            f"{statistics.median(s.start_s for s in starts):.2f}",
            f"{statistics.median(s.server_mb for s in starts):.1f}",
            f"{statistics.median(s.stubs_mb for s in starts):.1f}",
            _range([s.server_mb + s.stubs_mb for s in starts], ".1f"),
        )  # fmt: skip
    console.print(table)
    table = Table("import", "ms", "MB of its own", title="What a stub imports, one by one")
    for name, ms, mb in imports:
        table.add_row(name, f"{ms:.1f}", f"{mb:.1f}")
    console.print(table)


def _range(values: Sequence[float], form: str) -> str:
    middle = f"{statistics.median(values):{form}}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):{form}} to {max(values):{form}})"


if __name__ == "__main__":
    typer.run(main)
