"""The log's side of witnessing: every so often the newest checkpoint goes to each witness, and what they say is kept.

A witness that does not answer is asked again the next time; the gateway never waits for one. A witness that refuses
because it cosigned another tree says that this log was rewritten, or set back to an older state: that is recorded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from isthmus.errors import AuditUnavailable, NotFound
from isthmus.governance.audit.notes.checkpoint import Checkpoint
from isthmus.governance.audit.notes.note import Note, Signature
from isthmus.governance.audit.reading.reader import Reader, Signed
from isthmus.governance.audit.tree.storage import Storage
from isthmus.governance.audit.witness.client import WitnessAhead, WitnessClient, WitnessFailed, WitnessRefused
from isthmus.governance.audit.witness.witnessed import Witnessed
from isthmus.seams import AuditLog, Clock

_log = logging.getLogger("isthmus.audit")
_ALARM = (
    "witness %s REFUSES this log: the checkpoint of %s entries does not go on from what it cosigned (of %s entries). "
    "The log was rewritten, or set back to an older state: keep its files as they are, and see docs/witness.md."
)


class Witnessing:
    """An :class:`isthmus.seams.Part`. It reads the log as any reader does, from ``storage``, so that the checkpoint it
    sends is the newest of all processes; ``log`` is where a refusal is recorded."""

    def __init__(
        self,
        witnesses: Sequence[WitnessClient],
        storage: Storage,
        log: AuditLog,
        kept: Witnessed,
        rhythm: tuple[Clock, float],
    ) -> None:
        """``rhythm``: a clock, and the seconds from one round to the next."""
        self._witnesses, self._storage, self._log, self._kept = witnesses, storage, log, kept
        self._clock, self._every = rhythm
        self._trouble: dict[WitnessClient, str] = {}
        self._done = ""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                await self.round()
            except Exception:  # noqa: BLE001  whatever it is, the gateway goes on and the next round tries again
                _log.exception("the witnesses could not be asked")
            await self._clock.sleep(self._every)

    async def round(self) -> None:
        """Ask every witness for its cosignature of the newest checkpoint, unless all gave it before. What some gave is
        kept whatever becomes of the others; then the first failure is raised."""
        try:
            newest, rotations = await asyncio.to_thread(self._read)
        except NotFound:  # there is nothing to witness yet
            return
        if newest.note == self._done:
            return
        note = Note.parse(newest.note)
        asked = (self._ask(witness, note, rotations) for witness in self._witnesses)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        given = [answer for answer in answers if not isinstance(answer, BaseException)]
        if cosignatures := [one for signatures in given for one in signatures]:
            await asyncio.to_thread(self._kept.keep, Note(note.body, (*note.signatures, *cosignatures)))
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        if all(given):
            self._done = newest.note

    def _read(self) -> tuple[Signed, list[bytes]]:
        """The newest checkpoint, and the rotations of the log's key. Blocks: a reader reads as it is made, too."""
        reader = Reader(self._storage)
        return reader.checkpoint(), reader.rotations()

    async def _ask(self, witness: WitnessClient, note: Note, rotations: list[bytes]) -> tuple[Signature, ...]:
        """The witness's cosignatures; none where it gave none, which is said once."""
        try:
            given = await witness.cosign(note, rotations)
        except WitnessFailed as error:
            if self._is_news(witness, str(error)):
                _log.warning("no cosignature of witness %s, which is asked again: %s", witness.verifier.name, error)
        except WitnessRefused as error:
            await self._refused(witness, note, error)
        except WitnessAhead as error:
            # another process may have asked it for a newer checkpoint, which is then there to be read
            newest, _ = await asyncio.to_thread(self._read)
            if newest.checkpoint.size < error.size:
                await self._refused(witness, note, WitnessRefused(409, error.size))
        else:
            if self._trouble.pop(witness, ""):
                _log.warning("witness %s cosigns again", witness.verifier.name)
            return given
        return ()

    async def _refused(self, witness: WitnessClient, note: Note, refusal: WitnessRefused) -> None:
        """The alarm: once in the server's log and once in the record, until the witness cosigns again."""
        if not self._is_news(witness, "refused"):
            return
        size = Checkpoint.parse(note.body).size
        _log.error(_ALARM, witness.verifier.name, size, refusal.cosigned)
        facts = {"witness": witness.verifier.vkey, "status": refusal.status, "size": size}
        try:
            await self._log.append({"type": "witness.refused", "cosigned": refusal.cosigned, **facts}, flush=True)
        except AuditUnavailable:
            del self._trouble[witness]  # so that it is recorded the next time
            raise

    def _is_news(self, witness: WitnessClient, trouble: str) -> bool:
        before, self._trouble[witness] = self._trouble.get(witness), trouble
        return before != trouble
