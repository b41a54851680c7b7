"""A stream that has begun, so that dropping it always runs its clean-up."""

from __future__ import annotations

from collections.abc import AsyncIterator

from isthmus.messages import ChatEvent
from isthmus.models.streams import closing


class Primed:
    """A stream whose first event is already here, so that closing it always runs its clean-up.

    (``aclose`` of a generator that was never started runs nothing of it: PEP 525.)
    """

    def __init__(self, first: ChatEvent | None, rest: AsyncIterator[ChatEvent]) -> None:
        self._first = first
        self._rest = rest

    @classmethod
    async def start(cls, events: AsyncIterator[ChatEvent]) -> Primed:
        """Wait for the first event. Raises what the stream raises before it."""
        return cls(await anext(events, None), events)

    def __aiter__(self) -> Primed:
        return self

    async def __anext__(self) -> ChatEvent:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await anext(self._rest)

    async def aclose(self) -> None:
        async with closing(self._rest):
            self._first = None
