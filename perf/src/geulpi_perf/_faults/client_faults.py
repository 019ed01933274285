"""Faults of the process that a client lives in: tasks that are cancelled, and a fork."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from typing import Final

from geulpi_perf._faults.callers import (
    Call,
    Load,
    Question,
    ask_async,
    async_client,
    prime_async,
    question_of,
)
from geulpi_perf._faults.forked import PATIENCE_S
from geulpi_perf._faults.models import MODELS
from geulpi_perf._faults.report import Report
from geulpi_perf._faults.servers import Servers

CANCELLED: Final = "a thousand tasks cancelled"
FORKED: Final = "fork after use"

_TASKS = 1000
_SLOW_S = 0.2
_TIMEOUT_S = 5.0
_SETTLES_S = 2.0
_POLL_S = 0.05


def tasks_cancelled(servers: Servers) -> Report:
    """Cancel a thousand calls under way; the client answers after it, and nothing of them is left.

    Left could be tasks, requests at the server, and places among the calls that a client allows at
    a time, without which the calls after it would wait or be refused.
    """
    # So that they are under way when they are cancelled.
    servers.slow.write_text(str(_SLOW_S), encoding="ascii")
    try:
        ended, calls, tasks_left = asyncio.run(_cancel(servers))
    finally:
        servers.slow.unlink(missing_ok=True)
    pending = _pending(servers)
    failed = Counter(call.error for call in calls if call.error)
    wrong = sum(not call.error and call.version != servers.newest for call in calls)
    broken = [f"{count} of the cancelled ended with {name}" for name, count in ended.items()]
    if wrong or failed:
        broken.append("not all calls after it were answered right")
    if tasks_left:
        broken.append(f"{tasks_left} tasks are left")
    if pending:
        broken.append(f"{pending} requests are left at the server")
    return Report(
        scenario=CANCELLED,
        client="async",
        rule="all end as cancelled; 0 wrong, 0 failed after it; nothing in flight",
        calls=len(calls),
        right=len(calls) - wrong - failed.total(),
        wrong=wrong,
        cached=sum(call.cached for call in calls),
        failed=dict(failed),
        late_ms=max(call.ended_s - call.started_s - _TIMEOUT_S for call in calls) * 1000,
        broken=tuple(broken),
    )


async def _cancel(servers: Servers) -> tuple[Counter[str], Sequence[Call], int]:
    """Return the cancelled calls that ended otherwise, the calls after it, and tasks too many."""
    load = Load(_TASKS, servers.url, servers.cache_url, _TIMEOUT_S)
    async with async_client(load) as client:
        await prime_async(client)
        before = len(asyncio.all_tasks())
        tasks = []
        for caller in range(_TASKS):
            question: Question = question_of(caller, 1)
            tasks.append(
                asyncio.create_task(client.infer_detailed(question.model, question.inputs))
            )
        await asyncio.sleep(_SLOW_S / 2)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        # A task that had its answer already has it; that is no fault.
        ended = Counter(
            type(result).__name__
            for result in results
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError)
        )
        servers.slow.unlink()
        calls = await asyncio.gather(
            *(ask_async(client, caller, question_of(caller, caller)) for caller in range(200))
        )
        left = 0
        for _ in range(int(_SETTLES_S / _POLL_S)):
            left = len(asyncio.all_tasks()) - before
            if left <= 0:
                break
            await asyncio.sleep(_POLL_S)
        return ended, calls, max(0, left)


def _pending(servers: Servers) -> int:
    """Return how many requests of the models wait at the server, once that settled."""
    until_s = time.monotonic() + _SETTLES_S
    while True:
        with urllib.request.urlopen(servers.triton.metrics_url, timeout=5) as page:
            text = page.read().decode()
        found = re.findall(
            r'^nv_inference_pending_request_count\{model="(\w+)",version="\d+"\} (\S+)$', text,
            re.MULTILINE,
        )  # fmt: skip
        pending = sum(int(float(count)) for model, count in found if model in MODELS)
        if not pending or time.monotonic() > until_s:
            return pending
        time.sleep(_POLL_S)


def fork_after_use(servers: Servers) -> Report:
    """Fork a process that used a client; the parent and the child both go on with it."""
    command = [sys.executable, "-m", "geulpi_perf._faults.forked", servers.url, servers.cache_url]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=4 * PATIENCE_S
        )
        found: dict[str, list[str]] = json.loads(done.stdout) if done.stdout else {}
        said = done.stderr.strip().splitlines()[-1:]
    except subprocess.TimeoutExpired:
        found, said = {}, ["it did not end"]
    counts = {who: Counter(found.get(who, said or ["no answer"])) for who in ("parent", "child")}
    both = counts["parent"] + counts["child"]
    wrong = both["wrong"]
    failed = {name: count for name, count in both.items() if name not in {"right", "wrong"}}
    return Report(
        scenario=FORKED,
        client="sync",
        rule="0 wrong, 0 failed, in the parent and in the child",
        calls=both.total(),
        right=both["right"],
        wrong=wrong,
        failed=dict(failed),
        broken=tuple(
            f"the {who}: {dict(count)}" for who, count in counts.items() if set(count) != {"right"}
        ),
    )
