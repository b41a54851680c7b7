"""How long kept content stays: what is older than the configuration says loses its key, once a day.

What is destroyed does not come back, so a clock that leaps ahead must not be what ages it. Nothing in the log could
tell: whoever starts writes to it by the same clock. What can tell is the clock that only runs, and only for a while.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from isthmus.errors import IsthmusError
from isthmus.orchestration.erasure import Erasures
from isthmus.seams import AuditLog, Clock

if TYPE_CHECKING:
    from isthmus.data.vault import Vault

#: Seconds from one time that worked to the next, and from one that did not.
_DAY, _AGAIN = 86_400.0, 300.0
#: Seconds for which the clock must have run evenly before it is believed, and by how many it may have leapt ahead.
_STEADY = _LEAP = 3_600.0
_log = logging.getLogger("isthmus")


class Retention:
    """``days``: how long content is kept; ``None`` until it is erased."""

    def __init__(self, vault: Vault, log: AuditLog, clock: Clock, days: int | None) -> None:
        self._vault, self._log, self._clock, self._days = vault, log, clock, days

    async def expire(self) -> int:
        """Destroy what is too old; how many records. The log says so first: what it cannot say is not done.

        Raises :class:`isthmus.errors.AuditUnavailable`, and :class:`isthmus.errors.StoreUnavailable` also where a
        copy of what this or an earlier time destroyed could not be removed.
        """
        if self._days is None:
            return 0
        before = self._clock.now() - timedelta(days=self._days)
        records = await asyncio.to_thread(self._vault.expiring, before)
        if records:
            event = {"type": "content.expired", "records": records, "before": before.isoformat(), "days": self._days}
            await self._log.append(event, flush=True)
            await asyncio.to_thread(self._vault.expire, before)
        else:  # an earlier time may have come as far as here
            await asyncio.to_thread(self._vault.purge)
        return records


class Custodian:
    """A :class:`isthmus.seams.Part`: a server that starts erases what must not be there before it answers, and lets
    content expire while it runs."""

    def __init__(self, erasures: Erasures, retention: Retention, clock: Clock) -> None:
        self._erasures, self._retention, self._clock = erasures, retention, clock
        self._daily: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._erasures.follow()
        self._daily = asyncio.create_task(self._every_day(self._ahead()))

    async def stop(self) -> None:
        if self._daily is not None:
            self._daily.cancel()
            with suppress(asyncio.CancelledError):
                await self._daily

    async def _every_day(self, ahead: float) -> None:
        wait = _STEADY
        while True:
            await self._clock.sleep(wait)
            before, ahead = ahead, self._ahead()
            if ahead - before < _LEAP:
                wait = await self._expire()
            else:
                wait = _STEADY
                _log.error("the clock leapt ahead by %.0f s: no content expires until it runs evenly", ahead - before)

    def _ahead(self) -> float:
        """By how many seconds the clock is ahead of the one that only runs: the same from day to day."""
        return self._clock.now().timestamp() - self._clock.monotonic()

    async def _expire(self) -> float:
        """Seconds until the next time. Nothing may end the task: content would stay for good, and nobody be told."""
        try:
            await self._retention.expire()
        except IsthmusError as error:
            _log.error("content that is too old could not be destroyed: %s", error.message)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
            _log.error("content that is too old could not be destroyed: %s: %s", type(error).__name__, error)
        else:
            return _DAY
        return _AGAIN
