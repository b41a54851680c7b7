"""A circuit breaker: a model that keeps failing is left alone for a while, so that callers learn at once."""

from __future__ import annotations

from collections.abc import AsyncIterator

from isthmus.cards import Card
from isthmus.errors import ModelUnavailable, UpstreamFailed, UpstreamTimeout
from isthmus.messages import ChatEvent, ChatRequest, Finish
from isthmus.models.streams import closing
from isthmus.seams import ChatModel, Clock


class Breaking:
    """Opens after ``failures`` in a row; ``cool_down`` seconds later one call may try, and closes or opens it again.

    Only what says that the server is ill counts: an answer that refuses, a limited rate, a bad request and a caller
    who goes away say nothing of the kind.
    """

    def __init__(self, model: ChatModel, clock: Clock, *, failures: int = 5, cool_down: float = 30.0) -> None:
        self._model = model
        self._clock = clock
        self._limit = failures
        self._cool_down = cool_down
        self._failures = 0
        self._opened = 0.0
        self._probing = False

    @property
    def card(self) -> Card:
        return self._model.card

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Raises :class:`ModelUnavailable` while open, with ``retry_after`` in seconds."""
        probe = self._pass()
        try:
            async with closing(self._model.stream(request)) as events:
                async for event in events:
                    if isinstance(event, Finish):
                        self._failures = 0
                    yield event
        except (UpstreamFailed, UpstreamTimeout) as error:
            if _ill(error):
                self._failures += 1
                self._opened = self._clock.monotonic()
            raise
        finally:
            if probe:
                self._probing = False

    def _pass(self) -> bool:
        """Let a call through, or not; whether it is the one that tries."""
        if self._failures < self._limit:
            return False
        left = self._opened + self._cool_down - self._clock.monotonic()
        if left > 0 or self._probing:
            raise ModelUnavailable(
                f"{self.card.id} failed {self._failures} times in a row and is left alone for a while.",
                hint="Try again shortly, or name another model.",
                details={"retry_after": round(max(left, 1.0), 1)},
            )
        self._probing = True
        return True


def _ill(error: UpstreamFailed | UpstreamTimeout) -> bool:
    """A refused key or an unknown model (4xx) is the settings' fault: it is better said than hidden by a breaker."""
    status = error.details.get("upstream_status")
    return not isinstance(status, int) or status >= 500
