"""A fitted scikit-learn estimator becomes a verified entry of a Triton model repository."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from geulpi_conversion._errors import (
    ConversionError,
    InvalidName,
    NotFitted,
    ParityFailed,
    RepositoryNotWritable,
    SampleMismatch,
    UnreadableFile,
    Unservable,
    UntrustedFile,
)

if TYPE_CHECKING:
    from geulpi_conversion._convert import Converted, convert
    from geulpi_conversion._parity import OutputParity, Parity
    from geulpi_conversion._publish import publish

__all__ = [
    "ConversionError",
    "Converted",
    "InvalidName",
    "NotFitted",
    "OutputParity",
    "Parity",
    "ParityFailed",
    "RepositoryNotWritable",
    "SampleMismatch",
    "UnreadableFile",
    "Unservable",
    "UntrustedFile",
    "convert",
    "publish",
]

# scikit-learn and skl2onnx take seconds to import; help and error messages must not wait for them.
_LATE = {
    "Converted": "_convert",
    "OutputParity": "_parity",
    "Parity": "_parity",
    "convert": "_convert",
    "publish": "_publish",
}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
