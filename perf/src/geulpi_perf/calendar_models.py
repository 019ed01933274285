"""How long one client waits for the calendar models, on a warm server and without a cache.

    python -m geulpi_perf.calendar_models [--model-repository DIR]

Everything runs on this machine. Calendars are made up here from a seed: what counts for time is how
many events there are, and how many different titles.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from geulpi_client import Event, GeulpiClient, Task
from geulpi_server import EmbeddedTriton
from rich.console import Console
from rich.progress import track
from rich.table import Table

from geulpi_perf._machine import origin

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "perf" / "results" / "calendar_models.json"
SEOUL = ZoneInfo("Asia/Seoul")
MONDAY = datetime(2026, 3, 2, tzinfo=SEOUL)
WARM_UP, CALLS, PLANS = 20, 200, 20
TITLES = (
    "팀 회의", "Daily standup", "점심 약속", "헬스장", "치과", "1:1 with Ana", "보고서 작성",
    "영어 수업", "장보기", "가족 저녁", "design review", "독서", "KTX 부산", "은행", "yoga",
    "코드 리뷰", "sprint planning", "병원 검진", "동창 모임", "엄마 생신",
)  # fmt: skip
CATEGORIES = ("meeting", "work", "social", "exercise", "health")


@dataclass(frozen=True)
class Waited:
    """What a client waited for one kind of call, in milliseconds, and what it is to be at most."""

    call: str
    p50_ms: float
    p95_ms: float
    limit_ms: float


def main() -> None:
    """Measure, print a table and write perf/results/calendar_models.json."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model-repository", type=Path, default=ROOT / "model_repository")
    arguments = parser.parse_args()
    with (
        EmbeddedTriton(arguments.model_repository) as triton,
        GeulpiClient(triton.grpc_url, timeout_s=60) as client,
    ):
        waited = measure(client)
    table = Table("call", "p50", "p95", "to be at most (p50)", title="one client, warm, no cache")
    for one in waited:
        table.add_row(
            one.call, f"{one.p50_ms:.1f} ms", f"{one.p95_ms:.1f} ms", f"{one.limit_ms:.0f} ms"
        )
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    told = origin("python -m geulpi_perf.calendar_models").as_json()
    told["calls"] = [asdict(one) for one in waited]
    RESULTS.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def measure(client: GeulpiClient) -> list[Waited]:
    """Return what each kind of call took."""
    bare, known = calendar(100, weeks=1), calendar(100, weeks=1, categories=True)
    history = calendar(500, weeks=26)
    tasks, busy = plan()
    window = (MONDAY, MONDAY + timedelta(days=7))

    def schedule(seconds: float) -> Callable[[], object]:
        return lambda: client.optimize_schedule(
            tasks, busy=busy, window=window, time_limit_s=seconds
        )

    calls: list[tuple[str, Callable[[], object], float, int]] = [
        ("classify one title", lambda: client.classify([Event("치과 예약")]), 3, CALLS),
        ("balance, 100 events with categories", lambda: client.analyze_balance(known), 5, CALLS),
        ("balance, 100 events without", lambda: client.analyze_balance(bare), 5, CALLS),
        ("burnout, 100 events with categories", lambda: client.predict_burnout(known), 5, CALLS),
        ("burnout, 100 events without", lambda: client.predict_burnout(bare), 5, CALLS),
        ("patterns, 500 events", lambda: client.detect_patterns(history), 20, CALLS),
        ("week insights, 500 events", lambda: client.week_insights(history), 30, CALLS),
        ("schedule, 20 tasks, 40 busy: a feasible one", schedule(0.01), 50, PLANS),
        ("schedule, 20 tasks, 40 busy: proven to 1 %", schedule(10), 500, PLANS),
    ]
    waited = []
    for name, call, limit_ms, times in track(calls, console=Console(stderr=True)):
        took = _timed(call, times)
        p95 = statistics.quantiles(took, n=20)[-1]
        waited.append(Waited(name, statistics.median(took), p95, limit_ms))
    return waited


def calendar(count: int, *, weeks: int, categories: bool = False) -> list[Event]:
    """Return a made-up calendar."""
    rng = np.random.default_rng(0)
    events = []
    for place in range(count):
        start = MONDAY + timedelta(
            days=int(rng.integers(7 * weeks)), minutes=15 * int(rng.integers(32, 84))
        )
        end = start + timedelta(minutes=30 * int(rng.integers(1, 5)))
        category = CATEGORIES[place % len(CATEGORIES)] if categories else None
        events.append(Event(TITLES[place % len(TITLES)], start, end, category=category))
    return events


def plan() -> tuple[list[Task], list[Event]]:
    """Return 20 tasks and 40 busy events of a week that has room for most of them."""
    rng = np.random.default_rng(1)
    tasks = [
        Task(
            id=f"t{place}",
            duration=timedelta(minutes=15 * int(rng.integers(1, 7))),
            priority=int(rng.integers(1, 6)),
            deadline=MONDAY + timedelta(days=int(rng.integers(2, 7)), hours=18),
            category=CATEGORIES[place % len(CATEGORIES)],
        )
        for place in range(20)
    ]
    busy = []
    for place in range(40):
        start = MONDAY + timedelta(days=place % 5, minutes=15 * int(rng.integers(36, 70)))
        busy.append(Event("busy", start, start + timedelta(minutes=30)))
    return tasks, busy


def _timed(call: Callable[[], object], times: int) -> list[float]:
    """Return how long each call took, in milliseconds, after some that do not count."""
    for _ in range(min(WARM_UP, times)):
        call()
    took = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        took.append((time.perf_counter() - started) * 1000)
    return took


if __name__ == "__main__":
    main()
