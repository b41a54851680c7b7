"""A few more tries, while nothing has been delivered: for what another try may cure, and never for an answer."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from isthmus.cards import Card
from isthmus.errors import Upstream, UpstreamFailed, UpstreamRateLimited, UpstreamTimeout
from isthmus.messages import ChatEvent, ChatRequest
from isthmus.models.streams import closing
from isthmus.seams import ChatModel, Clock


@dataclass(frozen=True, slots=True)
class Retries:
    """``attempts`` in all. The wait before the n-th retry is drawn from 0 to ``base * 2**(n-1)``, at most ``most``
    ("full jitter"), or what the vendor asks for where that is not above ``most``. No retry starts once ``within``
    seconds have gone by. All in seconds."""

    attempts: int = 3
    base: float = 0.5
    most: float = 8.0
    within: float = 60.0


class Retrying:
    """``jitter`` gives numbers from 0 to 1: the one source of chance, so that a run can be replayed."""

    def __init__(
        self,
        model: ChatModel,
        clock: Clock,
        retries: Retries = Retries(),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._model = model
        self._clock = clock
        self._retries = retries
        self._jitter = jitter

    @property
    def card(self) -> Card:
        return self._model.card

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Raises what the last try raised."""
        end = self._clock.monotonic() + self._retries.within
        for attempt in range(self._retries.attempts):
            delivered = False
            try:
                async with closing(self._model.stream(request)) as events:
                    async for event in events:
                        delivered = True
                        yield event
                return
            except Upstream as error:
                wait = self._wait(error, attempt)
                if delivered or wait is None or self._clock.monotonic() + wait > end:
                    raise
            await self._clock.sleep(wait)

    def _wait(self, error: Upstream, attempt: int) -> float | None:
        """Seconds until the next try; ``None`` where there is none to make."""
        asked = error.details.get("retry_after")
        least = float(asked) if isinstance(asked, int | float) else None
        if attempt + 1 >= self._retries.attempts or not _curable(error, least):
            return None
        wait = self._jitter() * min(self._retries.most, self._retries.base * 2.0**attempt)
        if least is None:
            return wait
        return None if least > self._retries.most else max(least, wait)


def _curable(error: Upstream, retry_after: float | None) -> bool:
    """A refused key or an unknown model stays so; a limited rate passes when the vendor says."""
    match error:
        case UpstreamRateLimited():
            return retry_after is not None
        case UpstreamFailed():
            status = error.details.get("upstream_status")
            return not isinstance(status, int) or status >= 500
        case _:
            return isinstance(error, UpstreamTimeout)
