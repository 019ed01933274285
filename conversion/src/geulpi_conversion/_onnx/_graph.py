"""Writes an ONNX graph node by node, as translators ask for it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime reads it when it is imported

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from geulpi_conversion._onnx._subclasses import as_base
from geulpi_conversion._onnx._tables import ELEMENT_TYPES, Kind, Table, Value

Array = np.ndarray[Any, Any]
# What an operation takes: the name of a tensor, or a constant.
Operand = str | Array | float | int | bool
# By type of the estimator; gets the graph, the estimator, what it is given and the method asked.
Translator = Callable[["Graph", Any, Table, str], Value | Table]

OPSET = 21  # of ONNX Runtime 1.19 and newer
ML = "ai.onnx.ml"
MICROSOFT = "com.microsoft"
OPSETS = {"": OPSET, ML: 3, MICROSOFT: 1}


class Untranslatable(ValueError):
    """A part of the estimator has no ONNX form that is right: which, and why."""

    def __init__(self, estimator: Any, why: str) -> None:
        super().__init__(f"{type(estimator).__name__}: {why}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _told, (str(self),)  # the estimator stays where it is


def _told(message: str) -> Untranslatable:
    error = Untranslatable.__new__(Untranslatable)
    ValueError.__init__(error, message)
    return error


class Graph:
    """The nodes so far. Tensors are known by name; `[N, width]` ones with a type as `Value`.

    Numbers are computed in `dtype`: float32, or float64 where that is needed for equal answers.
    Float constants of numpy and Python become of that type, unless made by `constant`.

    Attributes:
        dtype: of the arithmetic.
        kind: the same, as a kind of value.
        nodes: in an order in which they can be computed.
        initializers: the constants by name.
        fixes: what was done other than skl2onnx would do, in words, for the report.
    """

    def __init__(
        self,
        translators: Mapping[type, Translator],
        otherwise: Translator,
        *,
        double: bool = False,
    ) -> None:
        """Begin with nothing.

        Args:
            translators: how each type of estimator is translated.
            otherwise: how every other estimator is.
            double: whether to compute in float64.
        """
        self.dtype: np.dtype[Any] = np.dtype(np.float64 if double else np.float32)
        self.kind: Kind = "double" if double else "float"
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.fixes: dict[str, None] = {}
        self._translators = translators
        self._otherwise = otherwise
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._answers: dict[tuple[int, Table, str], tuple[Any, Table]] = {}
        self._bases: dict[int, tuple[Any, Any]] = {}
        self._names = 0
        self._messages: set[str] = set()

    # --- nodes ---

    def op(self, op_type: str, *operands: Operand, domain: str = "", **attributes: Any) -> str:
        """Add a node of one output; return the output's name."""
        return self.ops(op_type, *operands, domain=domain, outputs=1, **attributes)[0]

    def ops(
        self, op_type: str, *operands: Operand, outputs: int, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node; return the names of its outputs. An operand "" is left out."""
        names = [self._operand(operand) for operand in operands]
        found = [self.fresh(op_type) for _ in range(outputs)]
        self.nodes.append(
            helper.make_node(op_type, names, found, name=found[0], domain=domain, **attributes)
        )
        return found

    def fresh(self, hint: str) -> str:
        """Return a name that no tensor has."""
        self._names += 1
        return f"{hint}.{self._names}"

    def constant(self, value: Any, dtype: Any = None) -> str:
        """Return the name of a constant of just this numpy type; texts are strings."""
        array = np.asarray(value, dtype=dtype)
        if array.dtype.kind in "UO":
            array = np.asarray(value, dtype=np.object_)  # numpy's own texts lose trailing NULs
            raw = b"".join(str(v).encode("utf-8", "surrogatepass") + b"\0" for v in array.ravel())
        else:
            raw = array.tobytes()
        key = (str(array.dtype), array.shape, raw)
        if key not in self._constants:
            name = self.fresh("constant")
            self._constants[key] = name
            self.initializers[name] = numpy_helper.from_array(array, name)
        return self._constants[key]

    def _operand(self, operand: Operand) -> str:
        if isinstance(operand, str):
            return operand
        array = np.asarray(operand)
        if array.dtype.kind == "f":
            array = array.astype(self.dtype)
        elif array.dtype.kind in "iu":
            array = array.astype(np.int64)
        return self.constant(array)

    # --- values ---

    def cast(self, value: Value, kind: Kind) -> Value:
        """Return the value in another type of element."""
        if value.kind == kind:
            return value
        if "string" in {value.kind, kind}:
            raise ValueError(f"a {value.kind} does not become a {kind}")
        return Value(self.op("Cast", value.name, to=ELEMENT_TYPES[kind]), kind, value.width)

    def value(self, name: str, width: int) -> Value:
        """Return a tensor `[N, width]` of the arithmetic's type."""
        return Value(name, self.kind, width)

    def select(self, table: Table, columns: Sequence[int]) -> Table:
        """Return some columns of a table, in the order asked for."""
        found: list[Value] = []
        for value, group in groupby(table.places(columns), key=lambda held: held[0]):
            places = [place for _, place in group]
            if places == list(range(value.width)):
                found.append(value)
                continue
            name = self.op("Gather", value.name, np.array(places, np.int64), axis=1)
            found.append(dataclasses.replace(value, name=name, width=len(places)))
        return Table(tuple(found))

    def joined(self, table: Table, kind: Kind) -> Value:
        """Return a table as one tensor."""
        values = [self.cast(value, kind) for value in table.values]
        if len(values) == 1:
            return values[0]
        return Value(
            self.op("Concat", *(value.name for value in values), axis=1), kind, table.width
        )

    def matrix(self, table: Table) -> Value:
        """Return a table of numbers as one matrix of the arithmetic's type, `[N, width]`."""
        return self.joined(table, self.kind)

    def refuse_where(self, bad: str, value: Value, message: str) -> Value:
        """Return the value, of a graph that refuses a request in which `bad` holds anywhere.

        ONNX has no error of its own. A look-up beyond its table is one, with the node's name in
        it, on every server; a reshape to what was looked up copies nothing.

        Args:
            bad: a BOOL tensor of any shape.
            value: what goes on being used.
            message: the sentence that the request's sender reads.
        """
        counted = self.op("ReduceSum", self.op("Cast", bad, to=TensorProto.INT64), keepdims=0)
        index = self.op("Mul", counted, 9)
        shape = self.op("Gather", np.array([[-1, value.width]]), index)
        while message in self._messages:  # a node's name may be there only once
            message += "."
        self._messages.add(message)
        self.nodes[-1].name = message
        return dataclasses.replace(value, name=self.op("Reshape", value.name, shape))

    def refuse_not_finite(self, value: Value, checked: str, message: str) -> Value:
        """Return the value, of a graph that refuses a request with NaN or infinity in `checked`."""
        gap = self.op("Sub", checked, checked)  # infinity less itself is NaN, too
        return self.refuse_where(self.op("IsNaN", gap), value, message)

    # --- estimators ---

    def transform(self, estimator: Any, table: Table) -> Table:
        """Return what `estimator.transform` makes of a table."""
        return self._answer(estimator, table, "transform")

    def call(self, estimator: Any, table: Table, method: str) -> Value:
        """Return what a method of an estimator answers, as one tensor.

        `predict` of a classifier gives its labels: INT64 or strings, `[N, 1]`; of several targets
        `[N, k]`. `decision_function` of two classes gives `[N, 1]`, as does a single regression.
        """
        answer = self._answer(estimator, table, method)
        if len(answer.values) == 1:
            return answer.values[0]
        kind: Kind = (
            "string" if "string" in answer.kinds
            else "int64" if answer.kinds <= {"int64", "bool"}
            else self.kind
        )  # fmt: skip
        return self.joined(answer, kind)

    def _answer(self, estimator: Any, table: Table, method: str) -> Table:
        key = (id(estimator), table, method)
        if key not in self._answers:
            own = self._as_base(estimator)
            translate = self._translators.get(type(own), self._otherwise)
            # The estimator is kept, so that no other gets its id.
            self._answers[key] = estimator, Table.of(translate(self, own, table, method))
        return self._answers[key][1]

    def _as_base(self, estimator: Any) -> Any:
        """Return an estimator of a plain subclass as one of its base, the same each time."""
        if id(estimator) not in self._bases:
            self._bases[id(estimator)] = estimator, as_base(estimator, self._translators)
        return self._bases[id(estimator)][1]

    def labels(self, index: str, classes: Any) -> Value:
        """Return the labels of classes by their place: `index` is INT64 `[N, 1]`."""
        array = np.asarray(classes)
        texts = array.dtype.kind in "UO"
        known = self.constant(array) if texts else self.constant(array, np.int64)
        return Value(self.op("Gather", known, index), "string" if texts else "int64", 1)

    def best(self, scores: Value, classes: Any) -> Value:
        """Return the label with the highest score; of equal ones the first, as numpy's argmax."""
        index = self.op("ArgMax", scores.name, axis=1, keepdims=1, select_last_index=0)
        return self.labels(index, classes)

    def positive(self, decision: Value, classes: Any) -> Value:
        """Return the second of two labels where a decision value `[N, 1]` is above 0."""
        above = self.op("Greater", decision.name, self._zero(decision.kind))
        index = self.op("Cast", above, to=ELEMENT_TYPES["int64"])
        return self.labels(index, classes)

    def _zero(self, kind: Kind) -> str:
        return self.constant(np.zeros(1, np.float64 if kind == "double" else np.float32))

    def uniform(self, name: str, element_type: int, width: int) -> Value:
        """Return a tensor of N rows and any shape and type as `[N, width]` of one of our kinds."""
        kind = {t: kind for kind, t in ELEMENT_TYPES.items()}.get(element_type)
        if kind is None or kind in {"float", "double"}:
            integers = {TensorProto.INT32, TensorProto.INT8, TensorProto.UINT8, TensorProto.UINT64}
            kind = "int64" if element_type in integers else self.kind
        if ELEMENT_TYPES[kind] != element_type:
            name = self.op("Cast", name, to=ELEMENT_TYPES[kind])
        return Value(self.op("Reshape", name, np.array([-1, width])), kind, width)

    # --- whole graphs ---

    def inline(self, model: onnx.ModelProto, inputs: Sequence[str]) -> list[str]:
        """Add all nodes of another model, fed by these tensors; return its outputs' names."""
        prefix = self.fresh("part") + "/"
        model = compose.add_prefix(model, prefix)
        if model.functions:
            raise ValueError("the converted part holds functions, which can't be inlined")
        newer = {o.domain: o.version for o in model.opset_import if o.version > OPSETS[o.domain]}
        if newer:
            raise ValueError(f"the converted part needs the opsets {newer}, newer than {OPSETS}")
        for name, inner in zip(inputs, model.graph.input, strict=True):
            self.nodes.append(helper.make_node("Identity", [name], [inner.name]))
        self.nodes.extend(model.graph.node)
        self.initializers.update({tensor.name: tensor for tensor in model.graph.initializer})
        return [output.name for output in model.graph.output]

    def note(self, fix: str) -> None:
        """Tell the report what was done other than skl2onnx would."""
        self.fixes[fix] = None
