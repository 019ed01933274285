"""The event loop that a client's connections belong to."""

from __future__ import annotations

import asyncio
from typing import TypeAlias

Loop: TypeAlias = asyncio.AbstractEventLoop


def current_loop() -> Loop:
    """Return the loop of the caller."""
    return asyncio.get_running_loop()


def loop_is_closed(loop: Loop) -> bool:
    """Return whether nothing of that loop can go on."""
    return loop.is_closed()
