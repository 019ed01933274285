"""Finds what the embedded Triton is made of, and says what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
import sysconfig
from ctypes import CDLL
from dataclasses import dataclass
from pathlib import Path

from geulpi_server._errors import UnsupportedEnvironment

OLDEST_GLIBC = (2, 35)


@dataclass(frozen=True)
class TritonFiles:
    """Where the parts of the `nvidia-pytriton` wheel lie."""

    binary: Path
    libraries: Path
    python_backend: Path
    stub: Path


def find_triton() -> TritonFiles:
    """Check machine and environment, and return where Triton's files are.

    Raises:
        UnsupportedEnvironment: naming what is wrong and the remedy.
    """
    _check_platform()
    check_numpy()
    _check_python_library()
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise UnsupportedEnvironment(
            "The package nvidia-pytriton, which brings the tritonserver binary, is not installed.",
            "install geulpi-server with its dependencies (make setup).",
        )
    package = Path(spec.submodule_search_locations[0])
    minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
    files = TritonFiles(
        binary=package / "tritonserver" / "bin" / "tritonserver",
        libraries=package.parent / "nvidia_pytriton.libs",
        python_backend=package / "tritonserver" / "backends" / "python",
        stub=package
        / "tritonserver"
        / "python_backend_stubs"
        / minor
        / "triton_python_backend_stub",
    )
    for part in (files.binary, files.libraries, files.python_backend):
        if not part.exists():
            raise UnsupportedEnvironment(
                f"nvidia-pytriton is installed, but {part} is not there.",
                "install nvidia-pytriton 0.7.0 anew.",
            )
    if not files.stub.exists():
        raise UnsupportedEnvironment(
            f"This Triton has no Python stub for Python {minor}.",
            "use an environment with Python 3.11 or 3.12.",
        )
    return files


def server_environment(files: TritonFiles) -> dict[str, str]:
    """Return the environment variables for the tritonserver process."""
    environment = dict(os.environ)
    # The stub ignores PYTHONPATH and finds its environment by the first `python3` on PATH.
    environment["PATH"] = f"{sysconfig.get_path('scripts')}:{environment.get('PATH', '')}"
    folders = [str(files.libraries), str(sysconfig.get_config_var("LIBDIR"))]
    if earlier := environment.get("LD_LIBRARY_PATH"):
        folders.append(earlier)
    environment["LD_LIBRARY_PATH"] = ":".join(folders)
    environment["ORT_DISABLE_TELEMETRY"] = "1"
    # Triton's own threads and instances do the parallel work; nested pools only fight for cores.
    for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        environment.setdefault(pool, "1")
    return environment


def check_numpy() -> None:
    """Refuse numpy 2: with it this Triton reads tensors wrong without saying so.

    Raises:
        UnsupportedEnvironment: where numpy is missing or is not 1.x.
    """
    try:
        version = importlib.metadata.version("numpy")
    except importlib.metadata.PackageNotFoundError:
        version = "none"
    if version.split(".")[0] != "1":
        raise UnsupportedEnvironment(
            f"The server's environment has numpy {version}; the Python backend of Triton 2.51 "
            "reads and writes wrong tensors with numpy 2, without an error.",
            f"install numpy 1.26 into {sys.prefix}: uv pip install 'numpy<2' "
            "(in a checkout: make clean setup).",
        )


def _check_platform() -> None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise UnsupportedEnvironment(
            f"The embedded Triton runs on Linux x86-64; this is {sys.platform} "
            f"{platform.machine()}.",
            "use the container: docker compose up.",
        )
    libc, version = platform.libc_ver()
    if libc != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < OLDEST_GLIBC:
        raise UnsupportedEnvironment(
            f"The embedded Triton needs glibc 2.35 or newer; this system has {libc or 'no glibc'} "
            f"{version}.",
            "use a newer distribution (Debian 12, Ubuntu 22.04) or the container.",
        )


def _check_python_library() -> None:
    name = f"libpython{sys.version_info[0]}.{sys.version_info[1]}.so.1.0"
    path = Path(str(sysconfig.get_config_var("LIBDIR"))) / name
    try:
        CDLL(str(path) if path.exists() else name)
    except OSError as error:
        raise UnsupportedEnvironment(
            f"Triton's Python stub needs {name}, which is not on this machine.",
            f"e.g. `apt install {name.partition('.so')[0]}`, or a Python built with "
            "--enable-shared.",
        ) from error
