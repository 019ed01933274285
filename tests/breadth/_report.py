"""The table of what is served how: in the terminal, as a page, and as JSON."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from breadth._outcome import Outcome, Status
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

COLOURS = {
    Status.ONNX: "green",
    Status.MENDED: "green",
    Status.PYTHON: "cyan",
    Status.UNSERVABLE: "dim",
}
INTRODUCTION = """# What is served, and how

Made by `make coverage`, which takes every case through `convert`, `publish`, the embedded Triton
and the client, and compares what is served with the estimator's own answers: on the sample, on
fresh rows, on single rows, and on odd ones (missing, infinite and extreme values, values at tree
thresholds, unseen categories, odd texts). Labels must be equal on every row but where the
estimator's own scores tie exactly, floats within 1e-5·max(1, max|ref|) + 1e-4·|ref|, and what the
estimator refuses the server must refuse.

"Plain" is `skl2onnx.to_onnx(estimator, X[:1])` with float32 values and without ZipMap, judged on
the same rows; answers where the estimator refuses are not held against it. Ordinary rows are the
sample and fresh ones.
"""


@contextmanager
def progress(total: int) -> Iterator[Callable[[Outcome], None]]:
    """Show how far it is; failures are printed as they come."""
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("", total=total)

        def done(outcome: Outcome) -> None:
            bar.update(task, advance=1, description=outcome.name)
            if outcome.status.bad:
                bar.console.print(f"[red]{outcome.status}[/] {outcome.name}", highlight=False)

        yield done


def show(outcomes: Sequence[Outcome]) -> None:
    """Print a row for each case, and the sums."""
    table = Table("case", "served as", "plain", "s", "why", title="Coverage")
    for outcome in outcomes:
        colour = COLOURS.get(outcome.status, "bold red")
        table.add_row(
            outcome.name,
            f"[{colour}]{outcome.status}[/]",
            _plain(outcome),
            f"{outcome.seconds:.1f}",
            _cell(outcome.reason or ", ".join(outcome.fixes), 200 if outcome.status.bad else 70),
        )
    console = Console()
    console.print(table)
    for line in summary(outcomes):
        console.print(line)


def write(outcomes: Sequence[Outcome], folder: Path) -> None:
    """Write coverage.md and coverage.json."""
    cases = [dataclasses.asdict(outcome) for outcome in outcomes]
    content = {"summary": summary(outcomes), "cases": cases}
    text = json.dumps(content, ensure_ascii=False, indent=1)
    (folder / "coverage.json").write_text(text + "\n", encoding="utf-8")
    (folder / "coverage.md").write_text(_page(outcomes), encoding="utf-8")


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the sums, a sentence each."""
    lines = []
    for kind, what in (("estimator", "estimators"), ("pipeline", "pipelines")):
        own = [o for o in outcomes if o.kind == kind]
        if not own:
            continue
        servable = [o for o in own if o.status is not Status.UNSERVABLE]
        if kind == "estimator":
            lines.append(_by_subject(own, servable))
        counted = Counter(o.status for o in own)
        listed = ", ".join(f"{counted[status]} {status}" for status in Status if counted[status])
        ours, plain = sum(o.status.onnx for o in servable), sum(o.plain.right for o in servable)
        named = f"configurations of {what}" if kind == "estimator" else what
        lines.append(
            f"{len(own)} {named}: {listed}. ONNX serves {_share(ours, len(servable))}, plain "
            f"skl2onnx {_share(plain, len(servable))} of the {len(servable)} that can be served."
        )
    return lines


def _by_subject(own: Sequence[Outcome], servable: Sequence[Outcome]) -> str:
    every = {o.subject for o in own}
    can = {o.subject for o in servable}
    right = can - {o.subject for o in servable if o.status.bad}
    onnx = can - {o.subject for o in servable if not o.status.onnx}
    plain = can - {o.subject for o in servable if not o.plain.right}
    ordinary = can - {o.subject for o in servable if not o.plain.ordinary}
    return (
        f"{len(every)} estimators, {len(can)} of which can answer for new rows: {len(right)} are "
        f"served right, {_share(len(onnx), len(can))} by ONNX in every configuration; plain "
        f"skl2onnx is right for {_share(len(plain), len(can))}, on ordinary rows alone for "
        f"{_share(len(ordinary), len(can))}."
    )


def _share(some: int, total: int) -> str:
    return f"{some} ({some / max(total, 1):.0%})"


def _page(outcomes: Sequence[Outcome]) -> str:
    lines = [INTRODUCTION, *(f"- {line}" for line in summary(outcomes)), ""]
    for kind, title in (("estimator", "Estimators"), ("pipeline", "Pipelines")):
        lines += [f"## {title}", "", "| case | served as | plain | why, or what is done |",
                  "|---|---|---|---|"]  # fmt: skip
        own = [o for o in outcomes if o.kind == kind]
        for _, group in itertools.groupby(own, key=lambda o: o.subject):
            lines += [_line(outcome) for outcome in group]
        lines.append("")
    return "\n".join(lines)


def _line(outcome: Outcome) -> str:
    why = outcome.reason or ", ".join(outcome.fixes)
    return f"| {outcome.name} | {outcome.status} | {_plain(outcome)} | {_cell(why, 160)} |"


def _plain(outcome: Outcome) -> str:
    if outcome.plain.right:
        return "right"
    return "on ordinary rows" if outcome.plain.ordinary else "no"


def _cell(text: str, most: int) -> str:
    flat = " ".join(text.split()).replace("|", "\\|")
    return flat if len(flat) <= most else flat[: most - 1] + "…"
