"""The tuner: what it writes, how it searches, and what it leaves alone."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import typer
from geulpi_perf._errors import (
    AnswersDiffer,
    ConfigChanged,
    ConfigNotWritable,
    OutOfReach,
    UntunableModel,
    UnusableOption,
)
from geulpi_perf._tune.answers import Answers, check_equal
from geulpi_perf._tune.knobs import knobs_of
from geulpi_perf._tune.load import Measured
from geulpi_perf._tune.search import Goal, Search, middle
from geulpi_perf._tune.server import TuningServer, read_configs
from geulpi_perf._tune.text import parsed, rewritten
from geulpi_perf._tune.tuning import TUNED, tune
from geulpi_perf.cli import tune as command
from repositories import write_model
from typer.testing import CliRunner

TEXT = """# Who owns it: the calendar team
name: "m"   # the name
backend: 'onnxruntime'
max_batch_size: 64
input [ { name: "X" data_type: TYPE_FP32 dims: [ 2 ] } ]  # two numbers
output [ { name: "Y" data_type: TYPE_FP32 dims: [ 2 ] } ],
instance_group [
  # one is enough
  { count: 1 kind: KIND_CPU }
]
dynamic_batching { max_queue_delay_microseconds: 500 }
parameters { key: "a" value { string_value: "{ \\"brace\\": \\"}#\\" }" } }
parameters: { key: "b" value: { string_value: "1" } } # counted
"""


def test_only_what_differs_is_written_anew() -> None:
    """Comments, order and style of all other fields stay; the config is the wanted one."""
    wanted = parsed(TEXT)
    wanted.max_batch_size = 16
    wanted.dynamic_batching.preferred_batch_size.append(8)
    wanted.parameters["b"].string_value = "2"
    wanted.parameters["tuned"].string_value = '{"a": "가"}'
    text = rewritten(TEXT, wanted)
    assert parsed(text) == wanted
    kept = ("# Who owns it", "# the name", "# two numbers", "# one is enough", "# counted")
    assert [one for one in kept if one not in text] == []
    assert "가" in text
    assert text.splitlines()[:3] == TEXT.splitlines()[:3]
    assert rewritten(TEXT, parsed(TEXT)) == TEXT


@pytest.mark.parametrize("field", ["dynamic_batching", "instance_group", "parameters", "backend"])
def test_fields_go_and_come(field: str) -> None:
    """A field that is cleared leaves the text, and one that comes is added at the end."""
    without = parsed(TEXT)
    without.ClearField(field)
    text = rewritten(TEXT, without)
    assert parsed(text) == without
    assert parsed(rewritten(text, parsed(TEXT))) == parsed(TEXT)


def test_committed_configs_can_be_edited(root: Path) -> None:
    """Every one of them, with nothing but the new parameter added."""
    for path in (root / "model_repository").glob("*/config.pbtxt"):
        text = path.read_text()
        wanted = parsed(text)
        wanted.parameters["another"].string_value = "{}"
        new = rewritten(text, wanted)
        assert parsed(new) == wanted
        assert set(text.splitlines()) <= set(new.splitlines())


def test_what_is_tuned() -> None:
    """No batcher for a model without one, no batch that is too small for an ensemble above it."""
    options: dict[str, Any] = {
        "cores": 4,
        "max_instances": 4,
        "least_batch": {"m": 64},
        "parameters": {"b": ["1", "2"]},
    }
    knobs = {knob.name: knob.values for knob in knobs_of({"m": parsed(TEXT)}, **options)}
    assert knobs["max_batch_size"] == (64, 256)
    assert knobs["instances"] == (1, 2, 4)
    assert knobs["intra_op_thread_count"] == ("1", "2", "4")
    assert knobs["b"] == ("1", "2")
    asked = options | {"parameters": {"intra_op_thread_count": ["3"]}}
    threads = [knob for knob in knobs_of({"m": parsed(TEXT)}, **asked) if "thread" in knob.name]
    assert [knob.values for knob in threads] == [("3", "1")]
    plain = parsed(TEXT)
    plain.ClearField("dynamic_batching")
    names = {knob.name for knob in knobs_of({"m": plain}, **options)}
    assert names == {"instances", "intra_op_thread_count", "b"}


def test_steps_share_their_delay_and_keep_their_batches() -> None:
    """Of an ensemble's steps, only the instances are tuned one by one."""
    configs = {"one": parsed(TEXT), "two": parsed(TEXT)}
    knobs = {
        k.name: k
        for k in knobs_of(configs, cores=2, max_instances=2, least_batch={}, parameters={})
    }
    assert knobs["max_queue_delay_microseconds"].models == ("one", "two")
    assert knobs["two: instances"].models == ("two",)
    assert "max_batch_size" not in knobs
    configs["two"].dynamic_batching.max_queue_delay_microseconds = 0
    names = [
        k.name for k in knobs_of(configs, cores=2, max_instances=2, least_batch={}, parameters={})
    ]
    assert "two: max_queue_delay_microseconds" in names  # different now, so each for itself


def test_the_search_finds_the_best_in_spite_of_noise() -> None:
    """Two settings that work on each other, 2 % of noise, and one value that is refused."""
    noise = random.Random(0)
    measured = 0

    def measure(point: dict[str, Any], seconds: float) -> Measured | None:
        nonlocal measured
        measured += 1
        if point["a"] == 8:
            return None
        rate = 1000 * min(point["a"], point["b"]) * noise.gauss(1, 0.02)
        return Measured(rate, 1.0, 2.0 * point["b"])

    search = Search({"a": [1, 2, 4, 8], "b": [1, 2, 4, 8]}, measure, Goal("throughput", 9), 0.1)
    found = search.descend({"a": 2, "b": 1})[-1]
    assert found["b"] in {2, 4}  # 8 breaks the p99
    assert found["a"] in {2, 4}
    assert measured < 60


def test_what_fails_its_proof_gives_way_to_what_was_best_before() -> None:
    """Short measurements flatter a setting that misses the p99 in longer ones."""

    def measure(point: dict[str, Any], seconds: float) -> Measured:
        late = 50.0 if point["a"] == 3 and seconds > 1 else 5.0
        return Measured(1000.0 * point["a"], 1.0, late)

    search = Search({}, measure, Goal("throughput", 9), 0.1)
    path: list[dict[str, Any]] = [{"a": 1}, {"a": 2}, {"a": 3}]
    winner, old, new = search.prove(path, 2.0)
    assert winner == {"a": 2}
    assert old is not None
    assert new is not None
    assert (old.requests_per_s, new.requests_per_s) == (1000, 2000)
    assert search.prove(path[::2], 2.0)[0] == {"a": 1}  # none is better: it stays
    assert search.prove(path[:1], 2.0)[0] == {"a": 1}


def test_what_counts_as_better() -> None:
    """First the p99 that was asked for, then the objective; refused settings come last."""
    fast, slow = Measured(2000, 1, 20), Measured(1000, 1, 5)
    goal = Goal("throughput", 10)
    assert goal.gain(slow, fast) > 0
    assert Goal("throughput", 50).gain(fast, slow) == 1.0
    assert Goal("latency", 50).gain(slow, fast) == 3.0
    assert goal.gain(None, fast) < 0
    assert middle([fast, None, None]) is None
    assert middle([fast, slow, slow]) == slow


# A model that is the faster the less it waits, and whose answer another parameter decides.
PYTHON = """
import json, time
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        told = json.loads(args["model_config"])["parameters"]
        self._pause = float(told["pause"]["string_value"])
        self._factor = float(told["factor"]["string_value"])

    def execute(self, requests):
        time.sleep(self._pause + 0.01 * (self._factor == 1))
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("Y", x.as_numpy() * self._factor)])
            for request in requests
            for x in [pb_utils.get_input_tensor_by_name(request, "X")]
        ]
"""
CONFIG = """# ours
name: "waits"
backend: "python"
max_batch_size: 8
input [ { name: "X" data_type: TYPE_FP32 dims: [ 2 ] } ]
output [ { name: "Y" data_type: TYPE_FP32 dims: [ 2 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
parameters { key: "pause" value { string_value: "0.02" } }
parameters { key: "factor" value { string_value: "1" } }
model_warmup { name: "w" batch_size: 1 inputs { key: "X" value {
  data_type: TYPE_FP32 dims: [ 2 ] input_data_file: "row" } } }
"""
ABOVE = """
name: "above"
platform: "ensemble"
max_batch_size: 8
input [ { name: "X" data_type: TYPE_FP32 dims: [ 2 ] } ]
output [ { name: "Y" data_type: TYPE_FP32 dims: [ 2 ] } ]
parameters { key: "canary" value { string_value: "{\\"X\\": \\"row\\"}" } }
ensemble_scheduling { step [ { model_name: "waits" model_version: -1
  input_map { key: "X" value: "X" } output_map { key: "Y" value: "Y" } } ] }
"""
OPTIONS: dict[str, Any] = {"p99_ms": 60_000, "seconds": 0.02, "concurrency": 2}
PAUSES = {"pause": ["0.02", "0"]}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a model, an ensemble of it, and one that can't be loaded."""
    folder = tmp_path / "models"
    write_model(folder, CONFIG, "model.py", PYTHON)
    write_model(folder, CONFIG.replace("waits", "broken"), "model.py", "raise ValueError")
    (folder / "above" / "1").mkdir(parents=True)
    (folder / "above" / "config.pbtxt").write_text(ABOVE)
    for name in ("waits", "above", "broken"):
        (folder / name / "warmup").mkdir()
        (folder / name / "warmup" / "row").write_bytes(struct.pack("<2f", 1, 2))
    return folder


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer values and pairs."""
    monkeypatch.setattr("geulpi_perf._tune.knobs._powers", lambda _: (1,))
    monkeypatch.setattr("geulpi_perf._tune.search.PAIRS", 1)
    monkeypatch.setattr("geulpi_perf._tune.search.PROOF_PAIRS", 1)
    monkeypatch.setattr("geulpi_perf._tune.tuning.LEVELS", (2,))


def contents(repository: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(repository)): path.read_bytes()
        for path in repository.rglob("*")
        if path.is_file()
    }


@pytest.mark.usefixtures("few")
def test_the_winner_is_written_with_its_measurement(repository: Path, tmp_path: Path) -> None:
    """A dry run writes nothing; then the config holds the settings and where they come from."""
    before = contents(repository)
    tuned = tune("waits", repository=repository, parameters=PAUSES, dry_run=True, **OPTIONS)
    assert (contents(repository), tuned.written) == (before, ())
    assert [(one.setting, one.after) for one in tuned.changed] == [("pause", "0")]
    app = typer.Typer()
    app.command()(command)
    out = tmp_path / "out"
    asked = ["waits", "--p99-ms", "60000", "--seconds", "0.02", "--concurrency", "2"]
    done = CliRunner().invoke(
        app, [*asked, "--parameter", "pause=0.02,0", "--model-repository", str(repository),
              "--json", "--output", str(out)],
    )  # fmt: skip
    assert done.exit_code == 0, done.exception
    told = json.loads(done.stdout)
    path = repository / "waits" / "config.pbtxt"
    assert told["written"] == [str(path)]
    assert told["after"]["requests_per_s"] > told["before"]["requests_per_s"] > 0
    text = path.read_text()
    assert text.startswith("# ours\n")
    config = parsed(text)
    assert config.parameters["pause"].string_value == "0"
    record = config.parameters[TUNED].string_value
    assert len(record) <= 600
    assert json.loads(record)["changed"] == {"pause": ["0.02", "0"]}
    assert json.loads(record)["after"] == told["after"]
    after = contents(repository)
    after["waits/config.pbtxt"] = before["waits/config.pbtxt"]
    assert after == before
    assert json.loads((out / "waits.tune.json").read_text()) == told
    with (out / "waits.tune.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(told["measurements"])
    assert {row["pause"] for row in rows} == {"0.02", "0"}
    assert "<svg" in (out / "waits.tune.html").read_text()
    assert (out / "waits.tune.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("few")
def test_an_ensembles_steps_are_tuned(repository: Path) -> None:
    """The step gets the setting, both the record; asked is the ensemble."""
    tuned = tune("above", repository=repository, parameters=PAUSES, **OPTIONS)
    assert [Path(path).parent.name for path in tuned.written] == ["above", "waits"]
    for name in ("above", "waits"):
        config = parsed((repository / name / "config.pbtxt").read_text())
        assert "pause" in json.loads(config.parameters[TUNED].string_value)["changed"]
    assert config.parameters["pause"].string_value == "0"


@pytest.mark.usefixtures("few")
def test_settings_that_change_answers_are_refused(repository: Path) -> None:
    """However much faster they are."""
    before = contents(repository)
    with pytest.raises(AnswersDiffer, match=r"'waits'.*output 'Y'"):
        tune("waits", repository=repository, parameters={"factor": ["1", "2"]}, **OPTIONS)
    assert contents(repository) == before


def test_what_counts_as_equal() -> None:
    """Bits where the old settings always give the same; else closeness; no answer that varies."""

    def one(y: float, together: float | None = None, t: object = "a") -> Answers:
        alone = {"Y": np.array([[y]], np.float32), "T": np.array([[t]], object)}
        other = {"Y": np.array([[y if together is None else together]], np.float32)}
        return Answers(alone, alone | other)

    tiny = 1 + 1e-6
    check_equal("m", one(1), one(1), one(1))
    check_equal("m", one(1, tiny), one(1, tiny), one(tiny, 1))
    check_equal("m", one(1), one(tiny), one(tiny))
    check_equal("m", one(1, t="a"), one(1, t="b"), one(1, t="c"))
    for old, again, new in (
        (one(1), one(1), one(tiny)),
        (one(1, tiny), one(1, tiny), one(1.1, tiny)),
        (one(1), one(1), one(1, 2)),
        (one(1), one(1), one(1, t="b")),
        (one(1), one(1), one(np.nan)),
    ):
        with pytest.raises(AnswersDiffer):
            check_equal("m", old, again, new)


def test_unusable_settings_are_refused_and_the_rest_goes_on(
    repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A copy that can't be loaded is gone, others are measured as before, and none is revived."""
    texts = read_configs(repository, "waits")
    good, bad = parsed(texts["waits"]), parsed(texts["waits"])
    bad.parameters["pause"].string_value = "long"
    with TuningServer(repository, "waits", texts) as server:
        folder = server.triton.model_repository
        assert server.measure({"waits": bad}, 1, 0.02) is None
        assert sorted(path.name for path in folder.iterdir()) == ["above", "waits"]
        seen = []
        for number in range(6):
            good.parameters["pause"].string_value = f"0.00{number}"
            seen.append(server.measure({"waits": good}, 1, 0.02))
        assert all(one and one.requests_per_s > 0 for one in seen)
        assert len(list(folder.glob("waits-*"))) == 4
        ready = {state.name for state in server.triton.models() if state.ready}
        assert ready == {path.name for path in folder.iterdir()}
    assert "died" not in caplog.text
    assert not folder.exists()


@pytest.mark.usefixtures("few")
def test_what_cannot_be_reached_changes_nothing(repository: Path) -> None:
    """A p99 of a nanosecond."""
    before = contents(repository)
    with pytest.raises(OutOfReach, match="the lowest was"):
        tune("waits", repository=repository, parameters=PAUSES, **OPTIONS | {"p99_ms": 1e-6})
    assert contents(repository) == before


@pytest.mark.usefixtures("few")
def test_a_config_that_was_changed_meanwhile_is_left_alone(repository: Path) -> None:
    """Somebody publishes while we measure."""
    path = repository / "waits" / "config.pbtxt"

    def told(what: str) -> None:
        if "proving" in what:
            path.write_text("# theirs\n")

    with pytest.raises(ConfigChanged):
        tune("waits", repository=repository, parameters=PAUSES, told=told, **OPTIONS)
    assert path.read_text() == "# theirs\n"


def name_of(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def test_an_interrupt_leaves_the_config_and_no_process(repository: Path) -> None:
    """Ctrl-C while it measures: exit 130."""
    before = contents(repository)
    code = "import typer; from geulpi_perf.cli import tune; typer.run(tune)"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "waits", "--p99-ms", "60000", "--parameter", "pause=0.02,0",
         "--model-repository", str(repository)],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        children: list[psutil.Process] = []
        while not any("perf_analyzer" in name_of(child) for child in children):
            assert time.monotonic() < until
            children = psutil.Process(process.pid).children(recursive=True)
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "Traceback" not in said
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert len(gone) > 1
    assert alive == []
    assert contents(repository) == before


@pytest.fixture
def read_only(repository: Path) -> Iterator[Path]:
    """A repository that this process may read but not write, whoever runs it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "models")
        shutil.copytree(repository, place)
        Path(folder).chmod(0o755)
        (place / "waits").chmod(0o555)
        if root := os.geteuid() == 0:
            os.seteuid(65534)
        yield place
        if root:
            os.seteuid(0)
        (place / "waits").chmod(0o755)


def test_a_repository_that_cannot_be_written_is_told_at_once(read_only: Path) -> None:
    """Before anything is measured."""
    said: list[str] = []
    with pytest.raises(ConfigNotWritable, match="--dry-run"):
        tune("waits", repository=read_only, parameters=PAUSES, told=said.append, **OPTIONS)
    assert said == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--p99-ms", "0"], "--p99-ms"),
        (["--p99-ms", "nan"], "--p99-ms"),
        (["--p99-ms", "9", "--concurrency", "0"], "--concurrency"),
        (["--p99-ms", "9", "--seconds", "-1"], "--seconds"),
        (["--p99-ms", "9", "--parameter", "pause"], "--parameter"),
        (["--p99-ms", "9", "--parameter", "pause=1,,2"], "--parameter"),
        (["--p99-ms", "9", "--output", __file__], "--output"),
    ],
)
def test_options_that_make_no_sense(repository: Path, options: list[str], words: str) -> None:
    """They are refused before any server starts."""
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, ["waits", "--model-repository", str(repository), *options])
    assert isinstance(done.exception, UnusableOption)
    assert str(done.exception).startswith(words)


def test_models_that_cannot_be_tuned(repository: Path, hand_made: Path) -> None:
    """Unknown, without a sample, with an unreadable config, without that parameter."""
    with pytest.raises(UntunableModel, match=r"repository \(waits\)"):
        tune("wait", p99_ms=10, repository=repository)
    with pytest.raises(UntunableModel, match="no sample"):
        tune("sum", p99_ms=10, repository=hand_made)
    with pytest.raises(UntunableModel, match=r"no parameter 'x'.*\n.*factor, pause"):
        tune("waits", p99_ms=10, repository=repository, parameters={"x": ["1"]})
    (repository / "waits" / "config.pbtxt").write_text("max_batch_size: many")
    with pytest.raises(UntunableModel, match="can't be read"):
        tune("waits", p99_ms=10, repository=repository)
    with pytest.raises(UntunableModel, match="'waits'"):  # a step of it
        tune("above", p99_ms=10, repository=repository)
