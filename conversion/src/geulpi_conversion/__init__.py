"""Any fitted scikit-learn estimator becomes a verified entry of a Triton model repository."""

from geulpi_conversion._chained import chained
from geulpi_conversion._composed import (
    Ensemble,
    EnsembleStep,
    PythonModel,
    python_backend_metrics,
)
from geulpi_conversion._convert import convert
from geulpi_conversion._converted import (
    Change,
    Converted,
    OutputParity,
    Parity,
    RefusalParity,
    Step,
    TensorSpec,
    Tolerance,
)
from geulpi_conversion._errors import (
    CannotDistill,
    ConversionError,
    EntryDamaged,
    EntryNotFound,
    InvalidName,
    InvalidServing,
    LighterRefused,
    NoFaithfulRoute,
    NoSample,
    NotFitted,
    RepositoryNotWritable,
    SampleMismatch,
    TargetMismatch,
    UnknownTarget,
    UnreadableFile,
    Unservable,
    UnsupportedFile,
    UntrustedFile,
)
from geulpi_conversion._publish import publish
from geulpi_conversion._serving import ServingConfig

__all__ = [
    "CannotDistill",
    "Change",
    "ConversionError",
    "Converted",
    "Ensemble",
    "EnsembleStep",
    "EntryDamaged",
    "EntryNotFound",
    "InvalidName",
    "InvalidServing",
    "LighterRefused",
    "NoFaithfulRoute",
    "NoSample",
    "NotFitted",
    "OutputParity",
    "Parity",
    "PythonModel",
    "RefusalParity",
    "RepositoryNotWritable",
    "SampleMismatch",
    "ServingConfig",
    "Step",
    "TargetMismatch",
    "TensorSpec",
    "Tolerance",
    "UnknownTarget",
    "UnreadableFile",
    "Unservable",
    "UnsupportedFile",
    "UntrustedFile",
    "chained",
    "convert",
    "publish",
    "python_backend_metrics",
]
