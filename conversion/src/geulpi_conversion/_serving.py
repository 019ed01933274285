"""How a published model is served: the settings of config.pbtxt that are no part of the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from geulpi_conversion._converted import Backend
from geulpi_conversion._errors import InvalidServing

if TYPE_CHECKING:
    from tritonclient.grpc import model_config_pb2 as pb

__all__ = ["Device", "ServingConfig", "VersionPolicy"]

Device = Literal["cpu", "gpu", "auto"]
# The newest so many; all there are; or these.
VersionPolicy = int | Literal["all"] | tuple[int, ...]

KINDS: dict[Device, str] = {"cpu": "KIND_CPU", "gpu": "KIND_GPU", "auto": "KIND_AUTO"}
ENSEMBLE = "ensemble"  # a platform: its steps have instances and queues, itself has none
TRIM = "trim_every"  # a parameter that the Python backend's wrapper reads
TRIM_EVERY = 1000  # its default there; 0.2 ms each
# What the fields of Triton's protobuf hold, or what more can only be a slip of units.
MOST_INT32 = 2**31 - 1
LONGEST_DELAY_US = 10_000_000
LONGEST_TIMEOUT_US = 3_600_000_000
MOST_INSTANCES = 1024


@dataclass(frozen=True, kw_only=True)
class ServingConfig:
    """How Triton is to serve a model. Each value is checked when the object is made.

    Attributes:
        max_batch_size: most rows that are answered at once.
        dynamic_batching: whether rows of different requests are answered together. It must be off
            where a row's answer depends on its batch.
        queue_delay_us: microseconds that a request may wait for others to be answered with; 0 is
            not to wait.
        preferred_batch_sizes: sizes at which a batch does not wait any longer; none are needed.
        instances: copies of the model that answer at the same time.
        device: `cpu`, `gpu` (one set of instances for each GPU) or `auto` (a GPU where one is).
        warmup: whether a row of the sample is answered before the model says that it is ready.
        max_queue_size: requests that may wait; more are refused. 0 is no limit.
        timeout_us: microseconds that a request may wait before it is refused; a request may ask for
            less. 0 is no limit.
        version_policy: the versions that are served: so many of the newest, "all", or the versions
            of a tuple.
        trim_every: executions after which a Python model gives memory back to the system; 0 is
            never.

    Raises:
        InvalidServing: a value that Triton would refuse, or that would refuse every request.
    """

    max_batch_size: int = 256
    dynamic_batching: bool = True
    queue_delay_us: int = 500
    preferred_batch_sizes: tuple[int, ...] = ()
    instances: int = 1
    device: Device = "cpu"
    warmup: bool = True
    max_queue_size: int = 0
    timeout_us: int = 0
    version_policy: VersionPolicy = 1
    trim_every: int = TRIM_EVERY

    def __post_init__(self) -> None:
        """Check every value."""
        self._check_range("max_batch_size", 1, MOST_INT32)
        self._check_range("queue_delay_us", 0, LONGEST_DELAY_US)
        self._check_range("instances", 1, MOST_INSTANCES)
        self._check_range("max_queue_size", 0, MOST_INT32)
        self._check_range("timeout_us", 0, LONGEST_TIMEOUT_US)
        self._check_range("trim_every", 0, MOST_INT32)
        for switch in ("dynamic_batching", "warmup"):
            if not isinstance(getattr(self, switch), bool):
                raise InvalidServing(switch, getattr(self, switch), "true or false")
        if self.device not in list(KINDS):  # a list, for values that have no hash
            raise InvalidServing("device", self.device, "cpu, gpu or auto")
        self._check_preferred()
        self._check_policy()
        self._check_queue()

    @classmethod
    def for_backend(cls, backend: Backend, *, batches: bool = True, **changes: Any) -> Self:
        """Return sensible settings for a model of a kind.

        Args:
            backend: the Triton backend that serves it.
            batches: whether rows of different requests may be answered together.
            changes: fields to set otherwise.

        Raises:
            InvalidServing: a change is none that can be, or needs batching where there is none.
        """
        # Measured on two cores, 0 against 500 µs. A logistic regression in Python: 0.75 against
        # 1.4 ms for a lone request, and 3,600 against 3,800 and 4,400 against 5,200 requests/s with
        # 8 and 32 at once: requests pile up behind a call by themselves. A forest in ONNX, whose
        # calls are too short for that: 0.5 against 1.1 ms, but 4,000 against 5,700/s with 32.
        delays: dict[Backend, int] = {"onnxruntime": 500, "python": 0}
        defaults: dict[str, Any] = {
            "queue_delay_us": delays[backend] if batches else 0,
            "dynamic_batching": batches,
        }
        return cls(**{**defaults, **changes})

    @classmethod
    def for_ensemble(cls, **changes: Any) -> Self:
        """Return sensible settings for an ensemble, whose steps have the queues and instances.

        Raises:
            InvalidServing: a change is none that can be.
        """
        return cls(**{"dynamic_batching": False, "queue_delay_us": 0, **changes})

    def apply(self, config: pb.ModelConfig) -> None:
        """Write the settings into a config that names its backend, in place of any it has."""
        # grpc takes a moment to import: not for `geulpi --help`.
        from tritonclient.grpc import model_config_pb2 as pb  # noqa: PLC0415

        config.max_batch_size = self.max_batch_size
        if config.platform != ENSEMBLE:
            del config.instance_group[:]
            # Left out, a server would start two instances for ONNX, each with all threads.
            config.instance_group.add(
                count=self.instances, kind=pb.ModelInstanceGroup.Kind.Value(KINDS[self.device])
            )
            config.ClearField("dynamic_batching")
        if self.dynamic_batching:
            config.dynamic_batching.CopyFrom(self._batching(pb.ModelDynamicBatching()))
        config.ClearField("version_policy")
        if self.version_policy == "all":
            config.version_policy.all.SetInParent()
        elif isinstance(self.version_policy, tuple):
            config.version_policy.specific.versions.extend(self.version_policy)
        elif self.version_policy != 1:  # Triton's own default, and its tools', stays unwritten
            config.version_policy.latest.num_versions = self.version_policy
        if config.backend == "python":
            config.parameters[TRIM].string_value = str(self.trim_every)

    @classmethod
    def read(cls, config: pb.ModelConfig) -> Self:
        """Return the settings of a config.

        Raises:
            InvalidServing: somebody wrote what these settings can't say.
        """
        if config.platform == ENSEMBLE:
            return cls.for_ensemble(
                max_batch_size=config.max_batch_size, version_policy=_policy_of(config)
            )
        groups = config.instance_group
        if len(groups) != 1:
            raise InvalidServing("instance_group", len(groups), "exactly one group")
        kinds = {kind: device for device, kind in KINDS.items()}
        kind = type(groups[0]).Kind.Name(groups[0].kind)
        batching = config.dynamic_batching
        queue = batching.default_queue_policy
        trim = config.parameters[TRIM].string_value if TRIM in config.parameters else ""
        if trim and not (trim.isascii() and trim.isdecimal()):
            raise InvalidServing(TRIM, trim, "a number of executions")
        return cls(
            max_batch_size=config.max_batch_size,
            dynamic_batching=config.HasField("dynamic_batching"),
            queue_delay_us=batching.max_queue_delay_microseconds,
            preferred_batch_sizes=tuple(batching.preferred_batch_size),
            instances=groups[0].count,
            device=kinds.get(kind, kind),
            warmup=bool(config.model_warmup),
            max_queue_size=queue.max_queue_size,
            timeout_us=queue.default_timeout_microseconds,
            version_policy=_policy_of(config),
            trim_every=int(trim) if trim else TRIM_EVERY,
        )

    def serves(self, versions: Sequence[int]) -> list[int]:
        """Return which of the versions in a folder are served."""
        if self.version_policy == "all":
            return sorted(versions)
        if isinstance(self.version_policy, tuple):
            return sorted(set(versions) & set(self.version_policy))
        return sorted(versions)[-self.version_policy :]

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them."""
        return dataclasses.asdict(self)

    def _batching(self, batching: pb.ModelDynamicBatching) -> pb.ModelDynamicBatching:
        batching.max_queue_delay_microseconds = self.queue_delay_us
        batching.preferred_batch_size.extend(self.preferred_batch_sizes)
        queue = batching.default_queue_policy
        if self.max_queue_size:
            queue.max_queue_size = self.max_queue_size
        if self.timeout_us:
            queue.timeout_action = queue.REJECT
            queue.default_timeout_microseconds = self.timeout_us
            queue.allow_timeout_override = True
        return batching

    def _check_range(self, field: str, least: int, most: int) -> None:
        value = getattr(self, field)
        if type(value) is not int or not least <= value <= most:
            raise InvalidServing(field, value, f"a whole number from {least} to {most}")

    def _check_preferred(self) -> None:
        sizes = self.preferred_batch_sizes
        expected = f"different sizes from 1 to max_batch_size ({self.max_batch_size})"
        if (
            not isinstance(sizes, tuple)
            or not all(type(size) is int and 1 <= size <= self.max_batch_size for size in sizes)
            or len(set(sizes)) < len(sizes)
        ):
            raise InvalidServing("preferred_batch_sizes", sizes, expected)

    def _check_policy(self) -> None:
        policy = self.version_policy
        numbers = policy if isinstance(policy, tuple) else (policy,)
        if policy == "all":
            return
        if not numbers or not all(type(n) is int and 1 <= n <= MOST_INT32 for n in numbers):
            expected = "how many of the newest versions, 'all', or a tuple of versions"
            raise InvalidServing("version_policy", policy, expected)
        if len(set(numbers)) < len(numbers):
            raise InvalidServing("version_policy", policy, "each version once")

    def _check_queue(self) -> None:
        if not self.dynamic_batching:
            why = "0: a model whose rows are not batched across requests has no queue to limit"
            for field in ("queue_delay_us", "max_queue_size", "timeout_us"):
                if getattr(self, field):
                    raise InvalidServing(field, getattr(self, field), why)
            if self.preferred_batch_sizes:
                raise InvalidServing("preferred_batch_sizes", self.preferred_batch_sizes, "none")
        if 0 < self.timeout_us <= self.queue_delay_us:
            raise InvalidServing(
                "timeout_us",
                self.timeout_us,
                f"more than queue_delay_us ({self.queue_delay_us}), or lone requests are refused",
            )


def _policy_of(config: pb.ModelConfig) -> VersionPolicy:
    policy = config.version_policy
    match policy.WhichOneof("policy_choice"):
        case "all":
            return "all"
        case "specific":
            return tuple(policy.specific.versions)
        case "latest":
            return int(policy.latest.num_versions) or 1  # 0 is Triton's word for its default
        case _:
            return 1
