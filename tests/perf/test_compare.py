"""The forest behind Triton and behind its peers, and what is said of it."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import pytest
import typer
from geulpi_perf._compare.cli import compare as command
from geulpi_perf._compare.measure import Comparison, Measured, chosen, compare
from geulpi_perf._compare.report import made_by, plot, table, write
from geulpi_perf._errors import BenchFailed, ToolMissing, UnusableOption
from geulpi_perf._peers import PEERS, Peer, environment, running
from geulpi_perf._processes import ROOT
from geulpi_perf._wrk import Load, find_wrk, read_wrk
from matplotlib.patches import Rectangle
from rich.console import Console
from typer.testing import CliRunner

OURS = [Load(12_000, 8, 12, 0), Load(9_000, 9, 14, 0), Load(10_000, 8, 13, 0)]
THEIRS = [Load(1_000, 90, 200, 3), Load(900, 95, 210, 0), Load(500, 99, 220, 0)]
FOUND = Comparison(
    [
        Measured("triton", "Triton", "nvidia-pytriton", "0.7.0", OURS, [1.0, 1.0, 1.0]),
        Measured("other", "Other & Co", "other", "1.2.3", THEIRS, [12.0, 10.0, 20.0]),
    ],
    {"absent": "not to be had"},
    5,
)
ON_PATH = os.get_exec_path()
UV = ROOT / ".tools" / "uv" / "bin" / "uv"


def _peer(script: str) -> Peer:
    """Return a peer that is a script of this Python, in place of a program of its environment."""
    return replace(
        PEERS[0],
        name="litserve",
        title="A script",
        command=lambda _programs, port: [sys.executable, "-c", script, str(port)],
    )


# Answers every question with the same probabilities.
CHILD = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def do_POST(self):
        body = json.dumps({"probabilities": [0.5, 0.5]}).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body)))
        self.end_headers(); self.wfile.write(body)
    def log_message(self, *_):
        pass
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_medians_and_ranges_are_shown() -> None:
    """The ratio is that of the rounds, not of the medians; errors are summed."""
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table(FOUND))
    shown = console.export_text()
    assert "12.0 (10.0 to 20.0)" in shown
    assert re.search(r"Other & Co\s+│ 900\s+│ 95.0\s+│ 210.0\s+│ 3 ", shown)


def test_the_table_fits_a_terminal_of_80_columns() -> None:
    """The longest title wraps, and nothing is cut off."""
    longest = max((peer.title for peer in PEERS), key=len)
    servers = [replace(server, title=longest) for server in FOUND.servers]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table(replace(FOUND, servers=servers)))
    shown = console.export_text()
    assert all(word in shown for word in longest.split())
    assert "12.0 (10.0 to 20.0)" in shown
    assert "…" not in shown


def test_the_plot_has_a_bar_for_each_server() -> None:
    """As long as the median rates, in order."""
    (axes,) = plot(FOUND).axes
    ours, theirs = (bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle))
    assert ours / theirs == pytest.approx(10_000 / 900)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Triton", "Other & Co"]


def test_files_hold_every_round_and_where_they_come_from(tmp_path: Path) -> None:
    """JSON, CSV, a page and a picture, with the servers' versions and what was skipped."""
    paths = write(tmp_path, FOUND, made_by(FOUND))
    assert [path.name for path in paths] == [
        "compare.json", "compare.csv", "compare.html", "compare.png",
    ]  # fmt: skip
    held = json.loads(paths[0].read_text())
    assert held["versions"]["other"] == "1.2.3"
    assert held["machine"]
    assert held["servers"][1]["rounds"][2]["requests_per_s"] == 500
    with paths[1].open() as file:
        rows = list(csv.DictReader(file))
    assert [row["requests_per_s"] for row in rows[3:]] == ["1000", "900", "500"]
    page = paths[2].read_text()
    assert "Other &amp; Co" in page
    assert "other 1.2.3" in page
    assert "absent was skipped: not to be had" in page
    assert paths[3].read_bytes().startswith(b"\x89PNG")


def test_refusals_are_no_answers() -> None:
    """Wrk counts them as requests done: a server that refuses half answers half."""
    report = (
        "     50%    8.00ms\n     99%   12.00ms\n  1000 requests in 2.00s, 1MB read\n"
        "  Socket errors: connect 0, read 1, write 0, timeout 2\n"
        "  Non-2xx or 3xx responses: 500\nRequests/sec:    500.00\n"
    )
    assert read_wrk(report) == Load(250.0, 8.0, 12.0, 503)


def test_peers_are_chosen_by_name() -> None:
    """All for none; another name is refused with those that there are."""
    assert chosen([]) == list(PEERS)
    assert [peer.name for peer in chosen(["litserve"])] == ["litserve"]
    with pytest.raises(UnusableOption, match="bentoml"):
        chosen(["torchserve"])
    assert [peer.name for peer in chosen(["litserve", "litserve"])] == ["litserve"]
    with pytest.raises(UnusableOption, match="--rounds 0"):
        compare([], rounds=0, seconds=1)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_is_pinned_by_hashes_and_says_whose_advice_it_follows(peer: Peer) -> None:
    """What runs, what it needs, and a link to the recommendation are in the repository."""
    pins = (peer.folder / "requirements.txt").read_text()
    requirements = re.findall(r"^[a-z].*$", pins, re.MULTILINE)
    assert all(re.match(r"\S+==\S+", line) for line in requirements)
    assert pins.count("--hash=sha256:") >= len(requirements)
    assert "scikit-learn==1.9.1" in pins
    assert re.fullmatch(r"\d+(\.\d+)+", peer.version)
    assert "https://" in (peer.folder / "README.md").read_text()


# A server that has a server of its own, in a session of its own, and waits for it.
PARENT = (
    "import subprocess, sys\n"
    f"sys.exit(subprocess.call([sys.executable, '-c', {CHILD!r}, sys.argv[1]],"
    " start_new_session=True))"
)


def test_a_peer_is_gone_with_all_that_it_started(tmp_path: Path) -> None:
    """Its children, too, once it is left; a child that nobody ends would spoil the next round."""
    with running(_peer(PARENT), tmp_path, tmp_path) as url:
        urllib.request.urlopen(url, timeout=5).close()
    with pytest.raises(URLError):
        urllib.request.urlopen(url, timeout=5)


def test_a_peer_does_not_outlive_a_killed_measurement(tmp_path: Path) -> None:
    """Even where nothing could be cleaned up."""
    script = (
        "import sys, time\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from geulpi_perf._peers import PEERS, running\n"
        f"peer = replace(PEERS[0], name='litserve', command=lambda _, port: "
        f"[sys.executable, '-c', {PARENT!r}, str(port)])\n"
        f"with running(peer, Path({str(tmp_path)!r}), Path()) as url:\n"
        "    print(url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as owner:  # fmt: skip
        assert owner.stdout is not None
        port = int(owner.stdout.readline().rpartition(":")[2])
        owner.kill()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return
        time.sleep(0.1)
    pytest.fail("the peer still listens")


def test_a_peer_that_ends_says_why(tmp_path: Path) -> None:
    """With the end of what it printed."""
    with (
        pytest.raises(BenchFailed, match="no such model"),
        running(_peer("raise SystemExit('no such model')"), tmp_path, tmp_path),
    ):
        pass


# Answers as the model does, until it is asked for the hundredth time.
MORTAL = CHILD.replace(
    "class Handler",
    "import itertools, joblib, os\n"
    "model, asked = joblib.load(os.environ['MODEL']), itertools.count(1)\n"
    "class Handler",
).replace(
    '{"probabilities": [0.5, 0.5]}',
    '{"probabilities": model.predict_proba([json.loads(self.rfile.read('
    'int(self.headers["Content-Length"])))["row"]])[0].tolist()}',
).replace(
    "        self.send_response(200); self.send_header",
    "        if next(asked) > 99: print('out of memory', flush=True); os._exit(1)\n"
    "        self.send_response(200); self.send_header",
)  # fmt: skip


@pytest.mark.skipif(not any(Path(p, "wrk").exists() for p in ON_PATH), reason="no wrk")
def test_triton_is_measured_and_wrong_or_absent_peers_are_skipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Answers wrongly, does not start, ends in the middle: Triton is measured all the same."""
    monkeypatch.setattr("geulpi_perf._compare.measure.environment", lambda _peer: tmp_path)
    wrong = replace(_peer(CHILD), name="bentoml")
    absent = _peer("raise SystemExit('out of order')")
    mortal = replace(_peer(MORTAL), name="mlserver")
    found = compare([wrong, absent, mortal], rounds=1, seconds=1)
    (triton,) = found.servers
    assert triton.rounds[0].requests_per_s > 0
    assert triton.rounds[0].errors == 0
    assert "it answers [0.5, 0.5]" in found.skipped["bentoml"]
    assert "out of order" in found.skipped["litserve"]
    assert "out of memory" in found.skipped["mlserver"]


def test_wrk_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolMissing, match="apt install wrk"):
        find_wrk()


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A place without a checkout, without tools and without environments."""
    monkeypatch.setattr("geulpi_perf._peers.ROOT", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_without_a_checkout_it_is_said_where_the_peers_are(elsewhere: Path) -> None:
    """An installed package has none."""
    with pytest.raises(ToolMissing, match="run it from a checkout"):
        environment(PEERS[0])
    assert not (elsewhere / "cache").exists()


def test_uv_missing_is_said(monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    """With what to do."""
    folder = elsewhere / "perf" / "peers" / "litserve"
    folder.mkdir(parents=True)
    (folder / "requirements.txt").touch()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolMissing, match="make setup"):
        environment(_peer(""))


@pytest.mark.skipif(not (UV.exists() or shutil.which("uv")), reason="no uv")
def test_an_environment_that_cannot_be_made_is_begun_anew(
    monkeypatch: pytest.MonkeyPatch, elsewhere: Path
) -> None:
    """Without the network the reason is said, and what was half made is not taken for ready."""
    if UV.exists():
        monkeypatch.setenv("PATH", f"{UV.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(elsewhere / "uv"))
    folder = elsewhere / "perf" / "peers" / "litserve"
    shutil.copytree(ROOT / "perf" / "peers" / "litserve", folder)
    for _ in range(2):
        with pytest.raises(BenchFailed, match=r"(?i)network"):
            environment(_peer(""))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["torchserve"], "torchserve"), (["--rounds", "0"], "--rounds 0"),
     (["--output", __file__], "--output")],
    ids=["peer", "rounds", "output"],
)  # fmt: skip
def test_misuse_on_the_command_line_ends_with_2(arguments: list[str], words: str) -> None:
    """It is refused before anything is made."""
    done = CliRunner().invoke(_app(), arguments)
    assert isinstance(done.exception, UnusableOption)
    assert done.exception.exit_code == 2
    assert words in str(done.exception)


def test_the_help_names_every_peer() -> None:
    """And how it is typed."""
    done = CliRunner().invoke(_app(), ["--help"], env={"COLUMNS": "200"})
    assert all(peer.name in done.stdout for peer in PEERS)
    assert "Example: geulpi compare" in done.stdout


def _app() -> typer.Typer:
    app = typer.Typer()
    app.command()(command)
    return app
