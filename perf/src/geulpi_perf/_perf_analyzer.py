"""Finds Triton's perf_analyzer, or sets it up without root.

The newest package of it needs glibc 2.38. The binary inside the tritonclient 2.50.0 wheel runs on
older systems; two libraries that it links to come with the nvidia-pytriton wheel, under other
names.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import platformdirs

from geulpi_perf._errors import BenchFailed, ToolMissing

__all__ = ["SDK_CONTAINER", "PerfAnalyzer", "find_perf_analyzer"]

_REQUIREMENTS = Path(__file__).with_name("perf_analyzer.txt")
_LIBRARIES = {"libb64.so.0d": "libb64-*.so.0d", "libcudart.so.12": "libcudart-*.so.12.*"}
_STOP_S = 5
_VERSION = "2.50.0"
SDK_CONTAINER = (
    "docker run --rm --net=host nvcr.io/nvidia/tritonserver:26.09-py3-sdk "
    "perf_analyzer -m NAME -i grpc -u localhost:8001 --concurrency-range 1"
)
_REMEDY = (
    "put it on the PATH (pip install perf-analyzer, on glibc 2.38 or newer), or measure with "
    f"Triton's SDK container:\n  {SDK_CONTAINER}\n  (perf/README.md shows how bench uses it)"
)


@dataclass(frozen=True)
class PerfAnalyzer:
    """The program, its version ("unknown" if it does not tell) and its environment variables."""

    path: Path
    version: str
    environment: dict[str, str] = field(repr=False)

    def run(
        self, *arguments: str | Path, timeout_s: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end; if this is interrupted, so is the program, which then tidies up.

        Raises:
            BenchFailed: no end came in time: a server that hangs is waited for without one.
        """
        process = subprocess.Popen(
            [self.path, *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C must come once: at the second it leaves all as it is
        )
        with process:
            try:
                said, complained = process.communicate(timeout=timeout_s)
            except BaseException as error:
                process.send_signal(signal.SIGINT)
                try:
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(_STOP_S)
                finally:  # also at a second Ctrl-C
                    process.kill()
                if isinstance(error, subprocess.TimeoutExpired):
                    raise BenchFailed(
                        "with perf_analyzer",
                        f"no end within {timeout_s:.0f} s",
                        "see whether the server still answers (geulpi status)",
                    ) from error
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, said, complained)


def find_perf_analyzer() -> PerfAnalyzer:
    """Return the perf_analyzer on PATH, else the one in the cache, set up there if need be.

    Raises:
        ToolMissing: it is not here and could not be set up.
    """
    if found := shutil.which("perf_analyzer"):
        tool = PerfAnalyzer(Path(found), "unknown", dict(os.environ))
        told = re.search(r"Version (\d[\w.]*)", _try(tool))
        return replace(tool, version=told[1]) if told else tool
    folder = platformdirs.user_cache_path("geulpi") / f"perf_analyzer-{_VERSION}"
    program = folder / "bin" / "perf_analyzer"
    try:
        if not program.exists():
            _set_up(folder)
    except OSError as error:
        raise ToolMissing("perf_analyzer", str(error), _REMEDY) from error
    libraries = f"{folder / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}".rstrip(":")
    tool = PerfAnalyzer(program, _VERSION, os.environ | {"LD_LIBRARY_PATH": libraries})
    try:
        _try(tool)
    except ToolMissing:
        shutil.rmtree(folder)
        raise
    return tool


def _try(tool: PerfAnalyzer) -> str:
    try:
        tried = tool.run("--version")
    except OSError as error:
        raise ToolMissing("perf_analyzer", str(error), _REMEDY) from error
    if tried.returncode:
        raise ToolMissing("perf_analyzer", f"{tool.path}: {tried.stderr.strip()}", _REMEDY)
    return tried.stdout


def _set_up(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as stage:
        wheel, made = Path(stage, "wheel"), Path(stage, "made")
        _install(wheel)
        for part in ("bin", "lib"):
            (made / part).mkdir(parents=True)
        binary = made / "bin" / "perf_analyzer"
        (wheel / "bin" / "perf_analyzer").rename(binary)
        binary.chmod(0o755)
        _link_libraries(made / "lib")
        if not folder.exists():  # another process may have been faster
            made.rename(folder)


def _install(target: Path) -> None:
    options: list[str | Path] = [
        "install",
        "--quiet",
        "--target",
        target,
        "--no-deps",
        "--require-hashes",
    ]
    uv = Path(sys.prefix).parent / ".tools" / "uv" / "bin" / "uv"
    own = str(uv) if uv.exists() else shutil.which("uv")
    pip: list[str | Path] = [own, "pip"] if own else [sys.executable, "-m", "pip"]
    interpreter: list[str | Path] = ["--python", sys.executable] if own else []
    done = subprocess.run(
        [*pip, *options, *interpreter, "-r", _REQUIREMENTS],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ToolMissing("perf_analyzer", done.stderr.strip(), _REMEDY)


def _link_libraries(folder: Path) -> None:
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        return  # then the system must have them; --version will tell
    shipped = Path(spec.submodule_search_locations[0]).parent / "nvidia_pytriton.libs"
    for name, pattern in _LIBRARIES.items():
        for library in shipped.glob(pattern):
            (folder / name).symlink_to(library)


if __name__ == "__main__":
    try:
        print(find_perf_analyzer().path)
    except ToolMissing as error:
        sys.exit(f"perf_analyzer: {error}")
