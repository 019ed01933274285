"""Runs a scenario: callers begin, a fault comes and goes, callers go on until all is as before."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from geulpi_perf._faults.callers import ClientKind, Load, calling
from geulpi_perf._faults.report import Limits, Report, judged, recovery_s
from geulpi_perf._faults.scenarios import Scenario
from geulpi_perf._faults.servers import Servers

_POLL_S = 0.05


def run_scenario(
    scenario: Scenario,
    servers: Servers,
    kinds: Sequence[ClientKind],
    *,
    callers: int,
    seconds: float,
    limits: Limits,
) -> list[Report]:
    """Let clients, of several kinds at once if so asked, feel a fault; return a report of each.

    Args:
        scenario: the fault.
        servers: they run, with an empty cache; they will run again when it returns.
        kinds: of the clients.
        callers: of each client.
        seconds: that callers go on beside the time that the fault and the recovery take.
        limits: what the rules allow.
    """
    if scenario.subject == "rollover":
        servers.stage_next()
    oldest = servers.newest
    load = Load(callers, servers.url, servers.cache_url, scenario.timeout_s, scenario.settings)
    with ExitStack() as stack:
        running = [stack.enter_context(calling(kind, load)) for kind in kinds]
        time.sleep(seconds / 2)
        with scenario.fault(servers):
            time.sleep(scenario.lasts_s)
            marks = [len(one.calls) for one in running]
        fault_ended_s = time.monotonic()
        while time.monotonic() < fault_ended_s + limits.recovery_s and any(
            recovery_s(one.calls[mark:], callers, servers.newest, fault_ended_s) is None
            for one, mark in zip(running, marks, strict=True)
        ):
            time.sleep(_POLL_S)
        time.sleep(seconds / 2)
    return [
        judged(
            scenario, kind, one, limits, versions=range(oldest, servers.newest + 1),
            fault_ended_s=fault_ended_s, ready_s=servers.ready_s,
        )
        for kind, one in zip(kinds, running, strict=True)
    ]  # fmt: skip
