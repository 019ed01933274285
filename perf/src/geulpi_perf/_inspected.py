"""What a running server says of a model: its configuration and its statistics."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from geulpi_perf._errors import BenchFailed

__all__ = ["Counts", "Inspected", "Target", "remedy", "since"]

TIMEOUT_S = 10
_COMPUTE = ("compute_input", "compute_infer", "compute_output")


@dataclass(frozen=True)
class Target:
    """The server to measure, and how rows travel to it.

    Attributes:
        protocol: "grpc" or "http".
        url: `host:port` of that protocol.
        control_header: what opens the model-config API, which perf_analyzer reads, and that of
            shared memory.
        body: "binary", or with HTTP "json".
        shared_memory: "none" or "system".
    """

    protocol: str
    url: str
    control_header: tuple[str, str] | None
    body: str = "binary"
    shared_memory: str = "none"

    @property
    def way(self) -> str:
        """How rows travel, in a word or two."""
        shared = " shm" if self.shared_memory != "none" else ""
        return f"{self.protocol}{' json' if self.body == 'json' else ''}{shared}"

    @property
    def headers(self) -> dict[str, str]:
        """What goes with each question about the model."""
        if self.control_header is None:
            return {}
        name, value = self.control_header
        return {f"{'triton-grpc-protocol-' if self.protocol == 'grpc' else ''}{name}": value}


@dataclass(frozen=True)
class Counts:
    """What one model of a server did, since it was loaded or since other counts."""

    requests: int
    rows: int
    executions: int
    queue_us: float
    compute_us: float
    batches: Mapping[int, int]

    @property
    def rows_per_execution(self) -> float:
        """The mean batch that the model was executed with."""
        return self.rows / self.executions if self.executions else float("nan")


class Inspected:
    """A model as its server describes it.

    Raises:
        BenchFailed: there is no such server, or it has no such model.
    """

    def __init__(self, target: Target, model: str) -> None:
        self.target, self.model = target, model
        self.config = self._ask("config", model)
        self.leaves = sorted(set(self._leaves(self.config)))

    @property
    def ensemble(self) -> bool:
        """Whether other models do the work."""
        return self.leaves != [self.model]

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """Name, data type and dimensions (without the batch's) of each input."""
        return list(self.config.get("input", []))

    def counts(self) -> dict[str, Counts]:
        """Return what the model's executed parts did until now: itself, or an ensemble's steps."""
        return {leaf: _counted(self._ask("stats", leaf)) for leaf in self.leaves}

    def _leaves(self, config: Mapping[str, Any]) -> Iterator[str]:
        steps = config.get("ensemble_scheduling", {}).get("step", [])
        if not steps:
            yield str(config["name"])
        for step in steps:
            yield from self._leaves(self._ask("config", step["model_name"]))

    def _ask(self, what: str, model: str) -> dict[str, Any]:
        try:
            return self._ask_grpc(what, model) if self.target.protocol == "grpc" else (
                self._ask_http(what, model)
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise self._failed(str(error)) from error

    def _ask_http(self, what: str, model: str) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://{self.target.url}/v2/models/{model}/{what}", headers=self.target.headers
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                said: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            raise self._failed(error.read().decode(errors="replace")) from error
        return said

    def _ask_grpc(self, what: str, model: str) -> dict[str, Any]:
        try:
            with InferenceServerClient(self.target.url) as client:
                options = {
                    "headers": self.target.headers, "as_json": True, "client_timeout": TIMEOUT_S,
                }  # fmt: skip
                if what == "stats":
                    said: dict[str, Any] = client.get_inference_statistics(model, **options)
                    return said
                config: dict[str, Any] = client.get_model_config(model, **options)["config"]
                return config
        except InferenceServerException as error:
            raise self._failed(str(error.message())) from error

    def _failed(self, said: str) -> BenchFailed:
        return BenchFailed(f"'{self.model}' at {self.target.url}", said, remedy(said))


def since(before: Mapping[str, Counts], after: Mapping[str, Counts]) -> dict[str, Counts]:
    """Return what was done between two countings."""
    return {
        name: Counts(
            requests=now.requests - then.requests,
            rows=now.rows - then.rows,
            executions=now.executions - then.executions,
            queue_us=now.queue_us - then.queue_us,
            compute_us=now.compute_us - then.compute_us,
            batches={
                size: times
                for size, total in now.batches.items()
                if (times := total - then.batches.get(size, 0))
            },
        )
        for name, now in after.items()
        for then in [before[name]]
    }


def remedy(said: str) -> str:
    """Return what to do about a failure."""
    if "restricted" in said:
        return "give the server's control key by --control-key (`geulpi serve` prints it)"
    if "unknown model" in said or "not found" in said:
        return "name a model that is served (geulpi status lists them)"
    if "shared memory" in said:
        return "shared memory needs a server on this machine that shares its /dev/shm; leave it out"
    if "had error" in said or ("ailed to" in said and "connect" not in said):
        return "give rows that the model accepts with --input-data FILE"
    return "start the server (geulpi serve), or name its address with --url"


def _counted(said: Mapping[str, Any]) -> Counts:
    versions = said["model_stats"]

    def number(version: Mapping[str, Any], name: str) -> int:
        return int(version.get(name, 0))  # protobuf's JSON leaves out zeros and quotes 64 bits

    def microseconds(*steps: str) -> float:
        return sum(
            int(version.get("inference_stats", {}).get(step, {}).get("ns", 0)) / 1000
            for version in versions
            for step in steps
        )

    batches: dict[int, int] = {}
    for version in versions:
        for batch in version.get("batch_stats", []):
            size = number(batch, "batch_size")
            times = int(batch.get("compute_infer", {}).get("count", 0))
            batches[size] = batches.get(size, 0) + times
    return Counts(
        requests=sum(
            int(version.get("inference_stats", {}).get("success", {}).get("count", 0))
            for version in versions
        ),
        rows=sum(number(version, "inference_count") for version in versions),
        executions=sum(number(version, "execution_count") for version in versions),
        queue_us=microseconds("queue"),
        compute_us=microseconds(*_COMPUTE),
        batches=batches,
    )
