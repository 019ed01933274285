"""Models within the process answer as the server that serves the same files, to the last bit."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import tritonclient.grpc as triton_grpc
from geulpi_client._errors import InferenceFailed, InputRefused, InvalidSetting, MissingExtra
from geulpi_client._inputs import checked_inputs
from geulpi_client._local import LocalModels
from geulpi_client._messages import Answer
from geulpi_client._tensors import DTYPES, Spec, Tensor, from_array, to_array
from geulpi_conversion import convert, publish
from geulpi_server import EmbeddedTriton
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from repositories import TEXT_CONFIG, finished, text_graph, write_model
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

TITLES = ["치과 예약", "팀 주간 회의", "Éclair 파티 🎉", "", "team  standup", "会議 @ 本社"]
BATCHES = (1, 2, 7, 64, 256)
NUMBERS = {
    "BOOL": TensorProto.BOOL, "UINT8": TensorProto.UINT8, "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32, "UINT64": TensorProto.UINT64, "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16, "INT32": TensorProto.INT32, "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16, "FP32": TensorProto.FLOAT, "FP64": TensorProto.DOUBLE,
}  # fmt: skip

FLAT_CONFIG = """
name: "flat"
backend: "onnxruntime"
max_batch_size: 64
input [
  { name: "X" data_type: TYPE_FP32 dims: [ 1 ] reshape { shape: [ ] } },
  { name: "T" data_type: TYPE_STRING dims: [ 1 ] reshape { shape: [ ] } }
]
output [
  { name: "Y" data_type: TYPE_FP32 dims: [ 1 ] reshape { shape: [ ] } },
  { name: "L" data_type: TYPE_STRING dims: [ 1 ] reshape { shape: [ ] } },
  { name: "U" data_type: TYPE_FP32 dims: [ 1 ] reshape { shape: [ ] } }
]
"""
FIXED_CONFIG = """
name: "fixed"
backend: "onnxruntime"
max_batch_size: 0
input [ { name: "X" data_type: TYPE_FP32 dims: [ 2, 3 ] } ]
output [ { name: "Y" data_type: TYPE_FP32 dims: [ 2, 1 ] }, { name: "Z" data_type: TYPE_FP32 dims: [ 2 ] } ]
"""  # noqa: E501
EVERY_CONFIG = "\n".join(
    ['name: "every"\nbackend: "onnxruntime"\nmax_batch_size: 8']
    + [
        f'{kind} {{ name: "{letter}_{datatype}" data_type: TYPE_{datatype} dims: [ 2 ] }}'
        for datatype in NUMBERS
        for kind, letter in (("input", "I"), ("output", "O"))
    ]
)
RESHAPE_CONFIG = """
name: "reshape"
backend: "onnxruntime"
max_batch_size: 0
input [
  { name: "X" data_type: TYPE_FP32 dims: [ -1 ] }, { name: "H" data_type: TYPE_INT64 dims: [ -1 ] }
]
output [ { name: "Y" data_type: TYPE_FP32 dims: [ -1, -1 ] } ]
"""


def info(name: str, kind: int, shape: Sequence[int | str | None] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def flat_graph() -> onnx.ModelProto:
    """Rank-1 tensors, of which ONNX Runtime can't tell even the rank of U."""
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["X", "X"], ["Y"]),
            helper.make_node("Identity", ["T"], ["L"]),
            helper.make_node("Shape", ["X"], ["S"]),
            helper.make_node("Compress", ["S", "all"], ["C"]),
            helper.make_node("Reshape", ["X", "C"], ["U"]),
        ],
        "flat",
        [info("X", TensorProto.FLOAT, ["N"]), info("T", TensorProto.STRING, ["N"])],
        [
            info("Y", TensorProto.FLOAT, ["N"]),
            info("L", TensorProto.STRING, ["N"]),
            info("U", TensorProto.FLOAT, None),
        ],
        [helper.make_tensor("all", TensorProto.BOOL, [1], [True])],
    )
    return finished(graph)


def fixed_graph() -> onnx.ModelProto:
    """A graph for exactly two rows."""
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    graph = helper.make_graph(
        [
            helper.make_node("ReduceSum", ["X", "axes"], ["Y"], keepdims=1),
            helper.make_node("ReduceSum", ["X", "axes"], ["Z"], keepdims=0),
        ],
        "fixed",
        [info("X", TensorProto.FLOAT, [2, 3])],
        [info("Y", TensorProto.FLOAT, [2, 1]), info("Z", TensorProto.FLOAT, [2])],
        [axes],
    )
    return finished(graph)


def every_graph() -> onnx.ModelProto:
    """Each type of numbers, given back."""
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"I_{name}"], [f"O_{name}"]) for name in NUMBERS],
        "every",
        [info(f"I_{name}", kind, [None, 2]) for name, kind in NUMBERS.items()],
        [info(f"O_{name}", kind, [None, 2]) for name, kind in NUMBERS.items()],
    )
    return finished(graph)


def reshape_graph() -> onnx.ModelProto:
    """Fails while it runs if the numbers don't fit the shape that the other input says."""
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["X", "H"], ["Y"])],
        "reshape",
        [info("X", TensorProto.FLOAT, [None]), info("H", TensorProto.INT64, [2])],
        [info("Y", TensorProto.FLOAT, [None, None])],
    )
    return finished(graph)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted models (a classifier, a regressor, one of text) and graphs made by hand."""
    folder = tmp_path_factory.mktemp("local")
    rows = np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32)
    labels = (rows[:, 0] > 0).astype(int) + (rows[:, 1] > 0.5)
    titles = np.array(TITLES * 5, dtype=object)
    kinds = np.array(["건강", "work", "social"])[np.arange(30) % 3]
    classifier = make_pipeline(StandardScaler(), RandomForestClassifier(11, random_state=0))
    letters = make_pipeline(TfidfVectorizer(), LogisticRegression())
    publish(convert(classifier.fit(rows, labels), rows, name="classifier"), folder)
    publish(convert(Ridge().fit(rows, rows @ np.arange(5)), rows, name="regressor"), folder)
    publish(convert(letters.fit(titles, kinds), titles, name="letters"), folder)
    for config, graph in (
        (TEXT_CONFIG, text_graph()),
        (FLAT_CONFIG, flat_graph()),
        (FIXED_CONFIG, fixed_graph()),
        (EVERY_CONFIG, every_graph()),
        (RESHAPE_CONFIG, reshape_graph()),
    ):
        write_model(folder, config, "model.onnx", graph.SerializeToString())
    return folder


@pytest.fixture(scope="module")
def local(repository: Path, root: Path) -> LocalModels:
    files = {path.parent.parent.name: path for path in repository.glob("*/1/model.onnx")}
    calendar = root / "model_repository" / "event_classifier" / "3" / "model.onnx"
    return LocalModels({**files, "event_classifier": str(calendar)})


@pytest.fixture(scope="module")
def url(repository: Path) -> Iterator[str]:
    with EmbeddedTriton(repository) as served:
        yield served.grpc_url


def ask(url: str, model: str, tensors: Sequence[Tensor]) -> Answer:
    """What the server answers, by NVIDIA's own client."""
    inputs = []
    for tensor in tensors:
        array = to_array(tensor)
        inputs.append(triton_grpc.InferInput(tensor.name, array.shape, tensor.datatype))
        inputs[-1].set_data_from_numpy(array)
    with triton_grpc.InferenceServerClient(url) as client:
        response = client.infer(model, inputs, client_timeout=30).get_response()
    outputs = [
        Tensor(output.name, output.datatype, tuple(output.shape), raw)
        for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
    ]
    return Answer(response.model_version, tuple(sorted(outputs, key=lambda tensor: tensor.name)))


def declared(url: str, model: str) -> tuple[str, set[str], list[str]]:
    """The version, inputs and outputs that the server's metadata says; outputs by name."""
    with triton_grpc.InferenceServerClient(url) as client:
        metadata = client.get_model_metadata(model)
    inputs, outputs = (
        [str(Spec(tensor.name, tensor.datatype, tuple(tensor.shape))) for tensor in tensors]
        for tensors in (metadata.inputs, metadata.outputs)
    )
    return max(metadata.versions), set(inputs), sorted(outputs)


def own(local: LocalModels, model: str) -> tuple[str, set[str], list[str]]:
    contract = local.contract(model)
    return contract.version, set(map(str, contract.inputs)), [*map(str, contract.outputs)]


def infer(local: LocalModels, model: str, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What a model answers to arrays."""
    tensors = checked_inputs(local.contract(model), inputs)
    return {output.name: to_array(output) for output in local.infer(model, tensors).outputs}


def events(titles: Sequence[str]) -> dict[str, Any]:
    number = np.arange(len(titles))
    return {
        "title": list(titles),
        "weekday": number % 7,
        "hour": (number * 5) % 24,
        "duration_minutes": 15 + (number * 15) % 240,
    }


@pytest.mark.parametrize("rows", BATCHES)
def test_the_calendar_classifier_answers_as_on_the_server(
    local: LocalModels, triton: EmbeddedTriton, rows: int
) -> None:
    """Korean and other titles."""
    titles = [f"{TITLES[i % len(TITLES)]} {i // 6 or ''}" for i in range(rows)]
    tensors = checked_inputs(local.contract("event_classifier"), events(titles))
    answer = local.infer("event_classifier", tensors)
    assert answer == ask(triton.grpc_url, "event_classifier", tensors)
    assert answer.version == "3"
    assert own(local, "event_classifier") == declared(triton.grpc_url, "event_classifier")


@pytest.mark.parametrize("rows", BATCHES)
@pytest.mark.parametrize("model", ["classifier", "regressor"])
def test_models_of_numbers_answer_as_on_the_server(
    local: LocalModels, url: str, model: str, rows: int
) -> None:
    """A forest's labels and probabilities; a regression."""
    numbers = np.random.default_rng(rows).normal(size=(rows, 5)).astype(np.float32)
    tensors = checked_inputs(local.contract(model), {"X": numbers})
    assert local.infer(model, tensors) == ask(url, model, tensors)
    assert own(local, model) == declared(url, model)


@pytest.mark.parametrize("rows", BATCHES)
def test_a_model_of_text_answers_as_on_the_server(local: LocalModels, url: str, rows: int) -> None:
    """Its labels are text too."""
    (spec,) = local.contract("letters").inputs
    tensors = checked_inputs(local.contract("letters"), {spec.name: (TITLES * rows)[:rows]})
    answer = local.infer("letters", tensors)
    assert answer == ask(url, "letters", tensors)
    assert own(local, "letters") == declared(url, "letters")
    assert {"건강", "work", "social"} >= set(to_array(answer.outputs[0]).ravel())


def test_tensors_of_rank_one_are_columns_as_on_the_server(local: LocalModels, url: str) -> None:
    """Also one of which the graph does not say its shape; its contract is the only difference."""
    inputs = {"X": np.float32([1, 2, 3]), "T": ["가", "나", ""]}
    tensors = checked_inputs(local.contract("flat"), inputs)
    answer = local.infer("flat", tensors)
    assert answer == ask(url, "flat", tensors)
    assert [output.shape for output in answer.outputs] == [(3, 1)] * 3
    version, taken, given = own(local, "flat")
    assert given == ["L BYTES [-1, 1]", "U FP32 []", "Y FP32 [-1, 1]"]
    assert (version, taken) == declared(url, "flat")[:2]
    assert not local.contract("flat").row_wise


def test_a_fixed_number_of_rows_is_in_the_contract(local: LocalModels, url: str) -> None:
    """Such a model takes no batches, and its vectors are no columns."""
    assert own(local, "fixed") == declared(url, "fixed")
    assert own(local, "fixed")[1:] == ({"X FP32 [2, 3]"}, ["Y FP32 [2, 1]", "Z FP32 [2]"])
    assert not local.contract("fixed").batched
    tensors = checked_inputs(local.contract("fixed"), {"X": np.ones((2, 3), np.float32)})
    assert local.infer("fixed", tensors) == ask(url, "fixed", tensors)
    other = from_array("X", "FP32", np.ones((3, 3), np.float32))
    with pytest.raises(InputRefused, match=r"X .*Got: 3 Expected: 2"):
        local.infer("fixed", [other])


def test_every_type_of_numbers_comes_back(local: LocalModels, url: str) -> None:
    """The extremes of each, as on the server."""
    tensors = []
    for spec in local.contract("every").inputs:
        dtype = DTYPES[spec.datatype]
        limits = {"b": [0, 1], "f": [-np.inf, np.nan]}.get(dtype.kind)
        if limits is None:
            limits = [np.iinfo(dtype).min, np.iinfo(dtype).max]
        tensors.append(from_array(spec.name, spec.datatype, np.array([limits], dtype)))
    answer = local.infer("every", tensors)
    assert answer == ask(url, "every", tensors)
    assert {output.name: output.raw for output in answer.outputs} == {
        tensor.name.replace("I_", "O_"): tensor.raw for tensor in tensors
    }
    assert own(local, "every") == declared(url, "every")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1))
def test_any_text_comes_back(local: LocalModels, texts: list[str]) -> None:
    """Whatever ONNX Runtime does with text in between."""
    assert infer(local, "text", {"T": texts})["L"].ravel().tolist() == texts


@pytest.mark.parametrize("raw", [b"\xff", b"a\0b"])
def test_text_that_the_server_refuses_is_refused(local: LocalModels, url: str, raw: bytes) -> None:
    """ONNX Runtime would read bytes that are no UTF-8 as the text of their repr."""
    tensor = from_array("T", "BYTES", np.array([[b"ok"], [raw]], dtype=object))
    with pytest.raises(InputRefused, match="input 'T', element 1") as refused:
        local.infer("text", [tensor])
    assert (refused.value.url, refused.value.model, refused.value.version) == ("local", "text", "1")
    with pytest.raises(Exception, match="input 'T', element 1"):
        ask(url, "text", [tensor])


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ([], "the inputs none came; it takes 'X', 'H'"),
        ([Tensor("X", "FP32", (1,), bytes(4))] * 2, "the inputs 'X', 'X' came"),
        ([Tensor("X", "FP32", (1,), bytes(4)), Tensor("Q", "INT64", (2,), bytes(16))], "'X', 'Q'"),
        (
            [Tensor("X", "FP64", (1,), bytes(8)), Tensor("H", "INT64", (2,), bytes(16))],
            r"input 'X' is FP64; it takes X FP32 \[-1\]",
        ),
        (
            [Tensor("X", "FP32", (2,), bytes(4)), Tensor("H", "INT64", (2,), bytes(16))],
            "input 'X' has 4 bytes instead of 8",
        ),
        (
            [Tensor("X", "FP32", (2, 1), bytes(8)), Tensor("H", "INT64", (2,), bytes(16))],
            "Invalid rank for input: X",
        ),
    ],
)
def test_tensors_that_a_model_does_not_take_are_refused(
    local: LocalModels, tensors: list[Tensor], said: str
) -> None:
    """By names, datatypes, bytes and shapes."""
    with pytest.raises(InputRefused, match=said):
        local.infer("reshape", tensors)


def test_a_model_that_fails_says_so(local: LocalModels) -> None:
    """And answers again afterwards."""
    numbers = np.arange(6, dtype=np.float32)
    with pytest.raises(InferenceFailed, match="cannot be reshaped") as failed:
        infer(local, "reshape", {"X": numbers, "H": [4, 2]})
    assert str(failed.value.target) == "model 'reshape' version 1 at local"
    assert failed.value.__cause__ is not None
    assert type(pickle.loads(pickle.dumps(failed.value))) is InferenceFailed
    assert infer(local, "reshape", {"X": numbers, "H": [3, 2]})["Y"].shape == (3, 2)


def test_threads_get_the_answers_of_their_own_rows(local: LocalModels) -> None:
    """One session serves them all."""

    def doubled(number: int) -> bool:
        rows = np.full(1 + number % 5, number, np.float32)
        found = infer(local, "flat", {"X": rows, "T": [str(number)] * len(rows)})
        return bool((found["Y"] == 2 * number).all() and (found["L"] == str(number)).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(doubled, range(400)))


def test_the_usual_time_follows_the_calls_that_were_answered(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first counts whole, each later one a fifth."""
    times_s = iter([10.0, 11.0, 20.0, 22.0, 30.0])
    monkeypatch.setattr(
        "geulpi_client._local.time", SimpleNamespace(monotonic=lambda: next(times_s))
    )
    local = LocalModels({"reshape": repository / "reshape" / "1" / "model.onnx"})
    assert local.usual_s("reshape") == 0.0
    fits = {"X": np.zeros(6, np.float32), "H": [3, 2]}
    infer(local, "reshape", fits)
    assert local.usual_s("reshape") == 1.0
    infer(local, "reshape", fits)
    assert local.usual_s("reshape") == pytest.approx(1.2)
    with pytest.raises(InferenceFailed):
        infer(local, "reshape", {**fits, "H": [4, 2]})
    assert local.usual_s("reshape") == pytest.approx(1.2)


def test_the_version_is_the_number_of_the_folder(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the path does not name it; other folders are no versions."""
    file = repository / "text" / "1" / "model.onnx"
    (tmp_path / "model.onnx").write_bytes(file.read_bytes())
    local = LocalModels({"text": tmp_path / "model.onnx"})
    assert local.contract("text").version == ""
    assert local.infer("text", [from_array("T", "BYTES", np.array([[b""]], object))]).version == ""
    monkeypatch.chdir(file.parent)
    assert LocalModels({"text": "model.onnx"}).contract("text").version == "1"


def test_the_models_are_those_that_were_named(repository: Path) -> None:
    """A name is the caller's, not the graph's."""
    local = LocalModels({"mine": repository / "text" / "1" / "model.onnx"})
    assert "mine" in local
    assert "text" not in local
    assert local.contract("mine").model == "mine"


def test_paths_and_names_that_can_not_be_are_refused(repository: Path, tmp_path: Path) -> None:
    """With the setting, the value and what to give instead."""
    file = repository / "text" / "1" / "model.onnx"
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "cut.onnx").write_bytes(file.read_bytes()[:-20])
    (tmp_path / "words.onnx").write_text("no model at all")
    for paths, said in (
        ([str(file)], r"^local is \['.*a path for each model's name"),
        ({"": file}, r"^local is ''; expected models' names"),
        ({3: file}, r"^local is 3; expected models' names"),
        ({"m": 3}, r"^local\['m'\] is 3; expected the path of an ONNX file, such as"),
        ({"m": tmp_path / "none.onnx"}, r"^local\['m'\] .*No such file .*none\.onnx'"),
        ({"m": tmp_path}, r"^local\['m'\] .*Is a directory"),
        ({"m": "a\0b"}, r"^local\['m'\] is .*null byte"),
        ({"m": tmp_path / "empty.onnx"}, r"^local\['m'\] .*empty\.onnx: .*Remedy: "),
        ({"m": tmp_path / "cut.onnx"}, r"^local\['m'\] .*cut\.onnx: .*protobuf.*Remedy: "),
        ({"m": tmp_path / "words.onnx"}, r"^local\['m'\] .*words\.onnx: .*Remedy: "),
    ):
        with pytest.raises(InvalidSetting, match=said):
            LocalModels(paths)  # type: ignore[arg-type] -- some are meant to be wrong


def test_a_model_whose_answers_are_no_tensors_is_refused(tmp_path: Path) -> None:
    """Such as skl2onnx makes of classifiers by default."""
    graph = helper.make_graph(
        [helper.make_node("ZipMap", ["X"], ["P"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])],
        "zipped",
        [info("X", TensorProto.FLOAT, [None, 2])],
        [
            helper.make_value_info(
                "P",
                helper.make_sequence_type_proto(
                    helper.make_map_type_proto(
                        TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
                    )
                ),
            )
        ],
    )
    model = finished(graph)
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    path = tmp_path / "zipped.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InvalidSetting, match=r"'P' is seq\(map\(.*zipmap=False"):
        LocalModels({"zipped": path})


def test_onnx_runtime_is_missed_only_where_it_is_needed(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "text" not in LocalModels({})
    with pytest.raises(MissingExtra, match=r"'onnxruntime'.*\n.*'geulpi-client\[local\]'") as lacks:
        LocalModels({"text": repository / "text" / "1" / "model.onnx"})
    assert str(pickle.loads(pickle.dumps(lacks.value))) == str(lacks.value)


def run(program: str, *args: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, args)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


QUIET = """
import os, sys
from geulpi_client._local import LocalModels
LocalModels({})
assert "onnxruntime" not in sys.modules
from geulpi_client._errors import InferenceFailed, InvalidSetting
from geulpi_client._tensors import Tensor
try:
    LocalModels({"m": sys.executable})
except InvalidSetting:
    local = LocalModels({"m": sys.argv[1]})
try:
    local.infer("m", [Tensor("X", "FP32", (3,), bytes(12)), Tensor("H", "INT64", (2,), bytes(16))])
except InferenceFailed:
    sys.exit(0 if os.environ["ORT_DISABLE_TELEMETRY"] == sys.argv[2] else 4)
"""


@pytest.mark.parametrize(("said", "telemetry"), [({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")])
def test_nothing_is_imported_printed_or_sent_unasked(
    repository: Path, monkeypatch: pytest.MonkeyPatch, said: dict[str, str], telemetry: str
) -> None:
    """No models, no ONNX Runtime; its errors are raised, not printed; whoever wants it may send."""
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    done = run(QUIET, repository / "reshape" / "1" / "model.onnx", telemetry, **said)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


FORKS = """
import os, signal, sys, threading
from pathlib import Path
from geulpi_client._inputs import checked_inputs
from geulpi_client._local import LocalModels

file = Path(sys.argv[1])
local = LocalModels({"m": file})
file.unlink()
titles = ["치과 예약", "팀 회의"] * 20
inputs = {"title": titles, "weekday": [1] * 40, "hour": [9] * 40, "duration_minutes": [30] * 40}
tensors = checked_inputs(local.contract("m"), inputs)
expected = local.infer("m", tensors)
stop = threading.Event()

def busy():
    while not stop.is_set():
        local.infer("m", tensors)

threads = [threading.Thread(target=busy) for _ in range(2)]
for thread in threads:
    thread.start()
inherited = set(map(id, local._models["m"]._sessions.values()))

def child(depth):
    signal.alarm(60)  # one that waits for ever is found out and does not stay
    right = local.infer("m", tensors) == expected
    right &= id(local._models["m"]._sessions[os.getpid()]) not in inherited
    if depth:
        pid = os.fork()
        if pid == 0:
            child(depth - 1)
        right &= os.waitpid(pid, 0)[1] == 0
    os._exit(0 if right else 3)

wrong = 0
for number in range(12):
    pid = os.fork()
    if pid == 0:
        child(depth=number % 2)
    wrong += os.waitpid(pid, 0)[1] != 0
stop.set()
for thread in threads:
    thread.join()
sys.exit(wrong or local.infer("m", tensors) != expected)
"""


def test_children_of_a_busy_process_answer_as_it_does(root: Path, tmp_path: Path) -> None:
    """With a session of their own, and though the file is gone; so do their own children."""
    file = tmp_path / "model.onnx"
    calendar = root / "model_repository" / "event_classifier" / "3" / "model.onnx"
    file.write_bytes(calendar.read_bytes())
    done = run(FORKS, file)
    assert (done.returncode, done.stderr) == (0, "")
