"""What callers feel while the cache, the server or their own process fails, with real servers.

    python -m geulpi_perf.faults [--client sync|async|both] [--seconds 3] [--only NAME …] [--json]

Fifty callers share a client and ask in a loop, half of it rows that the cache knows and half fresh
ones; every answer is compared with the right one. Meanwhile Valkey or Triton is paused, killed,
restarted, replaced by a listener that never answers, filled, emptied, slowed down; a new version of
the models goes live; a thousand tasks are cancelled at once; the process forks. Prints what the
callers felt and the rule for it; ends with 1 where a rule was broken.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.table import Table

from geulpi_perf._faults.callers import ClientKind
from geulpi_perf._faults.client_faults import CANCELLED, FORKED, fork_after_use, tasks_cancelled
from geulpi_perf._faults.report import Limits, Report
from geulpi_perf._faults.run import run_scenario
from geulpi_perf._faults.scenarios import SCENARIOS
from geulpi_perf._faults.servers import Servers

__all__ = ["NAMES", "Limits", "Report", "main", "run"]

NAMES = (*(scenario.name for scenario in SCENARIOS), CANCELLED, FORKED)
KINDS: dict[str, tuple[ClientKind, ...]] = {
    "sync": ("sync",),
    "async": ("async",),
    "both": ("sync", "async"),
}


def main() -> None:
    """Run the scenarios, print a table or JSON, and say by the exit code whether all was well."""
    parser = argparse.ArgumentParser(
        prog="geulpi_perf.faults", description="What callers feel while servers fail."
    )
    parser.add_argument("--client", choices=KINDS, default="both", help="which client")
    parser.add_argument("--seconds", type=float, default=3.0, help="beside a fault and recovery")
    parser.add_argument(
        "--only", choices=NAMES, action="append", metavar="NAME",
        help=f"one of these, and may be repeated: {', '.join(NAMES)}",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    reports = []
    with Console(stderr=True).status("starting the servers …") as status, Servers() as servers:
        for kind in KINDS[options.client]:
            for name in options.only or NAMES:
                status.update(f"{name} ({kind}) …")
                reports += _run_or_say_why(name, servers, kind, options.seconds)
    if options.json:
        print(json.dumps([asdict(report) | {"ok": report.ok} for report in reports], indent=2))
    else:
        Console().print(_table(reports))
        for rule, names in _rules(reports).items():
            Console().print(f"[bold]{', '.join(names)}[/]: {rule}.", highlight=False)
    sys.exit(0 if all(report.ok for report in reports) else 1)


def run(
    name: str,
    servers: Servers,
    kinds: Sequence[ClientKind],
    *,
    callers: int = 50,
    seconds: float = 3.0,
    limits: Limits | None = None,
) -> list[Report]:
    """Run a scenario and return what callers felt, by client; one may not be for every client.

    Args:
        name: one of `NAMES`.
        servers: they run; they will run again when it returns.
        kinds: the clients; several feel the fault at the same time.
        callers: of each client.
        seconds: that callers go on beside the time of the fault and of the recovery.
        limits: in place of the usual ones.
    """
    servers.fresh()
    if name == CANCELLED:
        return [tasks_cancelled(servers)] if "async" in kinds else []
    if name == FORKED:
        return [fork_after_use(servers)] if "sync" in kinds else []
    (scenario,) = (scenario for scenario in SCENARIOS if scenario.name == name)
    return run_scenario(
        scenario, servers, kinds, callers=callers, seconds=seconds, limits=limits or Limits()
    )


def _run_or_say_why(name: str, servers: Servers, kind: ClientKind, seconds: float) -> list[Report]:
    """Run a scenario; where it can't be run, that is its report, and the others follow."""
    try:
        return run(name, servers, [kind], seconds=seconds)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is the finding
        why = f"it did not come to an end: {type(error).__name__}: {error}"
        return [Report(name, kind, "", calls=0, right=0, wrong=0, broken=(why,))]


def _table(reports: Collection[Report]) -> Table:
    table = Table(
        title="late: the slowest call beyond its deadline; old: the last answer of the old version",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("scenario")
    table.add_column("verdict")
    for name in ("calls", "wrong"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("failed", min_width=19)
    for name in ("late\nms", "back\ns", "old\nms"):
        table.add_column(name, justify="right", no_wrap=True)
    for report in reports:
        table.add_row(
            f"{report.scenario} ({report.client})",
            "OK" if report.ok else f"NOT OK: {'; '.join(report.broken)}",
            *(f"{count:,}" for count in (report.calls, report.wrong)),
            "\n".join(f"{count:,} {name}" for name, count in report.failed.items()) or "0",
            *_numbers(report),
        )
    return table


def _rules(reports: Collection[Report]) -> dict[str, list[str]]:
    """Return the scenarios of each rule."""
    rules: dict[str, list[str]] = {}
    for report in reports:
        names = rules.setdefault(report.rule, [])
        if report.scenario not in names:
            names.append(report.scenario)
    return rules


def _numbers(report: Report) -> Iterator[str]:
    for number, form in (
        (report.late_ms, "+,.0f"),
        (report.recovery_s, ".2f"),
        (report.old_ms, ",.0f"),
    ):
        # A call that ended before its deadline is not late.
        yield "" if number is None or number < 0 else format(number, form)


if __name__ == "__main__":
    main()
