"""The forest behind Triton and behind its peers, and what is said of it."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import urllib.request
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import pytest
from geulpi_perf._errors import BenchFailed, ToolMissing, UnusableOption
from geulpi_perf._peers import PEERS, Peer, running
from geulpi_perf._wrk import Load, find_wrk
from geulpi_perf.compare import Comparison, Measured, chosen, compare, plot, table
from rich.console import Console

SVG = "{http://www.w3.org/2000/svg}"
OURS = [Load(12_000, 8, 12, 0), Load(9_000, 9, 14, 0), Load(10_000, 8, 13, 0)]
THEIRS = [Load(1_000, 90, 200, 3), Load(900, 95, 210, 0), Load(500, 99, 220, 0)]
FOUND = Comparison(
    [
        Measured("triton", "Triton", OURS, [1.0, 1.0, 1.0]),
        Measured("other", "Other & Co", THEIRS, [12.0, 10.0, 20.0]),
    ],
    {"absent": "not to be had"},
    2,
    5.0,
)


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


def test_the_plot_is_svg_with_a_bar_for_each_server() -> None:
    """Well-formed, names escaped, bars as long as the rates."""
    root = ET.fromstring(plot(FOUND))
    words = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert "Other & Co" in words
    ours, theirs = (float(bar.get("width", "")) for bar in list(root.iter(f"{SVG}rect"))[1:])
    assert ours / theirs == pytest.approx(10_000 / 900, rel=0.01)


def test_peers_are_chosen_by_name() -> None:
    """All for none; another name is refused with those that there are."""
    assert chosen([]) == list(PEERS)
    assert [peer.name for peer in chosen(["litserve"])] == ["litserve"]
    with pytest.raises(UnusableOption, match="bentoml"):
        chosen(["torchserve"])
    with pytest.raises(UnusableOption):
        compare([], rounds=0)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_is_pinned_by_hashes_and_says_whose_advice_it_follows(peer: Peer) -> None:
    """What runs, what it needs, and a link to the recommendation are in the repository."""
    pins = (peer.folder / "requirements.txt").read_text()
    requirements = re.findall(r"^[a-z].*$", pins, re.MULTILINE)
    assert all(re.match(r"\S+==\S+", line) for line in requirements)
    assert pins.count("--hash=sha256:") >= len(requirements)
    assert "scikit-learn==1.9.1" in pins
    assert "https://" in (peer.folder / "README.md").read_text()


def test_a_peer_is_gone_with_all_that_it_started(tmp_path: Path) -> None:
    """Its children, too, once it is left; a child that nobody ends would spoil the next round."""
    script = (
        "import subprocess, sys\n"
        f"sys.exit(subprocess.call([sys.executable, '-c', {CHILD!r}, sys.argv[1]]))"
    )
    with running(_peer(script), tmp_path, tmp_path) as url:
        urllib.request.urlopen(url, timeout=5).close()
    with pytest.raises(URLError):
        urllib.request.urlopen(url, timeout=5)


def test_a_peer_that_ends_says_why(tmp_path: Path) -> None:
    """With the end of what it printed."""
    with (
        pytest.raises(BenchFailed, match="no such model"),
        running(_peer("raise SystemExit('no such model')"), tmp_path, tmp_path),
    ):
        pass


@pytest.mark.skipif(not any(Path(p, "wrk").exists() for p in os.get_exec_path()), reason="no wrk")
def test_triton_is_measured_and_wrong_or_absent_peers_are_skipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that answers wrongly, one that does not start: the others are measured all the same."""
    monkeypatch.setattr("geulpi_perf.compare.environment", lambda _peer: tmp_path)
    wrong = replace(_peer(CHILD), name="bentoml")
    absent = _peer("raise SystemExit('out of order')")
    found = compare([wrong, absent], rounds=1, seconds=1)
    (triton,) = found.servers
    assert triton.rounds[0].requests_per_s > 0
    assert triton.rounds[0].errors == 0
    assert "it answers [0.5, 0.5]" in found.skipped["bentoml"]
    assert "out of order" in found.skipped["litserve"]


def test_wrk_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolMissing, match="apt install wrk"):
        find_wrk()


def test_misuse_on_the_command_line_ends_with_2() -> None:
    """An unknown peer is refused before anything is made."""
    done = subprocess.run(
        [sys.executable, "-m", "geulpi_perf.compare", "torchserve"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "torchserve" in done.stderr
