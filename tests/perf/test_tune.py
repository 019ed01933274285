"""The tuner: what it writes, how it searches, and what it leaves alone."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from geulpi_perf._errors import ConfigChanged, OutOfReach, UntunableModel, UnusableOption
from geulpi_perf._tune_knobs import knobs_of
from geulpi_perf._tune_load import Measured
from geulpi_perf._tune_search import Goal, Search, middle
from geulpi_perf._tune_server import TuningServers
from geulpi_perf._tune_text import parsed, rewritten
from geulpi_perf.tune import TUNED, table, tune
from rich.console import Console

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
QUICK = {"seconds": 0.02, "with_perf_analyzer": False}


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
        wanted.parameters["tuned"].string_value = "{}"
        new = rewritten(text, wanted)
        assert parsed(new) == wanted
        assert set(text.splitlines()) <= set(new.splitlines())


def test_what_is_tuned() -> None:
    """No batcher for a model without one, no batch that is too small for an ensemble above it."""
    options = {"cores": 4, "least_batch": {"m": 64}, "parameters": {"b": ["1", "2"]}}
    knobs = {knob.name: knob.values for knob in knobs_of({"m": parsed(TEXT)}, **options)}
    assert knobs["max_batch_size"] == (64, 256)
    assert knobs["instances"] == (1, 2, 4)
    assert knobs["intra_op_thread_count"] == ("1", "2", "4")
    assert knobs["b"] == ("1", "2")
    plain = parsed(TEXT)
    plain.ClearField("dynamic_batching")
    names = {knob.name for knob in knobs_of({"m": plain}, **options)}
    assert names == {"instances", "intra_op_thread_count", "b"}


def test_steps_share_their_delay_and_keep_their_batches() -> None:
    """Of an ensemble's steps, only the instances are tuned one by one."""
    configs = {"one": parsed(TEXT), "two": parsed(TEXT)}
    knobs = {k.name: k for k in knobs_of(configs, cores=2, least_batch={}, parameters={})}
    assert knobs["max_queue_delay_microseconds"].models == ("one", "two")
    assert knobs["two: instances"].models == ("two",)
    assert "max_batch_size" not in knobs
    configs["two"].dynamic_batching.max_queue_delay_microseconds = 0
    names = [k.name for k in knobs_of(configs, cores=2, least_batch={}, parameters={})]
    assert "two: max_queue_delay_microseconds" in names  # different now, so each for itself


def test_the_search_finds_the_best_in_spite_of_noise() -> None:
    """Two settings that work on each other, 2 % of noise, and one value that is refused."""
    noise = random.Random(0)
    measured = 0

    def measure(point: dict, seconds: float) -> Measured | None:
        nonlocal measured
        measured += 1
        if point["a"] == 8:
            return None
        rate = 1000 * min(point["a"], point["b"]) * noise.gauss(1, 0.02)
        return Measured(rate, 1.0, 2.0 * point["b"])

    search = Search({"a": [1, 2, 4, 8], "b": [1, 2, 4, 8]}, measure, Goal("throughput", 9), 0.1)
    found = search.descend({"a": 2, "b": 1})
    assert found["b"] in {2, 4}  # 8 breaks the p99
    assert found["a"] in {2, 4}
    assert measured < 60


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


@pytest.fixture
def repository(root: Path, tmp_path: Path) -> Path:
    """A repository with the committed classifier, with a comment in its config."""
    folder = tmp_path / "models"
    shutil.copytree(root / "model_repository" / "event_classifier", folder / "event_classifier")
    path = folder / "event_classifier" / "config.pbtxt"
    path.write_text(f"# ours\n{path.read_text()}")
    return folder


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer values and pairs, so that few servers start."""
    monkeypatch.setattr("geulpi_perf._tune_knobs.DELAYS_US", (0,))
    monkeypatch.setattr("geulpi_perf._tune_knobs.BATCHES", ())
    monkeypatch.setattr("geulpi_perf._tune_knobs.PREFERRED", ((),))
    monkeypatch.setattr("geulpi_perf._tune_knobs._powers", lambda _: (1,))
    monkeypatch.setattr("geulpi_perf._tune_search.PAIRS", 1)
    monkeypatch.setattr("geulpi_perf.tune.PROOF_PAIRS", 1)
    monkeypatch.setattr("geulpi_perf.tune.LEVELS", (1, 4))


@pytest.mark.usefixtures("few")
def test_the_winner_is_written_with_its_measurement(repository: Path) -> None:
    """A dry run writes nothing; then the config holds the settings and where they come from."""
    path = repository / "event_classifier" / "config.pbtxt"
    before = path.read_text()
    options = {"p99_ms": 60_000, "repository": repository, "concurrency": 4, **QUICK}
    dry = tune("event_classifier", dry_run=True, **options)
    assert (path.read_text(), dry.written) == (before, ())
    tuned = tune("event_classifier", **options)
    assert tuned.written == (str(path),)
    config = parsed(path.read_text())
    assert path.read_text().startswith("# ours\n")
    record = json.loads(config.parameters[TUNED].string_value)
    assert record["after"]["requests_per_s"] == tuned.after.requests_per_s > 0
    assert {"date", "cores", "objective", "before", "versions", "load"} <= set(record)
    (delay,) = (s for s in tuned.settings if s.setting == "max_queue_delay_microseconds")
    assert config.dynamic_batching.max_queue_delay_microseconds == delay.after
    console = Console(record=True, width=120)
    console.print(table(tuned))
    assert "p99 ms" in console.export_text()
    assert sorted(p.name for p in path.parent.iterdir()) == ["3", "config.pbtxt", "warmup"]


@pytest.mark.usefixtures("few")
def test_what_cannot_be_reached_changes_nothing(repository: Path) -> None:
    """A p99 of a nanosecond."""
    path = repository / "event_classifier" / "config.pbtxt"
    before = path.read_text()
    with pytest.raises(OutOfReach, match="the lowest was"):
        tune("event_classifier", p99_ms=1e-6, repository=repository, **QUICK)
    assert path.read_text() == before


@pytest.mark.usefixtures("few")
def test_a_config_that_was_changed_meanwhile_is_left_alone(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody publishes while we measure."""
    path = repository / "event_classifier" / "config.pbtxt"

    def told(what: str) -> None:
        if what.startswith("proving"):
            path.write_text("# theirs\n")

    with pytest.raises(ConfigChanged):
        tune("event_classifier", p99_ms=60_000, repository=repository, told=told, **QUICK)
    assert path.read_text() == "# theirs\n"


@pytest.mark.usefixtures("few")
def test_an_interrupt_leaves_the_config_and_no_server(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle."""
    path = repository / "event_classifier" / "config.pbtxt"
    before, served = path.read_text(), []
    start = TuningServers._start
    monkeypatch.setattr(
        TuningServers, "_start", lambda self, texts: served.append(start(self, texts)) or served[-1]
    )

    def told(what: str) -> None:
        if what.startswith("proving"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune("event_classifier", p99_ms=60_000, repository=repository, told=told, **QUICK)
    assert path.read_text() == before
    assert served
    assert not any(one.triton.alive for one in served)
    assert not any(one.triton.model_repository.exists() for one in served)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"p99_ms": 0}, "--p99-ms"),
        ({"p99_ms": 10, "concurrency": 0}, "--concurrency"),
        ({"p99_ms": 10, "seconds": -1}, "--seconds"),
        ({"p99_ms": 10, "objective": "fame"}, "--objective"),
    ],
)
def test_options_that_make_no_sense(repository: Path, options: dict, words: str) -> None:
    """They are refused before any server starts."""
    with pytest.raises(UnusableOption, match=words):
        tune("event_classifier", repository=repository, **options)


def test_models_that_cannot_be_tuned(repository: Path, hand_made: Path) -> None:
    """Unknown, without a sample, with an unreadable config, without that parameter."""
    with pytest.raises(UntunableModel, match="event_classifier"):
        tune("nobody", p99_ms=10, repository=repository)
    with pytest.raises(UntunableModel, match="no sample"):
        tune("sum", p99_ms=10, repository=hand_made)
    with pytest.raises(UntunableModel, match="no parameter"):
        tune("event_classifier", p99_ms=10, repository=repository, parameters={"x": ["1"]})
    (repository / "other").mkdir()
    (repository / "other" / "config.pbtxt").write_text("max_batch_size: many")
    with pytest.raises(UntunableModel, match="no parameter"):  # another's fault is not ours
        tune("event_classifier", p99_ms=10, repository=repository, parameters={"x": ["1"]})
    (repository / "event_classifier" / "config.pbtxt").write_text("max_batch_size: many")
    with pytest.raises(UntunableModel, match="can't be read"):
        tune("event_classifier", p99_ms=10, repository=repository)
