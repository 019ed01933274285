"""Whether a release of Triton's container can serve a model is known before it is deployed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import onnx
import pytest
from geulpi_conversion import Converted, TargetMismatch, UnknownTarget
from geulpi_conversion._targets import TARGETS, check_target, find_target
from onnx import TensorProto, helper


def with_model(
    converted: Converted, node: onnx.NodeProto, opsets: dict[str, int], ir: int = 8
) -> Converted:
    """Return the model with a graph of one node in place of its own."""
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 1]) for n in "XY")
    graph = helper.make_graph([node], "g", [x], [y])
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    model = helper.make_model(graph, opset_imports=imports, ir_version=ir)
    return replace(converted, files={"model.onnx": model.SerializeToString()})


def node(operator: str, domain: str = "", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, ["X"], ["Y"], domain=domain, **attributes)


@pytest.mark.parametrize("release", [r for r in TARGETS if r >= "24.05"])
def test_what_is_converted_runs_on_every_release_from_24_05(
    forest: Converted, release: str
) -> None:
    """Models are written for the opset and IR version of ONNX Runtime 1.18 and newer."""
    assert check_target(forest, release).release == release


def test_an_old_release_is_told_with_what_it_takes(forest: Converted) -> None:
    """The error names release, ONNX Runtime, what the model has and the remedy."""
    with pytest.raises(TargetMismatch) as refused:
        check_target(forest, "24.04")
    told = str(refused.value)
    for word in ("24.04", "ONNX Runtime 1.17.3", "IR version 10", "up to 9", "--target"):
        assert word in told
    assert refused.value.exit_code == 1


@pytest.mark.parametrize(
    ("one", "opsets", "ir", "first"),
    [
        (node("Identity"), {"": 22}, 8, "25.03"),
        (node("Identity"), {"": 23}, 8, "25.08"),
        (node("Identity"), {"": 26}, 8, "26.07"),
        (node("Identity"), {"": 21}, 11, "25.08"),
        (node("Identity"), {"": 21}, 13, "26.02"),
        (node("Gelu"), {"": 20}, 8, "24.04"),
        (node("Binarizer", "ai.onnx.ml"), {"": 20, "ai.onnx.ml": 3}, 8, "24.04"),
        (node("Binarizer", "ai.onnx.ml"), {"": 20, "ai.onnx.ml": 5}, 8, "25.03"),
        (node("TreeEnsemble", "ai.onnx.ml"), {"": 20, "ai.onnx.ml": 5}, 8, "25.03"),
        (node("Tokenizer", "com.microsoft"), {"": 20, "com.microsoft": 1}, 8, "24.04"),
    ],
)  # fmt: skip
def test_the_first_release_that_serves_a_model_is_known(
    forest: Converted, one: onnx.NodeProto, opsets: dict[str, int], ir: int, first: str
) -> None:
    """A model is refused for every release before the first that has what it needs."""
    converted = with_model(forest, one, opsets, ir)
    for release in TARGETS:
        if release >= first:
            check_target(converted, release)
        else:
            with pytest.raises(TargetMismatch):
                check_target(converted, release)


@pytest.mark.parametrize(
    ("one", "opsets", "told"),
    [
        (node("TreeEnsemble", "ai.onnx.ml"), {"": 20, "ai.onnx.ml": 5}, "TreeEnsemble of the"),
        (node("Identity"), {"": 20, "my.domain": 1}, "'my.domain'"),
        (node("Binarizer", "ai.onnx.ml"), {"": 20}, "does not import"),
        (node("Gelu"), {"": 19}, "no operator Gelu"),
    ],
)
def test_the_operator_that_is_in_the_way_is_named(
    forest: Converted, one: onnx.NodeProto, opsets: dict[str, int], told: str
) -> None:
    """Operators of other makers, of newer opsets, and of none are told apart."""
    with pytest.raises(TargetMismatch, match=told):
        check_target(with_model(forest, one, opsets), "24.10")


def test_operators_of_inner_graphs_count(forest: Converted) -> None:
    """What stands in a branch of an If is found as well."""
    y = helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, 1])
    branch = helper.make_graph([node("TreeEnsemble", "ai.onnx.ml")], "b", [], [y])
    one = helper.make_node("If", ["X"], ["Y"], then_branch=branch, else_branch=branch)
    converted = with_model(forest, one, {"": 20, "ai.onnx.ml": 5})
    with pytest.raises(TargetMismatch, match="TreeEnsemble"):
        check_target(converted, "24.10")


@pytest.mark.parametrize(
    "release", ["25", "25.6", "25.13", "newest", "24.03", "", "25.06-py3", "٢٥.٠٦"]
)
def test_what_is_no_release_is_refused(release: str) -> None:
    """The known releases are listed."""
    with pytest.raises(UnknownTarget, match=r"24\.10.*26\.08") as refused:
        find_target(release)
    assert refused.value.exit_code == 2


def test_a_release_to_come_is_taken_for_the_newest_known() -> None:
    """Newer ONNX Runtimes serve what older ones do."""
    assert find_target("27.01") == TARGETS["26.08"]


def python_model(converted: Converted, **libraries: str) -> Converted:
    recorded = {"python": "3.11.7", "scikit-learn": "1.9.1"} | libraries
    parameters = {**converted.parameters, "libraries": json.dumps(recorded)}
    return replace(converted, backend="python", parameters=parameters)


def test_code_needs_the_python_that_wrote_it(forest: Converted) -> None:
    """Byte code of 3.11 is for no image; without code, any Python that scikit-learn runs on."""
    with pytest.raises(TargetMismatch, match=r"byte code of Python 3\.11.*Python is 3\.12"):
        check_target(python_model(forest, cloudpickle="3.1.0"), "25.06")
    check_target(python_model(forest, cloudpickle="3.1.0", python="3.12.3"), "25.06")
    check_target(python_model(forest), "25.06")
    with pytest.raises(TargetMismatch, match=r"scikit-learn 1\.9\.1 needs Python >=3\.11.*3\.10"):
        check_target(python_model(forest), "24.10")
