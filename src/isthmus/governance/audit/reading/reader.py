"""Reading a log, or an export of one, without its key and without a lock: also while a server writes to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from isthmus.errors import AuditUnavailable, NotFound, VerificationFailed
from isthmus.governance.audit.notes.checkpoint import Checkpoint, Verifier
from isthmus.governance.audit.notes.rotation import trusted
from isthmus.governance.audit.tree.layout import WIDTH, unpack
from isthmus.governance.audit.tree.storage import Storage

_TRIES = 5
_BEGINS = "It begins with the first entry: a key that is made (`isthmus keys create`), a start, a request."


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint and the note that it came in."""

    checkpoint: Checkpoint
    note: str


def read_checkpoint(storage: Storage, verifier: Verifier) -> Signed | None:
    """The newest checkpoint, or ``None`` where there is none yet. Raises :class:`VerificationFailed`."""
    for tried in range(_TRIES):
        try:
            return _newest(storage.notes(), verifier)
        except VerificationFailed:
            if tried == _TRIES - 1:
                raise
            time.sleep(0.002)  # it may just be written
    return None


def _newest(notes: list[bytes], verifier: Verifier) -> Signed | None:
    found, failed = list[Signed](), None
    for note in notes:
        try:
            found.append(Signed(verifier.open(note), note.decode()))
        except VerificationFailed as error:
            failed = error
    if failed is not None and not found:
        raise failed
    return max(found, key=lambda signed: signed.checkpoint.size, default=None)


class Reader:
    """The log in ``storage``. ``verifier`` is the log's own key unless a trusted one is given; either stands for all
    keys that rotations link to it. Its methods raise :class:`AuditUnavailable` where the storage cannot be read."""

    def __init__(self, storage: Storage, verifier: Verifier | None = None) -> None:
        """Raises :class:`NotFound` where there is no log."""
        self.storage = storage
        with _readable():
            own = Verifier.parse(_vkey(storage))
            self.verifier = trusted(verifier or own, storage.rotations(), own)

    def rotations(self) -> list[bytes]:
        """The rotations of the log's key that count, in order: one that was begun and not finished does not."""
        with _readable():
            return self.storage.rotations()[: len(self.verifier.retired)]

    def checkpoint(self) -> Signed:
        """The newest checkpoint. Raises :class:`NotFound` before the first flush."""
        with _readable():
            signed = read_checkpoint(self.storage, self.verifier)
        if signed is None:
            raise NotFound("The audit log has no checkpoint yet.", hint=_BEGINS)
        return signed

    def open(self, note: str) -> Signed:
        """A checkpoint that somebody kept. Raises :class:`VerificationFailed` where the log did not sign it."""
        return Signed(self.verifier.open(note), note)

    def entries(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Every complete entry from ``start`` on with its index; a record that is just being written is not."""
        index = start - start % WIDTH
        while (data := self._bundle(index // WIDTH)) is not None:
            entries, _ = unpack(data)
            for offset, entry in enumerate(entries):
                if index + offset >= start:
                    yield index + offset, entry
            if len(entries) < WIDTH:
                return
            index += WIDTH

    def _bundle(self, n: int) -> bytes | None:
        with _readable():
            return self.storage.bundle(n)


def _vkey(storage: Storage) -> str:
    found = storage.vkey()
    if found is None:
        raise NotFound("There is no audit log yet.", hint=_BEGINS)
    return found


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AuditUnavailable(f"The audit log cannot be read: {error.strerror or error}.") from error
