"""The log as the pipeline sees it: many tasks append, one thread writes for all of them (group commit).

While one group is being synced the next gathers, so the number of syncs follows the disk and not the load.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TypeAlias

from isthmus.errors import AuditUnavailable, IsthmusError
from isthmus.governance.audit import merkle
from isthmus.governance.audit.files import Files
from isthmus.governance.audit.journal import Journal, Place, View
from isthmus.seams import Clock, Event, Receipt

_Answer: TypeAlias = int | BaseException
#: Entries written in one go, at most: bounds the memory of a burst.
_GROUP = 1024


@dataclass(frozen=True, slots=True, eq=False)
class _Wish:
    """Somebody waits for an event to be written (``None``: only for a flush)."""

    event: Mapping[str, object] | None
    flush: bool
    future: asyncio.Future[int]


class Log:
    """An :class:`isthmus.seams.AuditLog` and :class:`isthmus.seams.Part` over a folder.

    Any number of processes may have the same folder open. It opens at the first append, or at ``start``; a closed log
    opens again when it is used.
    """

    def __init__(self, place: Place, clock: Clock, files: Files | None = None) -> None:
        self._folder = place.folder
        self._journal = Journal(place, clock.now, files or Files())
        self._queue: SimpleQueue[_Wish | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._failure: IsthmusError | None = None

    async def start(self) -> None:
        """Open the log, repair its end if a writer died, and sign. Raises :class:`AuditUnavailable`."""
        await self.flush()

    async def stop(self) -> None:
        """Flush, and let go of the files."""
        if self._thread is None:
            return
        with suppress(AuditUnavailable):  # whoever needed it was told
            await self.flush()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._thread = None

    async def append(self, event: Event, *, flush: bool) -> int:
        """The entry's index, once it is written (and, with ``flush``, on disk). Raises :class:`AuditUnavailable`."""
        return await self._wish(event, flush)

    async def flush(self) -> None:
        """Everything written before is on disk and signed for."""
        await self._wish(None, True)

    async def receipt(self, index: int) -> Receipt:
        """The proof that the entry is in the newest checkpoint; flushes if none covers it.

        Raises :class:`IndexError` where there is no such entry.
        """
        view = self._journal.view
        if view is None or index >= view.checkpoint.size:
            await self.flush()
            view = self._journal.view
        if view is None:
            raise AuditUnavailable("The log has no checkpoint.")
        return _receipt(view, index)

    def checkpoint(self) -> str:
        """The newest signed checkpoint of this process. Raises :class:`AuditUnavailable` before the first flush."""
        if self._journal.view is None:
            raise AuditUnavailable("The log has no checkpoint yet.", hint="Start the log first.")
        return self._journal.view.note

    def check(self) -> None:
        """Raise what the last write raised, until one succeeds; :class:`AuditUnavailable` before the first."""
        if self._failure is not None:
            raise self._failure
        self.checkpoint()

    async def _wish(self, event: Event | None, flush: bool) -> int:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="audit-log", daemon=True)
            self._thread.start()
        self._queue.put(_Wish(event, flush, future))
        return await future

    def _run(self) -> None:
        going = True
        while going:
            wishes, going = _gather(self._queue)
            if wishes:
                self._commit(wishes)
        self._journal.close()

    def _commit(self, wishes: list[_Wish]) -> None:
        """One group: a write, answers to those who need no more, a sync, answers to the rest."""
        answers: dict[_Wish, _Answer] = {}
        try:
            with self._journal.turn():
                recorded = [wish for wish in wishes if wish.event is not None]
                results = self._journal.write([wish.event for wish in recorded if wish.event is not None])
                answers.update(zip(recorded, results, strict=True))
                waiting = [wish for wish in wishes if wish.flush]
                if waiting:
                    _deliver({wish: answers.pop(wish) for wish in recorded if not wish.flush})
                    self._journal.flush()
                    for wish in waiting:
                        answers.setdefault(wish, 0)
        except Exception as error:  # noqa: BLE001  whatever it is, everyone who waits must hear of it
            answers = {wish: _told(error) for wish in wishes}
        _deliver(answers)


def _told(error: Exception) -> AuditUnavailable:
    """The error for one of those who wait: each gets its own, as a raised error carries its own traceback."""
    if isinstance(error, IsthmusError):
        return AuditUnavailable(error.message, hint=error.hint, details=error.details)
    return AuditUnavailable(f"The audit log failed: {error!r}.")


def _gather(queue: SimpleQueue[_Wish | None]) -> tuple[list[_Wish], bool]:
    """All that wait now, at least one; false once the log is to stop."""
    wishes: list[_Wish] = []
    wish = queue.get()
    while wish is not None:
        wishes.append(wish)
        if len(wishes) == _GROUP:
            break
        try:
            wish = queue.get_nowait()
        except Empty:
            break
    return wishes, wish is not None


def _deliver(answers: Mapping[_Wish, _Answer]) -> None:
    """Wake those who wait: one call for each event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[int], _Answer]]] = {}
    for wish, answer in answers.items():
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
