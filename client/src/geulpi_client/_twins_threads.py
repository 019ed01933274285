"""What the clients for threads wait with; `_twins_async` is the same for asyncio."""

from time import sleep

from geulpi_client._background_threads import Background
from geulpi_client._coalescer_threads import ThreadCoalescer as Coalescer
from geulpi_client._flights_threads import Flights
from geulpi_client._gate_threads import Gate
from geulpi_client._home_threads import Cancelled, Home, is_cancelled
from geulpi_client._limits import ThreadLimiter as Limiter
from geulpi_client._lookups_threads import Lookups

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
