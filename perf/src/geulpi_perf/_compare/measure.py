"""The same random forest behind Triton and behind its peers, in alternating rounds.

Each server runs alone on this machine, started anew for every round, under the same load (wrk, 100
connections, one JSON request is one row). What counts is the ratio, round by round.
"""

from __future__ import annotations

import json
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from importlib.metadata import version
from pathlib import Path
from typing import Any

from geulpi_server import EmbeddedTriton

from geulpi_perf._errors import BenchFailed, UnusableOption
from geulpi_perf._forest import Forest, make_forest
from geulpi_perf._peers import PEERS, START_S, Peer, environment, running, v2_body, v2_probabilities
from geulpi_perf._wrk import Load, find_wrk, load

__all__ = ["Comparison", "Measured", "chosen", "compare"]

WARM_S = 2
TRITON = "triton"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """One server's rounds.

    Attributes:
        name: `triton` or a peer's.
        title: as the table says it.
        package: what serves.
        version: of the package.
        rounds: what was measured, round by round.
        ratios: Triton's rate over this one's, round by round.
    """

    name: str
    title: str
    package: str
    version: str
    rounds: list[Load]
    ratios: list[float]


@dataclass(frozen=True)
class Comparison:
    """All servers that were measured, Triton first, and why others were not.

    Attributes:
        servers: those that answered in every round.
        skipped: the names of the others, with the reason.
        seconds: the length of a round.
    """

    servers: list[Measured]
    skipped: dict[str, str]
    seconds: int


@dataclass(frozen=True)
class _Target:
    name: str
    url: str
    body: object
    probabilities: Callable[[Any], list[float]]


def chosen(names: Sequence[str]) -> list[Peer]:
    """Return the peers of these names, each once; all of them for none.

    Raises:
        UnusableOption: there is no such peer.
    """
    by_name = {peer.name: peer for peer in PEERS}
    for name in names:
        if name not in by_name:
            raise UnusableOption("PEER", name, ", ".join(by_name))
    return [by_name[name] for name in dict.fromkeys(names)] or list(PEERS)


def compare(
    peers: Sequence[Peer],
    *,
    rounds: int,
    seconds: int,
    say: Say = lambda _words: None,
) -> Comparison:
    """Measure Triton and the peers in alternating rounds.

    A peer that can't be installed, does not start, answers wrongly or ends in the middle is
    skipped, with the reason.

    Args:
        peers: what to compare with.
        rounds: how often each is measured.
        seconds: how long each round takes, after two seconds of warming.
        say: told what is under way.

    Raises:
        ToolMissing: wrk, uv or the source checkout is not to be had.
        BenchFailed: the forest could not be made, or Triton answered wrongly.
        UnusableOption: there is no round or no second to measure.
    """
    for option, value in (("--rounds", rounds), ("--seconds", seconds)):
        if value < 1:
            raise UnusableOption(option, value, "at least 1")
    wrk = find_wrk()
    skipped: dict[str, str] = {}
    programs = _environments(peers, skipped, say)
    loads: dict[str, list[Load]] = {name: [] for name in (TRITON, *(p.name for p in peers))}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        say("training and converting the forest …")
        forest = make_forest(folder)
        for number in range(1, rounds + 1):
            for peer in (None, *peers):
                name = peer.name if peer else TRITON
                if name in skipped:
                    continue
                say(f"round {number} of {rounds}: {name} …")
                try:
                    with _server(peer, programs, forest) as target:
                        loads[name].append(_round(wrk, target, forest, folder, seconds))
                except BenchFailed as error:
                    if peer is None:
                        raise
                    skipped[name] = str(error)
    return Comparison(_compared(peers, loads, skipped), skipped, seconds)


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
def _server(peer: Peer | None, programs: Mapping[str, Path], forest: Forest) -> Iterator[_Target]:
    if peer is None:
        with EmbeddedTriton(forest.repository) as triton:
            url = f"{triton.http_url}/v2/models/forest/infer"
            yield _Target(TRITON, url, v2_body("FP32", "X"), v2_probabilities)
        return
    with running(peer, programs[peer.name], forest.model) as url:
        yield _Target(peer.name, url + peer.path, peer.body, peer.probabilities)


def _round(wrk: str, target: _Target, forest: Forest, folder: Path, seconds: int) -> Load:
    """Measure once, between two questions whose answers have to be right."""
    # Ray Serve says that it is healthy before its replicas are.
    _check(target, forest.probabilities, timeout_s=START_S)
    load(wrk, target.url, target.body, folder, seconds=min(WARM_S, seconds))
    measured = load(wrk, target.url, target.body, folder, seconds=seconds)
    if not measured.requests_per_s:
        raise BenchFailed(
            target.name, f"no answer under load, {measured.errors} errors", "ask it by hand"
        )
    _check(target, forest.probabilities, timeout_s=30)
    return measured


def _check(target: _Target, expected: list[float], *, timeout_s: float) -> None:
    """Ask once: a server that does not answer, or wrongly, is not to be compared with."""
    request = urllib.request.Request(
        target.url, json.dumps(target.body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            answer = target.probabilities(json.load(response))
        right = len(answer) == len(expected) and all(
            abs(one - other) < 1e-5 for one, other in zip(answer, expected, strict=True)
        )
    except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
        raise BenchFailed(
            target.name, f"no answer to one row: {error}", "ask it by hand"
        ) from error
    if not right:
        raise BenchFailed(
            target.name, f"it answers {answer} where scikit-learn says {expected}", "ask it by hand"
        )


def _compared(
    peers: Sequence[Peer], loads: Mapping[str, list[Load]], skipped: Mapping[str, str]
) -> list[Measured]:
    ours = loads[TRITON]
    triton = Measured(
        TRITON, "Triton", "nvidia-pytriton", version("nvidia-pytriton"), ours, [1.0] * len(ours)
    )
    others = [
        Measured(
            peer.name, peer.title, peer.package, peer.version, loads[peer.name],
            [
                one.requests_per_s / other.requests_per_s
                for one, other in zip(ours, loads[peer.name], strict=True)
            ],
        )
        for peer in peers
        if peer.name not in skipped
    ]  # fmt: skip
    return [triton, *others]
