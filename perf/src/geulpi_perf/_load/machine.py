"""The machine and the versions that figures belong to."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("tritonclient", "nvidia-pytriton", "onnxruntime", "numpy", "redis", "uvloop")


def machine() -> str:
    """Return processor, cores, system and versions in one line."""
    found = [f"{_processor()}, {os.cpu_count()} cores", platform.platform(terse=True)]
    found.append(f"Python {platform.python_version()}")
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return name[1] if name else platform.machine()
