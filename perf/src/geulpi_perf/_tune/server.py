"""A server of the tuner's own, on copies of the models, that loads them with any settings."""

from __future__ import annotations

import difflib
import itertools
import logging
import os
import shutil
import tempfile
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from geulpi_server import EmbeddedTriton, ModelsNotReady
from google.protobuf import text_format
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from geulpi_perf._bench.rows import input_data, shaped
from geulpi_perf._errors import BenchFailed, UntunableModel
from geulpi_perf._perf_analyzer import find_perf_analyzer
from geulpi_perf._tune.answers import Answers, ask, sample_rows
from geulpi_perf._tune.load import Load, Measured
from geulpi_perf._tune.text import parsed, rewritten

__all__ = ["CONFIG", "TuningServer", "read_configs", "read_text"]

log = logging.getLogger(__name__)

CONFIG = "config.pbtxt"
KEPT = 4  # sets of settings that are loaded at a time

Configs = Mapping[str, Any]


@dataclass(frozen=True)
class _Loaded:
    """One set of settings that is served.

    Attributes:
        name: under which the model is served with it.
        names: of all copies that it needs, the model's own among them.
        alone_s: what a lone request takes.
    """

    name: str
    names: frozenset[str]
    alone_s: float


class TuningServer:
    """Serves one model with any settings, and measures it.

    There is one server, with explicit model control. Each set of settings is loaded as a copy under
    a name of its own, and the last few stay: idle they cost next to nothing, what is measured in
    alternation is not loaded anew each time, and no process or memory of one set is another's. To
    load a model anew in its place would mean that at each change. The whole repository is served,
    for code of a model may ask other models of the server.

    Args:
        repository: where the models are; nothing is written there.
        name: the model.
        configs: the texts of its config and of those of its steps, by model.
    """

    def __init__(self, repository: Path, name: str, configs: Mapping[str, str]) -> None:
        self.name = name
        self._repository, self._texts = repository.absolute(), dict(configs)
        self._config = parsed(configs[name])
        self._rows = _sample(repository / name, name, self._config)
        self._own = {model: parsed(text) for model, text in configs.items()}
        self._up: OrderedDict[tuple[bytes, ...], _Loaded] = OrderedDict()
        self._copies: dict[tuple[str, bytes], str] = {}
        self._refused: set[tuple[bytes, ...]] = set()
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        """Start the server with the models as they are.

        Raises:
            ToolMissing: perf_analyzer is not to be had.
            ServerError: the models can't be served as they are.
        """
        tool = find_perf_analyzer()
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="geulpi-tune-")))
            self._models = folder / "models"
            for path in self._repository.glob(f"[!.]*/{CONFIG}"):
                self._link(path.parent.name, path.parent.name)
            self.triton = self._started(folder / "triton.log")
            stack.callback(self.triton.stop)
            self._client = stack.enter_context(InferenceServerClient(self.triton.grpc_url))
            header = self.triton.control_header
            self._headers = {f"triton-grpc-protocol-{header[0]}": header[1]}
            self._load = Load(tool, self.triton.grpc_url, header, self._rows)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the server and remove the copies."""
        self._stack.close()

    def measure(self, configs: Configs, concurrency: int, seconds: float) -> Measured | None:
        """Serve with these configs and measure; None if that fails, as with unusable settings."""
        key = _key(configs)
        if key in self._refused:
            return None
        try:
            loaded = self._loaded(configs)
            return self._load.measured(loaded.name, concurrency, seconds, loaded.alone_s)
        except (BenchFailed, InferenceServerException) as error:
            self.triton.raise_if_dead()
            log.info("settings that can't be used: %s", error)
            self._refused.add(key)
            return None

    def answers(self, configs: Configs, most: int) -> Answers:
        """Return what is answered to the sample with these configs, `most` rows in a batch."""
        name = self._loaded(configs).name
        rows = sample_rows(self._repository / self.name, self._config, self._rows)
        return ask(self._client, name, self._config, rows, most)

    def _started(self, log_file: Path) -> EmbeddedTriton:
        triton = EmbeddedTriton(self._models, log_file=log_file)
        try:
            triton.start()
        except ModelsNotReady as error:
            if error.reasons.keys() & self._texts.keys():
                raise
            for model in error.reasons:  # others' faults are not ours
                shutil.rmtree(self._models / model)
            triton.start()
        return triton

    def _loaded(self, configs: Configs) -> _Loaded:
        key = _key(configs)
        if key not in self._up:
            while len(self._up) >= KEPT:
                self._up.popitem(last=False)
            self._unload_others(frozenset().union(*(one.names for one in self._up.values())))
            names: dict[str, str] = {}
            name = self._name(self.name, {**self._own, **configs}, names)
            self._up[key] = _Loaded(name, frozenset(names.values()), self._alone_s(name))
        self._up.move_to_end(key)
        return self._up[key]

    def _name(self, model: str, configs: Configs, names: dict[str, str]) -> str:
        """Return under which name a model with its config is served, which it is afterwards."""
        if model in names:
            return names[model]
        config = type(configs[model])()
        config.CopyFrom(configs[model])
        for step in config.ensemble_scheduling.step:
            step.model_name = self._name(step.model_name, configs, names)
        names[model] = model
        if config != self._own[model]:
            key = model, config.SerializeToString(deterministic=True)
            if key not in self._copies:
                self._copies[key] = self._copied(model, config)
            names[model] = self._copies[key]
        return names[model]

    def _copied(self, model: str, config: Any) -> str:
        config = parsed(rewritten(self._texts[model], config))
        config.name = f"{model}-{next(self._numbers)}"
        folder = self._link(model, config.name)
        (folder / CONFIG).unlink()
        (folder / CONFIG).write_text(str(config), encoding="utf-8")
        try:
            self._client.load_model(config.name, headers=self._headers)
        except InferenceServerException:
            self._unload(config.name)
            raise
        return str(config.name)

    def _unload_others(self, needed: frozenset[str]) -> None:
        for key, name in list(self._copies.items()):
            if name not in needed:
                del self._copies[key]
                self._unload(name)

    def _unload(self, name: str) -> None:
        self._client.unload_model(name, headers=self._headers)
        shutil.rmtree(self._models / name)

    def _link(self, model: str, name: str) -> Path:
        """Copy an entry's folders, and link to its files: artefacts are in memory once."""
        return Path(
            shutil.copytree(self._repository / model, self._models / name, copy_function=os.symlink)
        )

    def _alone_s(self, name: str) -> float:
        one = {n: v[:1] for n, v in sample_rows(
            self._repository / self.name, self._config, self._rows).items()}  # fmt: skip
        for _ in range(2):  # the first is slower
            begin = time.perf_counter()
            ask(self._client, name, self._config, one, min(1, self._config.max_batch_size))
            took = time.perf_counter() - begin
        return took / 2  # alone, and in a batch of one


def _key(configs: Configs) -> tuple[bytes, ...]:
    return tuple(config.SerializeToString(deterministic=True) for config in configs.values())


def _sample(entry: Path, name: str, config: Any) -> dict[str, Any]:
    """Return the row that an entry brings, as perf_analyzer reads it."""
    try:
        given = input_data(entry)
    except OSError as error:
        why = f"its sample can't be read: {error}"
        raise UntunableModel(name, why, "publish it again") from error
    inputs = [{"name": one.name, "dims": list(one.dims)} for one in config.input]
    rows = shaped(given, inputs) if given else None
    if rows is None:
        raise UntunableModel(
            name, "it has no sample", "publish it with a sample, which geulpi convert writes"
        )
    return rows


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
    except (OSError, UnicodeDecodeError) as error:
        there = sorted(entry.parent.name for entry in repository.glob(f"*/{CONFIG}"))
        near = difflib.get_close_matches(model, there, n=3) or there
        raise UntunableModel(
            model,
            f"'{path}' can't be read",
            f"name a model of the repository ({', '.join(near) or 'it holds none'}), or another "
            "repository with --model-repository",
        ) from error
