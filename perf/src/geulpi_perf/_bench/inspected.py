"""What a running server says of a model: its configuration and its statistics."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from geulpi_perf._bench.targets import Target
from geulpi_perf._errors import BenchFailed

__all__ = ["Counts", "Inspected", "remedy", "since"]

TIMEOUT_S = 10
NOT_TRITON = "this port is not Triton's"
_COMPUTE = ("compute_input", "compute_infer", "compute_output")
_EXPECTED = {"config": {"name"}, "stats": {"model_stats"}, "server": {"version"}}
_NO_PROXY = build_opener(ProxyHandler({}))  # perf_analyzer goes to the server itself, so do we
_START = "start the server (geulpi serve), or name its address with --url"
# The first whose words are in an error; those of perf_analyzer and Triton, where they are not ours.
_REMEDIES = (
    (("restricted",),
     "give the server's control key by --control-key (`geulpi serve` prints it)"),
    ((NOT_TRITON, "Failed parsing HTTP/2", "http1.x", "Socket closed", "closed connection without"),
     ("name the port of --protocol by --url (usually 8001 is gRPC's and 8000 HTTP's), or start "
      "the server (geulpi serve)")),
    (("unknown model", "is not found"), "name a model that is served (geulpi status lists them)"),
    (("batch-size must be",), "ask for fewer rows in each request with --rows"),
    (("shared memory",),
     "shared memory needs a server on this machine that shares its /dev/shm; leave it out"),
    (("connect",), _START),
    (("had error", "ailed to"), "give rows that the model accepts with --input-data FILE"),
)  # fmt: skip


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

    def server_version(self) -> str:
        """Return the version of Triton."""
        return str(self._ask("server", self.model).get("version", "unknown"))

    def _leaves(self, config: Mapping[str, Any]) -> Iterator[str]:
        steps = config.get("ensemble_scheduling", {}).get("step", [])
        if not steps:
            yield str(config["name"])
        for step in steps:
            yield from self._leaves(self._ask("config", step["model_name"]))

    def _ask(self, what: str, model: str) -> dict[str, Any]:
        ask = self._ask_grpc if self.target.protocol == "grpc" else self._ask_http
        try:
            said = ask(what, model)
        except OSError as error:
            raise self._failed(str(getattr(error, "reason", error))) from error
        except (ValueError, HTTPException) as error:  # no JSON, or no HTTP: gRPC's port, Redis's
            raise self._failed(f"{NOT_TRITON} ({type(error).__name__})") from error
        if not isinstance(said, dict) or not _EXPECTED[what] <= set(said):
            raise self._failed(f"{NOT_TRITON}: it answered {json.dumps(said)[:200]}")
        return said

    def _ask_http(self, what: str, model: str) -> Any:
        path = "v2" if what == "server" else f"v2/models/{quote(model, safe='')}/{what}"
        request = Request(f"http://{self.target.url}/{path}", headers=self.target.headers)
        try:
            with _NO_PROXY.open(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except HTTPError as error:
            try:
                said = str(json.load(error)["error"])
            except (ValueError, LookupError, TypeError):
                said = f"{NOT_TRITON}: it answered {error.code} {error.reason}"
            raise self._failed(said) from error

    def _ask_grpc(self, what: str, model: str) -> Any:
        options = {"headers": self.target.headers, "as_json": True, "client_timeout": TIMEOUT_S}
        try:
            with InferenceServerClient(self.target.url) as client:
                if what == "server":
                    return client.get_server_metadata(**options)
                if what == "stats":
                    return client.get_inference_statistics(model, **options)
                return client.get_model_config(model, **options)["config"]
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
    return next((do for signs, do in _REMEDIES if any(sign in said for sign in signs)), _START)


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
