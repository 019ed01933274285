"""Cases through convert, publish, the embedded Triton and the client."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from breadth._baseline import Plain
from breadth._cases import Case
from breadth._judge import Question, difference
from breadth._outcome import Outcome, Prepared, Status
from breadth._prepare import prepared
from breadth._rows import Array
from geulpi_client import GeulpiError, ModelClient
from geulpi_server import EmbeddedTriton, ModelsNotReady

BATCH = 25  # models of one server: a Python model's process takes some 80 MB
TIMEOUT_S = 60.0

Kinds = dict[str, Sequence[Case]]


def run(kinds: Kinds, *, jobs: int, done: Callable[[Outcome], None]) -> list[Outcome]:
    """Run all cases and return their outcomes, in the order of the cases.

    Args:
        kinds: the cases, by what they are.
        jobs: batches at a time.
        done: told of each outcome as it comes.
    """
    batches = [
        (kind, cases[start : start + BATCH])
        for kind, cases in kinds.items()
        for start in range(0, len(cases), BATCH)
    ]
    with ThreadPoolExecutor(jobs) as pool:
        parts = list(pool.map(lambda batch: run_batch(*batch, done), batches))
    return [outcome for part in parts for outcome in part]


def run_batch(kind: str, cases: Sequence[Case], done: Callable[[Outcome], None]) -> list[Outcome]:
    """Convert some cases, serve them together, and ask them all."""
    with tempfile.TemporaryDirectory(prefix="geulpi-breadth-") as folder:
        made = list(prepared(cases, Path(folder)))
        found = judged(Path(folder), made)
    outcomes = []
    for case, one, why in zip(cases, made, found, strict=True):
        outcome = Outcome(
            kind=kind,
            subject=case.subject,
            title=case.title,
            status=Status.WRONG if why else one.status,
            reason=why or one.reason,
            plain=one.plain or Plain("not tried"),
            fixes=one.fixes,
            seconds=round(one.seconds, 2),
            requests=len(one.questions),
            rows=sum(len(next(iter(q.tensors.values()))) for q in one.questions),
        )
        outcomes.append(outcome)
        done(outcome)
    return outcomes


def judged(repository: Path, made: Sequence[Prepared]) -> list[str]:
    """Serve what was published; return for each what is wrong with its answers, "" for nothing."""
    if not any(one.model for one in made):
        return [""] * len(made)
    try:
        with (
            EmbeddedTriton(repository, start_timeout_s=300) as triton,
            ModelClient(triton.grpc_url, timeout_s=TIMEOUT_S) as client,
        ):
            return [ask(client, one) for one in made]
    except ModelsNotReady as error:
        return _one_by_one(repository, made, error)


def _one_by_one(repository: Path, made: Sequence[Prepared], error: ModelsNotReady) -> list[str]:
    """Blame the models that don't load, and judge the others without them."""
    for name in error.reasons:
        shutil.rmtree(repository / name)
    rest = [one if one.model not in error.reasons else Prepared("", one.status) for one in made]
    found = judged(repository, rest)
    return [
        f"it does not load: {error.reasons[one.model][:300]}" if one.model in error.reasons else why
        for one, why in zip(made, found, strict=True)
    ]


def ask(client: ModelClient, one: Prepared) -> str:
    """Return what is wrong with a served model's answers; "" where nothing is."""
    for question in one.questions if one.model else ():
        if why := difference(question, _answer(client, one.model, question)):
            return why
    return ""


def _answer(client: ModelClient, model: str, question: Question) -> dict[str, Array] | str:
    try:
        return client.infer(model, question.tensors)
    except GeulpiError as error:
        return str(error)
