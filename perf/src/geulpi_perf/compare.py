"""The same random forest behind Triton and behind what else serves scikit-learn models.

    python -m geulpi_perf.compare [--json] [--quick] [--plot FILE] [PEER …]

Each server runs alone on this machine, started anew for every round, in alternation, under the same
load (wrk, 100 connections, one JSON request is one row). What counts is the ratio, round by round.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from geulpi_server import EmbeddedTriton
from rich.console import Console
from rich.table import Table

from geulpi_perf._errors import BenchFailed, PerfError, UnusableOption
from geulpi_perf._forest import Forest, make_forest
from geulpi_perf._peers import PEERS, Peer, environment, running, v2_body, v2_probabilities
from geulpi_perf._wrk import CONNECTIONS, Load, find_wrk, load

__all__ = ["Comparison", "Measured", "chosen", "compare", "main", "plot", "table"]

ROUNDS, SECONDS, WARM_S = 3, 5.0, 2.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """One server's rounds.

    Attributes:
        name: `triton` or a peer's.
        title: as the table says it.
        rounds: what was measured, round by round.
        ratios: Triton's rate over this one's, round by round.
    """

    name: str
    title: str
    rounds: list[Load]
    ratios: list[float]


@dataclass(frozen=True)
class Comparison:
    """All servers that were measured, Triton first, and why others were not.

    Attributes:
        servers: those that ran in every round.
        skipped: the names of the others, with the reason.
        cores: how many they and the load generator shared.
        seconds: the length of a round.
    """

    servers: list[Measured]
    skipped: dict[str, str]
    cores: int
    seconds: float


@dataclass(frozen=True)
class _Target:
    url: str
    body: object
    probabilities: Callable[[Any], list[float]]


def main() -> None:
    """Measure, and print a table, or JSON with every round."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("peers", nargs="*", metavar="PEER", help=", ".join(p.name for p in PEERS))
    parser.add_argument("--json", action="store_true", help="print JSON, round by round")
    parser.add_argument("--quick", action="store_true", help="one short round: not to be quoted")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write an SVG of the rates")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers are stopped on the way out
    rounds, seconds = (1, 1.0) if arguments.quick else (ROUNDS, SECONDS)
    try:
        with Console(stderr=True).status("") as status:
            found = compare(
                chosen(arguments.peers), rounds=rounds, seconds=seconds, say=status.update
            )
    except PerfError as error:
        print(f"compare: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    if arguments.plot:
        arguments.plot.write_text(plot(found))
    if arguments.json:
        print(json.dumps(asdict(found), indent=2))
        return
    Console().print(table(found))
    for name, why in found.skipped.items():
        Console(stderr=True).print(f"skipped {name}: {why}", markup=False)


def chosen(names: Sequence[str]) -> list[Peer]:
    """Return the peers of these names, all of them for none.

    Raises:
        UnusableOption: there is no such peer.
    """
    by_name = {peer.name: peer for peer in PEERS}
    for name in names:
        if name not in by_name:
            raise UnusableOption("peer", name, ", ".join(by_name))
    return [by_name[name] for name in names] or list(PEERS)


def compare(
    peers: Sequence[Peer],
    *,
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    say: Say = lambda _words: None,
) -> Comparison:
    """Measure Triton and the peers in alternating rounds.

    A peer that can't be installed, does not start or answers wrongly is skipped, with the reason.

    Args:
        peers: what to compare with.
        rounds: how often each is measured.
        seconds: how long each round takes, after two seconds of warming.
        say: told what is under way.

    Raises:
        ToolMissing: wrk or uv is not to be had.
        BenchFailed: the forest could not be made, or Triton answered wrongly.
        UnusableOption: there is no round or no second to measure.
    """
    if rounds < 1 or seconds < 1:
        raise UnusableOption("rounds and seconds", (rounds, seconds), "at least 1 each")
    wrk = find_wrk()
    skipped: dict[str, str] = {}
    loads: dict[str, list[Load]] = {name: [] for name in ("triton", *(p.name for p in peers))}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        say("training and converting the forest …")
        forest = make_forest(folder)
        programs = _environments(peers, skipped, say)
        for number in range(1, rounds + 1):
            for peer in (None, *peers):
                name = peer.name if peer else "triton"
                if name in skipped:
                    continue
                say(f"round {number} of {rounds}: {name} …")
                try:
                    with _server(peer, programs.get(name), forest) as target:
                        _check(target, forest.probabilities, name)
                        load(wrk, target.url, target.body, folder, seconds=min(WARM_S, seconds))
                        loads[name].append(
                            load(wrk, target.url, target.body, folder, seconds=seconds)
                        )
                except BenchFailed as error:
                    if peer is None:
                        raise
                    skipped[name] = str(error)
    return _compared(peers, loads, skipped, seconds)


def _environments(peers: Sequence[Peer], skipped: dict[str, str], say: Say) -> dict[str, Path]:
    programs = {}
    for peer in peers:
        say(f"setting up the environment of {peer.title} …")
        try:
            programs[peer.name] = environment(peer)
        except BenchFailed as error:
            skipped[peer.name] = str(error)
    return programs


@contextmanager
def _server(peer: Peer | None, programs: Path | None, forest: Forest) -> Iterator[_Target]:
    if peer is None or programs is None:
        with EmbeddedTriton(forest.repository) as triton:
            url = f"{triton.http_url}/v2/models/forest/infer"
            yield _Target(url, v2_body("FP32", "X"), v2_probabilities)
        return
    with running(peer, programs, forest.model) as url:
        yield _Target(url + peer.path, peer.body, peer.probabilities)


def _check(target: _Target, expected: list[float], name: str) -> None:
    """Ask once: a server that answers wrongly is not to be compared with."""
    request = urllib.request.Request(
        target.url, json.dumps(target.body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = target.probabilities(json.load(response))
        right = len(answer) == len(expected) and all(
            abs(one - other) < 1e-5 for one, other in zip(answer, expected, strict=True)
        )
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BenchFailed(name, f"no answer to a first request: {error}", "ask by hand") from error
    if not right:
        raise BenchFailed(name, f"it answers {answer} where scikit-learn says {expected}", "see it")


def _compared(
    peers: Sequence[Peer], loads: dict[str, list[Load]], skipped: dict[str, str], seconds: float
) -> Comparison:
    titles = {"triton": "Triton"} | {peer.name: peer.title for peer in peers}
    servers = [
        Measured(
            name,
            titles[name],
            rounds,
            [
                ours.requests_per_s / theirs.requests_per_s
                if theirs.requests_per_s
                else float("inf")
                for ours, theirs in zip(loads["triton"], rounds, strict=True)
            ],
        )
        for name, rounds in loads.items()
        if name not in skipped
    ]
    return Comparison(servers, skipped, os.cpu_count() or 1, seconds)


def table(found: Comparison) -> Table:
    """Return medians, and Triton's rate over each peer's: median and range over the rounds."""
    shown = Table(
        "server", "requests/s", "p50 ms", "p99 ms", "errors", "Triton is … times as fast",
        title=f"forest, one row a request, {CONNECTIONS} connections, {found.cores} cores",
    )  # fmt: skip
    for server in found.servers:
        shown.add_row(
            server.title,
            f"{_rate(server):,.0f}",
            f"{statistics.median(one.p50_ms for one in server.rounds):.1f}",
            f"{statistics.median(one.p99_ms for one in server.rounds):.1f}",
            f"{sum(one.errors for one in server.rounds):,}",
            "–" if server.name == "triton" else _ratio(server),
        )
    return shown


def plot(found: Comparison) -> str:
    """Return an SVG: a bar for each server's rate (median), a line for its range."""
    left, width, bar, gap, top = 190, 460, 22, 14, 48
    height = top + len(found.servers) * (bar + gap) + 6
    most = max(one.requests_per_s for server in found.servers for one in server.rounds) or 1.0
    title = f"Requests/s, a forest of 100 trees, {CONNECTIONS} connections, {found.cores} cores"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 200} {height}"',
        '  font-family="sans-serif" font-size="13" fill="#222">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="12" y="24" font-size="15">{title}</text>',
    ]
    for number, server in enumerate(found.servers):
        y = top + number * (bar + gap)
        middle, base = y + bar // 2, y + bar // 2 + 4
        rates = [one.requests_per_s for one in server.rounds]
        low, rate, high = (
            left + width * value / most for value in (min(rates), _rate(server), max(rates))
        )
        ours = server.name == "triton"
        colour = "#1a7f4b" if ours else "#9aa5b1"
        words = f"{_rate(server):,.0f}" + ("" if ours else f" – Triton × {_ratio(server)}")
        name = escape(server.title)
        parts += [
            f'<text x="{left - 8}" y="{base}" text-anchor="end">{name}</text>',
            f'<rect x="{left}" y="{y}" width="{rate - left:.1f}" height="{bar}" fill="{colour}"/>',
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" stroke="#222"/>',
            f'<text x="{high + 8:.1f}" y="{base}">{words}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def _rate(server: Measured) -> float:
    return statistics.median(one.requests_per_s for one in server.rounds)


def _ratio(server: Measured) -> str:
    ratios = server.ratios
    return f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"


if __name__ == "__main__":
    main()
