"""How long kept content stays: what is older than the configuration says loses its key, at start and once a day."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

from isthmus.errors import Unavailable
from isthmus.orchestration.erasure import Erasures
from isthmus.seams import AuditLog, Clock

_DAY = 86_400.0  # seconds
_log = logging.getLogger("isthmus")


class Expiring(Protocol):
    """The vault's side of it (``isthmus.data.vault``)."""

    def expiring(self, before: datetime) -> int: ...

    def expire(self, before: datetime) -> None: ...


class Retention:
    """``days``: how long content is kept; ``None`` until it is erased."""

    def __init__(self, vault: Expiring, log: AuditLog, clock: Clock, days: int | None) -> None:
        self._vault, self._log, self._clock, self._days = vault, log, clock, days

    async def expire(self) -> int:
        """Destroy what is too old; how many records. The log says so first: what it cannot say is not done.

        Raises :class:`isthmus.errors.AuditUnavailable` and :class:`isthmus.errors.StoreUnavailable`.
        """
        if self._days is None:
            return 0
        before = self._clock.now() - timedelta(days=self._days)
        records = await asyncio.to_thread(self._vault.expiring, before)
        if records:
            event = {"type": "content.expired", "records": records, "before": before.isoformat(), "days": self._days}
            await self._log.append(event, flush=True)
            await asyncio.to_thread(self._vault.expire, before)
        return records


class Custodian:
    """A :class:`isthmus.seams.Part`: a server that starts erases what must not be there before it answers, and lets
    content expire while it runs."""

    def __init__(self, erasures: Erasures, retention: Retention, clock: Clock) -> None:
        self._erasures, self._retention, self._clock = erasures, retention, clock
        self._daily: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._erasures.follow()
        self._daily = asyncio.create_task(self._every_day())

    async def stop(self) -> None:
        if self._daily is not None:
            self._daily.cancel()
            with suppress(asyncio.CancelledError):
                await self._daily

    async def _every_day(self) -> None:
        while True:
            try:
                await self._retention.expire()
            except Unavailable as error:
                _log.error("content that is too old could not be destroyed: %s", error.message)
            await self._clock.sleep(_DAY)
