"""What a second instance of a large Python-backend model costs: it shares the artefact's pages.

    python -m geulpi_perf.shared_pages

A nearest-neighbour model of some 800 MB is converted by `geulpi convert` and served with one
instance, then with two. What counts is the proportional set size (PSS) of the server and its
instances, in which a page that is shared counts by its share. The second instance may add a fifth
of the artefact's size, its Python and scikit-learn included; it ends with 1 where it adds more.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from geulpi_client import ModelClient
from geulpi_server import EmbeddedTriton
from google.protobuf import text_format
from rich.console import Console
from rich.table import Table
from tritonclient.grpc import model_config_pb2

__all__ = ["main"]

ROWS = 10_000_000
MODEL = "neighbours"
MOST = 0.2
MB = 1e6

Rows = np.ndarray[Any, np.dtype[np.float64]]

# A function that ONNX has no form for, so that the Python backend serves it.
TRAINING = """
import sys, joblib, numpy as np
from scipy import special
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
X = np.random.default_rng(0).uniform(1, 2, size=(int(sys.argv[1]), 4))
nearest = KNeighborsRegressor(1, algorithm="kd_tree", leaf_size=100)
model = make_pipeline(FunctionTransformer(special.gammaln), nearest).fit(X, X.sum(axis=1))
joblib.dump(model, sys.argv[2])
np.save(sys.argv[3], X[:200] + 0.001)
"""


@dataclass(frozen=True)
class Memory:
    """Proportional set sizes of a server with its instances, in bytes.

    Attributes:
        all: of the server and the instances.
        artefact: the part of it that is pages of the artefact.
    """

    all: int
    artefact: int


def main() -> None:
    """Measure, print a table, and say by the exit code whether the second instance was cheap."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder, console.status("") as status:
        status.update("training and converting …")
        repository = Path(folder, "repository")
        rows = _publish(repository, Path(folder))
        artefact = repository / MODEL / "1" / "estimator.mapped"
        size = artefact.stat().st_size
        found = {}
        for instances in (1, 2):
            status.update(f"serving with {instances} …")
            _set_instances(repository, instances)
            found[instances] = _measure(repository, artefact, rows)
    added = found[2].all - found[1].all
    shared = found[2].artefact - found[1].artefact
    table = Table(
        "instances", "all processes, MB", "the artefact's pages, MB", "the rest, MB",
        title=f"PSS with an artefact of {size / MB:,.0f} MB",
    )  # fmt: skip
    for instances, memory in found.items():
        parts = (memory.all, memory.artefact, memory.all - memory.artefact)
        table.add_row(str(instances), *(f"{part / MB:,.0f}" for part in parts))
    parts = (added, shared, added - shared)
    table.add_row("the second", *(f"{part / MB:+,.0f} ({part / size:.1%})" for part in parts))
    console.print(table)
    if added >= MOST * size:
        console.print(f"more than {MOST:.0%} of the artefact's size")
        sys.exit(1)


def _publish(repository: Path, folder: Path) -> Rows:
    """Train and publish the model; return rows to ask it about."""
    model, sample = folder / "model.joblib", folder / "sample.npy"
    subprocess.run([sys.executable, "-c", TRAINING, str(ROWS), model, sample], check=True)
    command: list[str | Path] = [
        Path(sys.executable).with_name("geulpi"), "convert", model, "--trust",
        "--sample", sample, "--name", MODEL, "--repository", repository, "--json",
    ]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    rows: Rows = np.load(sample)
    return rows


def _set_instances(repository: Path, count: int) -> None:
    path = repository / MODEL / "config.pbtxt"
    config = text_format.Parse(path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    config.instance_group[0].count = count
    path.write_text(text_format.MessageToString(config, as_utf8=True), encoding="utf-8")


def _measure(repository: Path, artefact: Path, rows: Rows) -> Memory:
    with EmbeddedTriton(repository) as triton, ModelClient(triton.grpc_url, cache=None) as client:
        with ThreadPoolExecutor(8) as pool:  # until every instance has answered
            list(pool.map(lambda row: client.infer(MODEL, {"X": row[None]}), rows))
        return _memory([triton.pid, *_children(triton.pid)], artefact)


def _memory(processes: list[int], artefact: Path) -> Memory:
    whole = mapped = 0
    for process in processes:
        for file, size in _mappings(process):
            whole += size
            mapped += size if file == str(artefact) else 0
    return Memory(whole, mapped)


def _mappings(process: int) -> Iterator[tuple[str, int]]:
    """Yield the file, "" for none, and the PSS in bytes of each mapping of a process."""
    file = ""
    for line in Path(f"/proc/{process}/smaps").read_text(encoding="utf-8").splitlines():
        if mapping := re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ *(.*)", line):
            file = mapping[1]
        elif line.startswith("Pss:"):
            yield file, int(line.split()[1]) * 1024


def _children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text(encoding="ascii").split()]


if __name__ == "__main__":
    main()
