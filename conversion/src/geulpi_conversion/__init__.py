"""A fitted scikit-learn estimator becomes a verified entry of a Triton model repository."""

from geulpi_conversion._convert import Converted, convert
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
