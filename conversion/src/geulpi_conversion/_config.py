"""config.pbtxt, complete, through Triton's own protobuf."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from geulpi_conversion._convert import Converted
from geulpi_conversion._tensors import TRITON_TYPES

__all__ = ["VERSIONED", "model_config", "parse", "write"]

# The layout of a repository entry. When it changes: raise it, and teach `_publish` to read entries
# of the one before.
FORMAT = 1
MAX_BATCH_SIZE = 256
MAX_QUEUE_DELAY_US = 500
# Parameters that belong to one version, `<key>.<version>`: kept while that version is there.
VERSIONED = ("artefact", "sha256", "trusted")


def model_config(converted: Converted, version: int, earlier: Mapping[str, str]) -> Any:
    """Return the config of a model as Triton's `ModelConfig` message.

    Args:
        converted: the model.
        version: the version it is published as.
        earlier: parameters of the versions that stay in the repository.
    """
    config = model_config_pb2.ModelConfig(
        name=converted.name, backend=converted.backend, max_batch_size=MAX_BATCH_SIZE
    )
    if converted.backend == "onnxruntime":
        config.default_model_filename = converted.artefact
    for tensors, specs in (
        (config.input, converted.inputs.specs),
        (config.output, converted.outputs),
    ):
        for spec in specs:
            tensors.add(
                name=spec.name,
                data_type=_data_type(spec.dtype),
                dims=[spec.width],
            )
    config.dynamic_batching.max_queue_delay_microseconds = MAX_QUEUE_DELAY_US
    # Always said: without it Triton starts two instances of an onnxruntime model on a CPU.
    config.instance_group.add(count=1, kind=model_config_pb2.ModelInstanceGroup.KIND_CPU)
    sample = config.model_warmup.add(name="sample", batch_size=1)
    for spec in converted.inputs.specs:
        tensor = sample.inputs[spec.name]
        tensor.data_type = _data_type(spec.dtype)
        tensor.dims.append(spec.width)
        tensor.input_data_file = warmup_file(spec.name)
    for name, value in {**earlier, **_parameters(converted, version)}.items():
        config.parameters[name].string_value = value
    return config


def _parameters(converted: Converted, version: int) -> dict[str, str]:
    description = converted.description
    parameters = {
        "geulpi_format": str(FORMAT),
        "estimator": description.estimator,
        "libraries": _json(description.libraries),
        "inputs": _json([spec.name for spec in converted.inputs.specs]),
        "layout": converted.inputs.layout,
        "dtypes": _json(converted.inputs.dtypes),
        f"artefact.{version}": converted.artefact,
        f"sha256.{version}": converted.sha256,
        f"trusted.{version}": _json(converted.trusted),
    }
    if description.classes:
        parameters["classes"] = _json(description.classes)
    if converted.reason:
        parameters["reason"] = converted.reason
    if converted.backend == "onnxruntime":
        # The default takes every core for each request, at no gain for models of this size.
        parameters |= {"intra_op_thread_count": "1", "inter_op_thread_count": "1"}
    return parameters


def warmup_file(tensor: str) -> str:
    """Return the name of a warm-up file, safe for any tensor name."""
    return "sample-" + "".join(c if c.isalnum() else f"%{ord(c):x}" for c in tensor)


def write(config: Any) -> str:
    """Return a config as the text of config.pbtxt."""
    return str(text_format.MessageToString(config, as_utf8=True))


def parse(text: str) -> Any:
    """Read the text of a config.pbtxt."""
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def _data_type(dtype: str) -> int:
    return int(model_config_pb2.DataType.Value(TRITON_TYPES[dtype]))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
