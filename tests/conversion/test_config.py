"""The settings of serving: checked at once, written through the protobuf, and read back."""

from __future__ import annotations

from typing import Any

import pytest
from geulpi_conversion import InvalidServing, ServingConfig
from geulpi_conversion._config import parse_config, write_config
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2 as pb

counts = st.integers(1, 2**31 - 1)


@st.composite
def settings_of(draw: st.DrawFn) -> ServingConfig:
    """Any settings that can be."""
    max_batch_size = draw(st.integers(1, 4096))
    batching = draw(st.booleans())
    delay = draw(st.integers(0, 10_000_000)) if batching else 0
    sizes = st.lists(st.integers(1, max_batch_size), unique=True, max_size=4)
    return ServingConfig(
        max_batch_size=max_batch_size,
        dynamic_batching=batching,
        queue_delay_us=delay,
        preferred_batch_sizes=tuple(draw(sizes)) if batching else (),
        instances=draw(st.integers(1, 64)),
        device=draw(st.sampled_from(["cpu", "gpu", "auto"])),
        warmup=draw(st.booleans()),
        max_queue_size=draw(st.integers(0, 2**31 - 1)) if batching else 0,
        timeout_us=draw(st.sampled_from([0, delay + 1, 3_600_000_000])) if batching else 0,
        version_policy=draw(
            st.one_of(
                st.just("all"),
                counts,
                st.lists(counts, unique=True, min_size=1, max_size=4).map(tuple),
            )
        ),
        trim_every=draw(st.integers(0, 2**31 - 1)),
    )


def config_of(serving: ServingConfig, backend: str = "python") -> pb.ModelConfig:
    config = pb.ModelConfig(name="m", backend=backend)
    serving.apply(config)
    if serving.warmup:
        config.model_warmup.add(name="row", batch_size=1)
    return config


@settings(deadline=None)  # a busy machine is no fault
@given(settings_of())
def test_settings_survive_the_config(serving: ServingConfig) -> None:
    """Whatever can be set is read back from the text of config.pbtxt as it was."""
    config = config_of(serving)
    parsed = parse_config(write_config(config))
    assert parsed == config
    assert ServingConfig.read(parsed) == serving


@settings(deadline=None)  # a busy machine is no fault
@given(settings_of(), settings_of())
def test_settings_replace_those_before(first: ServingConfig, second: ServingConfig) -> None:
    """Nothing of the settings that a config had is left when others are written."""
    config = config_of(first)
    del config.model_warmup[:]
    second.apply(config)
    wanted = config_of(second)
    del wanted.model_warmup[:]
    assert config == wanted


def test_what_is_written_is_tritons() -> None:
    """Batching, queue policy, instances and versions stand where Triton looks for them."""
    serving = ServingConfig(
        max_batch_size=64,
        queue_delay_us=0,
        preferred_batch_sizes=(4, 8),
        instances=2,
        device="gpu",
        max_queue_size=100,
        timeout_us=20_000,
        version_policy=(3, 5),
    )
    config = config_of(serving)
    batching = config.dynamic_batching
    queue = batching.default_queue_policy
    assert config.max_batch_size == 64
    assert list(batching.preferred_batch_size) == [4, 8]
    assert (queue.max_queue_size, queue.default_timeout_microseconds) == (100, 20_000)
    assert queue.timeout_action == pb.ModelQueuePolicy.REJECT
    assert queue.allow_timeout_override
    assert [(g.count, g.kind) for g in config.instance_group] == [
        (2, pb.ModelInstanceGroup.KIND_GPU)
    ]
    assert list(config.version_policy.specific.versions) == [3, 5]


def test_without_limits_there_is_no_queue_policy() -> None:
    """Nothing is written that Triton would take for a wish."""
    config = config_of(ServingConfig(device="auto"), backend="onnxruntime")
    assert not config.dynamic_batching.HasField("default_queue_policy")
    assert not config.HasField("version_policy")
    assert config.instance_group[0].kind == pb.ModelInstanceGroup.KIND_AUTO
    assert "trim_every" not in config.parameters


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_batch_size", 0),
        ("max_batch_size", 2**31),
        ("max_batch_size", True),
        ("max_batch_size", 8.0),
        ("queue_delay_us", -1),
        ("queue_delay_us", 10_000_001),
        ("preferred_batch_sizes", (4, 4)),
        ("preferred_batch_sizes", (0,)),
        ("preferred_batch_sizes", (512,)),
        ("preferred_batch_sizes", [4]),
        ("preferred_batch_sizes", 4),
        ("instances", 0),
        ("instances", "2"),
        ("device", "tpu"),
        ("device", None),
        ("device", ["cpu"]),
        ("warmup", "yes"),
        ("dynamic_batching", 1),
        ("max_queue_size", -1),
        ("timeout_us", -1),
        ("timeout_us", 500),
        ("version_policy", 0),
        ("version_policy", "newest"),
        ("version_policy", ()),
        ("version_policy", (1, 1)),
        ("version_policy", (0,)),
        ("version_policy", None),
        ("trim_every", -1),
        ("trim_every", None),
    ],
)
def test_what_can_not_be_is_refused_at_once(field: str, value: Any) -> None:
    """A value that Triton would refuse is told by name, with what would do."""
    with pytest.raises(InvalidServing, match=f"{field} is .*\n.*Remedy: expected") as refused:
        ServingConfig(**{field: value})
    assert refused.value.field == field
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("queue_delay_us", 1),
        ("max_queue_size", 1),
        ("timeout_us", 1),
        ("preferred_batch_sizes", (4,)),
    ],
)
def test_without_batching_there_is_no_queue_to_set(field: str, value: Any) -> None:
    """Triton knows queue limits as a part of batching only, so they are not lost silently."""
    with pytest.raises(InvalidServing, match=field):
        ServingConfig.for_backend("python", batches=False, **{field: value})


def test_defaults_are_those_of_the_kind() -> None:
    """ONNX waits for others to be answered with; Python does not; neither without batching."""
    assert ServingConfig.for_backend("onnxruntime").queue_delay_us == 500
    assert ServingConfig.for_backend("python").queue_delay_us == 0
    alone = ServingConfig.for_backend("python", batches=False, instances=3)
    assert (alone.dynamic_batching, alone.max_batch_size, alone.instances) == (False, 256, 3)
    assert not config_of(alone).HasField("dynamic_batching")


@pytest.mark.parametrize(
    ("policy", "served"),
    [(1, [7]), (2, [3, 7]), (9, [1, 3, 7]), ("all", [1, 3, 7]), ((1, 5), [1])],
)
def test_the_policy_says_which_versions_are_served(policy: Any, served: list[int]) -> None:
    """The newest so many, all, or some of those that are there."""
    assert ServingConfig(version_policy=policy).serves([3, 1, 7]) == served


@pytest.mark.parametrize(
    "edit",
    [
        lambda config: config.instance_group.add(count=1),
        lambda config: config.instance_group.pop(),
        lambda config: setattr(config.instance_group[0], "kind", 3),
        lambda config: setattr(config, "max_batch_size", 0),
        lambda config: setattr(config.parameters["trim_every"], "string_value", "often"),
    ],
)
def test_what_settings_can_not_say_is_no_setting(edit: Any) -> None:
    """A config that was edited to something else is refused, not read as something near."""
    config = config_of(ServingConfig())
    edit(config)
    with pytest.raises(InvalidServing):
        ServingConfig.read(config)
