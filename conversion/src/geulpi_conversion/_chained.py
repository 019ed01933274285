"""`chained`: estimators that feed each other become one ONNX model with all their answers.

As the steps of an ensemble each of them would have a process of its own, and each request would go
through all of their queues.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from geulpi_conversion._convert import TIMEOUT_S, convert
from geulpi_conversion._converted import Converted
from geulpi_conversion._errors import NoFaithfulRoute, SampleMismatch

if TYPE_CHECKING:
    import numpy as np

__all__ = ["chained"]


def chained(
    estimators: Mapping[str, Any],
    sample: np.ndarray[Any, Any],
    name: str,
    *,
    timeout_s: float = TIMEOUT_S,
) -> Converted:
    """Convert estimators, each fed with the answers of the one before, into one ONNX model.

    Each is proven as `convert` does it, on the answers that it will really be given; then the whole
    is asked once more.

    Args:
        estimators: at least two fitted estimators with one output of numbers each, by the name
            that this output gets.
        sample: rows of the first, `[N, n_features]` numbers.
        name: of the model in Triton, as in `convert`.
        timeout_s: how long one way of serving one of them may take to be made and proven.

    Returns:
        The model: input `X`, an output `[N, width]` FP32 for each estimator.

    Raises:
        SampleMismatch: an estimator's answers are not one output of numbers.
        NoFaithfulRoute: one of them, or the whole, can't be served by ONNX with equal answers.
        ConversionError: whatever else `convert` raises.
    """
    import numpy as np  # noqa: PLC0415 -- not for `geulpi --help`

    links: dict[str, Converted] = {}
    rows = np.asarray(sample, np.float32)
    for output, estimator in estimators.items():
        link = convert(estimator, rows, name, timeout_s=timeout_s)
        if link.backend != "onnxruntime":
            raise NoFaithfulRoute(name, [f"{output}: {link.reason}"])
        if [(spec.name, spec.datatype) for spec in link.inputs] != [("X", "FP32")] or [
            spec.datatype for spec in link.outputs
        ] != ["FP32"]:
            raise SampleMismatch(
                f"'{output}' does not answer one tensor of numbers by another",
                "chain estimators that transform or predict numbers; make an Ensemble of others",
            )
        links[output] = link
        (rows,) = _answers(link, {"X": rows}).values()
    return _proven(_chain(links), {"X": np.asarray(sample, np.float32)}, links)


def _chain(links: Mapping[str, Converted]) -> Converted:
    """Return the whole, not yet asked."""
    from geulpi_conversion._recorded import PROVENANCE  # noqa: PLC0415

    first = next(iter(links.values()))
    told = {output: json.loads(link.parameters[PROVENANCE]) for output, link in links.items()}
    hyperparameters = json.dumps(
        {output: one["hyperparameters_sha256"] for output, one in told.items()}
    )
    provenance = next(iter(told.values())) | {
        "hyperparameters": hyperparameters,
        "hyperparameters_sha256": hashlib.sha256(hyperparameters.encode()).hexdigest(),
    }
    names = " → ".join(link.parameters["estimator"] for link in links.values())
    return dataclasses.replace(
        first,
        outputs=tuple(
            dataclasses.replace(link.outputs[0], name=output) for output, link in links.items()
        ),
        files={first.artefact: _merged(links)},
        expected={
            output: answers for output, link in links.items() for answers in link.expected.values()
        },
        parameters={
            **first.parameters,
            "estimator": names,
            PROVENANCE: json.dumps(provenance, ensure_ascii=False),
        },
        fixes=tuple(dict.fromkeys(fix for link in links.values() for fix in link.fixes)),
    )


def _merged(links: Mapping[str, Converted]) -> bytes:
    """Join the graphs: what one answers is the next one's input, and an output of the whole."""
    import onnx  # noqa: PLC0415
    from onnx import compose, helper  # noqa: PLC0415

    def part(output: str) -> onnx.ModelProto:
        model = onnx.load_from_string(links[output].files[links[output].artefact])
        return compose.add_prefix(model, f"{output}/")

    kept = [f"{output}/{link.outputs[0].name}" for output, link in links.items()]
    first, *others = links
    joined = part(first)
    for number, output in enumerate(others, 1):
        fed = [(kept[number - 1], f"{output}/X")]
        joined = compose.merge_models(joined, part(output), fed, outputs=kept[: number + 1])
    graph = joined.graph
    # The tensors get the names that requests use; ONNX Runtime removes an Identity.
    entry = graph.input[0].name
    graph.node.insert(0, helper.make_node("Identity", ["X"], [entry]))
    graph.input[0].name = "X"
    for inner, output in zip(list(graph.output), links, strict=True):
        graph.node.append(helper.make_node("Identity", [inner.name], [output]))
        inner.name = output
    onnx.checker.check_model(joined)
    content: bytes = joined.SerializeToString()
    return content


def _proven(
    chain: Converted, tensors: Mapping[str, np.ndarray[Any, Any]], links: Mapping[str, Converted]
) -> Converted:
    """Compare the whole with its links, one after the other, on all of the sample."""
    from geulpi_conversion._parity import compare  # noqa: PLC0415

    found = _answers(chain, tensors)
    compared = []
    given = dict(tensors)
    for output, link in links.items():
        (own,) = _answers(link, given).values()
        compared.append(compare(output, own, [found[output]]))
        given = {"X": own}
    proven = (
        dataclasses.replace(one, name=output)
        for output, link in links.items()
        for one in link.parity.outputs
    )
    first = chain.parity
    parity = dataclasses.replace(first, outputs=(*compared, *proven))
    if not parity.ok:
        raise NoFaithfulRoute(chain.name, [str(parity)])
    return dataclasses.replace(chain, parity=parity)


def _answers(
    model: Converted, tensors: Mapping[str, np.ndarray[Any, Any]]
) -> dict[str, np.ndarray[Any, Any]]:
    from geulpi_conversion._onnx._candidate import runner  # noqa: PLC0415

    return runner(model.files[model.artefact])(dict(tensors))
