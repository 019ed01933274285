"""The calendar models of Geulpi: their data, estimators and training."""

from geulpi_models._errors import InvalidRows, ModelError, UnknownModel

__all__ = ["InvalidRows", "ModelError", "UnknownModel"]
