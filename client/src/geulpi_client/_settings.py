"""Settings of clients and calls, checked before any work."""

from __future__ import annotations

import math
from collections.abc import Mapping

from geulpi_client._constants import OTHER_TTL_S, TTL_S
from geulpi_client._errors import InvalidSetting


class Ttls:
    """How long each model's answers are kept, in seconds."""

    def __init__(self, ttl_s: Mapping[str, float]) -> None:
        for model, seconds in ttl_s.items():
            if not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
                raise InvalidSetting(f"ttl_s['{model}']", seconds, "seconds, or 0 for no caching")
        self._ttl_s = {**TTL_S, **ttl_s}

    def of(self, model: str) -> float:
        """Return the time to live of a model's answers."""
        return self._ttl_s.get(model, OTHER_TTL_S)


def checked_timeout(timeout_s: float) -> float:
    """Return a time-out that can be waited for, or raise `InvalidSetting`."""
    if not isinstance(timeout_s, int | float) or not 0 < timeout_s < math.inf:
        raise InvalidSetting("timeout_s", timeout_s, "seconds above 0, such as 5.0")
    return float(timeout_s)


def checked_model(model: str) -> str:
    """Return a model's name, or raise `InvalidSetting`."""
    if not isinstance(model, str) or not model or not model.isprintable():
        raise InvalidSetting("model", model, "a model's name, such as 'event_classifier'")
    return model


def checked_version(version: str) -> str:
    """Return a model version, empty for the newest, or raise `InvalidSetting`."""
    if not isinstance(version, str) or not (version == "" or version.isdecimal()):
        raise InvalidSetting("version", version, "a number as str, such as '3', or '' (the newest)")
    return version
