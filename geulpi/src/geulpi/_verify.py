"""Asks a published model through a real server what its estimator was asked, and compares.

It needs three rooms at once (the entry of conversion, the server, the client), so it lives here,
where they are put together.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from geulpi_client import ModelClient, Target, UnexpectedAnswer
from geulpi_conversion import EntryDamaged, OutputParity, Parity
from geulpi_conversion._converted import Tolerance
from geulpi_conversion._describe import Entry, Version
from geulpi_conversion._parity import compare_case
from geulpi_conversion._reference import Case
from geulpi_server import EmbeddedTriton

__all__ = ["asked", "newest_served", "served_alone"]

TIMEOUT_S = 60.0  # of one request; a first one may load much


def newest_served(entry: Entry) -> Version:
    """Return the newest version that the version policy names.

    Raises:
        EntryDamaged: there is none.
    """
    served = [version for version in entry.versions if version.served]
    if not served:
        raise EntryDamaged(entry.folder, "it holds no version that its version policy serves")
    return served[-1]


@contextlib.contextmanager
def served_alone(entry: Entry) -> Iterator[str]:
    """Serve one model of a repository on free ports; the address of the gRPC API."""
    with tempfile.TemporaryDirectory(prefix="geulpi-verify-") as folder:
        Path(folder, entry.name).symlink_to(entry.folder.absolute())
        with EmbeddedTriton(folder) as triton:
            yield triton.grpc_url


def asked(url: str, entry: Entry, version: Version) -> Parity:
    """Ask a version its recorded rows, in one batch and one by one, and compare the answers.

    Where a row's answer depends on its batch, the batch alone can be compared.

    Raises:
        NoSample: the version holds no rows.
        EntryDamaged: they can't be read.
        GeulpiError: the server could not be asked, or refused.
    """
    rows, expected = version.sample()
    count = len(next(iter(rows.values())))
    singles = tuple({n: values[i : i + 1] for n, values in rows.items()} for i in range(count))
    classes = _single_labels(entry)
    proven = version.report.parity if version.report else None
    tolerance = proven.tolerance if proven else Tolerance()
    cases = [Case("sample", (rows,), expected, classes)]
    if entry.parameters.get("batching") != "request":
        cases.append(Case("single rows", singles, expected, classes))
    outputs: list[OutputParity] = []
    with ModelClient(url, timeout_s=TIMEOUT_S) as client:
        for case in cases:
            answers = [
                _answer(client, entry.name, version, batch, expected) for batch in case.batches
            ]
            outputs += compare_case(case, answers, tolerance)
    singly = sum(case.rows for case in cases[1:])
    told = tuple(_as_proven(output, proven) for output in outputs)
    return Parity(count, singly, told, tolerance=tolerance)


def _answer(
    client: ModelClient,
    name: str,
    version: Version,
    batch: Mapping[str, Any],
    expected: Mapping[str, Any],
) -> dict[str, Any]:
    answer = client.infer(name, batch, version=str(version.number))
    if absent := sorted(expected.keys() - answer.keys()):
        target = Target(client.url, name, str(version.number))
        raise UnexpectedAnswer(target, f"it has no output '{absent[0]}'")
    return answer


def _single_labels(entry: Entry) -> Sequence[Any]:
    """Return the labels in the order of the scores; none where a row has several."""
    classes = entry.known.get("classes")
    if not isinstance(classes, list) or any(isinstance(label, list) for label in classes):
        return []
    return classes


def _as_proven(output: OutputParity, proven: Parity | None) -> OutputParity:
    """Let so many rows differ as the conversion found to differ in the sample, and no more."""
    recorded = [
        other.rows_over
        for other in (proven.outputs if proven else ())
        if (other.name, other.group) == (output.name, "sample")
    ]
    return dataclasses.replace(output, rows_allowed=max([output.rows_allowed, *recorded]))
