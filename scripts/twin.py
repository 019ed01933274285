"""Write the client's threaded twin: `client/…/_sync` is `_async` without its awaits.

python scripts/twin.py           # write it
python scripts/twin.py --check   # end with 1 if it is not what would be written
"""

from __future__ import annotations

import argparse
import filecmp
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import unasync  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "client/src/geulpi_client"
NAMES = {
    "_async": "_sync",
    "_twins_async": "_twins_threads",
    "aclose": "close",
    "aiter_bytes": "iter_bytes",
    "close_async": "close",
    "connect_async": "connect",
    "mget_async": "mget",
    "open_async_channel": "open_channel",
    "open_async_store": "open_store",
    "open_async_transport": "open_transport",
    "pipelined_async": "pipelined",
}


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        written = _written(Path(folder))
        if check:
            different = filecmp.dircmp(written, PACKAGE / "_sync", ignore=["__pycache__"])
            _, changed, _ = filecmp.cmpfiles(
                written, PACKAGE / "_sync", different.common_files, shallow=False
            )
            stale = [*changed, *different.diff_files, *different.left_only, *different.right_only]
            if stale:
                sys.stderr.write(
                    f"_sync is not _async's twin: {sorted(set(stale))}; run: make fmt\n"
                )
            return 1 if stale else 0
        shutil.rmtree(PACKAGE / "_sync", ignore_errors=True)
        shutil.copytree(written, PACKAGE / "_sync")
    return 0


def _written(folder: Path) -> Path:
    sources = sorted((PACKAGE / "_async").glob("*.py"))
    names = set(re.findall(r"\bAsync[A-Z]\w*", "".join(path.read_text() for path in sources)))
    rule = unasync.Rule(
        "/_async/", "/_sync/", NAMES | {name: name.removeprefix("Async") for name in names}
    )
    (folder / "_async").mkdir()
    copies = [str(shutil.copy(path, folder / "_async")) for path in sources]
    unasync.unasync_files(copies, [rule])
    written = folder / "_sync"
    for path in written.glob("*.py"):
        sorted_ = _ruff("check", "--fix", "--exit-zero", "--select=I", path=path)
        path.write_text(sorted_)
        path.write_text(_ruff("format", path=path))
    return written


def _ruff(*command: str, path: Path) -> str:
    """Return what ruff makes of a file, as if it were in its place already."""
    place = str(PACKAGE / "_sync" / path.name)
    run = [sys.executable, "-m", "ruff", *command, "--quiet", "--stdin-filename", place, "-"]
    with path.open() as source:
        done = subprocess.run(run, stdin=source, capture_output=True, check=True, text=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
