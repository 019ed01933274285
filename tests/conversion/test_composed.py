"""Code and ensembles are published like converted models, and served."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from geulpi_client import InputRefused, ModelClient
from geulpi_conversion import (
    Ensemble,
    EnsembleStep,
    PythonModel,
    ServingConfig,
    TensorSpec,
    publish,
)
from geulpi_conversion._config import parse_config
from geulpi_conversion._describe import read_entry
from geulpi_server import EmbeddedTriton

TEXT, NUMBER = TensorSpec("text", "BYTES", 1), TensorSpec("length", "INT64", 1)
ROWS = {"text": np.array([[b"abc"]], dtype=np.object_)}
LENGTH = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            texts = pb_utils.get_input_tensor_by_name(request, "text").as_numpy()
            if b"" in texts:
                refusal = pb_utils.TritonError("an empty text", pb_utils.TritonError.INVALID_ARG)
                answers.append(pb_utils.InferenceResponse(error=refusal))
                continue
            lengths = np.array([[len(t)] for t in texts[:, 0]], dtype=np.int64)
            answers.append(pb_utils.InferenceResponse([pb_utils.Tensor("length", lengths)]))
        return answers
"""
TWICE = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor(
                "twice", pb_utils.get_input_tensor_by_name(r, "number").as_numpy() * 2)])
            for r in requests
        ]
"""


def length() -> PythonModel:
    return PythonModel(
        name="length",
        inputs=(TEXT,),
        outputs=(NUMBER,),
        code={"model.py": LENGTH.encode(), "package/part.py": b""},
        rows=ROWS,
        expected={"length": np.array([[3]], dtype=np.int64)},
        parameters={"module": "none"},
    )


def chain() -> Ensemble:
    return Ensemble(
        name="chain",
        inputs=(TEXT,),
        outputs=(NUMBER,),
        steps=(
            EnsembleStep("length", {"text": "text"}, {"length": "once"}),
            EnsembleStep("twice", {"number": "once"}, {"twice": "length"}),
        ),
        rows=ROWS,
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("composed")
    publish(length(), folder)
    twice = PythonModel(
        name="twice",
        inputs=(TensorSpec("number", "INT64", 1),),
        outputs=(TensorSpec("twice", "INT64", 1),),
        code={"model.py": TWICE.encode()},
        rows={"number": np.array([[2]], dtype=np.int64)},
    )
    publish(twice, folder)
    publish(chain(), folder)
    return folder


def test_an_ensemble_is_served_and_its_canary_asks_a_real_row(repository: Path) -> None:
    """The steps run in the order of their tensors; the server is ready by a row, not by zeros."""
    with EmbeddedTriton(repository) as triton, ModelClient(triton.grpc_url) as client:
        answer = client.infer("chain", {"text": [["abc"], ["four"]]})
        assert answer["length"].tolist() == [[6], [8]]
        with pytest.raises(InputRefused, match="an empty text"):
            client.infer("chain", {"text": [[""]]})


def test_the_files_of_code_are_pinned(repository: Path) -> None:
    """The manifest holds a digest of each file, the config that of the manifest."""
    entry = read_entry(repository, "length")
    assert entry.versions[-1].intact
    folder = repository / "length" / "1"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert sorted(manifest) == ["model.py", "package/part.py"]
    assert (folder / "package" / "part.py").read_bytes() == b""
    rows, expected = entry.versions[-1].sample()
    assert (rows["text"].tolist(), expected["length"].tolist()) == ([["abc"]], [[3]])


def test_the_config_of_an_ensemble_names_steps_and_canary(repository: Path) -> None:
    """It has no backend, instances or queue; a parameter names the row that asks for readiness."""
    config = parse_config((repository / "chain" / "config.pbtxt").read_text())
    assert (config.platform, config.backend, len(config.instance_group)) == ("ensemble", "", 0)
    assert [s.model_name for s in config.ensemble_scheduling.step] == ["length", "twice"]
    assert not config.model_warmup
    canary = json.loads(config.parameters["canary"].string_value)
    assert (repository / "chain" / "warmup" / canary["text"]).read_bytes() == b"\3\0\0\0abc"
    described = read_entry(repository, "chain")
    assert (described.backend, described.versions[-1].artefact) == ("ensemble", "ensemble.json")
    assert described.serving == ServingConfig.for_ensemble()


def test_versions_of_ensembles_count_up_and_old_ones_go(tmp_path: Path) -> None:
    """`keep` leaves the newest; the canary's row is that of a version that is there."""
    for _ in range(3):
        publish(chain(), tmp_path, keep=1)
    entry = read_entry(tmp_path, "chain")
    assert [version.number for version in entry.versions] == [3]
    assert [path.name for path in (tmp_path / "chain" / "warmup").iterdir()] == ["3.0"]
