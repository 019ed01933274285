"""Hand-written repository entries: two small ONNX models and a Python-backend one."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
from onnx import TensorProto, helper

ECHO = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "X")
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("Y", x.as_numpy() * 2)]))
        return responses
"""

TWICE_CONFIG = """
name: "twice"
backend: "python"
max_batch_size: 8
input [ { name: "X" data_type: TYPE_FP32 dims: [ 2 ] } ]
output [ { name: "Y" data_type: TYPE_FP32 dims: [ 2 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""

SUM_CONFIG = """
name: "sum"
backend: "onnxruntime"
max_batch_size: 64
input [ { name: "X" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "S" data_type: TYPE_FP32 dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
dynamic_batching { max_queue_delay_microseconds: 20000 }
"""

TEXT_CONFIG = """
name: "text"
backend: "onnxruntime"
max_batch_size: 64
input [ { name: "T" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "L" data_type: TYPE_STRING dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
dynamic_batching { max_queue_delay_microseconds: 20000 }
"""


def sum_graph() -> onnx.ModelProto:
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    graph = helper.make_graph(
        [helper.make_node("ReduceSum", ["X", "axes"], ["S"], keepdims=1)],
        "sum",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, None])],
        [helper.make_tensor_value_info("S", TensorProto.FLOAT, [None, 1])],
        [axes],
    )
    return finished(graph)


def text_graph() -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["T"], ["L"])],
        "text",
        [helper.make_tensor_value_info("T", TensorProto.STRING, [None, 1])],
        [helper.make_tensor_value_info("L", TensorProto.STRING, [None, 1])],
    )
    return finished(graph)


def finished(graph: onnx.GraphProto) -> onnx.ModelProto:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return model


def write_model(repository: Path, config: str, file_name: str, content: bytes | str) -> Path:
    """Write a version 1 of a model; return its file."""
    name = re.search(r'name: "(\w+)"', config)[1]
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text(config)
    path = folder / file_name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_all(repository: Path) -> Path:
    """Write the three models; return the repository."""
    write_model(repository, TWICE_CONFIG, "model.py", ECHO)
    write_model(repository, SUM_CONFIG, "model.onnx", sum_graph().SerializeToString())
    write_model(repository, TEXT_CONFIG, "model.onnx", text_graph().SerializeToString())
    return repository
