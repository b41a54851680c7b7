"""At most so many calls of one model at once; the others wait their turn, first come, first served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from isthmus.cards import Card
from isthmus.errors import ModelUnavailable
from isthmus.messages import ChatEvent, ChatRequest
from isthmus.models.streams import closing
from isthmus.seams import ChatModel


class Limited:
    """``limit`` calls at once; a call waits ``wait`` seconds at most. Who stops waiting leaves the queue."""

    def __init__(self, model: ChatModel, limit: int, *, wait: float = 30.0) -> None:
        self._model = model
        self._wait = wait
        self._slots = asyncio.Semaphore(limit)  # wakes its waiters in order

    @property
    def card(self) -> Card:
        return self._model.card

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Raises :class:`ModelUnavailable` where no turn came in time, with ``retry_after`` in seconds."""
        await self._turn()
        try:
            async with closing(self._model.stream(request)) as events:
                async for event in events:
                    yield event
        finally:
            self._slots.release()

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(self._wait):
                await self._slots.acquire()
        except TimeoutError:
            raise ModelUnavailable(
                f"{self.card.id} is busy: no turn came within {self._wait:g} seconds.",
                hint="Try again shortly, or name another model.",
                details={"retry_after": self._wait},
            ) from None
