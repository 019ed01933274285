"""Where things lie in a model repository."""

from __future__ import annotations

import re
from pathlib import Path

CONFIG = "config.pbtxt"
WARMUP = "warmup"
VERSION = re.compile(r"[1-9][0-9]*")


def versions_in(model: Path) -> list[int]:
    """Return the versions in a model's folder, the oldest first."""
    return sorted(int(p.name) for p in model.iterdir() if VERSION.fullmatch(p.name) and p.is_dir())
