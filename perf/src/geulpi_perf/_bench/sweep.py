"""A sweep: each load on each way, and what is left of it when it is cut short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from geulpi_perf._bench.measure import Asked, Measured, measure
from geulpi_perf._bench.targets import Target
from geulpi_perf._errors import PerfError, Unstable, UnusableOption
from geulpi_perf._perf_analyzer import PerfAnalyzer

__all__ = ["Sweep", "levels", "sweep"]


@dataclass
class Sweep:
    """What came of a sweep.

    Attributes:
        planned: how many loads were to be measured.
        rows: what was measured.
        left_out: loads whose windows did not agree.
        ended_by: what cut it short; None where it came to its end.
    """

    planned: int
    rows: list[Measured] = field(default_factory=list)
    left_out: list[Unstable] = field(default_factory=list)
    ended_by: PerfError | KeyboardInterrupt | None = None


def sweep(
    tool: PerfAnalyzer,
    asked: Asked,
    targets: Sequence[Target],
    loads: Sequence[int],
    *,
    option: str,
    console: Console,
) -> Sweep:
    """Measure each load on each way; rows that were measured outlive a failure and a Ctrl-C.

    Args:
        tool: perf_analyzer.
        asked: the model and how it is measured.
        targets: the ways to the server.
        loads: requests in flight, or requests a second.
        option: which of both: "--concurrency" or "--request-rate".
        console: where progress is shown.

    Raises:
        PerfError, KeyboardInterrupt: before anything was measured.
    """
    done = Sweep(len(targets) * len(loads))
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )  # fmt: skip
    try:
        with Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        ) as progress:
            task = progress.add_task(asked.model, total=done.planned)
            for target in targets:
                for load in loads:
                    what = f"{asked.model}, {target.way}, {option[2:]} {load}"
                    progress.update(task, description=what)
                    try:
                        done.rows.append(_measured(tool, asked, target, load, option))
                    except Unstable as error:
                        done.left_out.append(error)
                    progress.advance(task)
    except (PerfError, KeyboardInterrupt) as error:
        done.ended_by = error
    if not done.rows:
        raise done.ended_by or done.left_out[0]
    return done


def levels(text: str, option: str) -> list[int]:
    """Return the steps of a sweep.

    "1,8,64" are those, "1:64" doubles from the first to the last, "10:50:10" goes in steps of 10.

    Raises:
        UnusableOption: it is none of these, or not from 1 upwards.
    """
    expected = "numbers from 1: 1,8,64, or 1:64 (doubling), or 10:50:10 (in steps of 10)"
    try:
        steps = list(dict.fromkeys(n for part in text.split(",") for n in _range(part)))
    except ValueError as error:
        raise UnusableOption(option, text, expected) from error
    if not steps or min(steps) < 1:
        raise UnusableOption(option, text, expected)
    return steps


def _measured(tool: PerfAnalyzer, asked: Asked, target: Target, load: int, option: str) -> Measured:
    if option == "--request-rate":
        return measure(tool, asked, target, request_rate=load)
    return measure(tool, asked, target, concurrency=load)


def _range(part: str) -> Iterator[int]:
    numbers = [int(number) for number in part.split(":")]
    if len(numbers) == 1:
        yield numbers[0]
        return
    first, last, *step = numbers
    if first < 1 or last < first or len(step) > 1 or min(step, default=1) < 1:
        raise ValueError(part)
    while first < last:
        yield first
        first = first + step[0] if step else 2 * first
    if first == last or not step:
        yield last
