"""The backend's own work: one run for many requests, each with its own answer."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
from geulpi_server import _triton

sys.path.insert(0, str(Path(_triton.__file__).parent / "backends" / "onnxruntime"))
import onnx_model
from onnx_model import ModelRefused, OnnxModel, RequestRefused, Settings, decode_strings

CONFIG = {
    "max_batch_size": 64,
    "input": [{"name": "X", "data_type": "TYPE_FP32"}],
    "output": [{"name": "S", "data_type": "TYPE_FP32"}],
}


@pytest.fixture
def path(hand_made: Path) -> Path:
    return hand_made / "sum" / "1" / "model.onnx"


def rows(*shape: int) -> np.ndarray:
    return np.ones(shape, dtype=np.float32)


def test_each_request_gets_its_own_rows(path: Path) -> None:
    """Requests of one shape are stacked and their answers split again, in order."""
    requests = [{"X": rows(n, 3) * n} for n in (1, 4, 2)]
    answers = OnnxModel(path, CONFIG).infer(requests, [["S"]] * 3)
    for n, answer in zip((1, 4, 2), answers, strict=True):
        assert answer["S"].shape == (n, 1)
        assert (answer["S"] == 3 * n).all()


def test_requests_of_different_width_are_all_answered(path: Path) -> None:
    """Rows that can't be stacked are run apart."""
    answers = OnnxModel(path, CONFIG).infer([{"X": rows(2, 3)}, {"X": rows(1, 5)}], [["S"]] * 2)
    assert [answer["S"].ravel().tolist() for answer in answers] == [[3, 3], [5]]


def test_a_request_that_breaks_the_run_fails_alone(path: Path) -> None:
    """When the run of all fails, each request meets its own fate."""
    broken = {"X": np.ones((1, 3), dtype=np.float64)}
    answers = OnnxModel(path, CONFIG).infer([{"X": rows(1, 3)}, broken], [["S"]] * 2)
    assert answers[0]["S"].tolist() == [[3]] or isinstance(answers[0], dict)
    assert OnnxModel(path, CONFIG).infer([broken], [["S"]])[0].__class__ is not dict


def test_strings_that_are_no_text_are_refused() -> None:
    """Invalid UTF-8 and NUL are refused with input, element and remedy."""
    good = np.array([["치과".encode()], [b""]], dtype=np.object_)
    assert decode_strings("T", good).tolist() == [["치과"], [""]]
    with pytest.raises(RequestRefused, match=r"'T', element 1: not UTF-8"):
        decode_strings("T", np.array([b"a", b"\xff"], dtype=np.object_))
    with pytest.raises(RequestRefused, match=r"'T', element 0: holds a NUL"):
        decode_strings("T", np.array([b"a\0b"], dtype=np.object_))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": [{"name": "Z", "data_type": "TYPE_FP32"}]}, "no input 'Z'"),
        ({"input": [{"name": "X", "data_type": "TYPE_FP64"}]}, r"tensor\(float\).*TYPE_FP64"),
        ({"input": []}, r"does not list the graph's inputs \['X'\]"),
        ({"parameters": {"intra_op_thread_count": {"string_value": "two"}}}, "must be integers"),
    ],
)
def test_a_config_that_does_not_fit_the_graph_is_refused(
    path: Path, change: dict, message: str
) -> None:
    """What would fail at the first request fails at load, by name."""
    with pytest.raises(ModelRefused, match=message):
        OnnxModel(path, CONFIG | change)


def test_the_pinned_digest_is_checked(path: Path, tmp_path: Path) -> None:
    """A file that is not the published one is refused; the right one loads."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    OnnxModel(path, CONFIG, sha256=digest)
    with pytest.raises(ModelRefused, match="not the file that was published"):
        OnnxModel(path, CONFIG, sha256="0" * 64)
    with pytest.raises(ModelRefused, match="can't be read"):
        OnnxModel(tmp_path / "none.onnx", CONFIG)


def test_what_was_checked_is_what_is_loaded(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is replaced after its digest was taken changes nothing."""
    content = path.read_bytes()
    copy = tmp_path / "model.onnx"
    copy.write_bytes(content)
    digest_of = hashlib.sha256

    def replaced(found: bytes) -> object:
        copy.write_bytes(b"not what was published")
        return digest_of(found)

    monkeypatch.setattr(hashlib, "sha256", replaced)
    digest = digest_of(content).hexdigest()
    (answer,) = OnnxModel(copy, CONFIG, sha256=digest).infer([{"X": rows(1, 3)}], [["S"]])
    assert copy.read_bytes() != content
    assert answer["S"].tolist() == [[3]]


def test_memory_is_given_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many runs what a large batch took goes back; answers stay the same."""
    monkeypatch.setattr(onnx_model, "GIVE_BACK_EVERY", 3)
    model = OnnxModel(path, CONFIG)
    files = len(list(Path("/proc/self/fd").iterdir()))
    for n in (1, 2, 3, 4, 5, 6):
        (answer,) = model.infer([{"X": rows(n, 3) * n}], [["S"]])
        assert answer["S"].ravel().tolist() == [3 * n] * n
    OnnxModel(path, CONFIG)
    assert len(list(Path("/proc/self/fd").iterdir())) == files


def test_settings_follow_the_official_backends_parameters() -> None:
    """Thread counts, execution mode and graph level reach ONNX Runtime."""
    settings = Settings.from_config(
        {
            "parameters": {
                "intra_op_thread_count": {"string_value": "3"},
                "inter_op_thread_count": {"string_value": "2"},
                "execution_mode": {"string_value": "1"},
            },
            "optimization": {"graph": {"level": -1}},
        }
    )
    options = settings.to_options()
    assert options.intra_op_num_threads == 3
    assert options.inter_op_num_threads == 2
    assert options.execution_mode.name == "ORT_PARALLEL"
    assert options.graph_optimization_level.name == "ORT_ENABLE_BASIC"
    default = Settings().to_options()
    assert default.intra_op_num_threads == 1
    assert default.graph_optimization_level.name == "ORT_ENABLE_ALL"
