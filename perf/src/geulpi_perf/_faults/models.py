"""Two models whose right answer anybody can compute, and that tell their version by it.

Both take a row of two whole numbers and answer their sum and the version's share, `version * STEP`:
`row_sum` in the Python backend, `row_sum_onnx` in ONNX.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

STEP: Final = 10**9
PYTHON: Final = "row_sum"
ONNX: Final = "row_sum_onnx"
MODELS: Final = (PYTHON, ONNX)

CONFIG = """
name: "{name}"
backend: "{backend}"
max_batch_size: 64
input [ {{ name: "X" data_type: TYPE_INT64 dims: [ 2 ] }} ]
output [ {{ name: "S" data_type: TYPE_INT64 dims: [ 1 ] }} ]
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
dynamic_batching {{ }}
parameters {{ key: "newest" value {{ string_value: "{version}" }} }}
"""
# Before each execution it sleeps for the seconds that a file says, if there is one.
MODEL_PY = """
import time
from pathlib import Path

import triton_python_backend_utils as pb_utils

SLOW = Path({slow!r})

class TritonPythonModel:
    def initialize(self, args):
        self.share = int(args["model_version"]) * {step}

    def execute(self, requests):
        if SLOW.exists():
            time.sleep(float(SLOW.read_text()))
        answers = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
            sums = x.sum(axis=1, keepdims=True) + self.share
            answers.append(pb_utils.InferenceResponse([pb_utils.Tensor("S", sums)]))
        return answers
"""
# Run by itself: this room does not depend on onnx, a checkout has it all the same.
MODEL_ONNX = """
import sys
from onnx import TensorProto, helper, save
path, share = sys.argv[1:]
numbers = TensorProto.INT64
graph = helper.make_graph(
    [
        helper.make_node("ReduceSum", ["X", "axes"], ["sum"], keepdims=1),
        helper.make_node("Add", ["sum", "share"], ["S"]),
    ],
    "row_sum",
    [helper.make_tensor_value_info("X", numbers, [None, 2])],
    [helper.make_tensor_value_info("S", numbers, [None, 1])],
    [helper.make_tensor("axes", numbers, [1], [1]),
     helper.make_tensor("share", numbers, [1], [int(share)])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
model.ir_version = 9
save(model, path)
"""


def stage(folder: Path, version: int, slow: Path) -> None:
    """Write a version of each model into a folder, beside any repository, to be published."""
    for model in MODELS:
        target = folder / model / str(version)
        target.mkdir(parents=True)
        if model == PYTHON:
            code = MODEL_PY.format(slow=str(slow), step=STEP)
            (target / "model.py").write_text(code, encoding="utf-8")
        else:
            path, share = str(target / "model.onnx"), str(version * STEP)
            subprocess.run([sys.executable, "-c", MODEL_ONNX, path, share], check=True)


def publish(staged: Path, repository: Path, model: str, version: int) -> None:
    """Add a staged version to a repository as `geulpi convert` does: it appears whole."""
    (repository / model).mkdir(parents=True, exist_ok=True)
    (staged / model / str(version)).rename(repository / model / str(version))
    backend = "python" if model == PYTHON else "onnxruntime"
    beside = repository / model / ".config.pbtxt.new"
    config = CONFIG.format(name=model, backend=backend, version=version)
    beside.write_text(config, encoding="utf-8")
    beside.replace(repository / model / "config.pbtxt")


def version_told(row: tuple[int, int], answer: int) -> int | None:
    """Return the version that gives this answer to a row; None if none does."""
    version, rest = divmod(answer - sum(row), STEP)
    return version if version > 0 and rest == 0 else None
