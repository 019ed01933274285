"""What the package logs: events of the logger `geulpi_client`, with fields and without secrets.

    event(WARNING, "cache fails, going on without it", endpoint=url, error=error)

Readers see the fields after the message; a formatter that writes JSON finds them in the record's
attribute `geulpi`. No field can be a payload or a secret: of an exception its class is kept, for
its text may quote an input; addresses lose user, password and options; and of what is neither text
nor number only the type remains.
"""

from __future__ import annotations

import logging
import re
from logging import DEBUG, INFO, WARNING
from typing import Final, TypeAlias

__all__ = ["DEBUG", "INFO", "WARNING", "Field", "event"]

Field: TypeAlias = str | int | float | bool | None

_LOGGER: Final = logging.getLogger("geulpi_client")
_LONGEST = 200
_MASK = "***"

# A password may hold blanks, line ends, slashes and @: all up to the last @ goes.
_USER = re.compile(r"(?:(\S*?://).*|\S+)@", re.DOTALL)
_OPTIONS = re.compile(r"(://[^\s?]*)\?\S*")
_CREDENTIALS = re.compile(r"\b(bearer|basic)\s+\S+", re.IGNORECASE)
_SECRET_NAME = re.compile(r"token|password|secret|authorization|api_?key|credential")


def event(level: int, message: str, **fields: object) -> None:
    """Log what happened; the message is a constant, all that varies is a field."""
    if not _LOGGER.isEnabledFor(level):
        return
    safe = {name: _safe(name, value) for name, value in fields.items()}
    told = ", ".join(f"{name}={value!r}" for name, value in safe.items())
    text = f"{message}: {told}" if told else message
    _LOGGER.log(level, text, extra={"geulpi": {"event": message, **safe}}, stacklevel=2)


def _safe(name: str, value: object) -> Field:
    if _SECRET_NAME.search(name.lower()):
        return _MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _masked(value)
    return type(value).__name__


def _masked(text: str) -> str:
    text = _USER.sub(rf"\1{_MASK}@", text)
    text = _OPTIONS.sub(r"\1", text)
    text = _CREDENTIALS.sub(rf"\1 {_MASK}", text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
