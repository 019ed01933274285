"""What has no ONNX form, and why: it answers by work that no fixed graph does."""

from __future__ import annotations

from typing import Any, NoReturn

from sklearn.decomposition import NMF, MiniBatchNMF

from geulpi_conversion._onnx._graph import Graph, Translator, Untranslatable
from geulpi_conversion._onnx._tables import Table


def factorisation(_graph: Graph, estimator: Any, _table: Table, _method: str) -> NoReturn:
    """Refuse what goes on until the rows of a request have settled together."""
    raise Untranslatable(
        estimator, "it factorises all rows of a request anew, until they have settled together"
    )


TRANSLATORS: dict[type, Translator] = {
    MiniBatchNMF: factorisation,
    NMF: factorisation,
}
