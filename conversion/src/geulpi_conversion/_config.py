"""Writes config.pbtxt through Triton's own protobuf, so that no unknown field can be written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from geulpi_conversion._composed import Ensemble, PythonModel
from geulpi_conversion._converted import Converted, TensorSpec
from geulpi_conversion._errors import InvalidServing
from geulpi_conversion._recorded import PROVENANCE
from geulpi_conversion._serving import ENSEMBLE, TRIM, TRIM_EVERY, ServingConfig

WARMUP = "one_row"
DATATYPES = {
    "BOOL": pb.TYPE_BOOL,
    "BYTES": pb.TYPE_STRING,
    "FP32": pb.TYPE_FP32,
    "FP64": pb.TYPE_FP64,
    "INT64": pb.TYPE_INT64,
}
# Parameters of this name and a dot are about one version; the file holds those of all versions.
BY_VERSION = ("sha256", "trusted", "libraries", "manifest")
CANARY = "canary"  # a parameter: the files below warmup/ that hold a row, by input
TUNED = "tuned"  # a parameter: the measurement that the settings below come from
MEASURED = ("intra_op_thread_count", TRIM)  # parameters among these settings
BATCHING = "batching"  # a parameter; "request" where an answer depends on the rows asked with it


def build_config(
    converted: Converted | PythonModel | Ensemble,
    serving: ServingConfig,
    warmup: Mapping[str, str],
    by_version: Mapping[str, str],
) -> pb.ModelConfig:
    """Return the whole config of a model: nothing is left for a server to guess.

    Args:
        converted: the newest version.
        serving: how it is to be served.
        warmup: for each input, the file below `warmup/` that holds one row of it; none where no
            row is to be answered before readiness.
        by_version: parameters such as `sha256.2`, of every version in the folder.
    """
    config = pb.ModelConfig(
        name=converted.name,
        input=[
            pb.ModelInput(name=s.name, data_type=DATATYPES[s.datatype], dims=[s.width])
            for s in converted.inputs
        ],
        output=[
            pb.ModelOutput(name=s.name, data_type=DATATYPES[s.datatype], dims=[s.width])
            for s in converted.outputs
        ],
    )
    if isinstance(converted, Ensemble):
        _add_steps(config, converted)
    else:
        config.backend = converted.backend
    serving.apply(config)
    if warmup and not isinstance(converted, Ensemble):
        inputs = {s.name: _warmup_input(s, warmup[s.name]) for s in converted.inputs}
        config.model_warmup.add(name=WARMUP, batch_size=1, inputs=inputs)
    threads = {"intra_op_thread_count": "1", "inter_op_thread_count": "1"}
    parameters = {
        **{k: v for k, v in converted.parameters.items() if k != PROVENANCE},
        **({"reason": converted.reason} if isinstance(converted, Converted) else {}),
        # Triton refuses warm-up rows of an ensemble: these are what asks whether it is ready.
        **({CANARY: json.dumps(warmup)} if warmup and isinstance(converted, Ensemble) else {}),
        **(threads if converted.backend == "onnxruntime" else {}),
        **by_version,
    }
    for key, value in parameters.items():
        config.parameters[key].string_value = value
    return config


def serving_of(
    converted: Converted | PythonModel | Ensemble, wanted: ServingConfig | None
) -> ServingConfig:
    """Return the wanted settings, or sensible ones, once they are found to suit the model.

    Raises:
        InvalidServing: they don't.
    """
    if isinstance(converted, Ensemble):
        return wanted or ServingConfig.for_ensemble()
    batches = converted.parameters.get(BATCHING) != "request"
    serving = wanted or ServingConfig.for_backend(converted.backend, batches=batches)
    if serving.dynamic_batching and not batches:
        raise InvalidServing(
            "dynamic_batching", True, "False: this model answers a row by the rows beside it"
        )
    if serving.trim_every != TRIM_EVERY and converted.backend != "python":
        raise InvalidServing(
            "trim_every", serving.trim_every, "nothing: only models of the Python backend trim"
        )
    return serving


def version_parameters(
    converted: Converted | PythonModel | Ensemble,
    version: int,
    digest: str,
    manifest: Mapping[str, object],
) -> dict[str, str]:
    """Return what the config tells about one version only."""
    parameters = {
        f"sha256.{version}": digest,
        f"manifest.{version}": json.dumps(manifest, ensure_ascii=False),
    }
    if libraries := converted.parameters.get("libraries"):
        parameters[f"libraries.{version}"] = libraries
    if isinstance(converted, Converted) and converted.trusted:
        parameters[f"trusted.{version}"] = json.dumps(converted.trusted, ensure_ascii=False)
    return parameters


def kept_parameters(earlier: pb.ModelConfig, versions: Iterable[int]) -> dict[str, str]:
    """Return what an earlier config tells about versions that are still in the folder."""
    keys = [f"{kind}.{version}" for kind in BY_VERSION for version in versions]
    return {k: earlier.parameters[k].string_value for k in keys if k in earlier.parameters}


def take_measured(config: pb.ModelConfig, earlier: pb.ModelConfig) -> None:
    """Take over the settings of an earlier config that were measured, if the model is alike.

    Raises:
        InvalidServing: they don't go with other settings that are wanted.
    """
    alike = all(
        getattr(config, field) == getattr(earlier, field) for field in ("backend", "platform")
    ) and config.HasField("dynamic_batching") == earlier.HasField("dynamic_batching")
    if TUNED not in earlier.parameters or not alike:
        return
    config.max_batch_size = earlier.max_batch_size
    if config.HasField("dynamic_batching"):
        batching, measured = config.dynamic_batching, earlier.dynamic_batching
        batching.max_queue_delay_microseconds = measured.max_queue_delay_microseconds
        batching.preferred_batch_size[:] = measured.preferred_batch_size
    for group, before in zip(config.instance_group, earlier.instance_group, strict=False):
        group.count = before.count
    for key in (*MEASURED, TUNED):
        if key == TUNED or (key in config.parameters and key in earlier.parameters):
            config.parameters[key].CopyFrom(earlier.parameters[key])
    ServingConfig.read(config)


def forget_versions(config: pb.ModelConfig, versions: Iterable[int]) -> None:
    """Take out what a config tells about versions that are gone."""
    for version in versions:
        for kind in BY_VERSION:
            config.parameters.pop(f"{kind}.{version}", None)


def write_config(config: pb.ModelConfig) -> str:
    """Return the text of config.pbtxt."""
    return text_format.MessageToString(config, as_utf8=True)


def parse_config(text: str) -> pb.ModelConfig:
    """Read the text of config.pbtxt.

    Raises:
        google.protobuf.text_format.ParseError: it is none.
    """
    return text_format.Parse(text, pb.ModelConfig())


def _add_steps(config: pb.ModelConfig, ensemble: Ensemble) -> None:
    config.platform = ENSEMBLE
    for step in ensemble.steps:
        config.ensemble_scheduling.step.add(
            model_name=step.model,
            model_version=-1,  # the newest
            input_map=step.inputs,
            output_map=step.outputs,
        )


def _warmup_input(spec: TensorSpec, file_name: str) -> pb.ModelWarmup.Input:
    return pb.ModelWarmup.Input(
        data_type=DATATYPES[spec.datatype], dims=[spec.width], input_data_file=file_name
    )
