"""Servers of the tuner's own, on copies of the model and, for an ensemble, of its steps."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from geulpi_server import EmbeddedTriton, ServerError
from google.protobuf import text_format
from tritonclient.grpc import InferenceServerClient

from geulpi_perf._errors import BenchFailed, ToolMissing, UntunableModel
from geulpi_perf._perf_analyzer import PerfAnalyzer, find_perf_analyzer
from geulpi_perf._tune_load import (
    Load,
    Measured,
    asyncio_load,
    perf_analyzer_load,
    read_sample,
)
from geulpi_perf._tune_text import parsed, rewritten

__all__ = ["CONFIG", "TuningServers", "read_configs", "read_text"]

log = logging.getLogger(__name__)

CONFIG = "config.pbtxt"
SERVERS = 4  # that are up at a time


class TuningServers:
    """Serves one model with any settings, and measures it.

    Each set of settings has a server of its own, and the last few stay up: idle they cost next to
    nothing, and what is measured in alternation is not started anew each time. No model is reloaded
    within a server, so nothing of one set of settings is left when another is measured.

    Args:
        repository: where the model is copied from; nothing is written there.
        name: the model.
        configs: the texts of its config and of those of its steps, by model.
        with_perf_analyzer: whether that makes the load, if it is to be had.
    """

    def __init__(
        self, repository: Path, name: str, configs: Mapping[str, str], *, with_perf_analyzer: bool
    ) -> None:
        self.name = name
        self.triton_version = ""
        self._repository, self._texts = repository, dict(configs)
        self._config = parsed(configs[name])
        self._sample = read_sample(repository / name, self._config)
        self._tool = _perf_analyzer() if with_perf_analyzer else None
        self._up: OrderedDict[tuple[str, ...], _Server] = OrderedDict()
        self._refused: set[tuple[str, ...]] = set()
        self._started = 0

    @property
    def load_by(self) -> str:
        """What makes the load."""
        return "perf_analyzer" if self._tool else "asyncio"

    def __enter__(self) -> Self:
        """Copy the models, and serve them as they are; if that fails, its reason is raised."""
        with ExitStack() as stack:
            folder = tempfile.TemporaryDirectory(prefix="geulpi-tune-")
            self._folder = Path(stack.enter_context(folder))
            for model in self._texts:
                shutil.copytree(self._repository / model, self._folder / "models" / model)
            stack.callback(self._stop_all)
            self._server(self._texts)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the servers and remove the copies."""
        self._stack.close()

    def measure(
        self, configs: Mapping[str, Any], concurrency: int, seconds: float
    ) -> Measured | None:
        """Serve with these configs and measure; None if that fails, as with unusable settings."""
        texts = self._with(configs)
        key = tuple(texts.values())
        if key in self._refused:
            return None
        try:
            return self._server(texts).load(concurrency, seconds)
        except (BenchFailed, ServerError) as error:
            log.info("settings that can't be used: %s", error)
            self._refused.add(key)
            return None

    def _with(self, configs: Mapping[str, Any]) -> dict[str, str]:
        return {
            model: rewritten(text, configs[model]) if model in configs else text
            for model, text in self._texts.items()
        }

    def _server(self, texts: Mapping[str, str]) -> _Server:
        key = tuple(texts.values())
        if key in self._up:
            self._up.move_to_end(key)
            if self._up[key].triton.alive:
                return self._up[key]
            self._up.pop(key).triton.stop()
        while len(self._up) >= SERVERS:
            _, oldest = self._up.popitem(last=False)
            oldest.triton.stop()
        self._up[key] = self._start(texts)
        return self._up[key]

    def _start(self, texts: Mapping[str, str]) -> _Server:
        self._started += 1
        repository = self._folder / str(self._started)
        # Links, so that large artefacts are in memory once.
        shutil.copytree(self._folder / "models", repository, copy_function=os.link)
        for model, text in texts.items():
            path = repository / model / CONFIG
            path.unlink()
            path.write_text(text, encoding="utf-8")
        triton = EmbeddedTriton(repository, log_file=self._folder / f"{self._started}.log")
        triton.start()
        try:
            return _Server(triton, self._loaded(triton))
        except BaseException:
            triton.stop()
            raise

    def _loaded(self, triton: EmbeddedTriton) -> Load:
        """Return the load for a server, after a few requests that warm it up."""
        batches = self._config.max_batch_size > 0
        few = asyncio_load(triton.grpc_url, self.name, self._sample, batches=batches)
        alone = few(1, 0.0)
        if not self.triton_version:
            with InferenceServerClient(triton.grpc_url) as client:
                self.triton_version = str(client.get_server_metadata().version)
        if self._tool is None:
            return few
        return perf_analyzer_load(
            self._tool, triton.grpc_url, self.name, self._sample,
            header=triton.control_header, slowest_s=alone.p50_ms / 1000,
        )  # fmt: skip

    def _stop_all(self) -> None:
        while self._up:
            self._up.popitem()[1].triton.stop()


@dataclass(frozen=True)
class _Server:
    triton: EmbeddedTriton
    load: Load


def _perf_analyzer() -> PerfAnalyzer | None:
    try:
        return find_perf_analyzer()
    except ToolMissing as error:
        log.warning("asyncio makes the load instead: %s", error)
        return None


def read_configs(repository: Path, name: str) -> dict[str, str]:
    """Return the texts of a model's config and, for an ensemble, of those of all its steps.

    Raises:
        UntunableModel: one of them is not there or is no config.
    """
    texts: dict[str, str] = {}
    left = [name]
    while left:
        model = left.pop()
        if model not in texts:
            texts[model] = read_text(repository, model)
            try:
                config = parsed(texts[model])
            except text_format.ParseError as error:
                raise UntunableModel(
                    model, f"its config can't be read: {error}", "mend its config.pbtxt"
                ) from error
            left += [step.model_name for step in config.ensemble_scheduling.step]
    return texts


def read_text(repository: Path, model: str) -> str:
    """Return a config as it stands.

    Raises:
        UntunableModel: it is not there.
    """
    path = repository / model / CONFIG
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        here = ", ".join(sorted(entry.parent.name for entry in repository.glob(f"*/{CONFIG}")))
        raise UntunableModel(
            model,
            f"'{path}' can't be read",
            f"name a model of the repository ({here or 'it holds none'}), or another repository "
            "with --model-repository",
        ) from error
