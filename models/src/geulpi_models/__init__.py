"""The calendar models of Geulpi: their data, estimators and training."""

from geulpi_models._errors import (
    DataNotFound,
    InvalidRows,
    ModelError,
    StepsMissing,
    UnknownModel,
)

__all__ = ["DataNotFound", "InvalidRows", "ModelError", "StepsMissing", "UnknownModel"]
