"""Typed, cached client for models on NVIDIA Triton."""

from geulpi_client._async.geulpi_client import AsyncGeulpiClient
from geulpi_client._async.model_client import AsyncModelClient
from geulpi_client._balance import Balance
from geulpi_client._burnout import BurnoutRisk, Driver
from geulpi_client._cache_admin import CacheStats, cache_entries, cache_stats, invalidate
from geulpi_client._classify import Classification
from geulpi_client._connection import Tls
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
    InvalidTask,
    InvalidTensor,
    InvalidUrl,
    MissingExtra,
    ModelNotFound,
    ModelUnavailable,
    OtherEventLoop,
    Overloaded,
    Target,
    UnexpectedAnswer,
    Unreachable,
)
from geulpi_client._event import Event
from geulpi_client._insights import WeekInsights
from geulpi_client._memory import MemoryStats
from geulpi_client._names import (
    BALANCE_DIMENSIONS,
    BURNOUT_DRIVERS,
    CATEGORIES,
    EMPLOYMENTS,
    LEVELS,
    MEASURES,
    WEEKDAYS,
)
from geulpi_client._patterns import Pattern
from geulpi_client._person import Person
from geulpi_client._results import InferResult
from geulpi_client._schedule import NotPlaced, Placement, Schedule
from geulpi_client._statistics import EndpointStats, Histogram, ModelStats, Stats
from geulpi_client._status import ServedModel, ServerStatus, server_status
from geulpi_client._sync.geulpi_client import GeulpiClient
from geulpi_client._sync.model_client import ModelClient
from geulpi_client._task import Busy, Task, TimeRange

__all__ = [  # noqa: RUF022 -- plain order: a reader looks names up by their letters
    "AccessDenied",
    "AsyncGeulpiClient",
    "AsyncModelClient",
    "BALANCE_DIMENSIONS",
    "BURNOUT_DRIVERS",
    "Balance",
    "BurnoutRisk",
    "Busy",
    "CATEGORIES",
    "CacheStats",
    "CacheUnavailable",
    "CallFailed",
    "Classification",
    "ClientClosed",
    "DeadlineExceeded",
    "Driver",
    "EMPLOYMENTS",
    "EndpointStats",
    "Event",
    "GeulpiClient",
    "GeulpiError",
    "Histogram",
    "InferResult",
    "InferenceFailed",
    "InputRefused",
    "InvalidEvent",
    "InvalidInput",
    "InvalidSetting",
    "InvalidTask",
    "InvalidTensor",
    "InvalidUrl",
    "LEVELS",
    "MEASURES",
    "MemoryStats",
    "MissingExtra",
    "ModelClient",
    "ModelNotFound",
    "ModelStats",
    "ModelUnavailable",
    "NotPlaced",
    "OtherEventLoop",
    "Overloaded",
    "Pattern",
    "Person",
    "Placement",
    "Schedule",
    "ServedModel",
    "ServerStatus",
    "Stats",
    "Target",
    "Task",
    "TimeRange",
    "Tls",
    "UnexpectedAnswer",
    "Unreachable",
    "WEEKDAYS",
    "WeekInsights",
    "cache_entries",
    "cache_stats",
    "invalidate",
    "server_status",
]
