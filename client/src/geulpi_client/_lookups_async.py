"""Look-ups in Redis for asyncio: those that come while one is under way travel together.

redis-py's asyncio client takes a connection for each command that is under way, and far longer for
a hundred small commands than for one with a hundred keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

Values: TypeAlias = Sequence[bytes | None]

KEYS_AT_A_TIME: Final = 1000


class Lookups:
    """Joins the look-ups of one event loop; `get` returns one value or `None` per key."""

    def __init__(self, get: Callable[[Sequence[str]], Awaitable[Values]]) -> None:
        self._get = get
        self._busy = False
        self._waiting: list[tuple[Sequence[str], asyncio.Future[Values]]] = []
        self._task: asyncio.Task[None] | None = None

    async def get(self, keys: Sequence[str], within_s: float | None) -> Values:
        """Return one value or `None` per key, within so many seconds if given.

        Raises what the store raises, and `TimeoutError`.
        """
        if within_s is None:
            return await self._asked(keys)
        async with asyncio.timeout(within_s):
            return await self._asked(keys)

    async def _asked(self, keys: Sequence[str]) -> Values:
        if not self._busy:
            self._busy = True
            try:
                return await self._get(keys)
            finally:
                self._next()
        answer: asyncio.Future[Values] = asyncio.get_running_loop().create_future()
        self._waiting.append((keys, answer))
        return await answer

    def _next(self) -> None:
        """Send those that wait, or be free again."""
        together: list[tuple[Sequence[str], asyncio.Future[Values]]] = []
        count = 0
        while self._waiting and count < KEYS_AT_A_TIME:
            keys, answer = self._waiting[0]
            if not answer.done():  # it may have been cancelled
                together.append((keys, answer))
                count += len(keys)
            del self._waiting[0]
        if not together:
            self._busy = False
            return
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._ask(together))
        self._task.add_done_callback(lambda _: self._next())

    async def _ask(self, together: list[tuple[Sequence[str], asyncio.Future[Values]]]) -> None:
        try:
            values = await self._get([key for keys, _ in together for key in keys])
        except Exception as error:  # noqa: BLE001 -- whatever it is, each caller gets it
            for _, answer in together:
                if not answer.done():
                    answer.set_exception(error)
            return
        start = 0
        for keys, answer in together:
            if not answer.done():
                answer.set_result(values[start : start + len(keys)])
            start += len(keys)
