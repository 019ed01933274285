"""Both clients while the cache, the server or their process fails, with real servers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
from geulpi_perf._faults.callers import Call, Load, Question
from geulpi_perf._faults.client_faults import CANCELLED, FORKED
from geulpi_perf._faults.models import MODELS, ONNX, PYTHON
from geulpi_perf._faults.report import Limits, Report, judged
from geulpi_perf._faults.scenarios import SCENARIOS, Scenario
from geulpi_perf._faults.servers import Servers
from geulpi_perf.faults import run

# Both clients feel each fault at the same time, which halves the time that it takes. On a machine
# that is busy with other things calls come late; whether they are right and fail is strict.
CALLERS = 10
SECONDS = 0.4
LIMITS = Limits(late_ms=2000, recovery_s=15, old_ms=2000)

CACHE_FAILS = {"Valkey paused", "Valkey killed", "Valkey full", "Valkey silent"}
# The watchdog may revive a Python process before any caller runs out of time.
CALLS_FAIL = {s.name for s in SCENARIOS if s.subject == "server"} - {"Python process killed"}


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with Servers() as running:
        yield running


def reports_of(name: str, servers: Servers) -> list[Report]:
    return run(
        name, servers, ["sync", "async"], callers=CALLERS, seconds=SECONDS, limits=LIMITS
    )  # fmt: skip


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_callers_feel_no_more_of_a_fault_than_the_rules_allow(
    servers: Servers, scenario: Scenario
) -> None:
    """No wrong answer ever; no failed call where only the cache is at fault or a version new."""
    reports = reports_of(scenario.name, servers)
    assert [report.client for report in reports] == ["sync", "async"]
    for report in reports:
        assert report.ok, report
        assert report.wrong == 0
        assert report.right > 2 * CALLERS
        assert report.cached > CALLERS  # half of the rows were known
        if scenario.subject != "server":
            assert report.failed == {}
        # The faults were real ones.
        assert report.failed or report.scenario not in CALLS_FAIL
        assert report.cache_errors or report.scenario not in CACHE_FAILS


def test_nothing_is_left_of_a_thousand_cancelled_tasks(servers: Servers) -> None:
    """No task, no request at the server; the next calls are answered."""
    (report,) = reports_of(CANCELLED, servers)
    assert report.ok, report
    assert (report.calls, report.right) == (200, 200)


def test_a_client_answers_on_both_sides_of_a_fork(servers: Servers) -> None:
    """The parent and the child go on with the client that the parent had used."""
    (report,) = reports_of(FORKED, servers)
    assert report.ok, report
    assert report.calls == report.right == 80


@dataclass
class Recorded:
    """Calls as callers would have made them."""

    calls: Sequence[Call]
    load: Load = field(default_factory=lambda: Load(2, "", "", timeout_s=1.0))
    cache_errors: int = 0


def good_calls(start_s: float, version: int = 1) -> list[Call]:
    """Return a fresh and a known row of two callers, each answered as it should be."""
    return [
        Call(
            caller, Question(MODELS[caller], (caller, 1), known=known), start_s, start_s + 0.1,
            version, cached=known,
        )
        for caller in range(2)
        for known in (False, True)
    ]  # fmt: skip


def judge(scenario: str, calls: Sequence[Call], newest: int = 1) -> Report:
    """Return the report of calls around a fault that ended at 10 s."""
    (found,) = (one for one in SCENARIOS if one.name == scenario)
    return judged(
        found, "sync", Recorded(calls), Limits(), versions=range(1, newest + 1),
        fault_ended_s=10.0, ready_s=dict.fromkeys(MODELS, 9.0),
    )  # fmt: skip


def test_good_calls_keep_the_rules() -> None:
    """Recovery is when the last caller had its second answer, and failures before it may be."""
    fresh, *others = good_calls(8.0)
    failed = replace(fresh, version=None, error="Unreachable", ended_s=9.01)
    report = judge("Triton paused", [failed, *others, *good_calls(10.5)])
    assert report.ok, report
    assert (report.calls, report.right, report.failed) == (8, 7, {"Unreachable": 1})
    assert report.recovery_s == pytest.approx(0.6)
    assert report.late_ms == pytest.approx(10)


def test_every_broken_rule_is_seen() -> None:
    """Each by calls that break it and no other."""
    fresh, *_ = before = good_calls(8.0)
    after = good_calls(10.5)
    error = replace(fresh, version=None, error="Unreachable")
    cases = {
        "1 wrong": ("Triton paused", [replace(fresh, version=None), *after], 1),
        "not back within 10 s": ("Triton paused", [*before, *after[:-1]], 1),
        "1 failed that may not": ("Valkey paused", [error, *after], 1),
        "150 ms late": ("Triton paused", [replace(error, ended_s=9.15), *after], 1),
        "KeyError is no CallFailed": (
            "Triton paused", [replace(error, error="KeyError", typed=False), *after], 1,
        ),
        "an old answer 1300 ms after the new version was ready": (
            "new version", [*good_calls(10.2)[1:2], *good_calls(10.5, version=2)], 2,
        ),
    }  # fmt: skip
    for broken, (scenario, calls, newest) in cases.items():
        assert judge(scenario, calls, newest).broken == (broken,)


def test_a_failure_after_the_fault_puts_the_recovery_off() -> None:
    """Callers are back when they stay so."""
    after = good_calls(10.5)
    failed = replace(after[0], version=None, error="Unreachable", started_s=11, ended_s=11.2)
    assert judge("Triton paused", [*after, failed]).recovery_s is None
    back = judge("Triton paused", [*after, failed, *good_calls(12.0)])
    assert back.recovery_s == pytest.approx(2.1)


def test_only_spared_models_must_not_fail() -> None:
    """Where one model is unloaded, the calls of the other go on."""
    after = good_calls(10.5)
    for model, broken in ((ONNX, ()), (PYTHON, ("1 failed that may not",))):
        question = Question(model, (0, 1), known=False)
        failed = Call(0, question, 8.0, 8.1, error="ModelNotFound")
        assert judge("model unloaded", [failed, *after]).broken == broken
