"""What callers felt of a fault, and whether it was more than the rules allow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from geulpi_perf._faults.callers import Call, Callers, ClientKind
from geulpi_perf._faults.scenarios import Scenario


@dataclass(frozen=True)
class Limits:
    """What the rules allow; a busy machine needs a larger `late_ms`.

    Attributes:
        late_ms: milliseconds that a call may take beyond its deadline.
        recovery_s: seconds after the fault until every caller is answered again.
        old_ms: milliseconds that caches may go on with an old version once a new one is ready.
    """

    late_ms: float = 100.0
    recovery_s: float = 10.0
    old_ms: float = 1000.0


@dataclass(frozen=True)
class Report:
    """What callers felt.

    Attributes:
        scenario, client, rule: what happened, to which client, and what it may feel of it.
        calls, right, wrong: calls, and the answers by whether they were right.
        cached: answers that came from a cache.
        failed: calls that failed, by the name of their error.
        late_ms: of the slowest call, beyond its deadline; mostly below 0.
        recovery_s: after the end of the fault, until every caller had both an answer of the server
            and one of the cache again; None if that did not come.
        cache_errors: failed operations of the cache, as the client counted them.
        old_ms: of the last answer of an old version that came from a cache, after the new version
            was ready; None where there was no new version.
        broken: the rules that were broken, in words.
    """

    scenario: str
    client: ClientKind
    rule: str
    calls: int
    right: int
    wrong: int
    cached: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    late_ms: float | None = None
    recovery_s: float | None = None
    cache_errors: int = 0
    old_ms: float | None = None
    broken: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no rule was broken."""
        return not self.broken


def recovery_s(calls: Sequence[Call], callers: int, version: int, ended_s: float) -> float | None:
    """Return seconds after the end of a fault until all callers were, and stayed, as before.

    That is, until each had a fresh row answered by the newest version and a known one by the cache.
    """
    first_s: dict[tuple[int, bool], float] = {}
    for call in calls:
        if call.ended_s < ended_s:
            continue
        known = call.question.known
        if call.error:
            first_s.pop((call.caller, True), None)
            first_s.pop((call.caller, False), None)
        elif call.started_s >= ended_s and call.version == version and call.cached == known:
            first_s.setdefault((call.caller, known), call.ended_s)
    if len(first_s) < 2 * callers:
        return None
    return max(0.0, max(first_s.values()) - ended_s)


def judged(
    scenario: Scenario,
    kind: ClientKind,
    callers: Callers,
    limits: Limits,
    *,
    versions: Collection[int],
    fault_ended_s: float,
    ready_s: Mapping[str, float],
) -> Report:
    """Return the report of a scenario.

    Args:
        scenario, kind, callers: what happened to whom.
        limits: what the rules allow.
        versions: those whose answers are right.
        fault_ended_s: when the fault was over, in monotonic seconds.
        ready_s: by model, when its newest version was ready.
    """
    calls, newest = callers.calls, max(versions)
    wrong = sum(not call.error and call.version not in versions for call in calls)
    failed = [call for call in calls if call.error]
    late_ms = max(call.ended_s - call.started_s - callers.load.timeout_s for call in calls) * 1000
    recovered_s = recovery_s(calls, callers.load.callers, newest, fault_ended_s)
    rules = [f"0 wrong, back within {limits.recovery_s:g} s"]
    broken = [f"{wrong} wrong"] if wrong else []
    if recovered_s is None or recovered_s > limits.recovery_s:
        broken.append(f"not back within {limits.recovery_s:g} s")
    if scenario.subject == "server":
        rules.append(f"failures typed and at most {limits.late_ms:g} ms late")
        if late_ms > limits.late_ms:
            broken.append(f"{late_ms:.0f} ms late")
        broken.extend(
            sorted({f"{call.error} is no CallFailed" for call in failed if not call.typed})
        )
    old_ms = None
    if scenario.subject == "rollover":
        old_ms = _last_old_ms(calls, newest, ready_s)
        rules.append(f"no old answer of a cache after {limits.old_ms:g} ms")
        if old_ms > limits.old_ms:
            broken.append(f"an old answer {old_ms:.0f} ms after the new version was ready")
    may_not_fail = failed
    if scenario.spared:
        rules.append(f"0 failed of {', '.join(scenario.spared)}")
        may_not_fail = [call for call in failed if call.question.model in scenario.spared]
    elif scenario.subject == "server":
        may_not_fail = []
    else:
        rules.append("0 failed")
    if may_not_fail:
        broken.append(f"{len(may_not_fail)} failed that may not")
    return Report(
        scenario=scenario.name,
        client=kind,
        rule="; ".join(rules),
        calls=len(calls),
        right=len(calls) - wrong - len(failed),
        wrong=wrong,
        cached=sum(call.cached for call in calls),
        failed=dict(Counter(call.error for call in failed)),
        late_ms=late_ms,
        recovery_s=recovered_s,
        cache_errors=callers.cache_errors,
        old_ms=old_ms,
        broken=tuple(broken),
    )


def _last_old_ms(calls: Sequence[Call], newest: int, ready_s: Mapping[str, float]) -> float:
    """Return when the last answer of an old version came from a cache, 0 if before the new one."""
    return max(
        (
            (call.ended_s - ready_s[call.question.model]) * 1000
            for call in calls
            if call.cached and call.version is not None and call.version < newest
        ),
        default=0.0,
    )
