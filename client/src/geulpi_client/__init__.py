"""Typed, cached client for models on NVIDIA Triton."""

from geulpi_client._cache_admin import CacheStats, cache_entries, cache_stats, invalidate
from geulpi_client._classify import CATEGORIES, Classification
from geulpi_client._errors import (
    AccessDenied,
    CacheUnavailable,
    CallFailed,
    ClientClosed,
    DeadlineExceeded,
    GeulpiError,
    InferenceFailed,
    InputRefused,
    InvalidEvent,
    InvalidInput,
    InvalidSetting,
    InvalidTensor,
    InvalidUrl,
    ModelNotFound,
    ModelUnavailable,
    Overloaded,
    Target,
    UnexpectedAnswer,
    Unreachable,
)
from geulpi_client._event import Event
from geulpi_client._geulpi_client import GeulpiClient
from geulpi_client._grpc import ServedModel
from geulpi_client._inference import InferResult
from geulpi_client._model_client import ModelClient
from geulpi_client._statistics import ModelStats, Stats
from geulpi_client._status import ServerStatus, server_status

__all__ = [  # noqa: RUF022 -- plain order: a reader looks names up by their letters
    "AccessDenied",
    "CATEGORIES",
    "CacheStats",
    "CacheUnavailable",
    "CallFailed",
    "Classification",
    "ClientClosed",
    "DeadlineExceeded",
    "Event",
    "GeulpiClient",
    "GeulpiError",
    "InferResult",
    "InferenceFailed",
    "InputRefused",
    "InvalidEvent",
    "InvalidInput",
    "InvalidSetting",
    "InvalidTensor",
    "InvalidUrl",
    "ModelClient",
    "ModelNotFound",
    "ModelStats",
    "ModelUnavailable",
    "Overloaded",
    "ServedModel",
    "ServerStatus",
    "Stats",
    "Target",
    "UnexpectedAnswer",
    "Unreachable",
    "cache_entries",
    "cache_stats",
    "invalidate",
    "server_status",
]
