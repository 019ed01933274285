"""What the clients for asyncio wait with; `_twins_threads` is the same for threads."""

from asyncio import sleep

from geulpi_client._background_async import Background
from geulpi_client._coalescer_async import AsyncCoalescer as Coalescer
from geulpi_client._flights_async import Flights
from geulpi_client._gate_async import Gate
from geulpi_client._limits import AsyncLimiter as Limiter
from geulpi_client._lookups_async import Lookups
from geulpi_client._loop_async import Loop, current_loop, loop_is_closed

__all__ = [
    "Background",
    "Coalescer",
    "Flights",
    "Gate",
    "Limiter",
    "Lookups",
    "Loop",
    "current_loop",
    "loop_is_closed",
    "sleep",
]
