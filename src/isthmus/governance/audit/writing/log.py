"""The log as the pipeline sees it: many tasks append, one thread flushes for all of them (group commit).

An entry is written at once, by the task itself, where nobody is in the way: one system call. What must be on disk
waits for the next group: a group begins at most every few milliseconds, so that under load one sync and one signature
serve several requests, and a lone request does not wait at all.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TypeAlias

from isthmus.errors import AuditUnavailable, IsthmusError
from isthmus.governance.audit.files import Files
from isthmus.governance.audit.tree import merkle
from isthmus.governance.audit.tree.layout import WIDTH
from isthmus.governance.audit.writing.journal import Journal, Place
from isthmus.governance.audit.writing.sequencer import Sequencer, View
from isthmus.seams import Clock, Event, Receipt

_log = logging.getLogger("isthmus.audit")

_Answer: TypeAlias = int | BaseException
#: Wishes met in one go, at most: bounds the memory of a burst.
_GROUP = 1024
#: Groups begin at least so far apart. Measured by ``benchmarks/audit.py``: longer costs delay, shorter costs CPU.
_PACE_S = 0.0015
#: How often a log that failed tries whether it can be written again.
_RETRY_S = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Wish:
    """Somebody waits: for an event to be written (``None``: it is, at ``index``), perhaps for a flush; or, where it
    could not be written, until the log's thread knows of the ``error``."""

    future: asyncio.Future[int]
    event: Event | None = None
    index: int = 0
    flush: bool = False
    error: AuditUnavailable | None = None


@dataclass(frozen=True, slots=True)
class _Outage:
    """The log cannot be written, since a moment of the monotonic clock; so many who waited were told."""

    error: AuditUnavailable
    since: float
    refused: int = 0

    def event(self) -> Event:
        """What the log says of it once it can."""
        seconds = round(time.monotonic() - self.since)
        return {"type": "log.recovered", "seconds": seconds, "refused": self.refused}


class Log:
    """An :class:`isthmus.seams.AuditLog` and :class:`isthmus.seams.Part` over a sequencer.

    It opens at the first append, or at ``start``; a closed log opens again when it is used.
    """

    def __init__(self, sequencer: Sequencer, pace: float = _PACE_S) -> None:
        """``pace``: seconds from the beginning of a group to the next, at least."""
        self._sequencer, self._pace, self._due = sequencer, pace, 0.0
        self._queue: SimpleQueue[_Wish | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._door = threading.Lock()  # nobody asks a thread that has answered for the last time
        self._outage: _Outage | None = None  # the thread's own

    @classmethod
    def in_folder(cls, place: Place, clock: Clock, files: Files | None = None) -> Log:
        """A log over a folder, which any number of processes may have open."""
        return cls(Journal(place, clock.now, files or Files()))

    async def start(self) -> None:
        """Open the log, repair its end if a writer died, and sign. Raises :class:`AuditUnavailable`."""
        await self.flush()

    async def stop(self) -> None:
        """Flush, and let go of the files."""
        if (thread := self._thread) is None:
            return
        with suppress(AuditUnavailable):  # whoever needed it was told
            await self.flush()
        self._queue.put(None)
        await asyncio.to_thread(thread.join)

    async def append(self, event: Event, *, flush: bool) -> int:
        """The entry's index, once it is written (and, with ``flush``, on disk). Raises :class:`AuditUnavailable`."""
        try:
            result = self._sequencer.write_now(event)
        except AuditUnavailable as error:
            return await self._wish(error=error)
        if isinstance(result, IsthmusError):
            raise result
        if result is None:
            return await self._wish(event=event, flush=flush)
        return await self._wish(index=result, flush=True) if flush else result

    async def flush(self) -> None:
        """Everything written before is on disk and signed for."""
        await self._wish(flush=True)

    async def receipt(self, index: int) -> Receipt:
        """The proof that the entry is in the newest checkpoint; flushes if none covers it.

        Raises :class:`IndexError` where there is no such entry.
        """
        view = self._sequencer.view
        if view is None or index >= view.checkpoint.size:
            await self.flush()
            view = self._view()
        if index // WIDTH < view.tree.size // WIDTH:  # not all in memory: storage is read
            return await asyncio.to_thread(_receipt, view, index)
        return _receipt(view, index)

    def checkpoint(self) -> str:
        """The newest signed checkpoint of this process. Raises :class:`AuditUnavailable` before the first flush."""
        return self._view().note

    def check(self) -> None:
        """Raise what the last write raised, until one succeeds; :class:`AuditUnavailable` before the first."""
        if self._outage is not None:
            raise _told(self._outage.error)
        self._view()

    def _view(self) -> View:
        if self._sequencer.view is None:
            raise AuditUnavailable("The log has no checkpoint yet.", hint="Start the log first.")
        return self._sequencer.view

    async def _wish(
        self, *, event: Event | None = None, index: int = 0, flush: bool = False, error: AuditUnavailable | None = None
    ) -> int:
        wish = _Wish(asyncio.get_running_loop().create_future(), event, index, flush, error)
        with self._door:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="audit-log", daemon=True)
                self._thread.start()
            self._queue.put(wish)
        return await wish.future

    def _run(self) -> None:
        going = True
        while going:
            wishes, going = self._gather()
            if wishes or self._outage is not None:
                self._commit(wishes)
        self._sequencer.close()
        with self._door:
            late = [wish for wish in self._drain() if wish is not None]
            self._thread = None
        _deliver(late, [AuditUnavailable("The log is being closed.") for _ in late])

    def _drain(self) -> Iterator[_Wish | None]:
        with suppress(Empty):
            while True:
                yield self._queue.get_nowait()

    def _gather(self) -> tuple[list[_Wish], bool]:
        """All that wait when the next group may begin; false once the log is to stop."""
        wishes: list[_Wish] = []
        try:
            wish = self._queue.get(timeout=None if self._outage is None else _RETRY_S)
            time.sleep(max(0.0, self._due - time.monotonic()))
            while wish is not None:
                wishes.append(wish)
                if len(wishes) == _GROUP:
                    break
                wish = self._queue.get_nowait()
        except Empty:
            return wishes, True
        return wishes, wish is not None

    def _commit(self, wishes: Sequence[_Wish]) -> None:
        """One group: everyone who waits is answered."""
        self._due = time.monotonic() + self._pace
        refused, asked = [wish for wish in wishes if wish.error], [wish for wish in wishes if not wish.error]
        for wish in refused:
            self._failed(wish.error or AuditUnavailable(""), 1)
        answers: list[_Answer]
        try:
            if self._outage is not None:
                self._come_back(self._outage)
            events = [wish.event for wish in asked if wish.event is not None]
            results = iter(self._sequencer.commit(events, flush=any(wish.flush for wish in asked)))
            answers = [wish.index if wish.event is None else next(results) for wish in asked]
        except BaseException as error:  # noqa: BLE001  whatever it is, everyone who waits must hear of it
            self._failed(error, len(asked))
            answers = [_told(error) for _ in asked]
        _deliver([*refused, *asked], [*(wish.error or 0 for wish in refused), *answers])

    def _come_back(self, outage: _Outage) -> None:
        """What lies there is on disk and signed for, and the log says that it was gone; raises what still fails."""
        self._sequencer.commit([], flush=True)
        self._sequencer.commit([outage.event()], flush=True)
        self._outage = None
        _log.warning("the audit log is written again: %s requests were refused meanwhile", outage.refused)

    def _failed(self, error: BaseException, refused: int) -> None:
        told = _told(error)
        if self._outage is None and self._sequencer.view is not None:  # else whoever starts the log is told
            _log.error("nothing is answered, as the audit log cannot be written: %s %s", told.message, told.hint)
        before = self._outage or _Outage(told, time.monotonic())
        self._outage = _Outage(told, before.since, before.refused + refused)


def _told(error: BaseException) -> AuditUnavailable:
    """The error for one of those who wait: each gets its own, as a raised error carries its own traceback."""
    if isinstance(error, IsthmusError):
        return AuditUnavailable(error.message, hint=error.hint, details=error.details)
    return AuditUnavailable(f"The audit log failed: {error!r}.")


def _deliver(wishes: Sequence[_Wish], answers: Sequence[_Answer]) -> None:
    """Wake those who wait: one call for each event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[int], _Answer]]] = {}
    for wish, answer in zip(wishes, answers, strict=True):
        loops.setdefault(wish.future.get_loop(), []).append((wish.future, answer))
    for loop, settled in loops.items():
        with suppress(RuntimeError):  # a loop that is closed has nobody waiting
            loop.call_soon_threadsafe(_settle, settled)


def _settle(settled: list[tuple[asyncio.Future[int], _Answer]]) -> None:
    for future, answer in settled:
        if future.done():  # cancelled, or already told
            continue
        if isinstance(answer, int):
            future.set_result(answer)
        else:
            future.set_exception(answer)


def _receipt(view: View, index: int) -> Receipt:
    proof = merkle.inclusion_proof(index, view.checkpoint.size, view.tree.node)
    return Receipt(
        log=view.checkpoint.origin,
        index=index,
        leaf=view.tree.leaf(index).hex(),
        size=view.checkpoint.size,
        root=view.checkpoint.root.hex(),
        proof=tuple(step.hex() for step in proof),
        checkpoint=view.note,
    )
