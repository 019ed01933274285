"""What the optional extras bring, imported where it is needed."""

from __future__ import annotations

import importlib
from types import ModuleType

from geulpi_client._errors import MissingExtra


def needs(module: str, extra: str) -> ModuleType:
    """Return a module of an extra.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(module, extra) from error
