"""Any fitted scikit-learn estimator becomes a verified entry of a Triton model repository."""

from geulpi_conversion._convert import convert
from geulpi_conversion._converted import Converted, OutputParity, Parity, TensorSpec
from geulpi_conversion._errors import (
    ConversionError,
    InvalidName,
    NoFaithfulRoute,
    NotFitted,
    RepositoryNotWritable,
    SampleMismatch,
    UnreadableFile,
    Unservable,
    UnsupportedFile,
    UntrustedFile,
)
from geulpi_conversion._publish import publish

__all__ = [
    "ConversionError",
    "Converted",
    "InvalidName",
    "NoFaithfulRoute",
    "NotFitted",
    "OutputParity",
    "Parity",
    "RepositoryNotWritable",
    "SampleMismatch",
    "TensorSpec",
    "UnreadableFile",
    "Unservable",
    "UnsupportedFile",
    "UntrustedFile",
    "convert",
    "publish",
]
