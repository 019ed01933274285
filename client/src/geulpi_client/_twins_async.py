"""What the clients for asyncio wait with; `_twins_threads` is the same for threads."""

from asyncio import sleep

from geulpi_client._background_async import Background
from geulpi_client._coalescer_async import AsyncCoalescer as Coalescer
from geulpi_client._flights_async import Flights
from geulpi_client._gate_async import Gate
from geulpi_client._home_async import Cancelled, Home, is_cancelled
from geulpi_client._limits import AsyncLimiter as Limiter
from geulpi_client._lookups_async import Lookups

__all__ = [
    "Background",
    "Cancelled",
    "Coalescer",
    "Flights",
    "Gate",
    "Home",
    "Limiter",
    "Lookups",
    "is_cancelled",
    "sleep",
]
