"""Whether a release of Triton's official container can serve a converted model.

Sources: Triton's "Release Compatibility Matrix" for the ONNX Runtime and the Python of each
release. What each ONNX Runtime takes was measured with its CPU wheel: the newest opset and IR
version that a session of a one-node model accepts. (Its own table ends at 1.20.) As ai.onnx.ml
counts the newest opset whose operators have kernels: 1.18 to 1.20 load a model that is stamped 5,
but have no `TreeEnsemble`. Of com.microsoft, what tables and text need is in all of them.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geulpi_conversion._backend.geulpi_artefact import CODE_CARRIER
from geulpi_conversion._converted import Converted
from geulpi_conversion._errors import TargetMismatch, UnknownTarget

if TYPE_CHECKING:
    import onnx

__all__ = ["TARGETS", "Runtime", "Target", "check_target", "find_target"]

RELEASE = re.compile(r"\d\d\.(0[1-9]|1[0-2])")
DOMAINS = {"": "ai.onnx", "ai.onnx": "ai.onnx", "ai.onnx.ml": "ai.onnx.ml"}
MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class Runtime:
    """What an ONNX Runtime takes: its newest opset, ai.onnx.ml opset and IR version."""

    version: str
    opset: int
    ml: int
    ir: int


@dataclass(frozen=True)
class Target:
    """A container release, its ONNX Runtime, and the Python of its Python backend."""

    release: str
    runtime: Runtime
    python: str


_1_17 = Runtime("1.17.3", 20, 4, 9)
_1_18 = Runtime("1.18", 21, 4, 10)
_1_19 = Runtime("1.19.2", 21, 4, 10)
_1_20 = Runtime("1.20.1", 21, 4, 10)
_1_21 = Runtime("1.21.0", 22, 5, 10)
_1_22 = Runtime("1.22.0", 22, 5, 10)
_1_23 = Runtime("1.23", 23, 5, 11)
_1_24 = Runtime("1.24", 25, 5, 13)
_1_27 = Runtime("1.27.0", 26, 5, 13)
_1_28 = Runtime("1.28.0", 26, 5, 13)

RUNTIMES = {
    "24.04": _1_17,
    "24.05": _1_18, "24.06": _1_18, "24.07": _1_18, "24.08": _1_18,
    "24.09": _1_19, "24.10": _1_19, "24.11": _1_19,
    "24.12": _1_20, "25.01": _1_20, "25.02": _1_20,
    "25.03": _1_21, "25.04": _1_21,
    "25.05": _1_22, "25.06": _1_22, "25.07": _1_22,
    "25.08": _1_23, "25.09": _1_23, "25.10": _1_23, "25.11": _1_23, "25.12": _1_23, "26.01": _1_23,
    "26.02": _1_24, "26.03": _1_24, "26.04": _1_24, "26.05": _1_24, "26.06": _1_24,
    "26.07": _1_27,
    "26.08": _1_28,
}  # fmt: skip
OLD_PYTHON, NEW_PYTHON = "3.10", "3.12"  # Ubuntu 22.04's and 24.04's
FIRST_OF_NEW_PYTHON = "24.12"

TARGETS = {
    release: Target(release, runtime, NEW_PYTHON if release >= FIRST_OF_NEW_PYTHON else OLD_PYTHON)
    for release, runtime in RUNTIMES.items()
}


def find_target(release: str) -> Target:
    """Return what is known of a release; of a newer one, what the newest that is known has.

    Raises:
        UnknownTarget: it is no release, or is older than those that are known.
    """
    known = [name for name in TARGETS if name <= release]
    if not RELEASE.fullmatch(release) or not known:
        raise UnknownTarget(release, list(TARGETS))
    return TARGETS[max(known)]


def check_target(converted: Converted, release: str) -> Target:
    """Check a model against a container release; return what is known of it.

    Raises:
        UnknownTarget: the release is not known.
        TargetMismatch: that release can't serve the model.
    """
    target = find_target(release)
    if converted.backend == "onnxruntime":
        import onnx  # noqa: PLC0415 -- not for `geulpi --help`

        _check_onnx(onnx.load_from_string(converted.files[converted.artefact]), target)
    else:
        _check_python(converted, target)
    return target


def _check_onnx(model: onnx.ModelProto, target: Target) -> None:
    runtime = target.runtime
    has = f"its ONNX Runtime {runtime.version}"
    remedy = f"name a newer release with --target, or write the model with opset {runtime.opset}"
    if model.ir_version > runtime.ir:
        raise TargetMismatch(
            target.release,
            f"the model has the IR version {model.ir_version}, {has} takes up to {runtime.ir}",
            remedy,
        )
    limits = {"ai.onnx": runtime.opset, "ai.onnx.ml": runtime.ml, MICROSOFT: 1}
    imported = {}
    for opset in model.opset_import:
        domain = DOMAINS.get(opset.domain, opset.domain)
        if domain not in limits:
            raise TargetMismatch(
                target.release,
                f"the model uses the operators of '{domain}', which {has} has not",
                "convert it to use operators of ONNX alone",
            )
        imported[domain] = opset.version
    for node in _nodes(model.graph):
        _check_operator(node, imported, limits, target)
    for domain, version in imported.items():
        if version > limits[domain]:
            raise TargetMismatch(
                target.release,
                f"the model has the opset {version} of {domain}, {has} takes up to "
                f"{limits[domain]}",
                remedy,
            )


def _check_operator(
    node: onnx.NodeProto, imported: dict[str, int], limits: dict[str, int], target: Target
) -> None:
    """Check that the runtime has the operator in the version that the model asks for."""
    from onnx import defs  # noqa: PLC0415 -- not for `geulpi --help`

    domain = DOMAINS.get(node.domain, node.domain)
    has = f"its ONNX Runtime {target.runtime.version}"
    if domain not in imported:
        raise TargetMismatch(
            target.release,
            f"the operator {node.op_type} is of '{domain}', which the model does not import",
            "convert the model again",
        )
    if domain == MICROSOFT:
        return
    try:
        schema = defs.get_schema(
            node.op_type, imported[domain], "" if domain == "ai.onnx" else domain
        )
    except defs.SchemaError as error:
        raise TargetMismatch(
            target.release,
            f"there is no operator {node.op_type} in the opset {imported[domain]} of {domain}",
            "convert the model again",
        ) from error
    if schema.since_version > limits[domain]:
        raise TargetMismatch(
            target.release,
            f"the model uses {node.op_type} of the opset {schema.since_version} of {domain}, {has} "
            f"has operators up to {limits[domain]}",
            "name a newer release with --target",
        )


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield all nodes, those of inner graphs too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                yield from _nodes(inner)


def _check_python(converted: Converted, target: Target) -> None:
    libraries = json.loads(converted.parameters["libraries"])
    own = ".".join(libraries["python"].split(".")[:2])
    if CODE_CARRIER in libraries and own != target.python:
        raise TargetMismatch(
            target.release,
            f"the model holds functions or classes as the byte code of Python {own}, its Python is "
            f"{target.python}",
            f"convert it in Python {target.python}, or move them into a package that the image has",
        )
    wanted = importlib.metadata.metadata("scikit-learn")["Requires-Python"]
    least = re.match(r">=(\d+)\.(\d+)", wanted)
    if least and tuple(map(int, target.python.split("."))) < tuple(map(int, least.groups())):
        raise TargetMismatch(
            target.release,
            f"scikit-learn {libraries['scikit-learn']} needs Python {wanted}, its Python is "
            f"{target.python}",
            "name a release from " + FIRST_OF_NEW_PYTHON + " on with --target",
        )
